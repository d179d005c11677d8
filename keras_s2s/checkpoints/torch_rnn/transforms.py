"""Transforms between weights of Keras and the tensors that PyTorch's modules have for them.

The transforms are a closed set. `read` makes weights of tensors, `write` tensors of weights, and
`read(write(weights))` are the same weights, bit by bit. Where PyTorch has more numbers than the
function needs (two biases that are added), `write(read(tensors))` are others of the same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Shape = tuple[int, ...]
Arrays = list[np.ndarray]

#: For each gate here, its place in PyTorch. A GRU has update, reset, candidate here, and reset,
#: update, candidate there; an LSTM input, forget, candidate, output in both. Each order is its own
#: inverse.
GATE_ORDER = {"gru": (1, 0, 2), "lstm": (0, 1, 2, 3), "rnn": (0,)}


class Transform(Protocol):
    """An invertible way of storing weights."""

    def read(self, tensors: Sequence[np.ndarray]) -> Arrays:
        """Makes weights of stored tensors."""

    def write(self, weights: Sequence[np.ndarray]) -> Arrays:
        """Makes stored tensors of weights."""


@dataclass(frozen=True)
class Copies:
    """One weight, stored as it is, under `count` names (tied tables)."""

    count: int = 1

    def read(self, tensors: Sequence[np.ndarray]) -> Arrays:
        return [tensors[0]]

    def write(self, weights: Sequence[np.ndarray]) -> Arrays:
        return [weights[0]] * self.count


@dataclass(frozen=True)
class Matrix:
    """A kernel `[D, N]`, stored as `[N, D]`.

    Attributes:
        gates: order of the blocks of N, each as large as the others.
        widths: of the blocks of D, in the order that they have here.
        order: for each block there, its place here.
    """

    gates: tuple[int, ...] = (0,)
    widths: tuple[int, ...] = ()
    order: tuple[int, ...] = ()

    def read(self, tensors: Sequence[np.ndarray]) -> Arrays:
        matrix = reorder_gates(tensors[0], self.gates)
        if self.order:
            blocks = _columns(matrix, [self.widths[place] for place in self.order])
            here = [blocks[self.order.index(i)] for i in range(len(blocks))]
            matrix = np.concatenate(here, axis=1)
        return [matrix.T]

    def write(self, weights: Sequence[np.ndarray]) -> Arrays:
        matrix = weights[0].T
        if self.order:
            blocks = _columns(matrix, self.widths)
            matrix = np.concatenate([blocks[place] for place in self.order], axis=1)
        return [reorder_gates(matrix, self.gates)]


@dataclass(frozen=True)
class Column:
    """A kernel `[D, 1]`, stored as a vector `[D]`."""

    def read(self, tensors: Sequence[np.ndarray]) -> Arrays:
        return [tensors[0][:, None]]

    def write(self, weights: Sequence[np.ndarray]) -> Arrays:
        return [weights[0][:, 0]]


@dataclass(frozen=True)
class JointMatrix:
    """Kernels `[D_i, N]` of what is read side by side, stored as one matrix `[N, D_0 + D_1 ...]`.

    Attributes:
        widths, order: as in `Matrix`.
    """

    widths: tuple[int, ...]
    order: tuple[int, ...]

    def read(self, tensors: Sequence[np.ndarray]) -> Arrays:
        blocks = _columns(tensors[0], [self.widths[place] for place in self.order])
        return [blocks[self.order.index(i)].T for i in range(len(self.widths))]

    def write(self, weights: Sequence[np.ndarray]) -> Arrays:
        return [np.concatenate([weights[place].T for place in self.order], axis=1)]


@dataclass(frozen=True)
class StackedBiases:
    """A GRU's bias `[2, N]`, of the input's product and of the state's, stored as two vectors."""

    gates: tuple[int, ...]

    def read(self, tensors: Sequence[np.ndarray]) -> Arrays:
        return [np.stack([reorder_gates(tensor, self.gates) for tensor in tensors])]

    def write(self, weights: Sequence[np.ndarray]) -> Arrays:
        return [reorder_gates(row, self.gates) for row in weights[0]]


@dataclass(frozen=True)
class SummedBiases:
    """A bias `[N]`, stored as two vectors that are added: the second is written as zeros."""

    gates: tuple[int, ...] = (0,)

    def read(self, tensors: Sequence[np.ndarray]) -> Arrays:
        # The sum of two half-precision numbers is kept in full.
        first, second = (reorder_gates(tensor, self.gates) for tensor in tensors)
        return [first.astype(np.result_type(first, np.float32)) + second]

    def write(self, weights: Sequence[np.ndarray]) -> Arrays:
        return [reorder_gates(weights[0], self.gates), np.zeros_like(weights[0])]


@dataclass(frozen=True)
class WithoutEffect:
    """A tensor that changes no result: no weight here, zeros there."""

    shape: Shape

    def read(self, tensors: Sequence[np.ndarray]) -> Arrays:
        return []

    def write(self, weights: Sequence[np.ndarray]) -> Arrays:
        return [np.zeros(self.shape, "float32")]


def reorder_gates(array: np.ndarray, gates: tuple[int, ...]) -> np.ndarray:
    """Reorders the blocks of the first axis; twice by an order of `GATE_ORDER` changes nothing."""
    if len(gates) == 1:
        return array
    blocks = np.split(array, len(gates))
    return np.concatenate([blocks[gate] for gate in gates])


def _columns(matrix: np.ndarray, widths: Sequence[int]) -> Arrays:
    return np.split(matrix, np.cumsum(widths)[:-1], axis=1) if len(widths) > 1 else [matrix]
