"""Strings that end results: against plain searches in text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from small_models import COMPILES, covered, make_model, randomise, transformer, variant

from keras_s2s.documents.translation import GeneratedPart
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers.stop_strings import LONGEST, StopStrings
from keras_s2s.text import Preprocessor
from keras_s2s.text.token_bytes import token_bytes

#: What ids add to a text; None is a special id.
PIECES = [None, b"a", b"b", b"ab", b"ba", b"aab", b"c", b"bc", b" a", b"\xc3", b"\xa9"]
#: Bytes that the model likes to write.
LETTERS = set("abcdé ".encode())
STRATEGIES: list[dict[str, Any]] = [
    {},
    {"num_beams": 3, "num_return_sequences": 3},
    {"do_sample": True, "seed": 4, "num_return_sequences": 2},
    {"num_beams": 2, "do_sample": True, "top_k": 2, "seed": 1},
    {"num_beams": 4, "num_beam_groups": 2, "num_return_sequences": 4},
    {"force_words": ["d"], "num_beams": 3, "num_return_sequences": 3},
    {"sampler": "contrastive"},
]


def new_match(strings: list[str], before: bytes, new: bytes) -> bool:
    """Whether a string lies in the text and reaches into what is new."""
    text = before + new
    for string in strings:
        needle = string.encode()
        ends = range(len(before) + 1, len(text) + 1)
        if any(text[max(0, end - len(needle)) : end] == needle for end in ends):
            return True
    return False


@settings(max_examples=10 if COMPILES else 150)
@given(
    st.lists(st.text("abcé ", min_size=1, max_size=5), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(0, len(PIECES)), min_size=8, max_size=8),
)
def test_the_id_that_completes_a_string(strings, ids):
    stops = StopStrings.of(strings, PIECES, len(PIECES) + 1)  # an id without a piece
    histories = ops.convert_to_tensor(np.array([[ids]], "int32"))
    for index, i in enumerate(ids):
        found = stops.completed(histories[:, :, index], histories, index)
        known = [*PIECES, None]
        last = max((at for at in range(index) if known[ids[at]] is None), default=-1)
        before = b"".join(known[each] or b"" for each in ids[last + 1 : index])
        expected = known[i] is not None and new_match(strings, before, known[i] or b"")
        assert bool(ops.convert_to_numpy(found)[0, 0]) == expected


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    texts = [("abcdeé abed", "bacé cabé deb")] * 3
    text = Preprocessor.train(texts, "byte_level_bpe", vocab_size=300)
    architecture = variant({"shared": transformer()}).architecture.model_dump()
    model = Seq2SeqLM.from_architecture(architecture, preprocessor=text)
    randomise(model, seed=5, scale=2.0)
    wanted = [i for i, each in enumerate(token_bytes(text.target)) if each and set(each) <= LETTERS]
    (bias,) = [v for v in model.variables if v.path.endswith("logits/bias")]
    value = ops.convert_to_numpy(bias.value).copy()
    value[[i for i in range(len(value)) if i not in wanted]] -= 100
    bias.assign(value)
    return model


@pytest.mark.parametrize("options", covered(STRATEGIES, STRATEGIES[1:2]), ids=str)
def test_every_strategy_ends_there(model, options):
    texts = ["abc", "deb", "cab bed", "a"]
    call = {"max_length": 16, "return_output": True, **options}
    free = np.array(model.generate(texts, **call).texts).reshape(-1)
    strings = sorted({str(text)[3:6] for text in free})
    output = model.generate(texts, stop_strings=strings, **call)
    rows = output.token_ids.reshape(-1, output.token_ids.shape[-1])
    known, eos = token_bytes(model.preprocessor.target), model.special_ids.target.eos
    stopped = 0
    for ids, length in zip(rows, output.lengths.reshape(-1), strict=True):
        text = b""
        for at, i in enumerate(ids[:length]):
            hit = new_match(strings, text, known[i] or b"") if known[i] else False
            assert hit == (at == length - 1) or length == 15 or ids[length - 1] == eos
            text += known[i] or b""
            stopped += hit
    assert stopped
    alone = model.generate(texts, stop_strings=strings, batch_size=1, **call)
    np.testing.assert_array_equal(alone.lengths, output.lengths)


@pytest.mark.skipif(COMPILES, reason="the same code as in the test before")
def test_streams_prefixes_and_defaults(model):
    texts = ["abc", "deb"]
    strings = sorted({text[2:4] for text in model.generate(texts, max_length=20)})
    whole = model.generate(texts, stop_strings=strings, max_length=20)
    pieces = list(model.stream(texts, stop_strings=strings, max_length=20))
    assert ["".join(each) for each in zip(*pieces, strict=True)] == whole
    begun = model.generate(texts, stop_strings=["ab"], decoder_prefix=["ab", "ab"], max_length=20)
    assert all(text.startswith("ab") and len(text) > 2 for text in begun)
    assert not GeneratedPart.of_result("xab", [9], (3,), ["ab"]).unfinished
    assert GeneratedPart.of_result("xa", [9], (3,), ["ab"]).unfinished


@pytest.mark.parametrize(
    ("strings", "message"),
    [
        ([], r"stop_strings=\[\] must be a text"),
        ([""], "stop_strings has ''; expected a text that is not empty"),
        (5, "stop_strings=5 must be a text"),
        (["a" * (LONGEST + 1)], "which has 129 bytes; at most 128"),
    ],
)
def test_what_cannot_be_looked_for(model, strings, message):
    with pytest.raises(ValueError, match=message):
        model.generate("a", stop_strings=strings)


def test_a_model_without_text_refuses_them():
    model = make_model(variant({"shared": transformer()}))
    ids = {"encoder_token_ids": [[5, 3]], "encoder_padding_mask": [[True, True]]}
    with pytest.raises(ValueError, match="stop_strings are looked for in text, and this model has"):
        model.generate(ids, stop_strings=["a"])
