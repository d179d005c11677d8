"""The network's moves: encode a source, start a decoder, advance it by one token.

A network is a plain object that holds Keras layers. Called on symbolic inputs its `logits`
is the functional training graph; called on tensors its `encode`, `init_state` and `step` are
what every sampler runs. Both go through the same layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_s2s.config import ArchitectureConfig
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.state import Memory, State, StepOutput

INPUT_NAMES = (
    "encoder_token_ids",
    "encoder_padding_mask",
    "decoder_token_ids",
    "decoder_padding_mask",
)


@dataclass(repr=False)
class Network:
    """An encoder-decoder network.

    Attributes:
        config: the architecture it was built from.
        source_table, target_table: token tables; the same layer where embeddings are shared.
        source_embedding, target_embedding: scale, positions, normalisation and dropout.
        encoder: source vectors and mask -> `Memory`.
        decoder: target vectors and `Memory` -> hidden vectors; `init_state`, `step`, `grow`.
        output: hidden vectors -> logits.
    """

    config: ArchitectureConfig
    source_table: keras.layers.Layer
    target_table: keras.layers.Layer
    source_embedding: keras.layers.Layer
    target_embedding: keras.layers.Layer
    encoder: keras.layers.Layer
    decoder: Any
    output: keras.layers.Layer

    def __repr__(self) -> str:
        """Both sides and their vocabularies in a line."""
        config = self.config
        sides = (
            f"{type(self.encoder).__name__} ({config.source_vocab_size:,} ids) to "
            f"{type(self.decoder).__name__} ({config.target_vocab_size:,} ids)"
        )
        return f"<Network, {sides}>"

    def logits(self, inputs: Mapping[str, Any]) -> Any:
        """Teacher-forced logits: the training graph.

        Args:
            inputs: `encoder_token_ids` int `[B, S]`, `encoder_padding_mask` bool `[B, S]`,
                `decoder_token_ids` int `[B, T]`, `decoder_padding_mask` bool `[B, T]`;
                symbolic or real.

        Returns:
            float32 `[B, T, V]`.
        """
        return self.output(self._decode(inputs))

    def logits_and_attention(self, inputs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Teacher-forced logits `[B, T, V]` and attention to the source `[B, T, S]`.

        The attention is None where the decoder has none.
        """
        hidden, attention = self._decode(inputs, return_attention=True)
        return self.output(hidden), attention

    def _decode(self, inputs: Mapping[str, Any], **options: Any) -> Any:
        memory = self.encode(inputs)
        tokens = self.target_embedding(self.target_table(inputs["decoder_token_ids"]))
        return self.decoder(tokens, memory, mask=inputs["decoder_padding_mask"], **options)

    def encode(self, inputs: Mapping[str, Any]) -> Memory:
        """Encode `encoder_token_ids` int `[B, S]` under `encoder_padding_mask` bool `[B, S]`."""
        tokens = self.source_embedding(self.source_table(inputs["encoder_token_ids"]))
        return Memory(*self.encoder(tokens, mask=inputs["encoder_padding_mask"]))

    def init_state(self, memory: Memory, capacity: Any) -> State:
        """The decoder's state before its first step: one row for each source.

        Args:
            memory: what `encode` returned.
            capacity: how many steps the state can hold.
        """
        return self.decoder.init_state(memory, capacity)

    def step(
        self, tokens: Any, state: State, index: Any, want_attention: bool = False
    ) -> StepOutput:
        """Advance every row by one token.

        Args:
            tokens: int `[R]`; the decoder start at `index` 0.
            state: the state so far, of B sources and R = B*K rows.
            index: number of the step, a scalar below the state's capacity.
            want_attention: also return the attention to the source.

        Returns:
            `StepOutput`; its logits predict the token after `tokens`.
        """
        vectors = kernels.call(self.target_table, ops.expand_dims(tokens, 1))
        vectors = kernels.call(self.target_embedding, vectors, start=index, training=False)
        hidden, state, attention = self.decoder.step(vectors, state, index, want_attention)
        logits = kernels.call(self.output, hidden)[:, 0]
        return StepOutput(logits, state, attention)

    def spread(self, state: State, num_beams: int) -> State:
        """Give each source of a new state `num_beams` equal rows: R = B becomes R = B*K."""
        return self.decoder.spread(state, num_beams)

    def reorder(self, state: State, parents: Any) -> State:
        """Row r continues the history of row `parents[r]`, one of the same source.

        Args:
            parents: int tensor `[R']`. More rows than before (R' = B*K') spread sources too.
        """
        return self.decoder.reorder(state, parents)

    def select_rows(self, state: State, rows: Any) -> State:
        """Keep the sources `rows`, an int tensor `[B']`, with all their beams."""
        return self.decoder.select_rows(state, rows)

    def join(self, states: Sequence[State]) -> State:
        """The sources of all states, one state's after the other's.

        Args:
            states: with the same capacity and number of beams, after the same number of steps;
                sources of different lengths are padded.
        """
        return self.decoder.join(states)

    def grow(self, state: State, capacity: Any) -> State:
        """Make room for `capacity` steps."""
        return self.decoder.grow(state, capacity)

    @property
    def tied_table(self) -> keras.layers.ReversibleEmbedding | None:
        """The token table that the output projection is tied to."""
        return self.output.table

    @property
    def max_source_length(self) -> int | None:
        """Longest source in ids, where learned positions set a limit."""
        return self.config.encoder.embedding.max_positions

    @property
    def max_target_length(self) -> int | None:
        """Longest decoder input in ids, where learned positions set a limit."""
        return self.config.decoder.embedding.max_positions
