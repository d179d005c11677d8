"""Shortlists: model 1 by hand and by plain loops, files written by others, and broken files."""

from __future__ import annotations

import base64
import struct
import zlib
from collections import defaultdict

import numpy as np
import pytest

from keras_s2s.config import ConfigError, SourceIds, SpecialIds, TargetIds
from keras_s2s.text import Preprocessor
from keras_s2s.text.pretrained.token_list import TokenListTokenizer
from keras_s2s.text.shortlists import (
    Shortlist,
    learn_shortlist,
    read_shortlist,
    translation_table,
    write_shortlist,
)
from keras_s2s.text.shortlists.files import is_binary_shortlist
from keras_s2s.text.shortlists.shortlist import from_lists

WORDS = ["</s>", "<unk>", *(f"w{i}" for i in range(2, 24))]


def preprocessor(shared: bool = False, eos: int | None = 0) -> Preprocessor:
    source = TokenListTokenizer(WORDS, "space", {"eos": 0, "unk": 1})
    target = source if shared else TokenListTokenizer(WORDS, "space", {"eos": 0, "unk": 1})
    ids = SpecialIds(
        source=SourceIds(pad=0, eos=eos, unk=1),
        target=TargetIds(pad=0, eos=0, unk=1, decoder_start=0),
    )
    return Preprocessor(source, target, ids)


# --------------------------------------------------------------------------------------
# Model 1
# --------------------------------------------------------------------------------------


def test_one_step_of_model_1_by_hand():
    """[1 2] -> [7 8] and [1] -> [7], each source with an empty word.

    From equal probabilities, in the first sentence each of three words has a third of 7 and of 8,
    in the second each of two a half of 7: 1 has 5/6 of 7 and 1/3 of 8, 2 has 1/3 of both.
    """
    known, ids, found = translation_table([[1, 2], [1]], [[7, 8], [7]], 1)
    table = {(int(i), int(j)): p for i, j, p in zip(known, ids, found, strict=True)}
    expected = {(1, 7): 5 / 7, (1, 8): 2 / 7, (2, 7): 1 / 2, (2, 8): 1 / 2}
    assert table == pytest.approx(expected)


def test_model_1_is_that_of_plain_loops(monkeypatch):
    monkeypatch.setattr("keras_s2s.text.shortlists.word_model.BLOCK", 7)
    draw = np.random.default_rng(0)
    sources = [draw.integers(0, 6, draw.integers(1, 5)).tolist() for _ in range(12)]
    targets = [draw.integers(0, 8, draw.integers(1, 5)).tolist() for _ in range(12)]
    likely: dict = defaultdict(lambda: 1.0)
    for _ in range(4):
        counts, totals = defaultdict(float), defaultdict(float)
        for source, target in zip(sources, targets, strict=True):
            for j in target:
                whole = sum(likely[i, j] for i in (None, *source))
                for i in (None, *source):
                    counts[i, j] += likely[i, j] / whole
                    totals[i] += likely[i, j] / whole
        likely = defaultdict(float, {key: counts[key] / totals[key[0]] for key in counts})
    known, ids, found = translation_table(sources, targets, 4)
    table = {(int(i), int(j)): p for i, j, p in zip(known, ids, found, strict=True)}
    assert table == pytest.approx({key: p for key, p in likely.items() if key[0] is not None})


def test_translations_are_learnt(tmp_path):
    text = preprocessor()
    pairs = [("w2 w3", "w13 w12"), ("w2 w4", "w14 w12"), ("w3 w4", "w13 w14"), ("w4", "w14")]
    learnt = learn_shortlist(pairs, text, first=1, best=1, iterations=50)
    assert [learnt.of(i).tolist() for i in (2, 3, 4)] == [[12], [13], [14]]
    assert learnt.always.tolist() == [0]  # the most frequent: EOS
    candidates = learnt.candidates([3, 0])
    assert {0, 13} <= set(candidates.tolist()) and len(candidates) == 8
    for name in ("lex.bin", "vmap.txt"):
        write_shortlist(tmp_path / name, learnt, text)
        again = read_shortlist(tmp_path / name, text)
        assert [again.of(i).tolist() for i in (2, 3, 4)] == [[12], [13], [14]]
    write_shortlist(tmp_path / "lex.bin", learnt, text)
    again = read_shortlist(tmp_path / "lex.bin", text)
    for source in ([2, 0], [2, 3, 4, 0], [9, 0]):
        np.testing.assert_array_equal(again.candidates(source), learnt.candidates(source))
    with pytest.raises(ValueError, match="there are none"):
        learn_shortlist([("", "")], preprocessor(eos=None), first=1)
    with pytest.raises(ValueError, match="best=0 must be a whole number of at least 1"):
        learn_shortlist(pairs, text, best=0)


# --------------------------------------------------------------------------------------
# Candidates
# --------------------------------------------------------------------------------------


def test_candidates_are_those_of_the_ids():
    table = from_lists({3: [9, 5], 7: [2]}, [0], target_size=20)
    assert table.candidates([3, 3, 8, 99]).tolist() == [0, 5, 9]
    assert table.candidates([7], more=[19]).tolist() == [0, 2, 19]
    shared = from_lists({3: [9, 5]}, [0], target_size=20, shared=True)
    assert shared.candidates([3, 25]).tolist() == [0, 3, 5, 9]
    eights = from_lists({3: [9, 5]}, range(3), target_size=20, multiple=8, first=3)
    assert eights.candidates([3]).tolist() == [0, 1, 2, 3, 4, 5, 6, 9]
    whole = from_lists({}, range(3), target_size=5, multiple=8, first=3)
    assert whole.candidates([3]).tolist() == [0, 1, 2, 3, 4]
    phrases = from_lists({}, [], phrases={(4, 5): np.array([11])}, target_size=20)
    assert phrases.candidates([4, 5]).tolist() == [11]
    assert phrases.candidates([5, 4]).tolist() == []


# --------------------------------------------------------------------------------------
# Files
# --------------------------------------------------------------------------------------

LEXICON = """\
w12 w2 0.5
w13 w2 0.25
NULL w2 0.9
w14 w2 0.25
w2 NULL 1.0
w9 nowhere 0.5
w21 </s> 0.125
w22 w3 0.75
"""
#: What Marian's own converter (pymarian 1.12.42: convert -s lex.s2t 2 2 0 -d ...) makes of
#: `LEXICON` with the vocabulary `WORDS`.
CONVERTED = "c-s3aZo+ugL+WFY!m_QwF0&h$7$5*fOG0T@22{X^rj7+o-C(ChftVABd4QM?h{b>y09#WB$p"


def test_marians_text_is_read(tmp_path):
    path = tmp_path / "lex.s2t"
    path.write_text(LEXICON)
    found = read_shortlist(path, preprocessor(), first=2, best=2)
    # Of equal probabilities Marian takes the higher id; those of EOS hold for every source.
    assert found.of(2).tolist() == [12, 14] and found.of(3).tolist() == [22]
    assert found.always.tolist() == [0, 1, 21]
    assert found.candidates([2, 0]).tolist() == [0, 1, 2, 3, 4, 12, 14, 21]


def test_marians_binary_is_read_and_written_byte_for_byte(tmp_path):
    content = zlib.decompress(base64.b85decode(CONVERTED))
    path = tmp_path / "lex.bin"
    path.write_bytes(content)
    assert is_binary_shortlist(path)
    (tmp_path / "lex.s2t").write_text(LEXICON)
    text = preprocessor()
    found, same = (
        read_shortlist(tmp_path / name, text, first=2, best=2) for name in ("lex.bin", "lex.s2t")
    )
    assert found.always.tolist() == same.always.tolist()
    assert all(found.of(i).tolist() == same.of(i).tolist() for i in range(len(WORDS)))
    write_shortlist(tmp_path / "again.bin", found, text)
    assert (tmp_path / "again.bin").read_bytes() == content


def test_ctranslate2s_map_is_read(tmp_path):
    path = tmp_path / "vmap.txt"
    path.write_text("\tw5 w6\nw2\tw12 w13\nw2 w3\tw14\nelsewhere\tw15\n", encoding="utf-8")
    found = read_shortlist(path, preprocessor())
    assert found.always.tolist() == [0, 1, 5, 6]
    assert found.candidates([2]).tolist() == [0, 1, 5, 6, 12, 13]
    assert found.candidates([4, 2, 3]).tolist() == [0, 1, 5, 6, 12, 13, 14]
    with pytest.raises(ConfigError, match="candidates of single ids"):
        write_shortlist(tmp_path / "lex.bin", found, preprocessor())
    write_shortlist(tmp_path / "again.txt", found, preprocessor())
    again = read_shortlist(tmp_path / "again.txt", preprocessor())
    assert again.candidates([4, 2, 3]).tolist() == found.candidates([4, 2, 3]).tolist()


def test_sources_without_an_end_have_no_place_in_marians_form(tmp_path):
    table = from_lists({2: [3]}, [9], target_size=len(WORDS))
    with pytest.raises(ConfigError, match="do not end in EOS"):
        write_shortlist(tmp_path / "lex.bin", table, preprocessor(eos=None))


def binary(offsets: list[int], ids: list[int], first: int = 2, **header: int) -> bytes:
    fields = {"words": len(offsets), "count": len(ids), **header}
    content = struct.pack(
        f"<6Q{len(offsets)}Q{len(ids)}I",
        *(0xF11A48D5013417F5, 0, first, 9, fields["words"], fields["count"]),
        *offsets,
        *ids,
    )
    seed = 0  # boost::hash_combine over whole words, in 64 bits
    for (word,) in struct.iter_unpack("<Q", content[16 : 16 + (len(content) - 16) // 8 * 8]):
        seed ^= (word + 0x9E3779B9 + (seed << 6) + (seed >> 2)) % 2**64
    return content[:8] + struct.pack("<Q", seed) + content[16:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (binary([0, 1], [5])[:-2], "its header asks for 68 bytes, but the file has 66"),
        (binary([0, 1], [5])[:20], "cut off"),
        (binary([0, 1], [5], words=2**60), "damaged"),
        (binary([0, 1, 2], [5, 6]).replace(b"\x05", b"\x07"), "checksum"),
        (binary([0, 2, 1, 2], [5, 6]), "no ascending numbers"),
        (binary([1, 2], [5, 6]), "no ascending numbers"),
        (binary([], []), "no ascending numbers"),
        (binary([0, 1], [24]), "target id 24, but the vocabulary has 24"),
        (b"\xff\xfe\x00", "neither text in UTF-8 .byte 0"),
        (b"a b\n", "line 1: 'a b'; expected a target token, a source token and a prob"),
        (b"w2 w3 much\n", "line 1: 'w2 w3 much'"),
        (b"x y 0.5\nv z 0.5\n", "none of its 3 lines has tokens of this model's vocab"),
        (b"w2\tw3\nw4 w5\n", "line 2: 'w4 w5' has no tab"),
        (b"x y 0.5", "none of its 1 lines has tokens of this model's vocab"),
        (b"w2 w3 nan\n", "line 1: 'w2 w3 nan'; expected .* a probability"),
        (b"w2 w3 -0.5\n", "line 1: 'w2 w3 -0.5'"),
        (b"x\tw3 w4\nw2\ty z\n", "none of its 3 lines has tokens of this model's vocab"),
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"\x1f\x8b\x08", "unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    ],
)
def test_broken_files_are_refused(content, message, tmp_path):
    path = tmp_path / "lex"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_shortlist(path, preprocessor())
    assert str(path) in str(caught.value)
    with pytest.raises(ConfigError, match="no such file"):
        read_shortlist(tmp_path / "missing", preprocessor())
    with pytest.raises(ConfigError, match="a folder stands here"):
        read_shortlist(tmp_path, preprocessor())
    with pytest.raises(ValueError, match="best=0 must be a whole number of at least 1"):
        read_shortlist(path, preprocessor(), best=0)


def test_files_of_other_systems_are_read(tmp_path):
    """A mark at the beginning, and lines that end in two characters."""
    text = "\tw5 w6\nw2\tw12 w13\nw2 w3\tw14\nw2 w3\tw15\n"
    (tmp_path / "plain.txt").write_text(text)
    (tmp_path / "other.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    plain, other = (
        read_shortlist(tmp_path / f"{n}.txt", preprocessor()) for n in ("plain", "other")
    )
    expected = [0, 1, 5, 6, 12, 13, 14, 15]
    assert [each.candidates([2, 3]).tolist() for each in (plain, other)] == [expected, expected]


def test_ids_that_cannot_be_are_refused():
    for arrays, message in (
        (([0, 1], [9], [0]), "targets of a shortlist has ids from 9 to 9"),
        (([0, 1], [8], [-1]), "always of a shortlist has ids from -1"),
        (([0, 2], [8], [0]), "offsets of a shortlist must ascend from 0 to its 1 targets"),
        (([], [], []), "offsets of a shortlist must ascend"),
    ):
        with pytest.raises(ValueError, match=message):
            Shortlist(*[np.array(each, "int64") for each in arrays], target_size=9)
    table = Shortlist(*[np.array(each) for each in ([0, 1], [8], [0])], target_size=9, multiple=8)
    # Of a prefix; a model may have more ids than its tokenizer.
    assert table.candidates([0], more=[11]).tolist() == [*range(7), 8, 11]


def test_files_changed_anywhere_are_refused_or_read(tmp_path):
    content, draw, refused = binary([0, 1, 2, 2], [5, 6]), np.random.default_rng(0), 0
    for _ in range(300):
        broken = bytearray(content)
        for _ in range(draw.integers(1, 4)):
            broken[draw.integers(8, len(broken))] = draw.integers(256)
        broken = broken[: draw.integers(9, len(broken) + 1)]
        (tmp_path / "lex").write_bytes(broken)
        try:
            found = read_shortlist(tmp_path / "lex", preprocessor())
            assert isinstance(found, Shortlist)
        except ConfigError:
            refused += 1
    assert refused > 290
