"""Results that follow a regular expression, a JSON schema or a grammar."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import numpy as np
import pytest
from small_models import COMPILES, covered, randomise, slow_where_compiled, transformer, variant

from keras_s2s.config import SpecialIds
from keras_s2s.export import ExportError
from keras_s2s.model import Seq2SeqLM
from keras_s2s.text import Preprocessor
from keras_s2s.text.grammar_tokens import GrammarTokens, compiled_grammar
from keras_s2s.text.registry import TOKENIZERS

pytest.importorskip("llguidance")

TEXTS = ["ab cd 123 45.6 e", '{"a": 12, "b": "x"}', "baab 99"]
REGEX = r"[a-c]+ [0-9]{2,3}"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "b": {"enum": ["x", 1]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
STRATEGIES: list[dict[str, Any]] = [
    {},
    {"num_beams": 3, "num_return_sequences": 3},
    {"do_sample": True, "seed": 4, "num_return_sequences": 3},
    {"num_beams": 2, "do_sample": True, "top_k": 5, "seed": 1},
    {"num_beams": 4, "num_beam_groups": 2, "num_return_sequences": 4},
    {"sampler": "contrastive"},
]


def make_model(kind: str) -> Seq2SeqLM:
    sizes = {} if kind in ("character", "byte", "word") else {"vocab_size": 300}
    text = Preprocessor.train([(each, each) for each in TEXTS * 20], kind, **sizes)
    architecture = variant({"shared": transformer()}).architecture.model_dump()
    size = text.target.vocabulary_size + 3  # ids without a token
    architecture |= {"source_vocab_size": size, "target_vocab_size": size}
    model = Seq2SeqLM.from_architecture(architecture, preprocessor=text)
    randomise(model, seed=3, scale=1.5)
    return model


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    return make_model("sentencepiece_bpe")


@pytest.mark.skipif(COMPILES, reason="nothing is computed")
@pytest.mark.parametrize("kind", sorted(set(TOKENIZERS) - {"word"}))
def test_random_walks_end_in_what_matches(kind):
    """Of each tokenizer, also of those that write the first word without a space."""
    sizes = {} if kind in ("character", "byte") else {"vocab_size": 300}
    text = Preprocessor.train([(each, each) for each in TEXTS * 20], kind, **sizes)
    tokenizer, eos = text.target, text.special_ids.target.eos
    grammar = compiled_grammar("regex", REGEX)
    tokens = GrammarTokens(grammar, tokenizer, tokenizer.vocabulary_size, [eos])
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(30):
        ids: list[int] = []
        while not ids or ids[-1] != eos:
            ids.append(int(rng.choice(np.flatnonzero(tokens.allowed([], ids)))))
        found = tokenizer.decode(ids)
        assert re.fullmatch(REGEX, found), (ids, found)
        seen.add(found)
    assert len(seen) > 10


def complete(model: Seq2SeqLM, output: Any) -> list[str]:
    """Texts that have ended before the limit; of beams, those that exist."""
    texts, eos = np.array(output.texts).reshape(-1), model.special_ids.target.eos
    ids = output.token_ids.reshape(len(texts), -1)
    lengths = output.lengths.reshape(-1)
    rows = zip(texts, ids, lengths, strict=True)
    return [str(text) for text, row, length in rows if length and row[length - 1] == eos]


@pytest.mark.parametrize("options", covered(STRATEGIES, STRATEGIES[1:2]), ids=str)
def test_every_strategy_obeys(model, options):
    sources = ["ab", "cd 12", "e", "45"]
    call = {"max_length": 60, "return_output": True, **options}
    found = model.generate(sources, regex=REGEX, **call)
    ended = complete(model, found)
    assert ended and all(re.fullmatch(REGEX, text) for text in ended)
    # An endless run of letters alone is cut.
    rest = set(np.array(found.texts).reshape(-1)) - set(ended)
    assert all(re.fullmatch(r"[a-c]*( [0-9]*)?", text) for text in rest)
    alone = model.generate(sources, regex=REGEX, batch_size=1, **call)
    assert alone.texts == found.texts


@slow_where_compiled
def test_objects_of_a_schema(model):
    from jsonschema import validate

    for options in STRATEGIES[:3]:
        call = {"max_length": 60, "return_output": True, **options}
        found = model.generate(["ab", "e"], json_schema=SCHEMA, **call)
        texts = np.array(found.texts).reshape(-1)
        assert len(complete(model, found)) == len(texts)
        for text in texts:
            validate(json.loads(text), SCHEMA)
            assert " " not in text


@slow_where_compiled
def test_a_grammar_of_nested_brackets(model):
    grammar = 'start: pair\npair: "(" pair ")" | "[" pair "]" | "a"'
    model = make_model("byte")
    found = model.generate(
        ["ab", "e"], grammar=grammar, num_beams=3, max_length=40, return_output=True
    )
    for text in complete(model, found):
        while len(text) > 1:
            assert text[0] + text[-1] in ("()", "[]")
            text = text[1:-1]
        assert text == "a"


@slow_where_compiled
def test_a_wide_search_finds_the_best_of_all():
    model = make_model("character")
    target = model.special_ids.target
    tokenizer = model.preprocessor.target
    ids = {letter: tokenizer.encode(letter)[0] for letter in "abc"}
    texts = ["".join(each) for n in (2, 3) for each in itertools.product("abc", repeat=n)]
    rows = [[*(ids[letter] for letter in text), target.eos] for text in texts]
    source = model.preprocessor.encode_source(["ab"])
    scores = np.asarray(model.score(source * len(rows), rows)) / [len(row) for row in rows]
    best = [texts[i] for i in np.argsort(-scores)[:5]]
    found = model.generate(
        "ab",
        regex="[abc]{2,3}",
        num_beams=60,
        num_return_sequences=5,
        early_stopping="never",
        max_length=9,
        return_output=True,
    )
    assert found.texts[0] == best
    np.testing.assert_allclose(found.scores[0], np.sort(scores)[::-1][:5], rtol=1e-4)


@slow_where_compiled
def test_what_follows_a_prefix(model):
    prefix = ["ab cd", ""]
    found = model.generate(
        ["ab", "e"], decoder_prefix=prefix, regex=" ?[0-9]{2}", max_length=30, return_output=True
    )
    assert re.fullmatch(r"ab cd ?[0-9]{2}", found.texts[0])
    assert re.fullmatch(r" ?[0-9]{2}", found.texts[1])


def test_what_cannot_be_meant(model, tmp_path):
    for options, message in (
        ({"regex": "[a"}, r"regex='\[a': .*unclosed character class"),
        ({"regex": ""}, "regex='' must be a text"),
        ({"grammar": "start: A"}, "grammar='start: A': .*unknown name"),
        ({"json_schema": "{"}, "must be a JSON schema"),
        ({"json_schema": {"type": "nothing"}}, "json_schema=.*Invalid type"),
        ({"json_schema": {"type": "integer"}, "regex": "a"}, "regex and json_schema both say"),
    ):
        with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)):
            model.generate("ab", **options)
    with pytest.raises(ExportError, match="regex, json_schema and grammar call Python"):
        model.export(tmp_path / "out", format="tf_saved_model", regex="a+")


@pytest.fixture(scope="module")
def tidy_model(tmp_path_factory) -> Seq2SeqLM:
    """A model whose tokenizer writes `a n't` as `an't`."""
    from hugging_face_folders import Loaded
    from huggingface_tokenizer_cases import CASES

    found = Loaded(CASES["t5_listed"](tmp_path_factory.mktemp("t5"))).ours
    ids = {"source": {"pad": 0, "eos": 1}, "target": {"decoder_start": 0, "pad": 0, "eos": 1}}
    text = Preprocessor(found.source, found.target, SpecialIds.model_validate(ids))
    architecture = variant({"shared": transformer()}).architecture.model_dump()
    size = text.target.vocabulary_size
    architecture |= {"source_vocab_size": size, "target_vocab_size": size}
    model = Seq2SeqLM.from_architecture(architecture, preprocessor=text)
    randomise(model, seed=3, scale=1.5)
    return model


@slow_where_compiled
def test_a_text_that_the_tokenizer_changes_is_an_error(tidy_model):
    options: dict[str, Any] = {"max_length": 30}
    for more in ({}, {"num_beams": 2, "num_return_sequences": 2}):
        with pytest.raises(ValueError, match=r"source 0: the result \"[ab]an't\" does not match"):
            tidy_model.generate(["ab", "e"], regex="[ab]a n't", **options, **more)
    with pytest.raises(ValueError, match="changes spaces around them"):
        list(tidy_model.stream("ab", regex="[ab]a n't", **options))
    # Another text of it is as its ids say, and so is one that was cut.
    assert tidy_model.generate("ab", regex="a[ab]c", **options)[0] == "a"
    assert tidy_model.generate("ab", regex="(a n't ){20}", max_length=9)
    prefixed = {"decoder_prefix": ["c", ""], "regex": "a?c b"}
    assert len(tidy_model.generate(["ab", "e"], **prefixed, **options)) == 2


def test_no_grammar_beside_a_shortlist(model):
    from keras_s2s.text.shortlists import learn_shortlist

    shortlist = learn_shortlist([("ab", "ab")], model.preprocessor)
    with pytest.raises(ValueError, match="regex and shortlist exclude each other"):
        model.generate("ab", regex="a+", shortlist=shortlist)
    found = model.generate("ab", regex="[ab]c", shortlist=False, max_length=9)
    assert re.fullmatch("[ab]c", found)
