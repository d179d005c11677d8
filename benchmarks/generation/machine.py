"""What this machine is, and what is installed on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = (
    "keras_s2s",
    "keras",
    "torch",
    "jax",
    "jaxlib",
    "tensorflow",
    "transformers",
    "ctranslate2",
    "keras-hub",
    "numpy",
    "sentencepiece",
)
#: Beginnings of environment variables that may change a speed.
TELLING = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "XLA_", "JAX_", "TF_", "TORCH_", "CT2_")


def description() -> dict[str, Any]:
    """Machine, versions, revision of the checkout, and variables that may change a speed."""
    return {
        "machine": machine(),
        "versions": versions(),
        "revision": revision(),
        "environment": {k: v for k, v in os.environ.items() if k.startswith(TELLING)},
    }


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy_seconds() -> tuple[float, float] | None:
    """Processor time of every program since the start, and what the host took away from this
    machine; None where the system does not tell."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _, _, interrupts, soft, stolen = (
        int(field) / os.sysconf("SC_CLK_TCK") for field in fields[1:9]
    )
    return user + nice + system + interrupts + soft, stolen


def machine() -> dict[str, Any]:
    """Processor, cores, memory and system."""
    processor, memory = platform.processor(), None
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
        memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    except OSError:
        pass
    return {
        "processor": processor or platform.machine(),
        "cores": cores(),
        "memory_bytes": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }


def versions() -> dict[str, str]:
    """Installed versions of everything that is compared."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def revision() -> str | None:
    """The commit of this checkout, with a mark where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
