"""What the machine could do at most: rates measured in the same run, and what a step costs."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

from generation.engines import Settings
from generation.model import BenchmarkError, Model

INPUTS, OUTPUTS = 512, 2048
#: Rows measured in every run; those of the cells come on top.
ROWS = (1, 8, 32, 128)

#: Bytes of the array that is read, or copied on a GPU: much more than a cache holds.
CPU_BYTES, GPU_BYTES = 1 << 28, 1 << 30


class Limits:
    """Measures the machine, with the first of PyTorch, JAX (on a GPU) and NumPy there is."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.gpu = settings.device == "gpu"
        self.dtype = settings.dtype
        has_torch = importlib.util.find_spec("torch") is not None
        if has_torch:
            import torch

            torch.set_num_threads(settings.threads)
            torch.backends.cuda.matmul.allow_tf32 = False
            has_torch = not self.gpu or torch.cuda.is_available()
        self.library = "torch" if has_torch else "jax" if self.gpu else "numpy"

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """`{"rows": [...]}` gives `{"library", "device", "matrix": {rows: GFLOP/s}, "memory"}`.

        `memory` is in GB/s: reading on a CPU, reading and writing (a copy) on a GPU.
        """
        measure = {"torch": self._torch, "jax": self._jax, "numpy": self._numpy}[self.library]
        device, product, memory, size = measure()
        matrix = {}
        for rows in request["rows"]:
            operations = 2 * rows * INPUTS * OUTPUTS
            matrix[str(rows)] = operations / best_seconds(product(rows)) / 1e9
        return {
            "library": self.library,
            "device": device,
            "matrix": matrix,
            "memory": size / best_seconds(memory) / 1e9,
        }

    def _numpy(self) -> Any:
        import numpy as np

        data = np.ones(CPU_BYTES // 4, np.float32)
        weights = np.full((INPUTS, OUTPUTS), 0.01, np.float32)

        def product(rows: int) -> Callable[[], Any]:
            x = np.ones((rows, INPUTS), np.float32)
            return lambda: x @ weights

        # A product of a vector with itself reads it once, with all threads of BLAS.
        return "", product, lambda: data @ data, data.nbytes

    def _torch(self) -> Any:
        import torch

        device = "cuda" if self.gpu else "cpu"
        dtype = getattr(torch, self.dtype) if self.gpu else torch.float32
        weights = torch.full((INPUTS, OUTPUTS), 0.01, device=device, dtype=dtype)
        name = torch.cuda.get_device_name() if self.gpu else ""

        def synchronised(function: Callable[[], Any]) -> Callable[[], Any]:
            def run() -> None:
                function()
                torch.cuda.synchronize()

            return run if self.gpu else function

        def product(rows: int) -> Callable[[], Any]:
            x = torch.ones((rows, INPUTS), device=device, dtype=dtype)
            return synchronised(lambda: x @ weights)

        if not self.gpu:
            data = torch.ones(CPU_BYTES // 4)
            return name, product, data.sum, CPU_BYTES
        data = torch.ones(GPU_BYTES, device=device, dtype=torch.uint8)
        target = torch.empty_like(data)
        return name, product, synchronised(lambda: target.copy_(data)), 2 * GPU_BYTES

    def _jax(self) -> Any:
        import jax
        import jax.numpy as jnp

        if jax.default_backend() != "gpu":
            raise BenchmarkError("--device gpu: jax sees no GPU")
        weights = jnp.full((INPUTS, OUTPUTS), 0.01, self.dtype)
        multiply, copy = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1)

        def product(rows: int) -> Callable[[], Any]:
            x = jnp.ones((rows, INPUTS), self.dtype)
            return lambda: multiply(x, weights).block_until_ready()

        data = jnp.ones(GPU_BYTES // 4, jnp.float32)
        name = jax.devices()[0].device_kind
        return name, product, lambda: copy(data).block_until_ready(), 2 * GPU_BYTES


def best_seconds(function: Callable[[], Any], least: float = 0.03, repeats: int = 5) -> float:
    """Seconds of one call: the best of `repeats` averages over at least `least` seconds."""
    function()
    begin = time.perf_counter()
    function()
    count = max(1, round(least / max(time.perf_counter() - begin, 1e-7)))
    best = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(count):
            function()
        best = min(best, (time.perf_counter() - begin) / count)
    return best


def step_bytes(model: Model, cell: tuple[int, int], source: int, steps: int, width: int) -> float:
    """Bytes an average step must read: the decoder's weights, and keys and values.

    Args:
        model: sizes.
        cell: batch and beams.
        source: ids of a source.
        steps: of the whole generation; the caches are half full on average.
        width: bytes of a number.
    """
    batch, beams = cell
    entry = 2 * model.decoder_layers * model.hidden * width
    cached = batch * beams * entry * (steps + 1) / 2 + batch * entry * source
    return model.decoder_multiplications * width + cached


def limits(
    model: Model,
    cell: tuple[int, int],
    measured: dict[str, Any],
    *,
    source: int,
    steps: int,
    width: int,
    gpu: bool,
) -> dict[str, float]:
    """Tokens a second that the machine could make at most in a cell.

    Returns:
        "memory", by what a step reads; on a CPU in float32 also "matrix", by the rate of matrix
        products of as many rows; and "limit", the lower of them. A product as small as the one
        measured is over before a GPU has started it, so there it says nothing.
    """
    batch, beams = cell
    seconds = step_bytes(model, cell, source, steps, width) / (measured["memory"] * 1e9)
    found = {"memory": batch / seconds}
    if not gpu and width == 4:
        rate = measured["matrix"][str(batch * beams)] * 1e9
        found["matrix"] = rate / (2 * model.decoder_multiplications) / beams
    return {**found, "limit": min(found.values())}
