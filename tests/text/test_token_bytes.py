"""The bytes of ids: together they are the text."""

from __future__ import annotations

import pytest
from text_samples import CORPUS

from keras_s2s.text import Preprocessor
from keras_s2s.text.registry import TOKENIZERS
from keras_s2s.text.token_bytes import token_bytes

TEXTS = ["한국어 아침", "two men, one dog", "e\u0301té", *CORPUS[:20]]


@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
def test_bytes_of_ids_joined_are_the_text(kind):
    sizes = {} if kind in ("byte", "character", "word") else {"vocab_size": 400}
    text = Preprocessor.train([(each, each) for each in TEXTS], kind, **sizes)
    tokenizer = text.target
    pieces = token_bytes(tokenizer)
    assert len(pieces) == tokenizer.vocabulary_size
    assert all(pieces[i] is None for i in (tokenizer.pad_id, tokenizer.eos_id, tokenizer.bos_id))
    shown = 0
    # Marks are written without a space before them, and some without one after.
    texts = ["two men one dog", "dog one"] if kind in ("word", "wordpiece") else TEXTS
    for row in texts:
        ids = tokenizer.encode(f"two {row}")
        before = next(n for n in range(len(ids)) if tokenizer.decode(ids[:n]) == "two")
        joined = b"".join(pieces[i] or b"" for i in ids[before:]).decode(errors="replace")
        assert joined == tokenizer.decode(ids)[len(tokenizer.decode(ids[:before])) :]
        shown += len(ids) > before
    assert shown == len(texts)
