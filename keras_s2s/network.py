"""The network: encodes sources, starts a decoder, and advances it by one token.

A network is a plain object that holds Keras layers. `logits` on symbolic inputs is the functional
training graph; `encode`, `init_state` and `step` on tensors are used for generation. Both use the
same layers. `step` calls them through `layers/kernels/operations.py`, so that a generation can put
faster operations in the place of Keras' `__call__`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_s2s.config import ArchitectureConfig, readout_dim
from keras_s2s.layers.contracts import Decoder, Encoder, Frontend
from keras_s2s.layers.embeddings import InputEmbedding
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.output_projection import OutputProjection
from keras_s2s.layers.state import Memory, State, StepOutput
from keras_s2s.typing import Tensor


@dataclass(repr=False)
class Network:
    """An encoder-decoder network: its layers, and the computations of training and decoding.

    Attributes:
        config: the architecture it was built from.
        frontend: sources -> vectors and their mask.
        encoder: vectors and mask -> `Memory`.
        memory_projection: the encoder's width -> the decoder's; None where there is none.
        target_table: token table of the target; the frontend's own where embeddings are shared.
        target_embedding: scale, positions, normalisation and dropout of its vectors.
        decoder: target vectors and `Memory` -> hidden vectors.
        output: hidden vectors -> logits.
    """

    config: ArchitectureConfig
    frontend: Frontend
    encoder: Encoder
    memory_projection: keras.layers.Dense | None
    target_table: keras.layers.ReversibleEmbedding
    target_embedding: InputEmbedding
    decoder: Decoder
    output: OutputProjection

    def __repr__(self) -> str:
        """Returns both sides and their vocabularies in a line."""
        config = self.config
        sources = (
            f"{self.frontend.input.name} {list(self.frontend.input.shape)}"
            if config.source_vocab_size is None
            else f"{config.source_vocab_size:,} ids"
        )
        sides = (
            f"{type(self.encoder).__name__} ({sources}) to "
            f"{type(self.decoder).__name__} ({config.target_vocab_size:,} ids)"
        )
        return f"<Network, {sides}>"

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Returns teacher-forced logits: the training graph.

        Args:
            inputs: those of the frontend (for token ids `encoder_token_ids` int `[B, S]` and
                `encoder_padding_mask` bool `[B, S]`), `decoder_token_ids` int `[B, T]`, and
                `decoder_padding_mask` bool `[B, T]`; symbolic or real.

        Returns:
            float32 `[B, T, V]`.
        """
        return self.output(self._decode(inputs))

    def hidden(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Returns the decoder's hidden vectors `[B, T, D]`, from which `output` makes logits."""
        return self._decode(inputs)

    def logits_and_attention(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Returns teacher-forced logits `[B, T, V]` and the attention to the source `[B, T, S]`.

        The attention is None where the decoder has none.
        """
        hidden, attention = self._decode(inputs, return_attention=True)
        return self.output(hidden), attention

    def _decode(self, inputs: Mapping[str, Tensor], **options: bool) -> Tensor:
        memory = self.encode(inputs)
        tokens = self.target_embedding(self.target_table(inputs["decoder_token_ids"]))
        return self.decoder(tokens, memory, mask=inputs["decoder_padding_mask"], **options)

    def encode(self, inputs: Mapping[str, Tensor]) -> Memory:
        """Encodes a batch of sources.

        Args:
            inputs: those of the frontend (`Frontend.specs`): sources `[B, S, ...]` and
                `encoder_padding_mask`, bool `[B, S]`. Others are ignored.
        """
        vectors, mask = self.frontend(inputs)
        memory = _checked_memory(self.encoder, self.encoder(vectors, mask=mask))
        if self.memory_projection is None:
            return memory
        return memory._replace(values=kernels.linear(self.memory_projection, memory.values))

    def init_state(self, memory: Memory, capacity: Tensor) -> State:
        """Returns the decoder's state before its first step, with one row for each source.

        Args:
            memory: what `encode` returned.
            capacity: how many steps the state can hold.
        """
        return self.decoder.init_state(memory, capacity)

    def step(
        self,
        tokens: Tensor,
        state: State,
        index: Tensor,
        want_attention: bool = False,
        output_ids: tuple[Tensor, Tensor] | None = None,
    ) -> StepOutput:
        """Advances every row by one token.

        Args:
            tokens: int `[R]`; the decoder start at `index` 0.
            state: the state so far, of B sources and R = B*K rows.
            index: number of the step, a scalar below the state's capacity.
            want_attention: also return the attention to the source.
            output_ids: what `of_ids` returned, for the logits of some ids alone;
                None computes those of all.

        Returns:
            `StepOutput`; its logits predict the token after `tokens`.
        """
        vectors = kernels.call(self.target_table, ops.expand_dims(tokens, 1))
        vectors = kernels.call(self.target_embedding, vectors, start=index, training=False)
        hidden, state, attention = self.decoder.step(vectors, state, index, want_attention)
        if output_ids is None:
            logits = kernels.call(self.output, hidden)[:, 0]
        else:
            logits = self.output.over(hidden[:, 0], *output_ids)
        return StepOutput(logits, state, attention, hidden[:, 0])

    def step_several(
        self,
        tokens: Tensor,
        state: State,
        starts: Tensor,
        output_ids: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, State]:
        """Advances every row by several tokens at once, each from a position of its own.

        Args:
            tokens: int `[B, T]`.
            state: the state so far, of B sources with a row each.
            starts: int `[B]`, number of the step of each row's first token.
            output_ids: as in `step`.

        Returns:
            float32 `[B, T, V]`, the logits of the tokens after them, and the state.

        Raises:
            NotImplementedError: the decoder takes one step at a time.
        """
        vectors = kernels.call(self.target_table, tokens)
        vectors = kernels.call(self.target_embedding, vectors, start=starts, training=False)
        hidden, state = self.decoder.step_several(vectors, state, starts)
        if output_ids is None:
            return kernels.call(self.output, hidden), state
        return self.output.over(hidden, *output_ids), state

    @property
    def steps_several(self) -> bool:
        """Whether `step_several` may be called."""
        return type(self.decoder).step_several is not Decoder.step_several

    def of_ids(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what `step` needs to compute the logits of some ids alone, int `[U]`."""
        return self.output.of_ids(ids)

    def spread(self, state: State, num_beams: int) -> State:
        """Gives each source of a new state `num_beams` equal rows: R = B becomes R = B*K."""
        return self.decoder.spread(state, num_beams)

    def reorder(self, state: State, parents: Tensor) -> State:
        """Makes row r continue the history of row `parents[r]`, one of the same source.

        Args:
            parents: int tensor `[R']`. More rows than before (R' = B*K') spread sources too.
        """
        return self.decoder.reorder(state, parents)

    def select_rows(self, state: State, rows: Tensor) -> State:
        """Keeps the sources `rows`, an int tensor `[B']`, with all their beams."""
        return self.decoder.select_rows(state, rows)

    def join(self, states: Sequence[State]) -> State:
        """Joins states: the sources of all of them, one state's after the other's.

        Args:
            states: with the same capacity and number of beams, after the same number of steps;
                sources of different lengths are padded.
        """
        return self.decoder.join(states)

    def grow(self, state: State, capacity: Tensor) -> State:
        """Makes room for `capacity` steps."""
        return self.decoder.grow(state, capacity)

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The parts that are Keras layers, each with the layers inside it."""
        parts = [*vars(self.frontend).values(), *vars(self).values()]
        return [part for part in parts if isinstance(part, keras.layers.Layer)]

    @property
    def hidden_dim(self) -> int:
        """Width of the vectors that the output projection reads."""
        return readout_dim(self.config)

    @property
    def tied_table(self) -> keras.layers.ReversibleEmbedding | None:
        """The token table that the output projection is tied to."""
        return self.output.table

    @property
    def vocabulary_size(self) -> int:
        """Ids of the target, V."""
        return self.config.target_vocab_size

    @property
    def max_source_length(self) -> int | None:
        """Most positions of a source, where the frontend sets a limit."""
        return self.frontend.max_length

    @property
    def max_target_length(self) -> int | None:
        """Longest decoder input in ids, where learned positions set a limit."""
        return self.config.decoder.embedding.max_positions


def _checked_memory(encoder: Encoder, found: Any) -> Memory:
    """Returns what an encoder returned.

    Raises:
        TypeError: it is no `Memory`.
        ValueError: its vectors have another width than `output_dim`, which the decoder relies on.
    """
    name = type(encoder).__name__
    if not isinstance(found, tuple | list) or len(found) != len(Memory._fields):
        raise TypeError(
            f"{name}.call returned a {type(found).__name__}; expected "
            f"Memory({', '.join(Memory._fields)})"
        )
    memory = Memory(*found)
    width = memory.values.shape[-1]
    if width not in (None, encoder.output_dim):
        raise ValueError(
            f"{name}.call returned vectors of width {width}, but its output_dim is "
            f"{encoder.output_dim}; they must be equal"
        )
    return memory
