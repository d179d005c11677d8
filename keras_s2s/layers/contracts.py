"""Base classes of a network's parts: frontend, encoder and decoder.

A network is put together of four parts, each behind a small interface:

    source -> `Frontend` -> vectors and mask -> `Encoder` -> `Memory`
    target ids -> token table -> vectors, with `Memory` -> `Decoder` -> hidden vectors -> logits

Nothing after the frontend knows what a source was: token ids, frames of speech, or patches of a
picture. A new kind of part is a subclass of one of these, and a line that registers it
(`keras_s2s.register_frontend`, `register_encoder`, `register_decoder`).

Letters: B sources, S vectors of a source, T target ids, D width, K beams (hypotheses of a source
that are searched side by side), R = B*K rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_s2s.layers import state as state_moves
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.state import Memory, State
from keras_s2s.typing import Tensor

#: The model input that says which positions of a source are real.
SOURCE_MASK = "encoder_padding_mask"


class SourceInput(NamedTuple):
    """The model input that holds sources: name, type and shape of a position.

    Attributes:
        name: of the input, e.g. `encoder_token_ids`.
        dtype: of its values.
        shape: of one position, `()` for ids, `(F,)` for F features; a source of S positions is an
            array `[S, *shape]`, and a batch of them `[B, S, *shape]`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()


class Frontend(ABC):
    """Base class of frontends, which turn sources of some kind into vectors and a mask.

    A frontend holds Keras layers and calls them. It is not a layer itself: its layers are layers of
    the model, under their own names.

    Attributes:
        input: the model input that holds sources.
        max_length: most positions of a source; None where nothing sets a limit.
        reads_text: whether a source is the ids of a text, which the preprocessor makes.

    Example:
        >>> class Frames(Frontend):
        ...     input = SourceInput("encoder_features", "float32", (80,))
        ...     def __init__(self, dim):
        ...         self.dense = keras.layers.Dense(dim, name="frames")
        ...     def __call__(self, inputs):
        ...         return self.dense(inputs["encoder_features"]), inputs["encoder_padding_mask"]
        >>> frontend = Frames(16)
        >>> inputs = frontend.batch([np.zeros((5, 80)), np.zeros((3, 80))])
        >>> vectors, mask = frontend(inputs)
        >>> tuple(vectors.shape)
        (2, 5, 16)
    """

    input: SourceInput
    max_length: int | None = None
    reads_text = False

    @abstractmethod
    def __call__(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Turns a batch of sources into vectors and a mask.

        Args:
            inputs: `input.name` `[B, S, *input.shape]` and `encoder_padding_mask`, bool `[B, S]`,
                True at real positions; symbolic or real. Other entries are ignored.

        Returns:
            vectors, float `[B, S', D]`, and their mask, bool `[B, S']`; S' is S, but for frontends
            that shorten a source (see `vector_count`).
        """

    def vector_count(self, length: int) -> int:
        """Returns how many vectors a source of `length` positions becomes."""
        return length

    def token_ids(self, inputs: Mapping[str, Tensor]) -> Tensor | None:
        """Returns the ids of sources, int `[B, S]`, for rules that read them; None where there are
        none.
        """
        return None

    @property
    def has_token_ids(self) -> bool:
        """Whether `token_ids` returns any."""
        return type(self).token_ids is not Frontend.token_ids

    @property
    def specs(self) -> dict[str, tuple[str, tuple[int | None, ...]]]:
        """For each model input of a source its dtype and its shape without the batch."""
        return {
            self.input.name: (self.input.dtype, (None, *self.input.shape)),
            SOURCE_MASK: ("bool", (None,)),
        }

    def row(self, source: Any, what: str = "source") -> np.ndarray:
        """Returns one source as an array, after checking it.

        Args:
            source: an array `[S, *input.shape]`, or nested lists.
            what: its name in messages.

        Returns:
            the source as a NumPy array of `input.dtype`.

        Raises:
            ValueError: another shape, or numbers that are not finite.
        """
        expected = f"expected an array [{', '.join(['length', *map(str, self.input.shape)])}]"
        try:
            array = np.asarray(
                ops.convert_to_numpy(source) if keras.ops.is_tensor(source) else source,
                dtype=self.input.dtype,
            )
        except (TypeError, ValueError):
            raise ValueError(f"{what} is a {type(source).__name__}; {expected}") from None
        if array.ndim != 1 + len(self.input.shape) or array.shape[1:] != tuple(self.input.shape):
            raise ValueError(f"{what} has the shape {array.shape}; {expected}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{what} holds numbers that are not finite (NaN or infinite)")
        return array

    def batch(
        self,
        rows: Sequence[Any],
        size: int | None = None,
        length: int | None = None,
        pad: int = 0,
    ) -> dict[str, np.ndarray]:
        """Pads sources to one length.

        Args:
            rows: sources as `row` returns them, none empty.
            size: rows of the batch; those beyond `rows` repeat the first source, so that nothing
                in them is undefined. None is as many as there are.
            length: padded length; None is that of the longest source.
            pad: the value of padding, where sources are ids.

        Returns:
            the model inputs of a source, NumPy arrays.
        """
        size = len(rows) if size is None else size
        length = max(map(len, rows), default=1) if length is None else length
        empty = pad if np.dtype(self.input.dtype).kind in "iu" else 0
        values = np.full((size, length, *self.input.shape), empty, self.input.dtype)
        mask = np.zeros((size, length), bool)
        for i, row in enumerate(rows):
            values[i, : len(row)] = row
            mask[i, : len(row)] = True
        values[len(rows) :], mask[len(rows) :] = values[:1], mask[:1]
        return {self.input.name: values, SOURCE_MASK: mask}


class Encoder(ExplicitMaskLayer):
    """Base class of encoders, which turn the vectors of a source into the memory that the decoder
    reads.

    A Keras layer. A subclass defines `call`, `output_dim`, and `compute_output_spec` where Keras
    cannot infer it by tracing.
    """

    @property
    def output_dim(self) -> int:
        """Width of the memory's values."""
        raise NotImplementedError(f"{type(self).__name__} must say its output_dim")

    def call(self, vectors: Tensor, mask: Tensor, training: bool | None = None) -> Memory:
        """Encodes a batch.

        Args:
            vectors: float `[B, S, D]`.
            mask: bool `[B, S]`, True at real positions; rows are padded at their end.

        Returns:
            `Memory`: values `[B, S, output_dim]`, the mask, and the final state, a list that is
            empty where there is none.
        """
        raise NotImplementedError(f"{type(self).__name__} must define call")


class Decoder(ExplicitMaskLayer):
    """Base class of decoders: all target positions at once in training, one step at a time in
    decoding.

    A Keras layer. A subclass defines `call`, `init_state` and `step`, which run the same weights
    through the same code. The other methods keep the rows of a search in order. Their defaults
    gather and concatenate the leaves of the state, and are right for states whose leaves do not
    depend on the number of steps. A decoder with caches defines `grow`, and may override others.
    """

    def call(
        self,
        vectors: Tensor,
        memory: Memory,
        mask: Tensor | None = None,
        training: bool | None = None,
        return_attention: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Computes all target positions at once, from the true inputs (teacher forcing).

        Args:
            vectors: of the decoder inputs, float `[B, T, D]`.
            memory: an encoded batch.
            mask: bool `[B, T]`, True at real decoder inputs; None where all are.
            return_attention: also return the attention to the source.

        Returns:
            hidden vectors `[B, T, D']`, or a pair of them and the attention `[B, T, S]` (None
            where the decoder has none).
        """
        raise NotImplementedError(f"{type(self).__name__} must define call")

    def init_state(self, memory: Memory, capacity: Tensor | None = None) -> State:
        """Returns the state before the first step, with one row for each source.

        Args:
            memory: an encoded batch.
            capacity: how many steps the state must hold, an int or a scalar tensor.
        """
        raise NotImplementedError(f"{type(self).__name__} must define init_state")

    def step(
        self, vectors: Tensor, state: State, index: Tensor, want_attention: bool = False
    ) -> tuple[Tensor, State, Tensor | None]:
        """Takes one decoding step: advances every row by one position.

        Args:
            vectors: of the last ids, float `[R, 1, D]`.
            state: the state so far, of B sources and R = B*K rows; rows of a source lie side by
                side.
            index: the number of the step, a scalar; 0 for the decoder start.
            want_attention: also return the attention to the source.

        Returns:
            `(hidden [R, 1, D'], state, attention [R, S] or None)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step")

    def step_several(self, vectors: Tensor, state: State, starts: Tensor) -> tuple[Tensor, State]:
        """Takes several decoding steps at once, of ids that are known; each row its own.

        What follows an id that turns out to be wrong is taken again, from its position on. A
        decoder whose state cannot go back does not define this, and has no prompt lookup.

        Args:
            vectors: of the ids, float `[B, T, D]`.
            state: the state so far, of B sources with one row each, with room for all positions.
            starts: int `[B]`, the number of the first of these steps in each row.

        Returns:
            `(hidden [B, T, D'], state)`.
        """
        raise NotImplementedError(f"{type(self).__name__} takes one step at a time")

    def spread(self, state: State, num_beams: int) -> State:
        """Gives each source of a new state, which has one row, `num_beams` equal rows."""
        return state_moves.spread(state, num_beams)

    def reorder(self, state: State, parents: Tensor) -> State:
        """Makes row r continue the history of row `parents[r]`, one of the same source.

        Args:
            parents: int `[R']`. More rows than before (R' = B*K') spread sources, too.
        """
        return state_moves.reorder(state, parents)

    def select_rows(self, state: State, rows: Tensor) -> State:
        """Keeps the sources `rows`, int `[B']`, with all their beams, in the order given."""
        return state_moves.select_rows(state, rows)

    def join(self, states: Sequence[State]) -> State:
        """Joins states: the sources of all of them, one state's after the other's.

        Args:
            states: with the same capacity and number of beams, after the same number of steps.
        """
        return state_moves.join(states)

    def grow(self, state: State, capacity: Tensor) -> State:
        """Makes room for `capacity` steps; by default the state has one size."""
        return state
