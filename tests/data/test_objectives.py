"""Batches of texts with an objective: what rows hold, when they change, what is refused."""

import gzip
import logging

import numpy as np
import pytest
from fake_text import special_ids
from small_models import slow_where_compiled

from keras_s2s.config import TextConfig
from keras_s2s.data import (
    Batches,
    DataError,
    SentencePermutation,
    SpanCorruption,
    TextInfilling,
    read_lines,
)
from keras_s2s.text import Preprocessor

EOS = 3
SENTINELS = list(range(900, 950))
MASK = 800
SPANS = SpanCorruption(sentinels=SENTINELS)


def id_texts(count=40, shortest=4, longest=40, seed=0):
    """Texts of ids that tell their number: text n has ids from 1000 * (n + 1) on."""
    lengths = np.random.default_rng(seed).integers(shortest, longest, count)
    return [list(range(1000 * (n + 1), 1000 * (n + 1) + size)) for n, size in enumerate(lengths)]


def rows(batches, epoch=0):
    """Source and target of each text by its number, read back through masks and weights."""
    batches.epoch = epoch
    found = {}
    for x, y, w in batches:
        for row in range(len(y)):
            source = x["encoder_token_ids"][row][x["encoder_padding_mask"][row]].tolist()
            target = y[row][w[row] > 0].tolist()
            if target:
                number = next(i for i in source if i >= 1000) // 1000 - 1
                assert number not in found
                found[number] = (source, target)
    return found


def restored(source, target):
    spans, current = {}, None
    for i in target:
        if i in SENTINELS:
            current = spans.setdefault(i, [])
        else:
            current.append(i)
    return [j for i in source for j in (spans.get(i, []) if i in SENTINELS else [i])]


def batches_of(texts, objective=SPANS, **options):
    return Batches(
        texts, special_ids=special_ids(), objective=objective, **{"batch_size": 8, **options}
    )


def test_rows_interleave_back_to_the_texts_and_end_in_eos():
    texts = id_texts()
    batches = batches_of(texts)
    found = rows(batches)
    assert sorted(found) == list(range(len(texts)))
    for number, (source, target) in found.items():
        assert source[-1] == target[-1] == EOS
        assert EOS not in source[:-1] and EOS not in target[:-1]
        assert restored(source[:-1], target[:-1]) == texts[number]
    assert str(batches.report) == "40 texts given, 40 used"
    # Of span corruption every draw has the same lengths, so the shapes are exact.
    real = sum(len(source) + len(target) for source, target in found.values())
    positions = sum(x["encoder_token_ids"].size + y.size for x, y, _ in batches)
    assert batches.padding_share == pytest.approx(1 - real / positions)


def test_decoder_inputs_begin_with_the_start():
    x, y, _ = batches_of(id_texts())[0]
    assert (x["decoder_token_ids"][:, 0] == 2).all()
    np.testing.assert_array_equal(x["decoder_token_ids"][0, 1:3], y[0, :2])


@slow_where_compiled
def test_every_epoch_is_drawn_anew_and_can_be_repeated():
    texts = id_texts(shortest=60, longest=90)
    batches = batches_of(texts, seed=4)
    first, second = rows(batches, 0), rows(batches, 1)
    assert all(first[n][0] != second[n][0] for n in range(len(texts)))
    again = batches_of(texts, seed=4)
    assert rows(again, 1) == second, "the epoch alone decides, not what came before it"
    assert rows(again, 0) == first
    assert rows(batches_of(texts, seed=5), 0) != first
    shapes = [[x["encoder_token_ids"].shape for x, _, _ in batches] for batches.epoch in (0, 1)]
    assert sorted(shapes[0]) == sorted(shapes[1]), "nothing new to compile"


@slow_where_compiled
@pytest.mark.parametrize("objective", [SPANS, TextInfilling(mask_id=MASK)], ids=["t5", "bart"])
def test_a_row_depends_on_its_own_number_only(objective):
    texts = id_texts()
    expected = rows(batches_of(texts, objective, seed=4), 3)
    other = batches_of(texts, objective, seed=4, batch_size=3, num_buckets=1)
    assert rows(other, 3) == expected
    # Other texts, and some of them dropped: number and seed stay.
    changed = [text if n % 3 else [*text[:1], SENTINELS[0], MASK] for n, text in enumerate(texts)]
    found = rows(batches_of(changed, objective, seed=4), 3)
    assert sorted(found) == [n for n in range(len(texts)) if n % 3]
    assert all(found[n] == expected[n] for n in found)


def test_without_shuffle_every_epoch_is_the_same():
    batches = batches_of(id_texts(), shuffle=False)
    assert rows(batches, 0) == rows(batches, 7)


def test_a_pass_as_keras_makes_it_moves_on(monkeypatch):
    seen = []
    real = SpanCorruption.__call__

    def remember(self, ids, generator):
        source, target = real(self, ids, generator)
        seen.append(tuple(source.tolist()))
        return source, target

    monkeypatch.setattr(SpanCorruption, "__call__", remember)
    batches = batches_of(id_texts(count=8, shortest=38))
    for _ in range(3):
        batches.on_epoch_begin()
        for index in range(len(batches)):
            batches[index]
        batches.on_epoch_end()
    assert len(set(seen)) == len(seen) == 3 * 8


@slow_where_compiled
def test_barts_objective():
    stop = 5
    texts = [[*range(1000 * n, 1000 * n + 9), stop] * 3 for n in range(1, 21)]
    bart = [SentencePermutation(end_ids=[stop]), TextInfilling(mask_id=MASK)]
    found = rows(batches_of(texts, bart))
    moved = 0
    for number, (source, target) in found.items():
        assert target == [*texts[number], EOS]
        kept = [i for i in source[:-1] if i != MASK]
        assert len(kept) == 30 - 9, "30 % are lost"
        assert MASK in source and source[-1] == EOS
        moved += kept != sorted(kept, key=lambda i: (i == stop, i))
    assert moved
    alone = rows(batches_of(texts, [SentencePermutation(end_ids=[stop])]))
    for number, (source, target) in alone.items():
        assert target == [*texts[number], EOS]
        assert sorted(source) == sorted(target)


@slow_where_compiled
def test_permuted_spans_give_back_the_permuted_text():
    stop = 5
    texts = [[*range(1000, 1009), stop, *range(1010, 1019), stop]] * 30
    both = [SentencePermutation(end_ids=[stop]), SPANS]
    batches = batches_of(texts, both)
    orders = set()
    for x, y, w in batches:
        for row in range(len(y)):
            source = x["encoder_token_ids"][row][x["encoder_padding_mask"][row]].tolist()
            target = y[row][w[row] > 0].tolist()
            if target:
                orders.add(tuple(restored(source[:-1], target[:-1])))
    first, second = tuple(texts[0][:10]), tuple(texts[0][10:])
    assert orders == {first + second, second + first}


def test_only_a_permutation_may_come_first():
    infilling = TextInfilling(mask_id=MASK)
    for wrong in (
        [SPANS, infilling],
        [infilling, SPANS],
        [SPANS, SentencePermutation(end_ids=[5])],
    ):
        with pytest.raises(ValueError, match="must be the last objective"):
            batches_of(id_texts(), wrong)
    with pytest.raises(ValueError, match="empty list"):
        batches_of(id_texts(), [])
    with pytest.raises(TypeError, match=r"objective is 'span_corruption', expected SpanCorruption"):
        batches_of(id_texts(), "span_corruption")


# --------------------------------------------------------------------------------------
# Lengths, and texts that cannot be used
# --------------------------------------------------------------------------------------


def test_texts_that_cannot_be_used_are_counted(caplog):
    texts = [[1001, 1002, 1003], [], [2000], [3000, SENTINELS[0], 3001], [4000, 4001]]
    with caplog.at_level(logging.WARNING):
        batches = batches_of(texts)
    assert sorted(rows(batches)) == [0, 3], "by their ids, which begin with 1001 and 4000"
    expected = (
        "5 texts given, 2 used; 2 dropped as empty or too short; "
        "1 dropped with a sentinel or mask token in them"
    )
    assert str(batches.report) == expected
    assert expected in caplog.text


@pytest.mark.parametrize("limits", [(20, None), (None, 6), (20, 6)])
def test_limits_hold_for_what_is_drawn(limits):
    texts = id_texts(longest=80)
    options = dict(zip(("max_source_length", "max_target_length"), limits, strict=True))
    cut = batches_of(texts, overlong="truncate", **options)
    found = rows(cut)
    assert len(found) == len(texts) and cut.report.truncated > 5
    for number, (source, target) in found.items():
        assert limits[0] is None or len(source) <= limits[0]
        assert limits[1] is None or len(target) <= limits[1]
        text = restored(source[:-1], target[:-1])
        assert text == texts[number][: len(text)]
        if len(text) < len(texts[number]):  # one id more would not fit
            longest = [size + 1 for size in SPANS.longest(len(text) + 1)]
            assert any(m and size > m for size, m in zip(longest, limits, strict=True))
    dropped = batches_of(texts, **options)
    kept = rows(dropped)
    assert len(kept) == len(texts) - cut.report.truncated
    assert all(restored(s[:-1], t[:-1]) == texts[n] for n, (s, t) in kept.items())
    with pytest.raises(DataError, match=r"text \d+ \(counted from 0\).*max_source_length"):
        batches_of(texts, overlong="error", **options)


def test_nothing_left():
    with pytest.raises(DataError, match=r"no text is left.*1 texts given, 0 used"):
        batches_of([[1000]])
    with pytest.raises(DataError, match="no text is left"):
        batches_of([[1000, 1001, 1002]], max_target_length=1, overlong="truncate")


def test_a_lack_of_sentinels_is_logged(caplog):
    with caplog.at_level(logging.WARNING):
        batches_of([list(range(1000, 1200))], SpanCorruption(sentinels=SENTINELS[:4]))
    assert "needs 6 sentinels more than the tokenizer has" in caplog.text


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([(["a"], [1])], "text 0"),
        (["a text"], r"text 0 \(counted from 0\) is text, expected ids"),
        ("a text", "expected several texts, got one str"),
        ([[1000.5, 3.0]], "dtype float64, expected a flat list of integer ids"),
    ],
)
def test_what_is_no_row_of_ids(texts, message):
    with pytest.raises(DataError, match=message):
        batches_of(texts)


# --------------------------------------------------------------------------------------
# With a tokenizer
# --------------------------------------------------------------------------------------

TEXTS = ["A man plays a guitar. People listen!", "Two dogs run in the snow.", "It is warm. He is."]


def trained(kind="word", **options):
    config = {"source": {"kind": kind, "sentinels": 5, "mask": True, **options}, "joint": True}
    return Preprocessor.train(TEXTS, TextConfig.model_validate(config))


def test_sentinels_and_mask_come_from_the_tokenizer(capsys):
    text = trained()
    batches = Batches(TEXTS, text, objective=SpanCorruption(noise_density=0.3), shuffle=False)
    shown = batches.explain_batch(rows=1)
    assert capsys.readouterr().out == shown + "\n"
    token_id = text.source.token_to_id
    assert f"<extra_id_0> ({token_id('<extra_id_0>')}) | " in shown.splitlines()[2]
    assert "<s> (2)" in shown.splitlines()[4] and "<extra_id_0> (" in shown.splitlines()[4]
    batches = Batches(
        TEXTS, text, objective=[SentencePermutation(), TextInfilling()], shuffle=False
    )
    assert f"<mask> ({token_id('<mask>')})" in batches.explain_batch(rows=1)
    _, y, w = batches[0]
    targets = {text.target.decode(y[row][w[row] > 0].tolist()) for row in range(len(y))}
    assert targets == set(TEXTS)
    assert not np.isin(y, [token_id("<mask>"), *text.source.sentinel_ids]).any()


def test_the_special_ids_of_the_preprocessor_stand_around_texts():
    text = trained()
    changed = text.special_ids.model_dump()
    changed["source"].update(bos=2, eos=None)
    changed["target"].update(bos=2)
    framed = Preprocessor(text.source, text.target, type(text.special_ids).model_validate(changed))
    x, y, w = Batches(TEXTS, framed, objective=SpanCorruption(), shuffle=False)[0]
    assert (x["encoder_token_ids"][:, 0] == 2).all()
    assert not (x["encoder_token_ids"] == EOS).any()
    assert (y[:, 0] == 2).all()
    assert all(y[row][w[row] > 0][-1] == EOS for row in range(len(TEXTS)))


def test_languages_stand_around_texts():
    text = trained()
    changed = text.special_ids.model_dump()
    codes = {"en": text.source.token_to_id("<extra_id_4>")}
    changed["languages"] = {
        "codes": codes,
        "source": "suffix",
        "target": "forced_bos",
        "default_source": "en",
        "default_target": "en",
    }
    special = type(text.special_ids).model_validate(changed)
    framed = Preprocessor(text.source, text.target, special)
    objective = SpanCorruption(sentinels=text.source.sentinel_ids[:4])
    x, y, _ = Batches(TEXTS, framed, objective=objective, shuffle=False)[0]
    for row in range(len(TEXTS)):
        real = x["encoder_token_ids"][row][x["encoder_padding_mask"][row]].tolist()
        assert real[-2:] == [EOS, codes["en"]]
    assert (y[:, 0] == codes["en"]).all()
    with pytest.raises(ValueError, match="which language a row is in"):
        Batches([[5, 6]], special_ids=special, objective=SPANS)


def test_tokenizers_that_lack_something():
    plain = Preprocessor.train(TEXTS, "word", joint=True)
    with pytest.raises(ValueError, match=r"needs sentinels, and the tokenizer has none.*sentinels"):
        Batches(TEXTS, plain, objective=SpanCorruption())
    with pytest.raises(ValueError, match=r"needs a mask token, and the tokenizer has none.*mask"):
        Batches(TEXTS, plain, objective=TextInfilling())
    separate = Preprocessor.train([(text, text) for text in TEXTS], "word")
    with pytest.raises(ValueError, match="a tokenizer for each side"):
        Batches(TEXTS, separate, objective=SpanCorruption())
    with pytest.raises(DataError, match=r"text 1 .*expected a text, got \('a', 'b'\)"):
        Batches(["a text", ("a", "b")], trained(), objective=SpanCorruption())


def test_single_texts_train_joint_tokenizers_only():
    assert trained().joint
    with pytest.raises(ValueError, match=r"pair 0 is .*expected a source and a target text"):
        Preprocessor.train(TEXTS, "word")
    doubled = Preprocessor.train([(text, text) for text in TEXTS], "word", joint=True)
    single = Preprocessor.train(TEXTS, "word", joint=True)
    assert single.encodes_like(doubled)


# --------------------------------------------------------------------------------------
# Lines
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_lines(tmp_path, packed, caplog):
    content = "eins\r\n\n  \nzwei\u2028drei\nvier".encode()
    path = tmp_path / ("corpus.txt.gz" if packed else "corpus.txt")
    path.write_bytes(gzip.compress(content) if packed else content)
    with caplog.at_level(logging.WARNING):
        lines = read_lines(path)
    assert lines == ["eins", "zwei\u2028drei", "vier"]
    assert (lines.report.read, lines.report.kept, lines.report.empty) == (5, 3, 2)
    assert f"{path}: 5 lines read, 3 kept; dropped 2 empty" in caplog.text


def test_lines_that_cannot_be_read(tmp_path):
    path = tmp_path / "corpus.txt"
    with pytest.raises(DataError, match="no such file"):
        read_lines(path)
    path.write_bytes(b"\n \n")
    with pytest.raises(DataError, match=r"2 lines read, 0 kept.*nothing to use"):
        read_lines(path)
    path.write_bytes(b"ok\n\xff\n")
    with pytest.raises(DataError, match="line 2: not valid UTF-8"):
        read_lines(path)


@slow_where_compiled
@pytest.mark.parametrize(
    ("name", "objective"), [("t5", SpanCorruption()), ("bart", TextInfilling())]
)
def test_tokens_of_pretrained_tokenizers(tmp_path, name, objective):
    """T5's sentinels and BART's mask are found in folders that others made."""
    from text.test_pretrained_tokenizers import CASES

    from keras_s2s.config import SpecialIds
    from keras_s2s.text import load_pretrained_tokenizers

    found = load_pretrained_tokenizers(CASES[name](tmp_path / name), name)
    source = found.source
    ids = SpecialIds.model_validate(
        {
            "source": {"pad": source.pad_id, "eos": source.eos_id},
            "target": {
                "pad": source.pad_id,
                "eos": source.eos_id,
                "decoder_start": source.pad_id,
            },
        }
    )
    text = found.preprocessor(ids)
    texts = ["The quick brown fox jumps over the lazy dog; it wasn't here, was it?"] * 4
    inputs, _, _ = Batches(texts, text, objective=objective, batch_size=4)[0]
    special = source.sentinel_ids if name == "t5" else (source.mask_id,)
    assert np.isin(np.asarray(inputs["encoder_token_ids"]), special).any(axis=1).all()
