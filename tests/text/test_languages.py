"""What stands around texts of pretrained models: templates and languages, against transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hugging_face_folders import (
    byte_level_files,
    fairseq_vocabulary,
    pieces,
    sentencepiece_model,
    write_folder,
)
from small_models import slow_where_compiled

from keras_s2s.config import ConfigError, SpecialIds, read_config
from keras_s2s.text import Preprocessor
from keras_s2s.text.pretrained.auto import PretrainedTokenizers, load_pretrained_tokenizers
from keras_s2s.text.pretrained.language_codes import NLLB

pytestmark = pytest.mark.filterwarnings("ignore:.*sacremoses.*:UserWarning")

TEXTS = ["Two men", "", "두 젊은 남자", "</s> x"]

# Model type, files, and where EOS, languages and decoding begin.
FAMILIES = {
    "t5": ("t5", {"spiece.model": "t5"}, {"start": 0}),
    "pegasus": ("pegasus", {"spiece.model": "t5"}, {"start": 0}),
    "bart": ("bart", {"vocab.json": "bytes", "merges.txt": "merges"}, {"start": 2}),
    "marian": (
        "marian",
        {"source.spm": "fairseq", "target.spm": "fairseq", "vocab.json": "marian"},
        {"start": -1},
    ),
    "mbart": ("mbart", {"sentencepiece.bpe.model": "fairseq"}, {"start": 2}),
    "mbart50": (
        "mbart",
        {
            "sentencepiece.bpe.model": "fairseq",
            "tokenizer_config.json": {"tokenizer_class": "MBart50Tokenizer"},
        },
        {"start": 2},
    ),
    "m2m_100": (
        "m2m_100",
        {"sentencepiece.bpe.model": "fairseq", "vocab.json": "fairseq_vocab"},
        {"start": 2},
    ),
    "nllb": (
        "m2m_100",
        {
            "sentencepiece.bpe.model": "fairseq",
            "tokenizer_config.json": {
                "tokenizer_class": "NllbTokenizer",
                "additional_special_tokens": list(NLLB),
            },
        },
        {"start": 2},
    ),
    "plbart": ("plbart", {"sentencepiece.bpe.model": "fairseq"}, {"start": 2}),
}


def contents() -> dict:
    vocab, merges = byte_level_files()
    fairseq = sentencepiece_model()
    marian = ["</s>", "<unk>", *pieces(fairseq)[3:], ">>fra<<", ">>deu<<", "<pad>"]
    return {
        "t5": sentencepiece_model(special=("<pad>", "</s>", "<unk>")),
        "bytes": vocab,
        "merges": merges,
        "fairseq": fairseq,
        "fairseq_vocab": fairseq_vocabulary(fairseq),
        "marian": {token: i for i, token in enumerate(marian)},
    }


def folder_of(name: str, folder):
    model_type, files, _ = FAMILIES[name]
    made = contents()
    written = {
        file: made[content] if isinstance(content, str) else content
        for file, content in files.items()
    }
    return write_folder(folder, model_type, written)


def load(name: str, folder) -> PretrainedTokenizers:
    found = load_pretrained_tokenizers(folder_of(name, folder), FAMILIES[name][0])
    assert found is not None
    return found


def preprocessor_of(name: str, found: PretrainedTokenizers, **target) -> Preprocessor:
    """With special ids as a configuration file has them."""
    tokenizer = found.source
    start = FAMILIES[name][2]["start"]
    ids = {
        "source": {"pad": tokenizer.pad_id, "eos": found.eos, "bos": found.bos},
        "target": {
            "pad": tokenizer.pad_id,
            "eos": tokenizer.eos_id,
            "bos": found.bos,
            "decoder_start": start % tokenizer.known,
            **target,
        },
    }
    return found.preprocessor(read_config(SpecialIds, ids, origin="test"))


@slow_where_compiled
@pytest.mark.parametrize("name", FAMILIES)
def test_sources_and_targets_are_those_of_transformers(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(folder_of(name, tmp_path))
    preprocessor = preprocessor_of(name, load(name, tmp_path))
    assert preprocessor.encode_source(TEXTS) == theirs(TEXTS).input_ids
    if preprocessor.special_ids.languages is None or name in ("marian", "plbart"):
        expected = theirs(text_target=TEXTS).input_ids
        assert preprocessor.encode_target(TEXTS) == expected


@slow_where_compiled
@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        ("mbart", "ro_RO", "ko_KR"),
        ("mbart50", "ko_KR", "sl_SI"),
        ("m2m_100", "ko", "zu"),
        ("nllb", "kor_Hang", "zul_Latn"),
        ("plbart", "java", "en_XX"),
    ],
)
def test_languages_are_those_of_transformers(name, source, target, tmp_path):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(
        folder_of(name, tmp_path), src_lang=source, tgt_lang=target
    )
    preprocessor = preprocessor_of(name, load(name, tmp_path))
    assert preprocessor.encode_source(TEXTS, src_lang=source) == theirs(TEXTS).input_ids
    assert preprocessor.in_languages(source).encode_source(TEXTS) == theirs(TEXTS).input_ids
    expected = theirs(text_target=TEXTS).input_ids
    if preprocessor.special_ids.languages.target == "decoder_start":
        # The language that transformers puts last comes first when it shifts.
        code = expected[0][-1]
        assert preprocessor.target_start(target).decoder_start == code
        assert preprocessor.target_start(target).forced_bos is None
        expected = [row[:-1] for row in expected]
    else:
        assert preprocessor.target_start(target) == (2, expected[0][0])
    assert preprocessor.encode_target(TEXTS, tgt_lang=target) == expected
    one_way = preprocessor.in_languages(source, target)
    assert one_way.encode_target(TEXTS) == expected
    start = preprocessor.target_start(target)
    assert one_way.target_start() == start
    assert one_way.special_ids.target.decoder_start == start.decoder_start


@slow_where_compiled
def test_nllb_as_it_was_before(tmp_path):
    """legacy_behaviour: the language stands behind the source, as in the first release."""
    transformers = pytest.importorskip("transformers")
    folder = folder_of("nllb", tmp_path)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "legacy_behaviour": True}))
    theirs = transformers.AutoTokenizer.from_pretrained(folder, src_lang="kor_Hang")
    preprocessor = preprocessor_of("nllb", load_pretrained_tokenizers(folder, "m2m_100"))
    assert preprocessor.encode_source(TEXTS, "kor_Hang") == theirs(TEXTS).input_ids


def test_a_language_for_each_row(tmp_path):
    preprocessor = preprocessor_of("mbart50", load("mbart50", tmp_path))
    codes = preprocessor.special_ids.languages.codes
    rows = preprocessor.encode_source(["a", "a", "a"], src_lang=["ko_KR", None, "de_DE"])
    assert [row[0] for row in rows] == [codes["ko_KR"], codes["en_XX"], codes["de_DE"]]
    assert len({tuple(row[1:]) for row in rows}) == 1
    rows = preprocessor.encode_target(["a", "a"], tgt_lang=["fr_XX", "ko_KR"])
    assert [row[0] for row in rows] == [codes["fr_XX"], codes["ko_KR"]]
    assert preprocessor.encode_target_prefix("a", "fr_XX") == rows[0][:-1]
    with pytest.raises(ValueError, match="src_lang names 2 languages for 1 texts"):
        preprocessor.encode_source(["a"], src_lang=["ko_KR", "de_DE"])
    with pytest.raises(TypeError, match="expected a language's code"):
        preprocessor.encode_source(["a"], src_lang=7)


def test_marian_tells_the_source_its_target(tmp_path):
    preprocessor = preprocessor_of("marian", load("marian", tmp_path))
    plain = preprocessor.encode_source(["a"])[0]
    code = preprocessor.source.token_to_id(">>fra<<")
    assert preprocessor.encode_source(["a"], tgt_lang="fra") == [[code, *plain]]
    assert preprocessor.encode_source(["a"], tgt_lang=">>fra<<") == [[code, *plain]]
    assert preprocessor.encode_source([">>fra<< a"]) == [[code, *plain]]
    assert preprocessor.encode_target(["a"], tgt_lang="fra") == preprocessor.encode_target(["a"])
    start = preprocessor.target_start("fra")
    assert start == (preprocessor.special_ids.target.decoder_start, None)
    with pytest.raises(ConfigError, match="leave src_lang out"):
        preprocessor.encode_source(["a"], src_lang="deu")


def test_other_forms_of_a_code(tmp_path):
    preprocessor = preprocessor_of("plbart", load("plbart", tmp_path))
    assert preprocessor.encode_source(["a"], "__java__") == preprocessor.encode_source(
        ["a"], "java"
    )
    same = preprocessor.in_languages("__java__", "python").special_ids.languages
    assert (same.default_source, same.default_target) == ("java", "python")


def test_unknown_languages_are_refused(tmp_path):
    preprocessor = preprocessor_of("mbart50", load("mbart50", tmp_path))
    message = r"src_lang is 'ko_KP'.*did you mean 'ko_KR'\? All 52 are in preprocessor\."
    with pytest.raises(ConfigError, match=message):
        preprocessor.encode_source(["a"], src_lang="ko_KP")
    with pytest.raises(ConfigError, match="did you mean 'en_XX'"):
        preprocessor.target_start("en")
    without = preprocessor_of("bart", load("bart", tmp_path / "bart"))
    for call in (
        lambda: without.encode_source(["a"], src_lang="en"),
        lambda: without.encode_source(["a"], tgt_lang="en"),
        lambda: without.encode_target(["a"], tgt_lang="en"),
        lambda: without.target_start("en"),
        lambda: without.in_languages("en"),
    ):
        with pytest.raises(ConfigError, match="has no language codes"):
            call()
    assert without.in_languages() is without
    assert without.target_start() == (2, None)


@pytest.mark.parametrize("name", ["mbart", "mbart50", "m2m_100", "nllb", "plbart", "bart", "t5"])
def test_decoding_drops_what_is_not_text(name, tmp_path):
    preprocessor = preprocessor_of(name, load(name, tmp_path))
    special = preprocessor.special_ids
    text = "Two men"
    plain = preprocessor.target.encode(text)
    rows = [preprocessor.encode_target([text])[0]]
    rows.append([special.target.decoder_start, *rows[0], special.target.pad])
    if special.languages is not None:
        code = list(special.languages.codes.values())[1]
        rows += [
            [code, *plain, special.target.eos],
            [special.target.decoder_start, code, *plain, special.target.eos, code],
            [code, *plain, special.target.eos, code],
        ]
        source = preprocessor.encode_source([text], src_lang=list(special.languages.codes)[1])
    else:
        source = preprocessor.encode_source([text])
    assert set(preprocessor.decode_target(rows)) == {text}
    assert preprocessor.decode_target([np.array(rows[0])]) == [text]
    assert preprocessor.decode_source(source) == [text]


def test_labels_default_to_the_forced_language(tmp_path):
    found = load("mbart50", tmp_path)
    codes = found.languages.codes
    forced = preprocessor_of("mbart50", found, forced_bos=codes["ko_KR"])
    assert forced.encode_target(["a"])[0][0] == codes["ko_KR"]
    assert forced.encode_target(["a"], tgt_lang="de_DE")[0][0] == codes["de_DE"]
    assert forced.target_start() == (2, codes["ko_KR"])
    # Without one it is the source's, as in transformers.
    assert preprocessor_of("mbart50", found).encode_target(["a"])[0][0] == codes["en_XX"]


def test_saved_with_its_languages(tmp_path):
    preprocessor = preprocessor_of("mbart50", load("mbart50", tmp_path / "hf"))
    preprocessor.save(tmp_path)
    again = SpecialIds.model_validate_json(preprocessor.special_ids.model_dump_json())
    copy = Preprocessor.load(tmp_path, again)
    assert copy.joint
    assert copy.encodes_like(preprocessor)
    assert copy.encode_source(TEXTS, "ko_KR") == preprocessor.encode_source(TEXTS, "ko_KR")


def test_marian_saved_with_both_sides(tmp_path):
    preprocessor = preprocessor_of("marian", load("marian", tmp_path / "hf"))
    preprocessor.save(tmp_path)
    copy = Preprocessor.load(tmp_path, preprocessor.special_ids)
    assert (copy.source.side, copy.target.side) == ("source", "target")
    assert copy.encode_target(TEXTS) == preprocessor.encode_target(TEXTS)


def test_ids_of_another_model_are_refused(tmp_path):
    found = load("bart", tmp_path)
    with pytest.raises(ConfigError, match=r"special_ids\.target\.eos is 5"):
        preprocessor_of("bart", found, eos=5)
    languages = {"codes": {"a": 100_000}, "source": "prefix", "target": "forced_bos"}
    ids = {
        "source": {"pad": 1},
        "target": {"pad": 1, "eos": 2, "decoder_start": 2},
        "languages": languages,
    }
    with pytest.raises(ConfigError, match=r"languages\.codes\.a is 100000, outside"):
        found.preprocessor(SpecialIds.model_validate(ids))


def test_defaults_that_are_no_codes():
    languages = {
        "codes": {"en_XX": 1},
        "source": "prefix",
        "target": "forced_bos",
        "default_source": "en_XY",
    }
    ids = {
        "source": {"pad": 1},
        "target": {"pad": 1, "eos": 2, "decoder_start": 2},
        "languages": languages,
    }
    with pytest.raises(ConfigError, match=r"languages\.default_source.*did you mean 'en_XX'"):
        read_config(SpecialIds, ids, origin="test")
