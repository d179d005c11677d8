"""Recurrent layers by name, for encoder and decoder."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import CellsConfig
from keras_s2s.typing import Tensor

CELLS: dict[str, type[keras.layers.RNN]] = {
    "gru": keras.layers.GRU,
    "lstm": keras.layers.LSTM,
    "rnn": keras.layers.SimpleRNN,
}

STATES = {"gru": 1, "lstm": 2, "rnn": 1}


def recurrent_layer(config: CellsConfig, *, name: str) -> keras.layers.RNN:
    """Returns a Keras recurrent layer that returns its whole sequence and its final state.

    Keras picks a GPU kernel where there is one; the weights have the same layout with and
    without it (`reset_after=True` for GRU), so that they load and run anywhere.
    """
    # The gates of GRU and LSTM leave no choice of an activation.
    activation = {"activation": config.activation} if config.cell == "rnn" else {}
    return CELLS[config.cell](
        config.hidden_dim,
        use_bias=config.use_bias,
        **activation,
        return_sequences=True,
        return_state=True,
        recurrent_initializer=WideOrthogonal(),
        name=name,
    )


@keras.saving.register_keras_serializable("keras_s2s")
class WideOrthogonal(keras.initializers.Orthogonal):
    """Orthogonal matrices [Saxe 2014], computed in float32 for weights of any type.

    PyTorch and TensorFlow have no decomposition in half precision on the CPU.
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return ops.cast(super().__call__(shape, "float32"), dtype or keras.config.floatx())
