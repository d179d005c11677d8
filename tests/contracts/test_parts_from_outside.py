"""Parts written outside the package, through public base classes alone.

An encoder of feature vectors and a strategy of one's own go wherever those of the package go.
"""

from __future__ import annotations

import importlib
import json
from typing import Any, Literal

import keras
import numpy as np
import pytest
from keras import ops
from small_models import covered, randomise, slow_where_compiled

import keras_s2s as s2s
from keras_s2s.config import REGISTERED

FEATURES = 3
SPECIAL_IDS = {
    "source": {"pad": 0},
    "target": {"decoder_start": 1, "eos": 2, "pad": 0},
}


# --------------------------------------------------------------------------------------
# What a user writes
# --------------------------------------------------------------------------------------


class MeanPoolConfig(s2s.config.RegisteredSide):
    """Settings of the encoder below."""

    type: Literal["mean_pool"]
    window: int = 3


class MeanPoolEncoder(s2s.layers.Encoder):
    """Averages each vector with those before it, and projects the average."""

    def __init__(self, config: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = MeanPoolConfig.model_validate(config)
        self.dense = keras.layers.Dense(self.config.hidden_dim, activation="tanh", name="dense")

    @property
    def output_dim(self) -> int:
        return self.config.hidden_dim

    def build(self, vectors_shape: Any) -> None:
        self.dense.build(vectors_shape)

    def call(self, vectors: Any, mask: Any, training: bool | None = None) -> s2s.layers.Memory:
        real = ops.cast(mask, vectors.dtype)[..., None]
        total = count = 0
        for back in range(self.config.window):
            # Rows are padded at their end, so that what comes before is real.
            shifted = ops.pad(vectors * real, [[0, 0], [back, 0], [0, 0]])
            total = total + shifted[:, : ops.shape(vectors)[1]]
            ones = ops.pad(real, [[0, 0], [back, 0], [0, 0]])
            count = count + ones[:, : ops.shape(vectors)[1]]
        return s2s.layers.Memory(self.dense(total / ops.maximum(count, 1)), mask, [])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}


class SecondBest(s2s.samplers.Greedy):
    """Begins every sequence with the second-likeliest id, and goes on greedily."""

    def advance(self, search: Any, logits: Any, index: Any, plan: Any, sources: Any) -> Any:
        best = ops.max(logits, axis=-1, keepdims=True)
        first = ops.equal(ops.cast(index, "int32"), 0)
        hidden = ops.logical_and(first, logits >= best)
        logits = ops.where(hidden, ops.full_like(logits, -1e9), logits)
        return super().advance(search, logits, index, plan, sources)


s2s.register_encoder(MeanPoolConfig, MeanPoolEncoder)

ARCHITECTURE = {
    "target_vocab_size": 11,
    "frontend": {"type": "features", "feature_dim": FEATURES},
    "encoder": {"type": "mean_pool", "hidden_dim": 8, "window": 2},
    "decoder": {
        "type": "recurrent",
        "cell": "gru",
        "hidden_dim": 8,
        "context": "attention",
        "attention": {"score": "additive", "query": "previous"},
    },
    "bridge": {"type": "dense"},
}
TRANSFORMER = {
    "target_vocab_size": 11,
    "frontend": {"type": "features", "feature_dim": FEATURES},
    "shared": {
        "type": "transformer",
        "hidden_dim": 8,
        "num_heads": 2,
        "intermediate_dim": 16,
        "num_layers": 1,
    },
    "encoder": {},
    "decoder": {},
}


def make(architecture: Any) -> s2s.Seq2SeqLM:
    model = s2s.Seq2SeqLM.from_architecture(architecture, special_ids=SPECIAL_IDS)
    randomise(model, seed=1, scale=2.0)
    return model


def sources(count: int = 5) -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    return [generator.normal(size=(2 + i, FEATURES)).astype("float32") for i in range(count)]


def targets(count: int = 5) -> list[list[int]]:
    generator = np.random.default_rng(8)
    return [[*generator.integers(3, 11, 1 + i % 3).tolist(), 2] for i in range(count)]


# --------------------------------------------------------------------------------------
# Where it goes
# --------------------------------------------------------------------------------------


ARCHITECTURES = {"own": ARCHITECTURE, "transformer": TRANSFORMER}


@pytest.mark.parametrize("name", covered(list(ARCHITECTURES), ["own"]))
def test_feature_vectors_are_generated_from_and_scored(name):
    model = make(ARCHITECTURES[name])
    rows = sources()
    whole = model.generate(rows, max_length=8, num_beams=2, return_output=True)
    assert whole.texts is None and len(whole.token_ids) == len(rows)
    for i in (0, 3):
        one = model.generate([rows[i]], max_length=8, num_beams=2, return_output=True)
        size = one.token_ids.shape[1]
        np.testing.assert_array_equal(one.token_ids[0], whole.token_ids[i, :size])
        np.testing.assert_allclose(one.scores[0], whole.scores[i], rtol=1e-5, atol=1e-5)
    found = [ids[:n].tolist() for ids, n in zip(whole.token_ids, whole.lengths, strict=True)]
    log_probs = whole.token_log_probs.sum(-1)
    scores = model.score(rows, found, batch_size=2)
    np.testing.assert_allclose(scores, log_probs, rtol=1e-5, atol=1e-4)
    # As a mapping of padded arrays, they are the same.
    batch = model.network.frontend.batch(rows, length=20)
    np.testing.assert_array_equal(model.generate(batch, max_length=8, num_beams=2), whole.token_ids)
    _, attention = model.score(rows, found, return_attention=True)
    assert [part.shape for part in attention] == [
        (len(ids), len(row)) for ids, row in zip(found, rows, strict=True)
    ]
    begun = model.generate(rows, sampler=SecondBest(), max_length=8)
    greedy = model.generate(rows, max_length=8, num_beams=1)
    assert (begun[:, 0] != greedy[:, 0]).all()


def test_feature_vectors_are_trained_on_in_buckets():
    model = make(ARCHITECTURE)
    pairs = list(zip(sources(12), targets(12), strict=True))
    batches = s2s.data.Batches(
        pairs, special_ids=model.special_ids, batch_size=4, num_buckets=2, seed=1
    )
    x, _, _ = batches[0]
    assert set(x) == {
        "encoder_features",
        "encoder_padding_mask",
        "decoder_token_ids",
        "decoder_padding_mask",
    }
    assert len(batches.shapes) == 2 and x["encoder_features"].shape[2] == FEATURES
    assert "vectors of 3 numbers" in str(batches.explain_batch(0, rows=1))
    model.compile(optimizer=keras.optimizers.Adam(0.02))
    history = model.fit(batches, epochs=25, verbose=0, shuffle=False).history["loss"]
    assert history[-1] < 0.5 * history[0]
    logs = model.evaluate(batches, verbose=0, return_dict=True)
    rows, labels = zip(*pairs, strict=True)
    _, each = model.score(list(rows), list(labels), return_token_log_probs=True)
    np.testing.assert_allclose(logs["loss"], -np.mean(np.concatenate(each)), rtol=1e-4)


def test_a_preset_folder_keeps_parts_of_ones_own(tmp_path):
    model = make(ARCHITECTURE)
    expected = model.score(sources(), targets())
    model.save_to_preset(tmp_path)
    again = s2s.Seq2SeqLM.from_preset(tmp_path)
    assert type(again.network.encoder) is MeanPoolEncoder
    np.testing.assert_allclose(again.score(sources(), targets()), expected, rtol=1e-6)


def test_a_part_that_was_not_registered_is_named(tmp_path, monkeypatch):
    model = make(ARCHITECTURE)
    model.save_to_preset(tmp_path / "preset")
    model.save(tmp_path / "model.keras")
    monkeypatch.delitem(REGISTERED["encoder"], "mean_pool")  # as in another process
    with pytest.raises(s2s.ConfigError, match=r"mean_pool(.|\n)*keras_s2s\.register_encoder"):
        s2s.Seq2SeqLM.from_preset(tmp_path / "preset")
    with pytest.raises(s2s.ConfigError, match=r"mean_pool(.|\n)*keras_s2s\.register_encoder"):
        keras.saving.load_model(tmp_path / "model.keras")


@slow_where_compiled
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a text", "is a text"),
        ([[0.5] * FEATURES, [1.0]], "expected an array"),
        (np.zeros((4, FEATURES + 1)), r"has the shape \(4, 4\)"),
        (np.full((4, FEATURES), np.nan), "not finite"),
        (np.zeros((0, FEATURES)), "is empty"),
    ],
)
def test_sources_that_cannot_be_used_are_refused(source, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make(ARCHITECTURE).generate([source])


def test_rules_that_read_source_ids_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match=r"EncoderNoRepeatNgram.*encoder_features"):
        make(ARCHITECTURE).generate(sources(), encoder_no_repeat_ngram_size=2)


@slow_where_compiled
def test_data_of_another_kind_are_refused():
    model = make(ARCHITECTURE)
    ids = s2s.data.Batches([([4, 5], [4, 2])], special_ids=model.special_ids)
    with pytest.raises(ValueError, match=r"encoder_token_ids.*reads encoder_features"):
        model.fit(ids, verbose=0)
    with pytest.raises(ValueError, match="feature vectors of 3 numbers, those before it ids"):
        s2s.data.Batches([([4, 5], [4, 2]), (sources(1)[0], [4, 2])], special_ids=model.special_ids)


OWN_MODULE = """
from typing import Literal

import keras_s2s as s2s
from keras_s2s.config import REGISTERED


class EchoConfig(s2s.config.RegisteredSide):
    type: Literal["echo_{name}"]


class Echo(s2s.layers.Encoder):
    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = EchoConfig.model_validate(config)

    @property
    def output_dim(self):
        return self.config.hidden_dim

    def call(self, vectors, mask, training=None):
        return s2s.layers.Memory(vectors, mask, [])


s2s.register_encoder(EchoConfig, Echo)
"""


@slow_where_compiled
def test_an_encoder_of_a_module_and_feature_vectors_are_exported(tmp_path, monkeypatch):
    tf = pytest.importorskip("tensorflow")
    name = f"own_{keras.backend.backend()}"
    (tmp_path / f"{name}.py").write_text(OWN_MODULE.replace("{name}", name))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module(name)
    own = {"type": f"echo_{name}", "hidden_dim": 8}
    model = make({**TRANSFORMER, "shared": {}, "encoder": own, "decoder": TRANSFORMER["shared"]})
    exported = tmp_path / "exported"
    model.export(exported, max_length=8, num_beams=2, verify=False)
    expected = model.generate(sources(), max_length=8, num_beams=2, return_output=True)
    found = tf.saved_model.load(str(exported)).signatures["ids"](
        **{k: tf.constant(v) for k, v in model.network.frontend.batch(sources()).items()}
    )
    np.testing.assert_array_equal(found["token_ids"].numpy(), expected.token_ids)
    np.testing.assert_allclose(found["scores"].numpy(), expected.scores, rtol=1e-5, atol=1e-5)
    described = json.loads((exported / "assets.extra" / "keras_s2s.json").read_text())
    assert described["max_length"] == 8
    assert "encoder_features" in (exported / "README.md").read_text()


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda x, mask: x, TypeError, r"MeanPoolEncoder\.call returned a .*; expected Memory\("),
        (
            lambda x, mask: s2s.layers.Memory(ops.concatenate([x, x], axis=-1), mask, []),
            ValueError,
            r"MeanPoolEncoder\.call returned vectors of width 16, but its output_dim is 8",
        ),
    ],
)
def test_what_an_encoder_returns_is_checked(returned, error, message, monkeypatch):
    monkeypatch.setattr(
        MeanPoolEncoder, "call", lambda self, vectors, mask, training=None: returned(vectors, mask)
    )
    with pytest.raises(error, match=message):
        make(ARCHITECTURE)


def test_an_encoder_that_no_other_process_can_import_is_refused(monkeypatch, tmp_path):
    if keras.backend.backend() == "tensorflow":
        pytest.skip("no other process is needed")
    monkeypatch.setattr(MeanPoolConfig, "__module__", "__main__")
    with pytest.raises(ValueError, match="MeanPoolConfig is defined in __main__"):
        make(ARCHITECTURE).export(tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


class PatchesConfig(s2s.config.RegisteredPart):
    """Settings of the frontend below."""

    type: Literal["patches"]
    side: int = 2


class Patches(s2s.layers.Frontend):
    """Square patches of a picture in whole numbers, `[S, side, side]`; each two become a vector."""

    def __init__(self, config: Any, dim: int, embedding: Any) -> None:
        self.input = s2s.layers.SourceInput("encoder_patches", "uint8", (config.side, config.side))
        self.flatten = keras.layers.Reshape((-1, config.side**2), name="flatten")
        self.dense = keras.layers.Dense(dim, name="patches")

    def __call__(self, inputs: Any) -> tuple[Any, Any]:
        values = ops.cast(inputs["encoder_patches"], "float32") / 255
        return self.dense(self.flatten(values))[:, ::2], inputs["encoder_padding_mask"][:, ::2]

    def vector_count(self, length: int) -> int:
        return (length + 1) // 2


s2s.register_frontend(PatchesConfig, Patches)


def test_a_frontend_of_ones_own_checks_and_pads_training_data():
    model = make({**ARCHITECTURE, "frontend": {"type": "patches", "side": 2}})
    draw = np.random.default_rng(5)
    rows = [draw.integers(0, 256, (3 + i, 2, 2)).astype("uint8") for i in range(6)]
    pairs = list(zip(rows, targets(6), strict=True))
    batches = s2s.data.Batches(
        pairs, special_ids=model.special_ids, batch_size=3, frontend=model.network.frontend
    )
    x, _, _ = batches[0]
    assert x["encoder_patches"].dtype == np.uint8 and x["encoder_patches"].shape[2:] == (2, 2)
    assert "vectors of 2 x 2 numbers" in str(batches.explain_batch(0, rows=1))
    losses = model.fit(batches, epochs=2, verbose=0, shuffle=False).history["loss"]
    assert np.isfinite(losses).all()
    found = model.generate(rows, max_length=6, return_output=True)
    ids = [row[:n].tolist() for row, n in zip(found.token_ids, found.lengths, strict=True)]
    scores, attention = model.score(rows, ids, return_attention=True)
    np.testing.assert_allclose(scores, found.token_log_probs.sum(-1), rtol=1e-5, atol=1e-4)
    assert [part.shape[1] for part in attention] == [(len(row) + 1) // 2 for row in rows]
    with pytest.raises(ValueError, match=r"has the shape \(3, 2\)"):
        s2s.data.Batches(
            [(rows[0][..., 0], [4, 2])],
            special_ids=model.special_ids,
            frontend=model.network.frontend,
        )


@slow_where_compiled
@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({"type": "mean_pool", "hidden_dim": 8, "windw": 3}, r"encoder\.windw.*'window'"),
        ({"type": "mean_pool"}, r"encoder\.hidden_dim: required"),
        ({"type": "registered", "hidden_dim": 8}, r"encoder\.type"),
        ({"type": "mean_pol", "hidden_dim": 8}, "did you mean 'mean_pool'"),
    ],
)
def test_settings_of_ones_own_parts_are_explained(encoder, message):
    with pytest.raises(s2s.ConfigError, match=message):
        make({**ARCHITECTURE, "encoder": encoder})


@slow_where_compiled
def test_a_type_is_registered_once():
    class Other(s2s.config.RegisteredSide):
        type: Literal["mean_pool"]

    with pytest.raises(ValueError, match="another encoder is registered as 'mean_pool'"):
        s2s.register_encoder(Other, MeanPoolEncoder)
    s2s.register_encoder(MeanPoolConfig, MeanPoolEncoder)


@slow_where_compiled
def test_export_refuses_rules_that_read_source_ids(tmp_path):
    with pytest.raises(ValueError, match=r"EncoderNoRepeatNgram.*encoder_features"):
        make(TRANSFORMER).export(tmp_path / "exported", encoder_no_repeat_ngram_size=2)
    assert not (tmp_path / "exported").exists()
