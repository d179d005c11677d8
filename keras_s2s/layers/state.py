"""Memory of an encoder, state of a decoder, and operations on the rows of a state."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import keras
from keras import ops

from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.typing import Tensor, Tree


class Memory(NamedTuple):
    """The encoder's outputs for a batch of sources.

    Attributes:
        values: float tensor `[B, S, D]`.
        mask: bool tensor `[B, S]`, True at real positions.
        final_state: per encoder layer a list of `[B, D]` tensors (one for GRU and simple RNN,
            two for LSTM); empty where the encoder has no recurrent state.
    """

    values: Tensor
    mask: Tensor
    final_state: Tree


class State(NamedTuple):
    """The state of a decoder between two steps.

    Attributes:
        source: leaves `[B, ...]`, computed once from the memory; beams of a source share them.
        beam: leaves `[R, ...]`, a row for each hypothesis. Their content is private to the
            decoder, whose methods reorder, select and grow them.
    """

    source: Tree
    beam: Tree


class StepOutput(NamedTuple):
    """The result of a decoding step.

    Attributes:
        logits: float32 tensor `[R, V]`.
        state: the `State` after the step.
        attention: float tensor `[R, S]`, the mean over heads of the top layer's attention to
            the source; None unless asked for, or where the decoder has none.
        hidden: float tensor `[R, D]`, the decoder's hidden vectors, from which the logits were
            made; for strategies that read them (`Sampler.reads_hidden`).
    """

    logits: Tensor
    state: State
    attention: Tensor | None
    hidden: Tensor | None = None


def gather_beams(tree: Tree, parents: Tensor) -> Tree:
    """Gathers the rows `parents [R']` of every leaf `[R, ...]`."""
    return keras.tree.map_structure(lambda leaf: ops.take(leaf, parents, axis=0), tree)


def reorder(state: State, parents: Tensor) -> State:
    """Makes row r continue the history of row `parents[r]`; the source part is unchanged.

    Args:
        state: a `State` of R rows.
        parents: int tensor `[R']`. More rows than before (R' = B*K) spread sources to beams.
    """
    return State(state.source, gather_beams(state.beam, parents))


def spread(state: State, num_beams: int) -> State:
    """Gives each source, which has one row, `num_beams` equal rows: `[B, ...]` -> `[B*K, ...]`."""
    repeated = keras.tree.map_structure(
        lambda leaf: ops.repeat(leaf, num_beams, axis=0), state.beam
    )
    return State(state.source, repeated)


def select_rows(state: State, rows: Tensor) -> State:
    """Keeps the sources `rows [B']`, with all their beams, in the order given."""
    sources = keras.tree.flatten(state.source)
    beams = keras.tree.flatten(state.beam)
    if not sources or not beams:
        return State(gather_beams(state.source, rows), gather_beams(state.beam, rows))
    num_beams = ops.shape(beams[0])[0] // ops.shape(sources[0])[0]
    rows = ops.convert_to_tensor(rows, dtype="int32")
    beam_rows = rows[:, None] * num_beams + ops.arange(num_beams, dtype="int32")[None]
    return State(
        gather_beams(state.source, rows),
        gather_beams(state.beam, ops.reshape(beam_rows, (-1,))),
    )


def join(states: Sequence[State]) -> State:
    """Joins states: the sources of all of them, one state's after the other's.

    Args:
        states: of one network, with as many beams, after the same number of steps.
    """
    sources, beams = zip(*states, strict=True)
    return State(join_rows(sources), join_rows(beams))


def join_rows(trees: Sequence[Tree]) -> Tree:
    """Concatenates the rows of all trees: leaves `[R, ...]` become `[R1 + R2 + ..., ...]`.

    Where other axes differ (source lengths) the shorter are filled up at their end with zeros,
    or False: what masks leave out.
    """
    return keras.tree.map_structure(lambda *leaves: _join_leaves(leaves), *trees)


def _join_leaves(leaves: Sequence[Tensor]) -> Tensor:
    for axis in range(1, len(leaves[0].shape)):
        sizes = [ops.shape(leaf)[axis] for leaf in leaves]
        if all(isinstance(size, int) and size == sizes[0] for size in sizes):
            continue
        # In a graph of unknown sizes they are tensors.
        known = all(isinstance(size, int) for size in sizes)
        longest = max(sizes) if known else functools.reduce(ops.maximum, sizes)
        leaves = [_filled_up(leaf, axis, longest) for leaf in leaves]
    return ops.concatenate(leaves, axis=0)


def _filled_up(leaf: Tensor, axis: int, size: Tensor) -> Tensor:
    shape = list(ops.shape(leaf))
    shape[axis] = size - shape[axis]
    return ops.concatenate([leaf, ops.zeros(shape, dtype=leaf.dtype)], axis=axis)


def fold_beams(x: Tensor, sources: Tensor) -> Tensor:
    """Reshapes `[R, D]` to `[B, K, D]`, so that the beams of a source query it together."""
    return kernels.reshape(x, (sources, -1, x.shape[-1]))


def unfold_beams(x: Tensor) -> Tensor:
    """Reshapes `[B, K, D]` to `[R, D]`."""
    return kernels.reshape(x, (-1, kernels.shape(x)[-1]))
