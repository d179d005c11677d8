"""What a grammar allows, by vocabularies of each form; without a model."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from hugging_face_folders import Loaded
from huggingface_tokenizer_cases import CASES
from small_models import COMPILES

import keras_s2s.text.grammar_tokens as grammar_tokens
from keras_s2s.text import Tokenizer
from keras_s2s.text.grammar_tokens import GrammarTokens, compiled_grammar
from keras_s2s.text.trained.byte import ByteTokenizer

pytest.importorskip("llguidance")

pytestmark = [
    pytest.mark.skipif(COMPILES, reason="nothing is computed"),
    pytest.mark.filterwarnings("ignore:.*sacremoses.*:UserWarning"),
]

#: An id without text, as the end of a sequence.
END = 0


def tokens_of(kind: str, value: str, tokenizer: Tokenizer | None = None) -> GrammarTokens:
    tokenizer = tokenizer or ByteTokenizer()
    return GrammarTokens(compiled_grammar(kind, value), tokenizer, tokenizer.vocabulary_size, [END])


def walk(tokens: GrammarTokens, tokenizer: Tokenizer, rng: np.random.Generator) -> str:
    """Returns the text of ids that are drawn among those that are allowed."""
    ids: list[int] = []
    while not ids or ids[-1] != END:
        ids.append(int(rng.choice(np.flatnonzero(tokens.allowed([], ids)))))
    return tokenizer.decode(ids[:-1])


@pytest.mark.parametrize("name", ["bert", "t5", "bart", "m2m_100"])
def test_random_walks_of_pretrained_kinds_match(tmp_path, name):
    """WordPiece writes a continuation with its mark where a text begins with it."""
    tokenizer = Loaded(CASES[name](tmp_path)).ours.target
    regex = r"[a-e]{2,5}[0-9]{1,2}( [a-e]{2})?"
    tokens = tokens_of("regex", regex, tokenizer)
    rng = np.random.default_rng(1)
    found = {walk(tokens, tokenizer, rng) for _ in range(20)}
    assert len(found) > 10
    assert all(re.fullmatch(regex, text) for text in found), found
    assert all(tokens.matches(text) for text in found)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("regex", "%llguidance", "%llguidance"),
        ("json_schema", '{"enum": ["%llguidance"]}', '"%llguidance"'),
        ("grammar", 'start: "%llguidance"', "%llguidance"),
        ("grammar", '%llguidance {}\nstart: "ab"', "ab"),
        ("grammar", 'start: "ab"  // the end', "ab"),
        ("regex", "a/b", "a/b"),
        ("regex", "a\\/b\n", "a/b\n"),
    ],
)
def test_texts_that_only_one_sequence_of_bytes_writes(kind, value, text):
    found = walk(tokens_of(kind, value), ByteTokenizer(), np.random.default_rng(0))
    assert found == text


def test_states_that_are_kept_no_more_are_found_again(monkeypatch):
    """A batch that was set aside while others went on; longer than Python's stack is deep."""
    monkeypatch.setattr(grammar_tokens, "KEPT", 16)
    letter = ByteTokenizer().encode("a")
    tokens = tokens_of("regex", "(aa)*")
    for length in (5001, 4, 5000):
        allowed = tokens.allowed([], letter * length)
        assert np.flatnonzero(allowed).tolist() == ([END] if length % 2 == 0 else []) + letter
    assert len(tokens._states) <= 16


def test_several_threads():
    tokenizer, texts = ByteTokenizer(), []
    tokens = tokens_of("regex", "[a-c]{3,9}")

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        texts.extend(walk(tokens, tokenizer, rng) for _ in range(20))

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 80 and all(re.fullmatch("[a-c]{3,9}", text) for text in texts)


def test_whole_texts():
    tokens = tokens_of("regex", "é{1,2}")
    assert [tokens.matches(text) for text in ("é", "éé", "", "ééé", "a", "éa")] == [True] * 2 + [
        False
    ] * 4


def test_a_parser_that_gives_up_says_why():
    many = range(2100)
    names = " | ".join(f"r{i}" for i in many)
    rules = "\n".join(f'r{i}: x{i} "{i}"\nx{i}: "a" | "b"' for i in many)
    tokens = tokens_of("grammar", f"start: {names}\n{rules}")
    with pytest.raises(ValueError, match=r"Current row has .* write what results may be"):
        tokens.allowed([], ByteTokenizer().encode("a"))
    # What another rule has forced is no such error.
    assert not tokens_of("regex", "ab").allowed([], ByteTokenizer().encode("b")).any()


def test_messages_show_what_the_caller_wrote():
    with pytest.raises(ValueError) as found:
        tokens_of("grammar", "start: a\na: b")
    assert "at 2(4): unknown name" in str(found.value)
    assert "%llguidance" not in str(found.value)


def test_a_vocabulary_is_prepared_once():
    before = grammar_tokens.vocabulary_for_grammars.cache_info().misses
    tokenizer = ByteTokenizer()
    digests = {tokens_of("regex", value, tokenizer).digest for value in ("a", "b", "b")}
    assert len(digests) == 2
    assert grammar_tokens.vocabulary_for_grammars.cache_info().misses == before + 1
