"""Deep recurrent encoder: stacks of layers whose steps have several cells [Barone 2017]."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import DeepRecurrentConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.contracts import Encoder
from keras_s2s.layers.recurrent.scan import scan
from keras_s2s.layers.recurrent.transition_cells import TransitionCell, empty_state
from keras_s2s.layers.state import Memory
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class DeepLayer(ExplicitMaskLayer):
    """A recurrent layer over a whole source, of one or more cells a step.

    Args:
        config: a `DeepRecurrentConfig`, or the mapping it is made of.
    """

    def __init__(self, config: DeepRecurrentConfig | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = DeepRecurrentConfig.model_validate(config)
        self.cells = [
            TransitionCell(
                cell=self.config.cell,
                units=self.config.hidden_dim,
                reads_input=j == 0,
                norm=self.config.norm,
                bias_place="input" if j == 0 else "end",
                name=f"cell_{j}",
            )
            for j in range(self.config.cell_depth)
        ]

    def build(self, x_shape: Any) -> None:
        for cell in self.cells:
            cell.build(x_shape if cell.reads_input else None)

    def call(self, x: Tensor, mask: Tensor, backward: bool = False) -> Tensor:
        """Reads `x [B, S, E]` under `mask`, bool `[B, S]`; `[B, S, hidden_dim]`.

        Args:
            backward: from the last position to the first. Padding leaves a state as it is.
        """
        projected = ops.swapaxes(self.cells[0].project(x), 0, 1)  # time first
        real = ops.swapaxes(mask, 0, 1)[..., None]
        if backward:
            projected, real = ops.flip(projected, axis=0), ops.flip(real, axis=0)

        def body(state: Any, step: Any) -> Any:
            new = self.cells[0].advance(step["x"], state)
            for cell in self.cells[1:]:
                new = cell.advance(None, new)
            return [
                ops.where(step["real"], after, before)
                for after, before in zip(new, state, strict=True)
            ]

        state = empty_state(self.config.cell, x, self.config.hidden_dim)
        outputs = scan(body, state, {"x": projected, "real": real})[0]
        if backward:
            outputs = ops.flip(outputs, axis=0)
        return ops.swapaxes(outputs, 0, 1)

    def compute_output_shape(self, x_shape: Any, mask_shape: Any = None) -> Any:
        return (*x_shape[:-1], self.config.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}


@keras.saving.register_keras_serializable("keras_s2s")
class DeepRecurrentEncoder(Encoder):
    """A recurrent encoder of Marian's `s2s`: layers in both directions, with deep transitions.

    Args:
        config: a `DeepRecurrentConfig`, or the mapping it is made of.

    Example:
        >>> encoder = DeepRecurrentEncoder(
        ...     {"type": "deep_recurrent", "hidden_dim": 8, "cell_depth": 2})
        >>> memory = encoder(keras.random.normal((2, 5, 4)), mask=keras.ops.ones((2, 5), "bool"))
        >>> memory.values.shape
        (2, 5, 16)
    """

    def __init__(self, config: DeepRecurrentConfig | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = DeepRecurrentConfig.model_validate(config)
        layers = self.config.num_layers
        sides = 1 if self.config.direction == "bi_unidirectional" else layers
        self.forward_layers = [self._layer(f"forward_{i}") for i in range(sides)]
        self.backward_layers = [self._layer(f"backward_{i}") for i in range(sides)]
        self.upper_layers = [self._layer(f"upper_{i}") for i in range(sides, layers)]

    def _layer(self, name: str) -> DeepLayer:
        return DeepLayer(self.config, name=name)

    @property
    def output_dim(self) -> int:
        return self.config.output_dim

    def build(self, vectors_shape: Any) -> None:
        width = self.config.hidden_dim
        for stack, first in (
            (self.forward_layers, vectors_shape[-1]),
            (self.backward_layers, vectors_shape[-1]),
            (self.upper_layers, 2 * width),
        ):
            for i, layer in enumerate(stack):
                layer.build((*vectors_shape[:-1], width if i else first))

    def _stack(self, layers: Any, x: Tensor, mask: Tensor, backward: bool) -> Tensor:
        for i, layer in enumerate(layers):
            turned = self.config.direction == "alternating" and i % 2 == 1
            y = layer(x, mask, backward=backward != turned)
            x = y + x if self.config.skip and i else y
        return x

    def call(self, vectors: Tensor, mask: Tensor, training: bool | None = None) -> Memory:
        """Encodes token vectors `[B, S, E]` under `mask`, bool `[B, S]`."""
        values = ops.concatenate(
            [
                self._stack(self.forward_layers, vectors, mask, False),
                self._stack(self.backward_layers, vectors, mask, True),
            ],
            axis=-1,
        )
        return Memory(self._stack(self.upper_layers, values, mask, False), mask, [])

    def compute_output_spec(
        self, vectors: Tensor, mask: Tensor, training: bool | None = None
    ) -> Memory:
        shape = (*vectors.shape[:-1], self.output_dim)
        values = keras.KerasTensor(shape, dtype=self.compute_dtype)
        return Memory(values, keras.KerasTensor(mask.shape, dtype="bool"), [])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}
