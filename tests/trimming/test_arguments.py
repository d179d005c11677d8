"""Arguments of `trim_vocabulary` that make no model, and what a smaller model takes over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from small_models import slow_where_compiled
from trimming.test_trim_vocabulary import USED, small_model

import keras_s2s as s2s
from keras_s2s import ConfigError, trim_vocabulary
from keras_s2s.text.shortlists.shortlist import from_lists

SOURCES, TARGETS = ([pair[side] for pair in USED] for side in (0, 1))


@pytest.fixture(scope="module")
def separate():
    return small_model("separate")


@pytest.fixture(scope="module")
def tied():
    return small_model("tied")


@slow_where_compiled
@pytest.mark.parametrize(
    ("texts", "what"),
    [
        ([], "there are none"),
        (iter(()), "there are none"),
        (("" for _ in range(3)), "all 3 texts are empty"),
        ([("", " \n")], "all 1 texts are empty"),
    ],
)
def test_no_text(tied, texts, what):
    with pytest.raises(ConfigError, match=f"no text to keep the source's .*: {what}"):
        trim_vocabulary(tied, texts)


@slow_where_compiled
def test_texts_of_one_side_alone(tied, separate):
    pairs = [("", target) for target in TARGETS]
    with pytest.raises(ConfigError, match="no text to keep the source's vocabulary of"):
        trim_vocabulary(separate, pairs)
    kept = trim_vocabulary(separate, pairs, keep={"source": [9]}, verbose=False)
    assert 9 in kept.trim_report.source_ids
    # One vocabulary for both sides has the tokens of the other one.
    assert len(trim_vocabulary(tied, pairs, verbose=False).trim_report.target_ids) > 10
    assert trim_vocabulary(tied, [], keep=[9], verbose=False).count_params()


@slow_where_compiled
@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"source": SOURCES, "target": TARGETS}, r"'source', 'target'; expected pairs: zip\("),
        (Path("train.de"), "'train.de', a PosixPath; expected a list .*read_lines"),
        (5, "texts is '5', a int; expected a list"),
        (b"text", "a bytes; expected a list"),
    ],
)
def test_what_is_no_list_of_texts(tied, texts, message):
    with pytest.raises(TypeError, match=message):
        trim_vocabulary(tied, texts)


@slow_where_compiled
def test_what_is_nothing_to_keep(tied):
    plain = trim_vocabulary(tied, USED, verbose=False).trim_report.source_ids
    for keep in (None, (), {}, {"source": []}, np.zeros(0, int)):
        assert trim_vocabulary(tied, USED, keep=keep, verbose=False).trim_report.source_ids == plain
        with pytest.raises(ConfigError, match="needs texts, or tokens to keep"):
            trim_vocabulary(tied, keep=keep)
    ids = trim_vocabulary(tied, keep=np.arange(30, 35), verbose=False).trim_report.source_ids
    assert set(range(30, 35)) <= set(ids)
    assert trim_vocabulary(tied, keep=iter([30]), verbose=False).trim_report.new_ids("source")[30]


@slow_where_compiled
@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (5, "keep is '5'; expected a list of tokens and ids"),
        (b"a", "keep is .*; expected a list"),
        ({"source": "abc"}, r"keep\['source'\] is the text 'abc'"),
        ({"target": None}, r"keep\['target'\] is 'None'; expected a list"),
        ([None], "keep: None is neither a token nor an id"),
        (np.zeros((2, 2), int), "neither a token nor an id"),
    ],
)
def test_what_is_no_list_to_keep(tied, keep, message):
    with pytest.raises(TypeError, match=message):
        trim_vocabulary(tied, USED, keep=keep)


@slow_where_compiled
def test_other_wrong_types(tied):
    with pytest.raises(TypeError, match="languages has None, which is no code"):
        trim_vocabulary(tied, USED, languages=[None])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="languages is 5; expected a list of codes"):
        trim_vocabulary(tied, USED, languages=5)  # type: ignore[arg-type]
    for model in ("folder", None, tied.preprocessor):
        with pytest.raises(TypeError, match="expected a Seq2SeqLM; a folder is read by"):
            trim_vocabulary(model, USED)  # type: ignore[arg-type]


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="int8 is there on PyTorch only")
def test_compute_type_stays(tied):
    whole = small_model("tied")
    assert trim_vocabulary(whole, USED, verbose=False).compute_type is None
    whole.compute_type = "int8"
    smaller = trim_vocabulary(whole, USED, verbose=False)
    assert smaller.compute_type == "int8"
    assert isinstance(smaller.generate(SOURCES[0]), str)


# --------------------------------------------------------------------------------------
# Shortlists
# --------------------------------------------------------------------------------------


def candidates(model: Any, texts: list[str], ids: Any = None) -> list[set[int]]:
    """The candidates of sources, as ids of the whole model."""
    rows = model.preprocessor.encode_source(texts)
    return [
        {int(i) if ids is None else ids[int(i)] for i in model.shortlist.candidates(row)}
        for row in rows
    ]


@slow_where_compiled
@pytest.mark.parametrize("name", ["tied", "separate"])
def test_a_shortlist_has_new_ids(name, tmp_path):
    whole = small_model(name)
    size = whole.preset.architecture.target_vocab_size
    rng = np.random.default_rng(0)
    lists = {i: rng.choice(size, 30, replace=False) for i in range(3, size - 9)}
    first, second = whole.preprocessor.encode_source(SOURCES[:1])[0][:2]
    phrases = {(first, second): np.arange(20, 60), (size - 1, size - 2): np.arange(9)}
    shared = whole.preprocessor.joint
    whole.shortlist = from_lists(
        lists, range(12), phrases=phrases, target_size=size, shared=shared, first=12
    )
    smaller = trim_vocabulary(whole, USED, verbose=False)
    kept = smaller.trim_report.target_ids
    expected = [found & set(kept) for found in candidates(whole, SOURCES)]
    assert candidates(smaller, SOURCES, kept) == expected
    assert smaller.shortlist.target_size == len(kept) < size
    output = smaller.generate(SOURCES, shortlist=True, max_length=8, return_output=True)
    allowed = set().union(*expected)
    assert {kept[int(i)] for row in output.token_ids for i in row} <= allowed

    smaller.save_to_preset(tmp_path / "own")
    again = s2s.Seq2SeqLM.from_preset(tmp_path / "own")
    message = "this one has none; a shortlist is no part of what is saved or exported: give its"
    with pytest.raises(ValueError, match=re.escape(message)):
        again.generate(SOURCES, shortlist=True)
    s2s.write_shortlist(tmp_path / "vmap.txt", smaller.shortlist, smaller.preprocessor)
    assert again.generate(SOURCES, shortlist=str(tmp_path / "vmap.txt"), max_length=8)


def test_ids_of_both_sides_that_become_two():
    table = from_lists({3: [4]}, [0], target_size=9, shared=True, multiple=2, first=1)
    made = table.renumbered({2: 0, 3: 1, 5: 2}, {0: 0, 3: 1, 4: 2, 8: 3})
    assert not made.shared and made.multiple == 2 and made.first == 1
    assert [set(made.of(i).tolist()) for i in range(3)] == [set(), {1, 2}, set()]
