"""`compute_type`: the same texts, scores near those of float32, and refusals that say why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from contracts.checks import copy_batches
from quantising import quantise
from rounded_types import EVERY_TYPE, PAIRS, trained_model
from small_models import COMPILES, make_model, shrunken_preset, source_mapping

import keras_s2s as s2s

each_type = pytest.mark.parametrize("compute_type", EVERY_TYPE)
SOURCES, TARGETS = map(list, zip(*PAIRS, strict=True))

#: Most that the log-probability of an id differs from that in float32, in a model with one layer
#: on either side that is sure of what it has learnt.
BOUND = 0.05
#: Most that it depends on how rows are batched, or on steps in place of one pass: float32
#: arithmetic around the products differs in its last bit there, which can change how one input of
#: a product is rounded.
NOISE = {"int8": 5e-3, "bfloat16": 2e-2}


@pytest.fixture
def model() -> Iterator[Any]:
    found = trained_model()
    yield found
    found.compute_type = None


def scores(model: Any, targets: list[str] = TARGETS) -> np.ndarray:
    _, parts = model.score(SOURCES, targets, return_token_log_probs=True)
    return np.concatenate(parts)


@each_type
def test_texts_are_those_of_float32(model, compute_type):
    for options in ({}, {"num_beams": 3}):
        assert model.generate(SOURCES, **options) == TARGETS
    model.compute_type = compute_type
    assert model.compute_type == compute_type
    for options in ({}, {"num_beams": 3}, {"prompt_lookup_num_tokens": 2}):
        assert model.generate(SOURCES, **options) == TARGETS
    assert "".join(model.stream("ein Hund")) == "a dog"


@each_type
def test_scores_are_near_those_of_float32(model, compute_type):
    """Of what it has learnt, and of other texts, of which it is sure that they are wrong."""
    other = TARGETS[1:] + TARGETS[:1]
    plain, plain_other = scores(model), scores(model, other)
    model.compute_type = compute_type
    found = scores(model)
    np.testing.assert_allclose(found, plain, rtol=0, atol=BOUND)
    assert np.abs(found - plain).max() > 1e-7, "nothing is rounded"
    far = np.abs(scores(model, other) - plain_other)
    assert far.mean() < 0.05 * np.abs(plain_other).mean()
    model.compute_type = None
    np.testing.assert_array_equal(scores(model), plain)


@each_type
def test_a_score_is_that_of_the_generation(model, compute_type):
    model.compute_type = compute_type
    for options in ({}, {"num_beams": 3, "num_return_sequences": 2}):
        output = model.generate(SOURCES, return_output=True, max_length=12, **options)
        n = options.get("num_return_sequences", 1)
        width = output.token_ids.shape[-1]
        ids = output.token_ids.reshape(-1, width)
        lengths, log_probs = output.lengths.reshape(-1), output.token_log_probs.reshape(-1, width)
        sources = model.preprocessor.encode_source([s for s in SOURCES for _ in range(n)])
        _, parts = model.score(
            sources,
            [row[:size].tolist() for row, size in zip(ids, lengths, strict=True)],
            return_token_log_probs=True,
        )
        for row, part in zip(log_probs, parts, strict=True):
            np.testing.assert_allclose(row[: len(part)], part, rtol=0, atol=NOISE[compute_type])


@each_type
def test_results_do_not_depend_on_the_batch(model, compute_type):
    model.compute_type = compute_type
    together = model.generate(SOURCES, return_output=True, max_length=24)
    for i, source in enumerate(SOURCES):
        alone = model.generate([source], return_output=True, max_length=24)
        assert alone.texts[0] == together.texts[i]
        np.testing.assert_allclose(alone.scores[0], together.scores[i], atol=NOISE[compute_type])


@each_type
def test_attention_is_that_of_the_compute_type(model, compute_type):
    plain = model.generate(SOURCES, return_output=True, output_attentions=True).attentions
    model.compute_type = compute_type
    output = model.generate(SOURCES, return_output=True, output_attentions=True)
    _, parts = model.score(SOURCES, TARGETS, return_attention=True)
    for row, part in zip(output.attentions, parts, strict=True):
        np.testing.assert_allclose(row[: len(part), : part.shape[1]], part, atol=0.02)
    np.testing.assert_allclose(output.attentions, plain, atol=0.1)
    assert np.abs(output.attentions - plain).max() > 1e-6


@each_type
def test_training_is_noticed(compute_type):
    model = make_model(shrunken_preset("transformer_tiny"), seed=1)
    model.compute_type = compute_type
    rows, ids = [[5, 6, 7, 3], [4, 3]], [[5, 6, 7], [8, 9, 3]]

    def generated() -> np.ndarray:
        output = model.generate(
            source_mapping(rows), decoder_prefix=ids, max_length=6, return_output=True
        )
        return output.token_log_probs[:, :3]

    def scored() -> np.ndarray:
        return np.stack(model.score(rows, ids, return_token_log_probs=True)[1])

    before = generated()
    np.testing.assert_allclose(scored(), before, rtol=0, atol=0.05)
    weights = [np.array(w) for w in model.get_weights()]
    model.compile(optimizer=keras.optimizers.SGD(0.3))
    model.fit(copy_batches(model), epochs=1, verbose=0)
    after = generated()
    np.testing.assert_allclose(scored(), after, rtol=0, atol=0.05)
    assert np.abs(after - before).max() > 0.1
    model.set_weights(weights)
    np.testing.assert_array_equal(generated(), before)


@each_type
def test_training_computes_in_the_weights_own_type(compute_type):
    losses = []
    for chosen in (None, compute_type):
        keras.utils.set_random_seed(3)
        model = make_model(shrunken_preset("transformer_tiny"), seed=1)
        model.compute_type = chosen
        model.compile(optimizer=keras.optimizers.SGD(0.3))
        model.fit(copy_batches(model), epochs=1, verbose=0, shuffle=False)
        losses.append(model.evaluate(copy_batches(model), verbose=0))
    np.testing.assert_array_equal(*losses)


@each_type
def test_it_is_an_option_of_loading_and_not_saved(model, compute_type, tmp_path: Path):
    model.compute_type = compute_type
    model.save_to_preset(tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    plain = s2s.Seq2SeqLM.from_preset(tmp_path / "folder")
    assert plain.compute_type is None
    assert keras.saving.load_model(tmp_path / "model.keras").compute_type is None
    again = s2s.Seq2SeqLM.from_preset(tmp_path / "folder", compute_type=compute_type)
    assert again.compute_type == compute_type
    np.testing.assert_array_equal(scores(again), scores(model))
    assert compute_type not in (tmp_path / "folder" / "preset.yaml").read_text(encoding="utf-8")


@each_type
def test_a_recurrent_model_has_its_output_projection_in_it(compute_type):
    """Cells and their attention stay as they are."""
    model = make_model(shrunken_preset("gru_bahdanau"), seed=1)
    rows, ids = [[5, 6, 7, 3], [4, 3]], [[5, 6, 7, 3], [8, 9, 3]]
    plain = np.concatenate(model.score(rows, ids, return_token_log_probs=True)[1])
    model.compute_type = compute_type
    found = np.concatenate(model.score(rows, ids, return_token_log_probs=True)[1])
    np.testing.assert_allclose(found, plain, atol=0.1)
    assert np.abs(found - plain).max() > 1e-5


# ------------------------------------------------------------------ refusals


def small() -> Any:
    return make_model(shrunken_preset("transformer_tiny"), seed=1)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="compute_type=int4: expected one of int8, bfloat16"):
        small().compute_type = "int4"
    with pytest.raises(ValueError, match="compute_type=int4: expected one of int8, bfloat16"):
        s2s.Seq2SeqLM.from_preset("transformer_tiny", load_weights=False, compute_type="int4")


@pytest.mark.skipif(not COMPILES, reason="PyTorch has them")
@pytest.mark.parametrize("compute_type", ["int8", "bfloat16"])
def test_other_backends_refuse_them(compute_type):
    backend = keras.backend.backend()
    model = small()
    with pytest.raises(ValueError, match=f"PyTorch only, and the running backend is {backend}"):
        model.compute_type = compute_type
    assert model.compute_type is None
    model.compute_type = None


@each_type
def test_a_processor_without_the_instructions_is_refused(compute_type, monkeypatch):
    import torch

    for name in ("vnni", "avx512_bf16", "amx_tile"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda: False)
    needed = {"int8": "AVX512-VNNI", "bfloat16": "AVX512-BF16 or AMX"}[compute_type]
    with pytest.raises(ValueError, match=f"{compute_type} needs a processor with {needed}"):
        small().compute_type = compute_type


@each_type
def test_a_model_that_keras_has_quantised_refuses_it(compute_type):
    model = quantise(small(), "int8")
    with pytest.raises(ValueError, match=r"is quantised as 'int8' by model\.quantize\(\)"):
        model.compute_type = compute_type
    model = small()
    model.compute_type = compute_type
    quantise(model, "int8")
    with pytest.raises(ValueError, match=r"is quantised as 'int8' by model\.quantize\(\)"):
        model.generate(source_mapping([[5, 6, 3]]), max_length=4)
    model.compute_type = None
    model.generate(source_mapping([[5, 6, 3]]), max_length=4)


@each_type
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16"])
def test_other_types_than_float32_refuse_it(compute_type, dtype):
    with pytest.raises(ValueError, match=f"for models in float32, .* policy {dtype}"):
        s2s.Seq2SeqLM.from_preset(
            "transformer_tiny",
            load_weights=False,
            architecture={"shared": {"hidden_dim": 8, "num_heads": 2, "intermediate_dim": 8}},
            dtype=dtype,
            compute_type=compute_type,
        )


@each_type
def test_a_saved_model_has_none(model, compute_type, tmp_path: Path):
    model.compute_type = compute_type
    with pytest.raises(
        s2s.export.errors.ExportError, match=r"set model\.compute_type = None first"
    ):
        model.export(tmp_path / "exported")
    assert not any(tmp_path.iterdir())
