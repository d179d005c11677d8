"""Text shown piece by piece is the text of the whole, for every kind of tokenizer."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hugging_face_folders import write_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import slow_where_compiled
from text.test_pretrained_tokenizers import CASES
from text_samples import SAMPLES

from keras_s2s.text import Tokenizer
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers
from keras_s2s.text.pretrained.base import tidy_spaces
from keras_s2s.text.stable_prefix import settled_spaces
from keras_s2s.text.streaming import text_pieces
from keras_s2s.text.trained.wordpiece import detokenize

REAL = [
    *(sample for sample in SAMPLES if len(sample) < 200),
    "두 젊은 남자가 밖에 있다. 값이 3.50 €!",
    "don't 'quote' it, she said: \"we'll (not) go\" -- it's 3,000.",
    "👨\u200d👩\u200d👧 and 🇰🇷, e\u0301te\u0301 𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
]


def streamed(tokenizer: Tokenizer, rows: list[list[int]], stride: int) -> list[list[str]]:
    """The pieces that each row of ids is shown in, `stride` ids at a time, side by side."""

    def results() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        longest = max(map(len, rows))
        for count in [*range(stride, longest, stride), longest]:
            ids = np.full((len(rows), longest), 99, "int32")
            for i, row in enumerate(rows):
                ids[i, : min(count, len(row))] = row[:count]
            yield ids, np.asarray([min(count, len(row)) for row in rows])

    decoder: Any = SimpleNamespace(
        decode_target=tokenizer.decode_batch,
        settled_target=lambda rows: [tokenizer.settled(row) for row in rows],
    )
    steps = list(text_pieces(decoder, results()))
    assert all(len(step) == len(rows) for step in steps)
    return [list(pieces) for pieces in zip(*steps, strict=True)]


@pytest.mark.parametrize("stride", [1, 3])
def test_real_texts(tokenizer, stride):
    rows = [tokenizer.encode(text) for text in REAL]
    for row, pieces in zip(rows, streamed(tokenizer, rows, stride), strict=True):
        assert "".join(pieces) == tokenizer.decode(row)
        if tokenizer.unk_id not in row and "\ufffd" not in tokenizer.decode(row):
            assert not any("\ufffd" in piece for piece in pieces), "half a character was shown"


@settings(max_examples=60)
@given(data=st.data(), stride=st.integers(1, 4))
def test_any_ids(tokenizers, data, stride):
    """Also those that no text has: bytes that are no characters, pieces that go on from nothing."""
    kind = data.draw(st.sampled_from(sorted(tokenizers)))
    ids = st.integers(0, tokenizers[kind].vocabulary_size - 1)
    rows = data.draw(st.lists(st.lists(ids, max_size=12), min_size=1, max_size=3))
    for row, pieces in zip(rows, streamed(tokenizers[kind], rows, stride), strict=True):
        assert "".join(pieces) == tokenizers[kind].decode(row)


def test_text_is_shown_while_it_grows(tokenizers):
    """Not at the end all at once, and a character of several bytes in one piece."""
    tokenizer = tokenizers["byte"]
    (pieces,) = streamed(tokenizer, [tokenizer.encode("ab한e👍")], 1)
    assert pieces == ["a", "b", "", "", "한", "e", "", "", "", "👍", ""]
    tokenizer = tokenizers["wordpiece"]
    text = "Two young men are outside."
    (pieces,) = streamed(tokenizer, [tokenizer.encode(text)], 1)
    assert len([piece for piece in pieces if piece]) > 4, "a word at a time"


# --------------------------------------------------------------------------------------
# Tokenizers of Hugging Face folders
# --------------------------------------------------------------------------------------

#: What the rules of writing change: words as pieces, and text that brings them together.
SPACED = [
    "do n't go , she 's here .",
    "do n ' t go ' s . ' ' n't ! ?",
    "I 'm we 've you 're it 's ' a ' . 've",
    *REAL,
]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    known: dict[tuple[str, bool], Tokenizer] = {}

    def get(name: str, tidy: bool) -> Tokenizer:
        if (name, tidy) not in known:
            folder = CASES[name](tmp_path_factory.mktemp("case"))
            path = folder / "tokenizer_config.json"
            config = json.loads(path.read_text()) if path.exists() else {}
            forced = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
            config |= {"clean_up_tokenization_spaces": tidy, forced: tidy}
            path.write_text(json.dumps(config))
            model_type = json.loads((folder / "config.json").read_text())["model_type"]
            found = load_pretrained_tokenizers(folder, model_type)
            assert found is not None
            known[name, tidy] = found.target
        return known[name, tidy]

    return get


def check(tokenizer: Tokenizer, rows: list[list[int]], stride: int) -> None:
    for row, pieces in zip(rows, streamed(tokenizer, rows, stride), strict=True):
        assert "".join(pieces) == tokenizer.decode(row)


@slow_where_compiled
@pytest.mark.parametrize("tidy", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_pretrained_kinds(pretrained, name, tidy):
    """Real texts and any ids, by all strides."""
    tokenizer = pretrained(name, tidy)
    rng = random.Random(name)
    rows = tokenizer.encode_batch(SPACED)
    # Ids that rules of writing look at, among any others.
    signs = [
        i for text in ("n't 's ' . , ! ? 've m a", "@@ é 한 👍") for i in tokenizer.encode(text)
    ]
    size = tokenizer.vocabulary_size
    for _ in range(60):
        row = [
            rng.choice(signs) if rng.random() < 0.7 else rng.randrange(size)
            for _ in range(rng.randint(1, 14))
        ]
        rows.append(row)
    for stride in (1, 2, 5):
        check(tokenizer, rows, stride)
    (pieces,) = streamed(tokenizer, [rows[0]], 1)
    assert len([piece for piece in pieces if piece]) > 2, "not all at once"


def test_the_clitics_of_t5(pretrained):
    tokenizer = pretrained("t5", True)
    text = "do n't go , she 's here ."
    (pieces,) = streamed(tokenizer, [tokenizer.encode(text)], 1)
    assert "".join(pieces) == "don't go, she's here."


@slow_where_compiled
@pytest.mark.parametrize("clean", [tidy_spaces, detokenize])
def test_what_is_settled_stays(clean):
    """Short texts of the characters that the rules look at, cut anywhere."""
    rng = random.Random(0)
    words = ["n't", "'s", "'ve", "'re", "'m", "''", "'", "’", "a", "1", "한", "國"]
    signs = [*words, *".,-!(«»。/"]
    for _ in range(20_000):
        text = "".join(
            rng.choice(signs) + (" " if rng.random() < 0.8 else "")
            for _ in range(rng.randint(1, 8))
        )
        cut = rng.randint(0, len(text))
        assert clean(text).startswith(settled_spaces(text[:cut], clean)), (text, cut)


DECODERS: dict[str, Any] = {
    "spaces": None,
    "bytes": {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    },
    "suffixes": {"type": "BPEDecoder", "suffix": "</w>"},
    "the end": {
        "type": "Sequence",
        "decoders": [{"type": "Fuse"}, {"type": "Strip", "content": "a", "start": 0, "stop": 1}],
    },
    "a pattern": {
        "type": "Sequence",
        "decoders": [
            {"type": "Fuse"},
            {"type": "Replace", "pattern": {"Regex": "aa+"}, "content": "b"},
        ],
    },
}


@pytest.mark.parametrize("name", DECODERS)
def test_pipelines_with_decoders_of_their_own(name, tmp_path):
    from tokenizers import Tokenizer as Pipeline
    from tokenizers import models

    tokens = ["<pad>", "</s>", "▁a", "a", "b</w>", "aa", "▁", *(f"<0x{i:02X}>" for i in range(256))]
    pipeline = json.loads(
        Pipeline(models.WordLevel({token: i for i, token in enumerate(tokens)}, "</s>")).to_str()
    )
    pipeline["decoder"] = DECODERS[name]
    files = {
        "tokenizer.json": pipeline,
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "</s>",
            "pad_token": "<pad>",
        },
    }
    tokenizer = load_pretrained_tokenizers(write_folder(tmp_path, "bart", files), "bart").target
    rng = random.Random(1)
    bytes_of = [7 + byte for byte in "é한👍a".encode()]
    rows = [
        [
            rng.choice(bytes_of) if rng.random() < 0.6 else rng.randrange(7)
            for _ in range(rng.randint(1, 9))
        ]
        for _ in range(200)
    ]
    rows.append([2, *bytes_of, 3, 0, *bytes_of, 7 + 255, 2])
    check(tokenizer, rows, 1)
    check(tokenizer, rows, 3)
