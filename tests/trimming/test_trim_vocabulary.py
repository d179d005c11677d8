"""Models with a part of their vocabulary against the whole ones, here and in other libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from parity.random_pairs import make_pair, save_pair
from parity.test_huggingface_text import LANGUAGES, NAMES, TEXTS, make, theirs
from quantising import quantise
from small_models import (
    DEPTH,
    covered,
    make_model,
    model_inputs,
    randomise,
    recurrent,
    slow_where_compiled,
    transformer,
    variant,
)
from text.language_model_tokenizer_cases import CASES as HALVES

import keras_s2s as s2s
from keras_s2s import ConfigError, Seq2SeqLM, trim_vocabulary
from keras_s2s.text import Preprocessor
from keras_s2s.text.truncation import Side

PAIRS = [
    ("two men are outside", "zwei Männer sind im Freien"),
    ("a small girl climbs into a house", "ein kleines Mädchen klettert in ein Haus"),
    ("the house is made of wood", "das Haus ist aus Holz"),
    ("several bushes near the house", "mehrere Büsche nahe dem Haus"),
]
USED = PAIRS[:2]


def text_of(name: str) -> Preprocessor:
    kinds = {"tied": "sentencepiece_bpe", "separate": "sentencepiece_unigram"}
    size = None if name == "recurrent" else 340
    kind = kinds.get(name, "word")
    return Preprocessor.train(PAIRS, kind, vocab_size=size, joint=name == "tied")  # type: ignore[arg-type]


def small_model(name: str) -> Seq2SeqLM:
    text = text_of(name)
    sides: dict[str, Any] = {
        "source_vocab_size": text.source.vocabulary_size,
        "target_vocab_size": text.target.vocabulary_size,
    }
    if name == "recurrent":
        sides |= {
            "encoder": recurrent("gru"),
            "bridge": {"type": "copy"},
            "decoder": recurrent("gru", context="initial_state"),
        }
    else:
        sides |= {
            "encoder": transformer(num_layers=DEPTH),
            "decoder": transformer(num_layers=DEPTH),
            "share_embeddings": name == "tied",
            "output": {"tie_embeddings": name == "tied", "bias": name == "tied"},
        }
    ids = text.special_ids.model_dump()
    config = variant(sides, special_ids=ids, generation={"max_length": 9})
    model = Seq2SeqLM(config, text)
    randomise(model, 3, scale=2.0)
    return model


def forced(model: Seq2SeqLM, sources: list[list[int]], targets: list[list[int]]) -> np.ndarray:
    """Logits where the decoder reads these labels."""
    start = model.special_ids.target.decoder_start
    before = [[start, *row[:-1]] for row in targets]
    inputs = model_inputs(sources, before, model.special_ids)
    return np.asarray(ops.convert_to_numpy(model(inputs)))


def renumbered(model: Seq2SeqLM, side: Side, rows: Any) -> list[list[int]]:
    ids = model.trim_report.new_ids(side)
    return [[ids[int(i)] for i in row] for row in rows]


def log_sum_exp(values: np.ndarray) -> np.ndarray:
    top = values.max(-1, keepdims=True)
    return (top + np.log(np.exp(values - top).sum(-1, keepdims=True)))[..., 0]


def compare(whole: Seq2SeqLM, smaller: Seq2SeqLM, pairs: Any, **languages: Any) -> None:
    """Logits of what stays, and the log-probabilities of forced targets.

    Those differ by the normaliser: the sum over what stays in place of that over all.
    """
    text = whole.preprocessor
    assert text is not None
    sources = text.encode_source([source for source, _ in pairs], **languages)
    only = {"tgt_lang": languages.get("tgt_lang")} if languages else {}
    targets = text.encode_target([target for _, target in pairs], **only)
    mine = renumbered(smaller, "source", sources), renumbered(smaller, "target", targets)
    assert smaller.preprocessor is not None
    assert smaller.preprocessor.encode_source([s for s, _ in pairs], **languages) == mine[0]
    assert smaller.preprocessor.encode_target([t for _, t in pairs], **only) == mine[1]

    logits, kept = forced(whole, sources, targets), list(smaller.trim_report.target_ids)
    found = forced(smaller, *mine)
    np.testing.assert_allclose(found, logits[..., kept], rtol=1e-5, atol=1e-5)
    _, parts = smaller.score(*mine, return_token_log_probs=True)
    normalisers = log_sum_exp(logits[..., kept].astype("float64"))
    for row, (labels, log_probs) in enumerate(zip(targets, parts, strict=True)):
        places = range(len(labels))
        expected = [logits[row, t, labels[t]] - normalisers[row, t] for t in places]
        np.testing.assert_allclose(log_probs, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", covered(["tied", "separate", "recurrent"], ["tied"]))
def test_a_smaller_model(name, tmp_path):
    whole = small_model(name)
    weights = [np.array(ops.convert_to_numpy(w.value)) for w in whole.weights]
    sources = [source for source, _ in PAIRS]
    output = whole.generate(sources, "greedy", return_output=True)
    winners = {int(i) for row in output.token_ids for i in row}

    smaller = trim_vocabulary(whole, USED, keep={"target": winners, "source": []}, verbose=False)
    compare(whole, smaller, USED)
    used = [source for source, _ in USED]
    again = smaller.generate(used, "greedy", return_output=True)
    rows = [row[:length] for row, length in zip(output.token_ids, output.lengths, strict=True)][
        : len(used)
    ]
    found = [
        row[:length].tolist() for row, length in zip(again.token_ids, again.lengths, strict=True)
    ]
    assert found == renumbered(smaller, "target", rows)
    assert again.texts == output.texts[: len(used)]

    # The whole model is as it was.
    for before, weight in zip(weights, whole.weights, strict=True):
        np.testing.assert_array_equal(before, ops.convert_to_numpy(weight.value))
    assert whole.generate(sources, "greedy") == output.texts

    smaller.save_to_preset(tmp_path / "own")
    assert_same(Seq2SeqLM.from_preset(tmp_path / "own"), smaller)
    smaller.save(tmp_path / "m.keras")
    assert_same(keras.saving.load_model(tmp_path / "m.keras"), smaller)


def assert_same(loaded: Seq2SeqLM, saved: Seq2SeqLM) -> None:
    assert loaded.preprocessor is not None and saved.preprocessor is not None
    assert loaded.preprocessor.encodes_like(saved.preprocessor)
    for mine, other in zip(loaded.weights, saved.weights, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(mine.value), ops.convert_to_numpy(other.value)
        )


@slow_where_compiled
@pytest.mark.parametrize("name", ["tied", "separate", "recurrent"])
def test_the_report_counts_what_is_gone(name, capsys):
    whole = small_model(name)
    smaller = trim_vocabulary(whole, USED)
    report = smaller.trim_report
    assert capsys.readouterr().err.strip() == str(report)
    gone = 0
    for table in report.tables:
        weight = next(w for w in whole.weights if w.path == table.path)
        now = next(w for w in smaller.weights if w.path == table.path)
        assert table.before in weight.shape and table.after in now.shape
        gone += int(np.prod(weight.shape) - np.prod(now.shape))
    assert gone == whole.count_params() - smaller.count_params() > 0
    assert report.parameters_before - report.parameters_after == gone
    assert report.bytes_saved == 4 * gone
    assert len(report.tables) == {"tied": 2, "separate": 3, "recurrent": 4}[name]
    architecture = smaller.preset.architecture
    assert len(report.source_ids) == architecture.source_vocab_size
    assert len(report.target_ids) == architecture.target_vocab_size < report.target_size
    assert f"-> {report.parameters_after:,} parameters" in repr(report)


@slow_where_compiled
def test_training_goes_on():
    smaller = trim_vocabulary(small_model("tied"), USED, verbose=False)
    batches = s2s.data.Batches(USED, smaller.preprocessor, batch_size=2)
    history = smaller.fit(batches, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[1] < history[0]


# --------------------------------------------------------------------------------------
# Folders of Hugging Face
# --------------------------------------------------------------------------------------


#: Families whose tokenizers are like those of others here.
ALIKE = ("blenderbot", "mbart50", "pegasus")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    known: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in known:
            known[name] = make(name, tmp_path_factory.mktemp(name))[2]
        return known[name]

    return get


@slow_where_compiled
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in NAMES],
)
def test_transformers_answers_alike(folders, tmp_path, name):
    transformers = pytest.importorskip("transformers")
    whole = Seq2SeqLM.from_preset(folders(name), verbose=False)
    languages = LANGUAGES.get(name, {})
    expected = whole.generate(TEXTS, num_beams=1, return_output=True, **languages)
    winners = {int(i) for row in expected.token_ids for i in row}
    named = list(languages.values()) + [
        # Random weights write the tokens of other languages, too.
        code
        for code, i in (whole.special_ids.languages.codes if languages else {}).items()
        if i in winners and code not in languages.values()
    ]
    smaller = trim_vocabulary(
        whole, TEXTS, keep=sorted(winners), languages=named or None, verbose=False
    )
    assert smaller.count_params() < whole.count_params()
    assert smaller.generate(TEXTS, num_beams=1, **languages) == expected.texts
    compare(whole, smaller, [(text, text[:9]) for text in TEXTS], **languages)

    answers = smaller.generate(TEXTS, **languages)  # with beams, as the folder says
    smaller.export(tmp_path / "there", format="huggingface")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "there").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    assert model.get_input_embeddings().weight.shape[0] == len(smaller.trim_report.source_ids)
    assert theirs(model, tokenizer, TEXTS, name) == answers
    again = Seq2SeqLM.from_preset(tmp_path / "there", verbose=False)
    assert again.special_ids == smaller.special_ids
    assert again.generate(TEXTS, **languages) == answers
    smaller.save_to_preset(tmp_path / "own")
    assert Seq2SeqLM.from_preset(tmp_path / "own").generate(TEXTS, **languages) == answers


@slow_where_compiled
@pytest.mark.parametrize("name", ["marian", "bart", "nllb"])
def test_ctranslate2_answers_alike(folders, tmp_path, name):
    ctranslate2 = pytest.importorskip("ctranslate2")
    whole = Seq2SeqLM.from_preset(folders(name), verbose=False)
    languages = LANGUAGES.get(name, {})
    smaller = trim_vocabulary(whole, TEXTS, verbose=False)
    smaller.export(tmp_path / "ct2", format="ctranslate2")
    engine = ctranslate2.Translator(str(tmp_path / "ct2"))
    text = smaller.preprocessor
    sources = text.encode_source(TEXTS, **languages)
    # EOS is added there where the folder says so.
    settings = json.loads((tmp_path / "ct2" / "config.json").read_text())
    tokens = [[text.source.id_to_token(i) for i in row] for row in sources]
    if settings["add_source_eos"]:
        tokens = [row[:-1] if row[-1] == settings["eos_token"] else row for row in tokens]
    if settings.get("add_source_bos"):
        tokens = [row[1:] for row in tokens]
    prefix = None
    if languages:
        first = text.target_start(languages["tgt_lang"]).forced_bos
        prefix = [[text.target.id_to_token(first)]] * len(TEXTS)
    found = engine.translate_batch(tokens, target_prefix=prefix, beam_size=1, max_decoding_length=8)
    mine = smaller.generate(
        TEXTS, num_beams=1, max_length=9, forced_eos_token_id=None, return_output=True, **languages
    )
    for result, row, length in zip(found, mine.token_ids, mine.lengths, strict=True):
        theirs_ids = [text.target.token_to_id(token) for token in result.hypotheses[0]]
        ours = [int(i) for i in row[:length] if int(i) != text.special_ids.target.eos]
        assert ours[: len(theirs_ids)] == theirs_ids[: len(ours)]


@slow_where_compiled
def test_two_halves(tmp_path):
    """BERT2BERT: one tokenizer for both sides, and a table for each."""
    transformers = pytest.importorskip("transformers")
    tokenizer = HALVES["bert_cased"](tmp_path / "text")
    size = len(transformers.AutoTokenizer.from_pretrained(tokenizer))
    pair = make_pair("bert", "bert", vocab_size=size, pad_token_id=0)
    for key, i in {"pad": 0, "decoder_start": 3, "bos": 3, "eos": 4}.items():
        for part in (pair.config, pair.generation_config):
            setattr(part, f"{key}_token_id", i)
    folder = save_pair(pair, tmp_path / "pair")
    for path in tokenizer.iterdir():
        if path.is_file() and path.name != "config.json":
            (folder / path.name).write_bytes(path.read_bytes())
    whole = Seq2SeqLM.from_preset(folder, verbose=False)
    texts = ["Two young men are outside.", "Several men in hard hats"]
    smaller = trim_vocabulary(whole, texts, verbose=False)
    assert len(smaller.trim_report.tables) >= 2
    compare(whole, smaller, [(text, text[:9]) for text in texts])
    answers = smaller.generate(texts, max_length=9, num_beams=1)
    smaller.export(tmp_path / "there", format="huggingface")
    again = Seq2SeqLM.from_preset(tmp_path / "there", verbose=False)
    assert again.special_ids == smaller.special_ids
    assert again.generate(texts, max_length=9, num_beams=1) == answers
    model = transformers.EncoderDecoderModel.from_pretrained(tmp_path / "there").eval()
    theirs_text = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    inputs = theirs_text(texts, return_tensors="pt", padding=True)
    ids = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        max_length=9,
        num_beams=1,
    )
    assert theirs_text.batch_decode(ids, skip_special_tokens=True) == answers


# --------------------------------------------------------------------------------------
# Ids that a model names
# --------------------------------------------------------------------------------------


@slow_where_compiled
def test_ids_of_settings_are_new_ones(folders, tmp_path):
    """Of both configuration files, also those that nothing here reads."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in folders("bart").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["task_specific_params"] = {"summarization": {"forced_bos_token_id": 391, "beams": 391}}
    config["mask_token_id"] = 400
    (folder / "config.json").write_text(json.dumps(config))
    generation = json.loads((folder / "generation_config.json").read_text())
    generation |= {"bad_words_ids": [[380, 381], [382]], "suppress_tokens": [383]}
    generation |= {"begin_suppress_tokens": [384], "forced_eos_token_id": 385}
    (folder / "generation_config.json").write_text(json.dumps(generation))

    whole = Seq2SeqLM.from_preset(folder, verbose=False)
    smaller = trim_vocabulary(whole, ["a"], verbose=False)
    new = smaller.trim_report.new_ids("target")
    assert smaller.generation_config.bad_words_ids == [[new[380], new[381]], [new[382]]]
    assert smaller.generation_config.suppress_tokens == [new[383]]
    assert smaller.special_ids.target.forced_eos == new[385]
    smaller.export(tmp_path / "there", format="huggingface")
    written = json.loads((tmp_path / "there" / "config.json").read_text())
    task = written["task_specific_params"]["summarization"]
    assert task == {"forced_bos_token_id": new[391], "beams": 391}
    assert written["mask_token_id"] == new[400] == written["vocab_size"] - 1
    written = json.loads((tmp_path / "there" / "generation_config.json").read_text())
    assert written["begin_suppress_tokens"] == [new[384]]
    assert written["forced_eos_token_id"] == new[385]


@slow_where_compiled
def test_a_default_language_that_is_left_out(folders):
    whole = Seq2SeqLM.from_preset(folders("mbart50"), verbose=False)
    smaller = trim_vocabulary(whole, TEXTS, languages=["fr_XX", "de_DE"], verbose=False)
    languages = smaller.special_ids.languages
    assert sorted(languages.codes) == ["de_DE", "fr_XX"]
    assert languages.default_source == "fr_XX"
    with pytest.raises(ConfigError, match="src_lang is 'en_XX', which is not a language"):
        smaller.generate(TEXTS[:1], src_lang="en_XX")
    whole.preprocessor = whole.preprocessor.in_languages("en_XX", "ko_KR")
    with pytest.raises(ConfigError, match=r"forced_bos is \d+ \('ko_KR'\), a language that"):
        trim_vocabulary(whole, TEXTS, languages=["fr_XX", "de_DE"])
    with pytest.raises(ConfigError, match="languages is 'en', which is not a language"):
        trim_vocabulary(whole, TEXTS, languages=["en"])


@slow_where_compiled
def test_a_model_without_tokenizer():
    sides = {"encoder": transformer(), "decoder": transformer(), "share_embeddings": False}
    whole = make_model(variant(sides))
    smaller = trim_vocabulary(whole, keep={"source": [4, 9, 5], "target": [7, 6]}, verbose=False)
    assert smaller.trim_report.source_ids == (0, 1, 2, 3, 4, 5, 9)
    assert smaller.trim_report.target_ids[-2:] == (6, 7)
    mine = [[3, 6]], [[4, 5, 3]]
    logits = forced(smaller, *mine)
    old = [[3, 9]], [[smaller.trim_report.target_ids[i] for i in mine[1][0]]]
    kept = list(smaller.trim_report.target_ids)
    np.testing.assert_allclose(logits, forced(whole, *old)[..., kept], rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match="this model has no preprocessor"):
        trim_vocabulary(whole, ["a"])


# --------------------------------------------------------------------------------------
# What is refused
# --------------------------------------------------------------------------------------


@slow_where_compiled
def test_what_is_refused():
    model = small_model("tied")
    with pytest.raises(ConfigError, match="needs texts, or tokens to keep"):
        trim_vocabulary(model)
    with pytest.raises(ConfigError, match="this model has no language codes"):
        trim_vocabulary(model, USED, languages=["en"])
    with pytest.raises(TypeError, match=r"languages is 'en'; expected a list of codes: \['en'\]"):
        trim_vocabulary(model, USED, languages="en")
    with pytest.raises(ValueError, match="min_count"):
        trim_vocabulary(model, USED, min_count=0)
    with pytest.raises(ConfigError, match="keep: 9999 is no id of the source's vocabulary"):
        trim_vocabulary(model, USED, keep=[9999])
    model.enable_lora(rank=2)
    with pytest.raises(ConfigError, match="has a LoRA adapter; merge the adapters first"):
        trim_vocabulary(model, USED)


@slow_where_compiled
def test_a_quantised_model_is_refused():
    model = small_model("tied")
    quantise(model, "int8")
    with pytest.raises(ConfigError, match="is quantised; trim the model before"):
        trim_vocabulary(model, USED)


@slow_where_compiled
def test_bytes_are_refused():
    text = Preprocessor.train(PAIRS, "byte")
    model = Seq2SeqLM.from_preset("gru_bahdanau", load_weights=False, preprocessor=text)
    with pytest.raises(ConfigError, match="a byte tokenizer cannot be trimmed: its ids are the"):
        trim_vocabulary(model, PAIRS)
