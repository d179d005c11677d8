"""Recurrent layers by name, and what encoder and decoder both need to know of them."""

from __future__ import annotations

import keras

CELLS: dict[str, type[keras.layers.RNN]] = {
    "gru": keras.layers.GRU,
    "lstm": keras.layers.LSTM,
    "rnn": keras.layers.SimpleRNN,
}

STATES = {"gru": 1, "lstm": 2, "rnn": 1}


def recurrent_layer(cell: str, units: int, *, name: str) -> keras.layers.RNN:
    """A Keras recurrent layer that returns its whole sequence and its final state.

    Keras picks a GPU kernel where there is one; the weights have the same layout with and
    without it (`reset_after=True` for GRU), so that they load and run anywhere.
    """
    return CELLS[cell](units, return_sequences=True, return_state=True, name=name)
