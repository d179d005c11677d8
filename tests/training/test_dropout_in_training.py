"""Dropout in the steps of `fit`: every layer of it drops its share, anew each time, and nothing
outside of training.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from small_models import to_numpy, variant
from training.small_training import small_batches

from keras_s2s import Seq2SeqLM
from keras_s2s.layers.kernels import operations

RATES = {"dropout": 0.1, "attention_dropout": 0.2, "activation_dropout": 0.3, "output_dropout": 0.4}
EMBEDDING = {"dim": 16, "dropout": 0.5}
STACK = {
    "hidden_dim": 16,
    "num_heads": 2,
    "intermediate_dim": 24,
    "num_layers": 2,
    "embedding": EMBEDDING,
    **RATES,
}
CELLS = {
    "type": "recurrent",
    "cell": "gru",
    "hidden_dim": 16,
    "num_layers": 2,
    "dropout": 0.1,
    "embedding": EMBEDDING,
}
ATTENTION = {"context": "attention", "attention": {"score": "dot", "query": "current"}}
ADDITIVE = {"context": "attention", "attention": {"score": "additive", "query": "previous"}}
#: Name -> an architecture, and how many layers of it drop something: those of the embeddings, and
#: of each block those around its sub-layers, of each attention and of the feed-forward.
ARCHITECTURES: dict[str, tuple[dict[str, Any], int]] = {
    "transformer": (
        {
            "encoder": {"type": "transformer", **STACK},
            "decoder": {"type": "transformer", **STACK},
        },
        2 + 2 * 3 + 1 + 2 * 4 + 1,
    ),
    "ssru": (
        {"encoder": {"type": "transformer", **STACK}, "decoder": {"type": "ssru", **STACK}},
        2 + 2 * 3 + 1 + 2 * 3 + 1,
    ),
    "recurrent": (
        {"encoder": CELLS, "decoder": {**CELLS, **ATTENTION}, "bridge": {"type": "copy"}},
        2 + 1 + 1,
    ),
    "attends_first": (
        {"encoder": CELLS, "decoder": {**CELLS, **ADDITIVE}, "bridge": {"type": "copy"}},
        2 + 1 + 1,
    ),
}
WAYS: dict[str, dict[str, Any]] = {
    "fused": {},
    "unfused": {"fused_loss": False},
    "checkpointing": {"gradient_checkpointing": True},
    "R-Drop": {"r_drop": 1.0},
    "float16": {},
}
BACKEND = keras.backend.backend()


def cases() -> list[Any]:
    """Each architecture in each way that it has; on compiled backends a cover of both."""
    cover = [
        ("transformer", "fused"),
        ("transformer", "checkpointing"),
        ("attends_first", "unfused"),
    ]
    found = [
        (name, way)
        for name in ARCHITECTURES
        for way in WAYS
        if way != "checkpointing" or name in ("transformer", "ssru")
    ]
    assert set(cover) <= set(found)
    slow = pytest.mark.slow
    return [
        case if BACKEND == "torch" or case in cover else pytest.param(*case, marks=slow)
        for case in found
    ]


def compiled(name: str, way: str, **options: Any) -> Seq2SeqLM:
    config = variant(ARCHITECTURES[name][0])
    dtype = "mixed_float16" if way == "float16" else None
    keras.utils.set_random_seed(1)
    model = Seq2SeqLM(config, dtype=dtype)
    model.compile(keras.optimizers.SGD(0.0), **WAYS[way], **options)
    return model


class Spy:
    """Notes each call of a layer of dropout: by layer, what it drops, or whether it would."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.drops: dict[int, list[Any]] = defaultdict(list)
        call, fast = keras.layers.Dropout.call, operations.fast_dropout
        self._is_noted = True

        def called(layer: Any, inputs: Any, training: bool = False) -> Any:
            found = call(layer, inputs, training=training)
            if training and layer.rate and self._is_noted:
                self._note(layer, inputs, found)
            return found

        def called_fast(layer: Any, x: Any) -> Any:
            self._is_noted = False  # the same call, once
            found = fast(layer, x)
            self._is_noted = True
            if layer.rate:
                self._note(layer, x, found)
            return found

        patch.setattr(keras.layers.Dropout, "call", called)
        patch.setattr(operations, "fast_dropout", called_fast)

    def _note(self, layer: Any, before: Any, after: Any) -> None:
        assert layer.rate in (*RATES.values(), EMBEDDING["dropout"])
        self.drops[id(layer)].append((layer.rate, before, after))


@pytest.mark.parametrize(("name", "way"), cases())
def test_each_layer_is_told_that_it_trains(name: str, way: str, monkeypatch: Any) -> None:
    """As the step is traced where it is compiled, so that all of its path is that of `fit`."""
    model = compiled(name, way)
    batches = small_batches(model, 8, 1)
    spy = Spy(monkeypatch)
    model.evaluate(batches, verbose=0)
    model.predict(batches[0][0], verbose=0)
    assert not spy.drops, "something is dropped outside of training"
    model.fit(batches, verbose=0)
    layers = {
        id(layer)
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Dropout) and layer.rate
    }
    assert len(layers) == ARCHITECTURES[name][1]
    assert set(spy.drops) == layers, "layers that drop nothing"
    spy.drops.clear()
    model.evaluate(batches, verbose=0)
    model.fit(batches, epochs=1, verbose=0, validation_data=batches)
    draws = sum(map(len, spy.drops.values()))
    assert draws == 0 if BACKEND != "torch" else draws > 0, "compiled once, for all epochs"


@pytest.mark.parametrize("name", ["transformer", "recurrent"])
def test_each_layer_drops_its_share(name: str, monkeypatch: Any) -> None:
    """In a call, op by op, so that what is dropped can be counted."""
    model = compiled(name, "fused")
    draw = np.random.default_rng(0)
    ids = draw.integers(4, 16, (16, 12)).astype("int32")
    mask = np.ones(ids.shape, bool)
    inputs = {"encoder_token_ids": ids, "encoder_padding_mask": mask}
    inputs |= {"decoder_token_ids": ids, "decoder_padding_mask": mask}
    spy = Spy(monkeypatch)
    model(inputs, training=True)
    assert len(spy.drops) == ARCHITECTURES[name][1]
    for calls in spy.drops.values():
        for rate, before, after in calls:
            before, after = (to_numpy(ops.cast(x, "float32")) for x in (before, after))
            there = np.abs(before) > 1e-6
            dropped = (after == 0)[there]
            # Four standard deviations of a share of independent draws.
            assert abs(dropped.mean() - rate) < 4 * (rate * (1 - rate) / dropped.size) ** 0.5
            kept = there & (after != 0)
            np.testing.assert_allclose(after[kept], before[kept] / (1 - rate), rtol=1e-3)


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_drops_anew_and_as_its_state_says(fused: bool) -> None:
    """Two epochs differ; a model with the same state repeats them."""
    found = []
    for _ in range(2):
        model = compiled("transformer", "fused" if fused else "unfused")
        batches = small_batches(model, 8, 1)
        keras.utils.set_random_seed(2)
        found.append(model.fit(batches, epochs=3, verbose=0, shuffle=False).history["loss"])
    assert len(set(found[0])) == 3
    assert found[0] == found[1]
