"""Folders of CTranslate2, in and out: what that engine answers, the model here answers.

`KERAS_S2S_DATA` may name a folder with `aren_transliteration`, a trained model in an old format.
"""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from checkpoints.ctranslate2_folders import SPECS, load, write
from small_models import (
    covered,
    make_model,
    shrunken_preset,
    slow_where_compiled,
    transformer,
    variant,
)

from keras_s2s.checkpoints.ctranslate2.model_file import CTranslate2File
from keras_s2s.config import PresetConfig
from keras_s2s.data import Batches
from keras_s2s.export import ExportError
from keras_s2s.export.ctranslate2 import export_ctranslate2
from keras_s2s.model import Seq2SeqLM
from keras_s2s.text import Preprocessor

ctranslate2 = pytest.importorskip("ctranslate2")
pytest.importorskip("transformers")

BEAMS, BEST, LENGTH = 3, 2, 9
QUANTIZATIONS = ["int8", "int16", "float16", "bfloat16", "int8_float16", "int8_bfloat16"]


# ------------------------------------------------------------------ comparing


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folders that the package's converters wrote, by name and quantization."""
    made: dict[Any, Path] = {}

    def get(name: str, quantization: str | None = None) -> Path:
        key = name, quantization
        if key not in made:
            folder = tmp_path_factory.mktemp("ct2") / name
            made[key] = write(SPECS[name](), folder, quantization)
        return made[key]

    return get


def sources(model: Seq2SeqLM) -> list[list[int]]:
    """Rows of ordinary ids, without special ones, and the unknown one; of many lengths."""
    ids = model.special_ids.source
    size = model.preset.architecture.source_vocab_size
    if model.preprocessor is not None:
        size = model.preprocessor.source.vocabulary_size
    ordinary = [i for i in range(size) if i not in (ids.pad, ids.eos, ids.bos)]
    rng = np.random.default_rng(1)
    return [rng.choice(ordinary, size).tolist() for size in (1, 2, 3, 5, 8, 4, 1, 6)]


def tokens_of(model: Seq2SeqLM, side: str, rows: list[list[int]]) -> list[list[str]]:
    """Tokens of ids as the folder's vocabularies have them."""
    if model.preprocessor is None:
        return [[str(i) for i in row] for row in rows]
    tokenizer = getattr(model.preprocessor, side)
    return [[tokenizer.id_to_token(i) for i in row] for row in rows]


def inputs_of(model: Seq2SeqLM, rows: list[list[int]]) -> dict[str, np.ndarray]:
    ids = model.special_ids.source
    before, after = ([] if i is None else [i] for i in (ids.bos, ids.eos))
    rows = [before + row + after for row in rows]
    width = max(map(len, rows))
    return {
        "encoder_token_ids": np.asarray([row + [ids.pad] * (width - len(row)) for row in rows]),
        "encoder_padding_mask": np.asarray([[i < len(row) for i in range(width)] for row in rows]),
    }


def compare(model: Seq2SeqLM, folder: Path, tolerance: float = 1e-4) -> None:
    """The same n-best lists and scores as CTranslate2's."""
    rows = sources(model)
    output = model.generate(
        inputs_of(model, rows),
        num_beams=BEAMS,
        num_return_sequences=BEST,
        max_new_tokens=LENGTH,
        return_output=True,
        # CTranslate2's search, whatever the model's own defaults are.
        early_stopping=True,
        length_penalty=1.0,
        min_new_tokens=1,
        renormalize_logits=True,
    )
    # In 32 bits whatever the weights are stored in: that arithmetic is ours.
    translator = ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1)
    expected = translator.translate_batch(
        tokens_of(model, "source", rows),
        beam_size=BEAMS,
        num_hypotheses=BEST,
        return_scores=True,
        max_decoding_length=LENGTH,
    )
    told = {(*each.hypotheses[0], round(each.scores[0], 3)) for each in expected}
    assert len(told) > 4, "the sources make no difference"
    eos = model.special_ids.target.eos
    for i, theirs in enumerate(expected):
        found = zip(output.token_ids[i], output.lengths[i], strict=True)
        mine = [[j for j in row[:length].tolist() if j != eos] for row, length in found]
        assert tokens_of(model, "target", mine) == theirs.hypotheses
        np.testing.assert_allclose(output.scores[i], theirs.scores, atol=tolerance)


def export(model: Seq2SeqLM, folder: Path, **options: Any) -> Path:
    return export_ctranslate2(
        folder,
        variables=model.weights,
        config=model.preset,
        preprocessor=model.preprocessor,
        **options,
    )


def numpy(variable: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable.value)


# ------------------------------------------------------------------ reading


@pytest.mark.parametrize("name", covered(list(SPECS), ["marian", "t5"]))
def test_a_folder_answers_as_in_its_engine(folders, name) -> None:
    model = load(folders(name))
    generation = model.generation_config
    assert (generation.early_stopping, generation.length_penalty) == (True, 1.0)
    assert (generation.num_beams, generation.min_new_tokens) == (2, 1)
    assert generation.renormalize_logits
    compare(model, folders(name))


@slow_where_compiled
@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize("name", ["bart", "t5"])
def test_small_types_are_read_as_the_engine_reads_them(folders, name, quantization) -> None:
    folder = folders(name, quantization)
    model = load(folder)
    compare(model, folder, tolerance=2e-4)
    exact = load(folders(name))
    pairs = zip(model.weights, exact.weights, strict=True)
    assert any((numpy(rounded) != numpy(whole)).any() for rounded, whole in pairs)


@pytest.mark.parametrize("name", covered(["opennmt", "t5_gated"], []))
def test_scores_of_given_targets(folders, name) -> None:
    model, folder = load(folders(name)), folders(name)
    rows = sources(model)
    targets = [row[::-1] for row in rows]
    ids = model.special_ids.source
    before, after = ([] if i is None else [i] for i in (ids.bos, ids.eos))
    _, log_probs = model.score(
        [before + row + after for row in rows],
        [[min(i, 22) for i in row] + [model.special_ids.target.eos] for row in targets],
        return_token_log_probs=True,
    )
    translator = ctranslate2.Translator(str(folder), compute_type="float32")
    expected = translator.score_batch(
        tokens_of(model, "source", rows),
        tokens_of(model, "target", [[min(i, 22) for i in row] for row in targets]),
    )
    for mine, theirs in zip(log_probs, expected, strict=True):
        np.testing.assert_allclose(mine, theirs.log_probs, atol=1e-4)


# ------------------------------------------------------------------ writing


@pytest.mark.parametrize("name", covered(list(SPECS), []))
def test_a_model_that_was_read_is_written_back(folders, name, tmp_path) -> None:
    model = load(folders(name))
    written = export(model, tmp_path / "out")
    compare(model, written)
    again = load(written)
    assert again.preset.architecture == model.preset.architecture
    assert again.special_ids == model.special_ids
    assert again.preprocessor.encodes_like(model.preprocessor)
    for mine, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(numpy(mine), numpy(other))


def shaped(encoder: dict[str, Any], decoder: dict[str, Any] | None = None, **rest: Any) -> Any:
    """A Transformer of one layer a side; sides differ where `decoder` says so."""
    sizes = {"num_layers": 1, "norm_epsilon": 1e-5}
    return variant(
        {
            "encoder": transformer(**{**sizes, **encoder}),
            "decoder": transformer(**{**sizes, **encoder, **(decoder or {})}),
            **rest,
        }
    )


RELATIVE = {"num_buckets": 8, "max_distance": 12}
T5_EMBEDDING = {"positions": "none", "scale": False}
#: What no converter writes, or only with a setting that has another value there.
OWN: dict[str, PresetConfig] = {
    "transformer_tiny": shrunken_preset("transformer_tiny"),
    "learned_from_2": shaped(
        {"embedding": {"positions": "learned", "max_positions": 20, "position_offset": 2}}
    ),
    "no_positions": shaped({"embedding": {"positions": "none", "norm": True}, "use_bias": False}),
    "halves_from_1": shaped(
        {
            "embedding": {"positions": "sinusoidal", "sinusoids": "halves", "position_offset": 1},
            "activation": "gelu_tanh",
            "norm_order": "pre",
            "final_norm": False,
        }
    ),
    "wide_heads": shaped(
        {
            "head_dim": 6,
            "norm": "rms",
            "norm_order": "pre",
            "relative_positions": {**RELATIVE, "per_layer": True},
            "embedding": T5_EMBEDDING,
            "num_layers": 2,
        },
        {"num_layers": 3, "num_heads": 3, "gated": True, "activation": "silu"},
        output={"tie_embeddings": True, "scale": True, "bias": True},
    ),
    "one_head_less": shaped(
        {
            "num_heads": 3,
            "head_dim": 2,
            "scale_attention": False,
            "relative_positions": RELATIVE,
            "embedding": T5_EMBEDDING,
            "use_bias": False,
        }
    ),
    "post_norm_and_final": shaped(
        {"final_norm": True, "embedding": {"positions": "sinusoidal"}},
        {"hidden_dim": 12, "intermediate_dim": 7, "norm": "rms", "norm_order": "pre"},
        source_vocab_size=21,
    ),
}


@pytest.mark.parametrize("name", covered(list(OWN), []))
def test_models_of_our_own_run_there(name, tmp_path) -> None:
    model = make_model(OWN[name], seed=4)
    for variable in model.weights:  # decisions that are clear, biases and norms that matter
        noise = np.random.default_rng(len(variable.path)).normal(size=variable.shape)
        variable.assign(numpy(variable) + 0.3 * noise)
    compare(model, export(model, tmp_path / "out"))
    again = load(tmp_path / "out")
    compare(again, tmp_path / "out")


@slow_where_compiled
def test_text_of_a_preprocessor_survives(tmp_path) -> None:
    pairs = [("ab ba", "xy"), ("b a", "y x z")]
    text = Preprocessor.train(pairs, "character")
    config = OWN["transformer_tiny"].model_dump()
    config["architecture"] |= {
        "share_embeddings": False,
        "source_vocab_size": text.source.vocabulary_size + 2,
        "target_vocab_size": text.target.vocabulary_size,
    }
    config["special_ids"] = text.special_ids
    model = make_model(PresetConfig.model_validate(config), seed=1)
    model.preprocessor = text
    folder = export(model, tmp_path / "out")
    again = load(folder)
    assert again.preprocessor.encode_source(["ab"]) == text.encode_source(["ab"])
    assert again.special_ids == model.special_ids
    compare(model, folder)
    # By name it is split otherwise.
    assert len(load(folder, "space").preprocessor.encode_source(["b a"])[0]) == 3
    assert len(again.preprocessor.encode_source(["b a"])[0]) == 4


@slow_where_compiled
def test_every_quantization_is_written_and_runs(folders, tmp_path) -> None:
    model = load(folders("opennmt"))
    before = [numpy(variable).copy() for variable in model.weights]
    sizes = {}
    for name in (None, "float32", *QUANTIZATIONS):
        folder = export(model, tmp_path / str(name), quantization=name)
        sizes[name] = (folder / "model.bin").stat().st_size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            translator = ctranslate2.Translator(str(folder))
        assert translator.translate_batch([["s1", "s2"]])[0].hypotheses[0]
    assert sizes["int8"] < sizes[None] == sizes["float32"]
    with CTranslate2File(tmp_path / "int8" / "model.bin") as file:
        assert file.variable("encoder/layer_0/ffn/linear_0/weight").dtype == "int8"
    for old, variable in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, numpy(variable))  # quantising is done on a copy


@slow_where_compiled
def test_it_can_be_trained_and_goes_back(folders, tmp_path) -> None:
    model = load(folders("opennmt"))
    before = [numpy(variable).copy() for variable in model.weights]
    pairs = [("s1 s2", "t4 t5"), ("s3", "t6"), ("s2 s1 s3", "t7 t4 t5 t6")] * 8
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(
        Batches(pairs, model.preprocessor, batch_size=8), epochs=4, verbose=0
    ).history["loss"]
    assert history[-1] < history[0]
    assert all((a != numpy(b)).any() for a, b in zip(before, model.weights, strict=True))
    compare(model, export(model, tmp_path / "out"))
    with pytest.raises(ExportError, match="overwrite=True"):
        export(model, tmp_path / "out")
    export(model, tmp_path / "out", overwrite=True, quantization="int8")
    load(tmp_path / "out")


# ------------------------------------------------------------------ a trained model


@pytest.mark.skipif("KERAS_S2S_DATA" not in os.environ, reason="KERAS_S2S_DATA is not set")
def test_a_trained_model_in_the_second_version_of_the_format() -> None:
    folder = Path(os.environ["KERAS_S2S_DATA"]) / "aren_transliteration"
    model = load(folder, "character")
    letters = [t for t in model.preprocessor.source.tokens if len(t) == 1 and t.isalpha()]
    draw = random.Random(1)
    names = ["آتزمون", "لندن", "محمد", "باريس", "القاهرة", "x"]
    words = names + ["".join(draw.choices(letters, k=draw.randint(1, 14))) for _ in range(250)]
    output = model.generate(
        words,
        num_beams=4,
        num_return_sequences=3,
        return_output=True,
    )
    translator = ctranslate2.Translator(str(folder), compute_type="float32")
    expected = translator.translate_batch(
        [list(word) for word in words], beam_size=4, num_hypotheses=3, return_scores=True
    )
    for texts, scores, theirs in zip(output.texts, output.scores, expected, strict=True):
        hypotheses = ["".join(each).replace("<unk>", "⁇") for each in theirs.hypotheses]
        assert texts == hypotheses
        np.testing.assert_allclose(scores, theirs.scores, atol=1e-3)
    assert output.texts[0] == ["atzmon", "atzumon", "atzmun"]
