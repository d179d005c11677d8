"""Folders with tokenizers: text in, and the text that transformers answers out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import ops
from parity.random_checkpoints import BART_LIKE, T5_LIKE, randomise
from small_models import slow_where_compiled
from text.test_pretrained_tokenizers import CASES

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.huggingface.family import family_of, family_tables
from keras_s2s.config import ConfigError
from keras_s2s.samplers.processors import LogitsProcessor, forbid

transformers = pytest.importorskip("transformers")

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "안녕하세요, 두 젊은 남자",
    "Numbers 0 1 2 3",
    "def maximum(a, b): return max([a, b])",
]

#: Tokenizer folder -> what the call is told, here and there.
LANGUAGES: dict[str, dict[str, Any]] = {
    "mbart50": {"src_lang": "en_XX", "tgt_lang": "ko_KR"},
    "m2m_100": {"src_lang": "en", "tgt_lang": "ko"},
    "nllb": {"src_lang": "eng_Latn", "tgt_lang": "kor_Hang"},
    "mbart": {"src_lang": "en_XX", "tgt_lang": "ro_RO"},
}
NAMES = ["bart", "marian", "t5", "pegasus", "blenderbot", *LANGUAGES]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    known: dict[str, Any] = {}

    def get(name: str) -> tuple[Any, Any, Path]:
        if name not in known:
            known[name] = make(name, tmp_path_factory.mktemp(name))
        return known[name]

    return get


def make(name: str, folder: Path) -> tuple[Any, Any, Path]:
    """A random model around a tokenizer: transformers' model and tokenizer, and their folder."""
    transformers.logging.set_verbosity_error()
    before = CASES[name](folder / "text")
    tokenizer = transformers.AutoTokenizer.from_pretrained(before)
    model_type = transformers.AutoConfig.from_pretrained(before).model_type
    tables = family_tables(family_of(model_type))
    sizes = dict(T5_LIKE if "d_kv" in tables.config else BART_LIKE)["shallow"]
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
    if name in LANGUAGES or name == "bart":
        ids["decoder_start_token_id"] = tokenizer.eos_token_id
    if getattr(tokenizer, "bos_token_id", None) is not None:
        ids["bos_token_id"] = tokenizer.bos_token_id
    config = transformers.AutoConfig.for_model(
        model_type, **{**sizes, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 99}
    )
    model = getattr(transformers, tables.model_class)(config).eval()
    randomise(model, tables)
    model.generation_config.max_length = 12
    model.generation_config.num_beams = 3
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return model, tokenizer, folder / "model"


def theirs(model: Any, tokenizer: Any, texts: list[str], name: str) -> list[str]:
    import torch

    options: dict[str, Any] = {}
    if name in LANGUAGES:
        tokenizer.src_lang = LANGUAGES[name]["src_lang"]
        language = LANGUAGES[name]["tgt_lang"]
        code = f"__{language}__" if name == "m2m_100" else language
        i = tokenizer.convert_tokens_to_ids(code)
        # mBART-25 begins with the language, the others are forced to go on with it.
        options = {("decoder_start_token_id" if name == "mbart" else "forced_bos_token_id"): i}
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        ids = model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], **options
        )
    return tokenizer.batch_decode(ids, skip_special_tokens=True)


@slow_where_compiled
@pytest.mark.parametrize("name", NAMES)
def test_answers(made, name):
    model, tokenizer, folder = made(name)
    ours = Seq2SeqLM.from_preset(folder, verbose=False)
    found = ours.generate(TEXTS, **LANGUAGES.get(name, {}))
    assert found == theirs(model, tokenizer, TEXTS, name)
    assert len(set(found)) > 1


@slow_where_compiled
@pytest.mark.parametrize("name", NAMES)
def test_written_and_read_again(made, tmp_path, name):
    """Through our own folder and through theirs: the same answers, and transformers agrees."""
    _, _, folder = made(name)
    ours = Seq2SeqLM.from_preset(folder, verbose=False)
    options = LANGUAGES.get(name, {})
    expected = ours.generate(TEXTS, **options)
    ours.save_to_preset(tmp_path / "own")
    again = Seq2SeqLM.from_preset(tmp_path / "own")
    assert again.generate(TEXTS, **options) == expected
    again.export(tmp_path / "there", format="huggingface")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "there").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    assert theirs(model, tokenizer, TEXTS, name) == expected


@slow_where_compiled
def test_a_language_for_each_text(made):
    _, _, folder = made("mbart50")
    ours = Seq2SeqLM.from_preset(folder, verbose=False)
    codes = ["ko_KR", "de_DE", "ko_KR", "fr_XX"]
    together = ours.generate(TEXTS, src_lang="en_XX", tgt_lang=codes, return_output=True)
    for row, (text, code) in enumerate(zip(TEXTS, codes, strict=True)):
        alone = ours.generate([text], src_lang="en_XX", tgt_lang=code, return_output=True)
        assert together.texts[row] == alone.texts[0]
        width = alone.token_ids.shape[1]
        np.testing.assert_array_equal(together.token_ids[row, :width], alone.token_ids[0])
        assert together.scores[row] == pytest.approx(alone.scores[0], abs=1e-5)
        codes_of = ours.special_ids.languages.codes
        assert together.token_ids[row, 0] == codes_of[code]


@slow_where_compiled
@pytest.mark.parametrize("name", ["mbart50", "mbart"])
def test_score_of_what_was_generated(made, name):
    """Also where the language is the decoder's first input; and a draw repeats with its seed."""
    ours = Seq2SeqLM.from_preset(made(name)[2], verbose=False)
    options = LANGUAGES[name]
    inputs = ours.preprocessor.encode_source(TEXTS, options["src_lang"], options["tgt_lang"])
    drawn = [
        ours.generate(TEXTS, **options, do_sample=True, seed=5, return_output=True)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(drawn[0].token_ids, drawn[1].token_ids)
    targets = [
        row[:n].tolist() for row, n in zip(drawn[0].token_ids, drawn[0].lengths, strict=True)
    ]
    start = ours.preprocessor.target_start(options["tgt_lang"]).decoder_start
    parts, _ = ours.generator.score(inputs, targets, starts=[start] * len(TEXTS))
    sums = [part.sum() for part in parts]
    np.testing.assert_allclose(sums, drawn[0].token_log_probs.sum(axis=1), atol=1e-3)
    texts = ours.score(TEXTS, ["안녕", "The fox", "a", "b"], **options)
    alone = ours.score(TEXTS[:1], ["안녕"], **options)
    assert texts[0] == pytest.approx(alone[0], abs=1e-3)
    other = ours.score(TEXTS[:1], ["안녕"], src_lang=options["src_lang"], tgt_lang="en_XX")
    assert abs(other[0] - alone[0]) > 1e-3


@slow_where_compiled
def test_languages_that_cannot_be(made):
    _, _, folder = made("mbart50")
    ours = Seq2SeqLM.from_preset(folder, verbose=False)
    with pytest.raises(ConfigError, match=r"ko_KP.*ko_KR"):
        ours.generate(TEXTS[0], tgt_lang="ko_KP")
    with pytest.raises(ValueError, match="tgt_lang"):
        ours.generate(TEXTS, tgt_lang=["ko_KR"])
    other = Seq2SeqLM.from_preset(made("bart")[2], verbose=False)
    with pytest.raises(ConfigError, match="src_lang"):
        other.generate(TEXTS, src_lang="en_XX")


@slow_where_compiled
def test_fine_tuned_in_a_direction(made):
    """Pairs of one direction teach its language: the labels begin, or the decoder starts, so."""
    from keras_s2s.data import Batches

    for name, first in (("mbart50", "label"), ("mbart", "decoder_input")):
        _, _, folder = made(name)
        ours = Seq2SeqLM.from_preset(folder, verbose=False)
        text = ours.preprocessor.in_languages("en_XX", "ro_RO")
        batches = Batches([("The fox", "안녕")], text, batch_size=1)
        inputs, labels, _ = batches[0]
        code = ours.special_ids.languages.codes["ro_RO"]
        row = labels if first == "label" else inputs["decoder_token_ids"]
        assert np.asarray(row)[0, 0] == code
        ours.fit(batches, verbose=0)


@slow_where_compiled
def test_languages_from_the_shell(made, tmp_path, capsys):
    from keras_s2s.cli import main

    _, _, folder = made("mbart50")
    words = ["--src-lang", "en_XX", "--tgt-lang", "ko_KR"]
    assert main(["generate", str(folder), TEXTS[0], *words]) == 0
    options = LANGUAGES["mbart50"]
    expected = Seq2SeqLM.from_preset(folder, verbose=False).generate(TEXTS[0], **options)
    assert capsys.readouterr().out.splitlines() == [" ".join(expected.splitlines())]
    for name in ("source", "target"):
        (tmp_path / name).write_text(TEXTS[0] + "\n")
    files = ["--source", str(tmp_path / "source"), "--target", str(tmp_path / "target")]
    assert main(["evaluate", str(folder), *files, *words]) == 0
    assert '"pairs": 1' in capsys.readouterr().out


@dataclass(frozen=True)
class Dictated(LogitsProcessor):
    """The ids that are generated, one after the other."""

    tokens: tuple[int, ...]

    def __call__(self, scores: Any, step: Any, plan: Any) -> Any:
        wanted = ops.take(ops.convert_to_tensor(self.tokens, dtype="int32"), step.index)
        chosen = ops.arange(scores.shape[-1], dtype="int32") == wanted
        return ops.where(chosen[None], ops.zeros_like(scores), forbid(scores, True))


@slow_where_compiled
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_streams_where_earlier_text_is_rewritten(made, stride):
    """T5 with clean_up_tokenization_spaces: what a clitic or a sign may still change waits."""
    ours = Seq2SeqLM.from_preset(made("t5_listed")[2], verbose=False)
    ids = ours.preprocessor.encode_target(["do n't go , she 's here ."])[0]
    options = {"processors": [Dictated(tuple(ids))], "max_length": len(ids) + 1, "num_beams": 1}
    expected = ours.generate("any", **options)
    assert expected == "don't go, she's here."
    pieces = list(ours.stream("any", stride=stride, **options))
    assert "".join(pieces) == expected and len(pieces) > 2
