"""One of two workers of `MultiWorkerMirroredStrategy` with a model of Keras alone.

`python multi_worker_case.py RANK PORT,PORT`: `fit` of Keras 3.15 fails in it (keras#20585), so that
`data_parallel` refuses several hosts on TensorFlow. Where it prints a loss, that has changed.
"""

from __future__ import annotations

import json
import os
import sys

rank, ports = int(sys.argv[1]), sys.argv[2].split(",")
os.environ["TF_CONFIG"] = json.dumps(
    {
        "cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]},
        "task": {"type": "worker", "index": rank},
    }
)

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

strategy = tf.distribute.MultiWorkerMirroredStrategy()
x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
with strategy.scope():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
print(model.fit(x, x.sum(-1, keepdims=True), batch_size=8, verbose=0).history["loss"])
