"""Lists of tokens that come with another engine's model."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_s2s.config import ConfigError
from keras_s2s.text.pretrained.token_list import TokenListTokenizer
from keras_s2s.text.registry import load_tokenizer

TOKENS = ["<blank>", "<s>", "</s>", "<unk>", "▁a", "b\u00a0c", "d", "d"]
IDS = {"pad": 0, "bos": 1, "eos": 2, "unk": 3}


def test_tokens_between_spaces() -> None:
    tokenizer = TokenListTokenizer(TOKENS, "space", IDS)
    # A no-break space is part of a token, and a special token in the text is that token.
    assert tokenizer.encode(" ▁a  b\u00a0c\td a </s>\r\n") == [4, 5, 6, 3, 2]
    assert tokenizer.encode("") == []
    assert tokenizer.decode([1, 4, 5, 7, 3, 2, 0]) == "▁a b\u00a0c d ⁇"
    assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id) == (0, 1, 2, 3)
    assert tokenizer.vocabulary_size == 8 and tokenizer.id_to_token(7) == "d"
    assert tokenizer.token_to_id("d") == 6 and tokenizer.token_to_id("none") is None


def test_characters() -> None:
    tokenizer = TokenListTokenizer(["<unk>", "a", "é", " "], "character", {"unk": 0})
    assert tokenizer.encode("a éb") == [1, 3, 2, 0]
    assert tokenizer.decode([1, 3, 2, 0]) == "a é⁇"
    assert tokenizer.pad_id is None


def test_a_space_may_have_a_mark() -> None:
    tokenizer = TokenListTokenizer(["<unk>", "a", "▁"], "character", {"unk": 0})
    assert tokenizer.encode("a a") == [1, 2, 1]
    assert tokenizer.decode([1, 2, 1]) == "a a"


@pytest.mark.parametrize("split", ["space", "character"])
def test_saved_and_read(split, tmp_path: Path) -> None:
    tokenizer = TokenListTokenizer(TOKENS, split, IDS)
    tokenizer.save(tmp_path, "source")
    again = load_tokenizer(tmp_path, "source")
    assert isinstance(again, TokenListTokenizer)
    assert (again.tokens, again.split, again.special_ids) == (tuple(TOKENS), split, IDS)
    assert again.encode("▁a d") == tokenizer.encode("▁a d")


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="split is 'word'"):
        TokenListTokenizer(TOKENS, "word", IDS)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="eos is 8, outside the list of 8 tokens"):
        TokenListTokenizer(TOKENS, "space", {**IDS, "eos": 8})
    with pytest.raises(ConfigError, match="needs an unk"):
        TokenListTokenizer(TOKENS, "space", {"pad": 0})
