"""Trains a small model on one device or on several, and prints what came out as JSON.

`python data_parallel_run.py DEVICES OPTIONS`; OPTIONS is a JSON list of settings, `accumulate` and
`fused`, each of a training.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import keras
import numpy as np
from training.small_training import small_batches, small_model

from keras_s2s.data import Batches
from keras_s2s.training import data_parallel


def train(options: dict[str, Any]) -> dict[str, Any]:
    keras.utils.set_random_seed(1)
    model = small_model()
    optimizer = keras.optimizers.SGD(
        0.5, global_clipnorm=0.4, gradient_accumulation_steps=options.get("accumulate")
    )
    model.compile(optimizer, label_smoothing=0.1, fused_loss=options.get("fused", "auto"))
    # Batches of four rows: the last one has two rows and two of filler.
    batches = small_batches(model, 10, 1)
    assert isinstance(batches, Batches)
    history = model.fit(
        batches, epochs=3, verbose=0, validation_data=small_batches(model, 7, 1)
    ).history
    evaluated = model.evaluate(batches, verbose=0, return_dict=True)
    length = model.generate(
        {
            "encoder_token_ids": np.array([[5, 6, 7]]),
            "encoder_padding_mask": np.ones((1, 3), "bool"),
        },
        max_length=5,
    ).shape[1]
    weights = {}
    for weight in model.weights:
        value = weight.value
        value = value.read_value() if hasattr(value, "read_value") else value
        weights[weight.path] = np.asarray(keras.ops.convert_to_numpy(value)).tolist()
    return {"history": history, "evaluated": evaluated, "weights": weights, "length": length}


if __name__ == "__main__":
    with data_parallel(int(sys.argv[1])):
        print(json.dumps([train(options) for options in json.loads(sys.argv[2])]))
