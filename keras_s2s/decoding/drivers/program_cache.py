"""Keeps programs that JAX has compiled in the user's cache folder, for later processes."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import platform
from pathlib import Path

#: Most bytes of programs that are kept; those used longest ago leave first.
MOST_BYTES = 1 << 30

#: Programs that compile faster than this are not kept: to read them takes as long.
LEAST_SECONDS = 0.1


def keep_programs() -> None:
    """Makes JAX keep compiled programs in `programs_folder()`, unless it was told otherwise.

    JAX's own settings come first: `JAX_COMPILATION_CACHE_DIR` names another folder, and
    `JAX_ENABLE_COMPILATION_CACHE=false` keeps nothing. The settings are those of the process, so
    that later programs of other code are kept, too. Nothing is kept where there is no home folder,
    or the folder cannot be written, or belongs to somebody else: its programs would be run.
    """
    import jax

    config = jax.config
    if config.jax_compilation_cache_dir is not None or not config.jax_enable_compilation_cache:
        return
    try:
        folder = programs_folder(jax.default_backend())
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_ours = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    except (OSError, RuntimeError):  # no home: a container's user without a name
        return
    if not is_ours or not os.access(folder, os.W_OK):
        return
    config.update("jax_compilation_cache_dir", str(folder))
    config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
    # JAX bounds its cache where this package is installed; without it, nothing is removed.
    if importlib.util.find_spec("filelock"):
        config.update("jax_compilation_cache_max_size", MOST_BYTES)


def programs_folder(platform_name: str) -> Path:
    """Returns the folder of the programs for this machine.

    It is `keras_s2s/jax` in `XDG_CACHE_HOME` (`~/.cache` by default), and in it a folder for each
    kind of processor: a home folder may be shared by machines with different instructions.

    Args:
        platform_name: JAX's name of the platform: `cpu`, `gpu` or `tpu`.

    Raises:
        RuntimeError: nothing says where the home folder is.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):  # XDG says that others do not count
        home = str(Path.home() / ".cache")
    kind = f"{platform_name}-{_processor()}" if platform_name == "cpu" else platform_name
    return Path(home) / "keras_s2s" / "jax" / kind


@functools.cache
def _processor() -> str:
    """Returns a short name for the instructions that the processor has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    # x86 calls them flags, ARM Features.
    known = [line for line in lines if line.lower().startswith(("flags", "features"))]
    text = known[0] if known else platform.processor()
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{platform.machine()}-{digest}"
