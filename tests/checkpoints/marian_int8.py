"""Marian's arithmetic with matrices of int8, in NumPy: inputs of products are rounded, too.

After `intgemm_interface.h` of marian-dev. A product multiplies integers: those of the file, and
the input times a multiplier, rounded. Marian takes 127 over the largest magnitude of the input, of
every row that is computed together. Files of Firefox hold a multiplier for each matrix
(`*_QuantMultA`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from checkpoints.marian_files import PlainMarian

from keras_s2s.checkpoints.files.marian_bin_file import MarianBinFile

#: The range of what an unsigned byte holds after 127 was added to it.
LEAST, MOST = -127, 128
INT16 = -(2**15), 2**15 - 1


class Int8Matrix:
    """A matrix of int8 on the right of `@`.

    Args:
        integers: of the file, `[in, out]`.
        multiplier: of the weights.
        activation: multiplier of inputs; None takes it from the input, as Marian does.
    """

    __array_ufunc__ = None  # NumPy leaves `array @ self` to `__rmatmul__`

    def __init__(self, integers: np.ndarray, multiplier: float, activation: float | None) -> None:
        self.integers = integers
        self.multiplier = np.float32(multiplier)
        self.activation = activation

    @property
    def T(self) -> Int8Matrix:
        return Int8Matrix(self.integers.T, self.multiplier, self.activation)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.integers[rows].astype(np.float32) / self.multiplier

    def __rmatmul__(self, x: np.ndarray) -> np.ndarray:
        x = x.astype(np.float32)
        given = self.activation is not None
        scale = np.float32(self.activation if given else 127 / np.abs(x).max())
        rounded = np.clip(np.rint(x * scale), LEAST, MOST).astype(np.int32)
        if given:
            # Unsigned bytes times signed ones, in pairs whose sums are cut off at 16 bits.
            shifted, w = rounded - LEAST, self.integers
            pairs = shifted[:, 0::2, None] * w[None, 0::2] + shifted[:, 1::2, None] * w[None, 1::2]
            product = np.clip(pairs, *INT16).sum(1) + LEAST * w.sum(0)
        else:
            product = rounded @ self.integers
        return product.astype(np.float32) / (scale * self.multiplier)


class Int8Marian(PlainMarian):
    """Marian's Transformer for one sentence, with the int8 matrices of a `.bin`, in float32.

    Args:
        path: of the file, which the package's own reader reads.
        activation: multiplier of all inputs; None takes each from its input.
    """

    def __init__(self, path: Path, activation: float | None = None) -> None:
        tensors, settings, quantised = read(path)
        super().__init__({}, settings)
        self.t = {name: array.astype(np.float32) for name, array in tensors.items()}
        for name in quantised:
            weights = self.t[name]
            multiplier = np.float32(127 / np.abs(weights).max())
            integers = np.rint(weights * multiplier).astype(np.int32)
            np.testing.assert_allclose(integers / multiplier, weights, rtol=1e-5)
            self.t[name] = Int8Matrix(integers, multiplier, activation)
        self.quantised = quantised


def read(path: Path) -> tuple[dict[str, np.ndarray], Mapping[str, Any], list[str]]:
    """Returns tensors, settings, and the names of the int8 matrices of a `.bin`."""
    file = MarianBinFile(path)
    tensors = {name: file.read(name) for name in file.specs}
    settings = yaml.safe_load(tensors.pop("special:model.yml").tobytes().split(b"\0")[0])
    quantised = [name for name, stored in file._stored.items() if stored.quantised]
    file.close()
    return tensors, settings, quantised


def greedy(
    model: Any, source: Sequence[int], limit: int, eos: int, never: Sequence[int]
) -> tuple[list[int], float]:
    """Returns the ids that greedy search finds, and the sum of their log-probabilities."""
    state, last, ids, total = model.start(source), None, [], 0.0
    for _ in range(limit):
        log_probs, state = model.step(state, last)
        log_probs = log_probs.copy()
        log_probs[list(never)] = -np.inf
        last = int(log_probs.argmax())
        ids.append(last)
        total += float(log_probs[last])
        if last == eos:
            break
    return ids, total
