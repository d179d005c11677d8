"""What is too long is cut as transformers cuts it: the text, not the special ids around it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from small_models import slow_where_compiled
from text.test_pretrained_tokenizers import CASES

from keras_s2s.config import SpecialIds
from keras_s2s.data import Batches
from keras_s2s.data.errors import DataError
from keras_s2s.text import Preprocessor
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers
from keras_s2s.text.truncation import truncated

transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore:.*sacremoses.*:UserWarning")

TEXTS = [
    "Two men",
    "The quick brown fox jumps over the lazy dog.",
    "두 젊은 남자가 밖에 있다.",
    "</s> x </s> y </s> z",
    "Numbers 0 1 2 3 4 5 6 7 8 9 10 11 12",
]
#: Source and target language, neither of them a default.
LANGUAGES = {
    "mbart": ("ro_RO", "ko_KR"),
    "mbart50": ("fr_XX", "sl_SI"),
    "nllb": ("kor_Hang", "zul_Latn"),
    "m2m_100": ("ko", "zu"),
    "m2m_100_bare": ("ko", "zu"),
    "plbart_base": ("java", "en_XX"),
    "plbart_multi": ("python", "go"),
}


class Pair:
    """Tokenizers of a folder here, and of transformers."""

    def __init__(self, name: str, folder: Any, **options: Any) -> None:
        folder = CASES[name](folder)
        if options:
            path = folder / "tokenizer_config.json"
            before = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps({**before, **options}))
        self.languages = LANGUAGES.get(name, (None, None))
        source, target = self.languages
        told = {} if source is None else {"src_lang": source, "tgt_lang": target}
        self.theirs = transformers.AutoTokenizer.from_pretrained(folder, **told)
        model_type = json.loads((folder / "config.json").read_text())["model_type"]
        found = load_pretrained_tokenizers(folder, model_type)
        pad = found.source.pad_id
        eos = found.target.eos_id if found.eos is None else found.eos
        ids = {
            "source": {"pad": pad or 0, "eos": found.eos, "bos": found.bos},
            "target": {"pad": pad or 0, "eos": eos, "bos": found.bos, "decoder_start": pad or 0},
        }
        if eos is None:  # BERT, whose own EOS is none
            ids["target"]["eos"] = found.source.token_to_id("[SEP]")
        self.ours = found.preprocessor(SpecialIds.model_validate(ids))
        self.in_front = (
            self.ours.special_ids.languages is not None
            and self.ours.special_ids.languages.target == "decoder_start"
        )

    def their_targets(self, length: int) -> list[list[int]]:
        """Where transformers puts a language last, which labels begin the decoder with."""
        extra = int(self.in_front)
        rows = self.theirs(text_target=TEXTS, truncation=True, max_length=length + extra).input_ids
        return [row[:-1] for row in rows] if self.in_front else rows


def check(pair: Pair) -> None:
    ours, (source, target) = pair.ours, pair.languages
    whole = ours.encode_source(TEXTS, source)
    frame = ours.frame_source([[]], source)[0]
    for length in [*range(len(frame) + 1, 14), 40]:
        rows = ours.encode_source(TEXTS, source, max_length=length, overlong="truncate")
        expected = pair.theirs(TEXTS, truncation=True, max_length=length).input_ids
        assert rows == expected, length
        assert all(row == full for row, full in zip(rows, whole, strict=True) if len(full) < length)
    # Blenderbot-small's tokenizer ends nothing in EOS, and a target has to.
    ends = len(pair.theirs(text_target="").input_ids) > 0
    for length in [*range(len(ours.frame_target([[]], target)[0]) + 1, 14), 40] if ends else []:
        rows = ours.encode_target(TEXTS, target, max_length=length, overlong="truncate")
        assert rows == pair.their_targets(length), length


#: transformers' own classes for these folders put no special ids around a text; see
#: `parity/test_unusual_tokenizers.py`.
WITHOUT_SPECIAL_IDS = ("barthez", "indic_bart")


@slow_where_compiled
@pytest.mark.parametrize("name", [name for name in CASES if name not in WITHOUT_SPECIAL_IDS])
def test_equal_to_transformers(name, tmp_path):
    check(Pair(name, tmp_path))


@slow_where_compiled
@pytest.mark.parametrize("name", ["t5", "bart", "mbart", "mbart50", "nllb", "byt5", "marian"])
def test_cut_on_the_left_where_the_files_say_so(name, tmp_path):
    pair = Pair(name, tmp_path, truncation_side="left")
    assert pair.theirs.truncation_side == "left"
    check(pair)


@slow_where_compiled
def test_side_in_tokenizer_json(tmp_path):
    """As a pipeline that was saved while it truncated has it."""
    folder = CASES["generic"](tmp_path)
    path = folder / "tokenizer.json"
    stored = {"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps({**json.loads(path.read_text()), "truncation": stored}))
    assert transformers.AutoTokenizer.from_pretrained(folder).truncation_side == "left"
    assert load_pretrained_tokenizers(folder, "bart").source.truncation_side == "left"


@slow_where_compiled
def test_tokenizer_json_that_cuts_and_pads(tmp_path):
    """As the files of sentence encoders do: cut to 9 and padded to 9, without a direction."""
    folder = CASES["generic"](tmp_path)
    path = folder / "tokenizer.json"
    cut = {"max_length": 9, "strategy": "LongestFirst", "stride": 0}
    padding = {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }
    stored = {**json.loads(path.read_text()), "truncation": cut, "padding": padding}
    path.write_text(json.dumps(stored))
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = load_pretrained_tokenizers(folder, "bart").source
    assert ours.truncation_side == theirs.truncation_side == "right"
    expected = theirs(TEXTS, add_special_tokens=False).input_ids
    assert ours.encode_batch(TEXTS) == expected
    assert {len(row) > 9 for row in expected} == {True, False}


@slow_where_compiled
@pytest.mark.parametrize("name", ["mbart", "nllb", "bart", "plbart_base", "t5"])
def test_batches(name, tmp_path):
    pair = Pair(name, tmp_path)
    text = pair.ours
    if pair.languages[0] is not None:
        text = text.in_languages(*pair.languages)
    pairs = list(zip(TEXTS, reversed(TEXTS), strict=True))
    batches = Batches(
        pairs,
        text,
        batch_size=5,
        num_buckets=1,
        shuffle=False,
        max_source_length=6,
        max_target_length=7,
        overlong="truncate",
    )
    (inputs, labels, weights) = batches[0]
    sources = [
        ids[mask].tolist()
        for ids, mask in zip(
            inputs["encoder_token_ids"], inputs["encoder_padding_mask"], strict=True
        )
    ]
    assert sources == pair.theirs(TEXTS, truncation=True, max_length=6).input_ids
    targets = [row[w > 0].tolist() for row, w in zip(labels, weights, strict=True)]
    assert targets == pair.their_targets(7)[::-1]
    assert batches.report.truncated > 3


IDS = SpecialIds.model_validate(
    {
        "source": {"pad": 0, "eos": 1, "bos": 2},
        "target": {"pad": 0, "eos": 1, "decoder_start": 0, "bos": 2},
        "languages": {"codes": {"a": 8, "b": 9}, "source": "suffix", "target": "decoder_start"},
    }
)


@pytest.mark.parametrize(
    ("row", "length", "expected"),
    [
        ([2, 5, 6, 7, 1, 8], 5, [2, 5, 6, 1, 8]),
        ([2, 5, 6, 7, 1, 8], 4, [2, 5, 1, 8]),
        ([5, 6, 7, 1], 3, [5, 6, 1]),
        ([5, 6, 7], 2, [5, 6]),  # nothing is invented
        ([5, 1, 6, 9, 7], 4, [5, 1, 6, 9]),
    ],
)
def test_ids_are_cut_by_what_they_hold(row, length, expected):
    assert truncated(row, length, IDS, "source") == expected


def test_ids_in_batches_keep_their_language():
    pairs = [([2, 5, 6, 7, 1, 8], [2, 5, 6, 7, 1])]
    limits = {"max_source_length": 5, "max_target_length": 4}
    batches = Batches(pairs, special_ids=IDS, overlong="truncate", **limits)
    inputs, labels, _ = batches[0]
    assert inputs["encoder_token_ids"].tolist() == [[2, 5, 6, 1, 8]]
    assert labels.tolist() == [[2, 5, 6, 1]]


def test_no_room_for_text():
    with pytest.raises(
        ValueError, match=r"a source of 3 ids has no room.*around it are 3.*allow 4"
    ):
        truncated([2, 5, 6, 7, 1, 8], 3, IDS, "source")
    with pytest.raises(DataError, match=r"pair 0 .*max_source_length=3: .*allow 4"):
        Batches(
            [([2, 5, 6, 7, 1, 8], [5, 1])],
            special_ids=IDS,
            max_source_length=3,
            overlong="truncate",
        )


def test_too_long_is_refused_or_counted(caplog):
    text = Preprocessor.train([("abcdef", "abcdef")], "character")
    with pytest.raises(ValueError, match=r"source 1 has 7 ids, but max_length=4; .*'truncate'"):
        text.encode_source(["ab", "abcdef"], max_length=4)
    with pytest.raises(ValueError, match="overlong='cut' must be 'error' or 'truncate'"):
        text.encode_target(["ab"], max_length=4, overlong="cut")  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        rows = text.encode_source(["ab", "abcdef"], max_length=4, overlong="truncate")
    assert text.decode_source(rows) == ["ab", "abc"]
    assert "1 of 2 sources were cut to 4 ids (source 1 has 7 ids)" in caplog.text
