"""Batches: what each holds, which shapes there are, and what an epoch consists of."""

import logging
from collections import Counter

import keras
import numpy as np
import pytest
from fake_text import FakePreprocessor, special_ids
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_s2s.data import Batches, DataError
from keras_s2s.data import batches as batches_module

PREPROCESSOR = FakePreprocessor()
EOS = 3


def id_pairs(lengths):
    """Pairs whose ids tell their number: (source length, target length) with EOS."""
    return [
        ([100 + n] * (source - 1) + [EOS], [100 + n] * (target - 1) + [EOS])
        for n, (source, target) in enumerate(lengths)
    ]


def random_pairs(count, seed=0, longest=40):
    lengths = np.random.default_rng(seed).integers(2, longest, (count, 2))
    return id_pairs(lengths.tolist())


def examples(batches):
    """Source and target ids of each real row, in order, read back through the masks."""
    found = []
    for x, y, w in batches:
        for row in range(len(y)):
            source = x["encoder_token_ids"][row][x["encoder_padding_mask"][row]]
            target = y[row][w[row] > 0]
            if len(target):
                found.append((source.tolist(), target.tolist()))
    return found


def shape(batch):
    x, y, _ = batch
    return (*x["encoder_token_ids"].shape, y.shape[1])


def equal(one, other):
    return all(
        np.array_equal(a, b)
        for a, b in zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True)
    )


def test_a_batch_by_hand():
    batches = Batches([("ab", "cde"), ("a", "b")], PREPROCESSOR, shuffle=False)
    assert len(batches) == 1
    x, y, w = batches[0]
    assert x["encoder_token_ids"].tolist() == [[10, 11, 3], [10, 3, 0]]
    assert x["encoder_padding_mask"].tolist() == [[True, True, True], [True, True, False]]
    assert x["decoder_token_ids"].tolist() == [[2, 12, 13, 14], [2, 11, 0, 0]]
    assert x["decoder_padding_mask"].tolist() == [[True] * 4, [True, True, False, False]]
    assert y.tolist() == [[12, 13, 14, 3], [11, 3, 0, 0]]
    assert w.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    dtypes = {name: array.dtype.name for name, array in x.items()}
    assert dtypes == {
        "encoder_token_ids": "int32",
        "encoder_padding_mask": "bool",
        "decoder_token_ids": "int32",
        "decoder_padding_mask": "bool",
    }
    assert (y.dtype.name, w.dtype.name) == ("int32", "float32")


@pytest.mark.parametrize(
    ("start", "eos", "pad"), [(2, 3, 3), (0, 3, 0), (3, 3, 3)], ids=["eos", "start", "all"]
)
def test_masks_come_from_lengths_where_pad_has_another_meaning(start, eos, pad):
    special = special_ids(start, eos, pad, source_pad=pad)
    batches = Batches(
        [([5, pad, pad], [7, 8, eos]), ([5, 6], [7, eos])], special_ids=special, shuffle=False
    )
    x, y, w = batches[0]
    assert x["encoder_token_ids"].tolist() == [[5, pad, pad], [5, 6, pad]]
    assert x["encoder_padding_mask"].tolist() == [[True] * 3, [True, True, False]]
    assert x["decoder_padding_mask"].tolist() == [[True] * 3, [True, True, False]]
    assert x["decoder_token_ids"].tolist() == [[start, 7, 8], [start, 7, pad]]
    assert y.tolist() == [[7, 8, eos], [7, eos, pad]]
    assert w.tolist() == [[1, 1, 1], [1, 1, 0]]


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60),
    batch_size=st.integers(1, 20),
    tokens=st.booleans(),
    num_buckets=st.integers(1, 5),
    shuffle=st.booleans(),
    epoch=st.integers(0, 3),
)
def test_each_example_once_in_few_shapes(lengths, batch_size, tokens, num_buckets, shuffle, epoch):
    pairs = id_pairs(lengths)
    batches = Batches(
        pairs,
        special_ids=special_ids(),
        batch_size=batch_size * 10 if tokens else batch_size,
        batch_unit="tokens" if tokens else "sentences",
        num_buckets=num_buckets,
        shuffle=shuffle,
    )
    batches.epoch = epoch
    made = list(batches)
    assert len(made) == len(batches)
    assert Counter(map(str, examples(made))) == Counter(map(str, pairs))
    shapes = {shape(batch) for batch in made}
    assert shapes == set(batches.shapes) and len(batches.shapes) == len(shapes)
    assert len(shapes) <= num_buckets
    # Only one batch has filler rows, and they count for nothing.
    partial = [batch for batch in made if not batch[2].any(axis=1).all()]
    assert len(partial) <= 1
    for x, _, w in made:
        filler = ~w.any(axis=1)
        assert not x["encoder_padding_mask"][filler].any()
        assert not x["decoder_padding_mask"][filler].any()
        assert (x["decoder_padding_mask"] == (w == 1)).all()
    real = sum(len(source) + len(target) for source, target in pairs)
    positions = sum(rows * (s + t) for rows, s, t in map(shape, made))
    assert batches.padding_share == pytest.approx(1 - real / positions)
    # Keras on TensorFlow takes the dimensions that vary from the first two batches.
    for axis in range(1, 3):
        if len({each[axis] for each in shapes}) > 1:
            assert shape(made[0])[axis] != shape(made[1])[axis]


def test_left_over_examples_go_on_into_the_next_bucket():
    pairs = id_pairs([(4, 4)] * 3 + [(20, 20)] * 3)
    batches = Batches(pairs, special_ids=special_ids(), batch_size=2, num_buckets=2, shuffle=False)
    assert batches.shapes == [(2, 4, 4), (2, 20, 20)]
    assert Counter(map(shape, batches)) == {(2, 4, 4): 1, (2, 20, 20): 2}
    mixed = [batch for batch in batches if len({len(s) for s, _ in examples([batch])}) == 2]
    assert len(mixed) == 1 and shape(mixed[0]) == (2, 20, 20)
    assert all(batch[2].any(axis=1).all() for batch in batches)


def test_batch_size_in_tokens():
    pairs = id_pairs([(4, 4)] * 100 + [(20, 12)] * 100)
    batches = Batches(
        pairs, special_ids=special_ids(), batch_size=100, batch_unit="tokens", num_buckets=2
    )
    assert batches.shapes == [(5, 20, 12), (25, 4, 4)][::-1]
    assert len(batches) == 4 + 20


def test_few_pairs_make_a_small_batch():
    assert Batches([("a", "b")], PREPROCESSOR, batch_size=64).shapes == [(1, 2, 2)]


def test_same_seed_same_batches_and_a_new_order_each_epoch():
    pairs = random_pairs(200)

    def make(**options):
        return Batches(pairs, special_ids=special_ids(), batch_size=16, **options)

    one, other = make(seed=7), make(seed=7)
    orders = []
    for epoch in range(3):
        one.epoch = other.epoch = epoch
        assert all(equal(a, b) for a, b in zip(one, other, strict=True))
        orders.append([str(example) for example in examples(one)])
    assert len({tuple(order) for order in orders}) == 3
    assert len({tuple(sorted(order)) for order in orders}) == 1
    assert examples(make(seed=8)) != examples(make(seed=7))
    # An order asked for again is the same one.
    one.epoch = 1
    assert [str(example) for example in examples(one)] == orders[1]

    fixed = make(shuffle=False)
    before = examples(fixed)
    fixed.epoch = 5
    assert examples(fixed) == before


def test_overlong_pairs_are_dropped_and_counted(caplog):
    pairs = id_pairs([(3, 3), (9, 3), (3, 9), (9, 9)])
    limits = {"max_source_length": 5, "max_target_length": 6, "special_ids": special_ids()}
    with caplog.at_level(logging.WARNING):
        batches = Batches(pairs, **limits)
    assert [str(e) for e in examples(batches)] == [str(pairs[0])]
    report = batches.report
    assert (report.read, report.kept, report.overlong_dropped, report.truncated) == (4, 1, 3, 0)
    assert (report.overlong_source, report.overlong_target) == (2, 2)
    assert "3 dropped as too long (source: 2, target: 2)" in caplog.text
    with pytest.raises(DataError, match=r"pair 1 .* source of 9 and target of 3 ids"):
        Batches(pairs, overlong="error", **limits)


def test_truncation_keeps_eos():
    pairs = [([5, 6, 7, 8, EOS], [6, 7, 8, 9, EOS]), ([5, 6, 7, 8], [6, EOS])]
    batches = Batches(
        pairs,
        special_ids=special_ids(),
        max_source_length=3,
        max_target_length=4,
        overlong="truncate",
        shuffle=False,
    )
    # The second source has no EOS, so none is invented.
    assert examples(batches) == [([5, 6, EOS], [6, 7, 8, EOS]), ([5, 6, 7], [6, EOS])]
    assert (batches.report.truncated, batches.report.kept) == (2, 2)


def test_empty_sides_are_dropped_and_counted():
    batches = Batches([("", "a"), ("a", " \t"), ("a", "b")], PREPROCESSOR)
    assert (batches.report.empty, batches.report.kept, len(batches)) == (2, 1, 1)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "no pair is left for a batch: 0 pairs given"),
        ([([5], [])], "1 pairs given, 0 used; 1 dropped with an empty side"),
        ([([5] * 9, [EOS])], r"1 dropped as too long .*max_source_length=8"),
        ([([5], [6, 7])], r"pair 0 .*the target ends in id 7, expected the EOS id 3"),
        ([([5], [EOS]), ([5], [2, 6, EOS])], r"pair 1 .*begins with the decoder start id 2"),
        ([([5], [6, EOS, 0])], r"the EOS id 3 stands at position 1 of 3"),
        ([([5], [6, EOS, EOS])], r"looks padded"),
        ([([5], [6.5, EOS])], r"target is .*, of shape \(2,\) and dtype float64"),
        ([([[5]], [EOS])], r"source is .*, of shape \(1, 1\)"),
        ([([5, -1], [EOS])], r"source holds -1\.\.5"),
        ([("a", "b")], "source is text, expected ids"),
        (["ab"], "expected a source and a target, got 'ab'"),
        ([([5], [EOS], 1)], "expected a source and a target"),
    ],
)
def test_ids_that_cannot_be_used(pairs, message):
    with pytest.raises(DataError, match=message):
        Batches(pairs, special_ids=special_ids(), max_source_length=8)


def test_texts_that_cannot_be_used():
    with pytest.raises(DataError, match=r"pair 1 .*target is a list, expected text"):
        Batches([("a", "b"), ("a", [5, EOS])], PREPROCESSOR)

    class Starts(FakePreprocessor):
        def encode_target(self, texts):
            return [[2, *ids] for ids in super().encode_target(texts)]

    class Endless(FakePreprocessor):
        def encode_target(self, texts):
            return [ids[:-1] for ids in super().encode_target(texts)]

    with pytest.raises(DataError, match="every target begins with the decoder start id 2"):
        Batches([("a", "b"), ("a", "c")], Starts())
    with pytest.raises(DataError, match="expected the EOS id 3"):
        Batches([("a", "b")], Endless())


def test_decoder_start_may_begin_a_target_where_it_is_bos():
    batches = Batches([([5], [2, 6, EOS])], special_ids=special_ids(bos=2))
    x, y, _ = batches[0]
    assert x["decoder_token_ids"].tolist() == [[2, 2, 6]]
    assert y.tolist() == [[2, 6, EOS]]


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"num_buckets": 0},
        {"seed": -1},
        {"max_source_length": 0},
        {"batch_unit": "words"},
        {"overlong": "keep"},
        {"special_ids": special_ids(start=9)},
    ],
)
def test_arguments_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Batches([("a", "b")], PREPROCESSOR, **options)


def test_ids_need_special_ids():
    with pytest.raises(ValueError, match="special_ids for pairs of ids"):
        Batches([([5], [EOS])])


def test_a_fault_in_the_shift_is_refused(monkeypatch):
    """Batches checks what it made: a broken shift cannot reach a model."""
    right = batches_module.teacher_forcing

    def unshifted(*arguments):
        _, labels, weights = right(*arguments)
        return labels, labels, weights

    def twice(*arguments):
        inputs, labels, weights = right(*arguments)
        inputs[:, 1:] = inputs[:, :-1].copy()
        return inputs, labels, weights

    batches = Batches([("abcdef", "ghijkl")], PREPROCESSOR)
    for fault in (unshifted, twice):
        monkeypatch.setattr(batches_module, "teacher_forcing", fault)
        with pytest.raises(DataError, match=r"not shifted|shifted\s+twice"):
            batches[0]


def test_index_range():
    batches = Batches(random_pairs(30), special_ids=special_ids(), batch_size=10)
    assert equal(batches[-1], batches[len(batches) - 1])
    with pytest.raises(IndexError):
        batches[len(batches)]


def test_describe():
    batches = Batches(random_pairs(100), special_ids=special_ids(), batch_size=10, num_buckets=3)
    text = batches.describe()
    assert "100 pairs given, 100 used" in text
    assert f"in {len(batches.shapes)} shapes" in text and "% of positions are padding" in text
    assert len(text.splitlines()) == 2 + len(batches.shapes)


# --------------------------------------------------------------------------------------
# Under Keras
# --------------------------------------------------------------------------------------


def tiny_model(vocabulary=400):
    """Predicts each label from the decoder input and the mean of the source."""
    ids = [
        keras.Input([None], dtype="int32", name=f"{s}_token_ids") for s in ("encoder", "decoder")
    ]
    masks = [
        keras.Input([None], dtype="bool", name=f"{s}_padding_mask") for s in ("encoder", "decoder")
    ]
    table = keras.layers.Embedding(vocabulary, 8)
    weights = keras.ops.cast(keras.ops.expand_dims(masks[0], -1), "float32")
    mean = keras.ops.sum(table(ids[0]) * weights, axis=1, keepdims=True)
    logits = keras.layers.Dense(vocabulary)(table(ids[1]) + 0.01 * mean)
    inputs = {tensor.name: tensor for tensor in (*ids, *masks)}
    model = keras.Model(inputs, logits)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class Recording(Batches):
    """Remembers which epoch each batch was taken from."""

    def __init__(self, *arguments, **options):
        self.taken = []
        super().__init__(*arguments, **options)

    def __getitem__(self, index):
        self.taken.append((self.epoch, index))
        return super().__getitem__(index)


def test_fit_takes_every_batch_once_an_epoch_in_a_new_order():
    batches = Recording(
        random_pairs(60, longest=20), special_ids=special_ids(), batch_size=8, num_buckets=3
    )
    assert len({s for _, s, _ in batches.shapes}) > 2
    model = tiny_model()
    history = model.fit(batches, epochs=3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert history.history["loss"][2] < history.history["loss"][0]
    assert batches.epoch == 3
    taken = set(batches.taken)
    assert {(e, i) for e in range(3) for i in range(len(batches))} <= taken
    assert {epoch for epoch, _ in taken} == {0, 1, 2}
    # A second fit goes on with the next order, and a look at one batch changes nothing.
    batches.explain_batch()
    model.fit(batches, epochs=1, verbose=0, shuffle=False)
    assert batches.epoch == 4


def test_steps_per_epoch_does_not_change_the_order_within_a_pass():
    batches = Recording(random_pairs(64), special_ids=special_ids(), batch_size=8, num_buckets=1)
    assert len(batches) == 8
    tiny_model().fit(batches, epochs=2, steps_per_epoch=4, verbose=0, shuffle=False)
    assert {epoch for epoch, _ in batches.taken} == {0}
    assert {index for _, index in batches.taken} == set(range(8))
    assert batches.epoch == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_a_second_run_gives_the_same_losses(workers):
    def losses():
        keras.utils.set_random_seed(3)
        batches = Batches(
            random_pairs(40, longest=16),
            special_ids=special_ids(),
            batch_size=8,
            num_buckets=2,
            workers=workers,
        )
        return tiny_model().fit(batches, epochs=2, verbose=0).history["loss"]

    assert losses() == losses()


def test_equal_as_tf_dataset():
    pytest.importorskip("tensorflow")
    batches = Batches(random_pairs(60), special_ids=special_ids(), batch_size=8, num_buckets=3)
    dataset = batches.as_tf_dataset()
    assert int(dataset.cardinality()) == len(batches)
    x, y, w = dataset.element_spec
    for spec in (*x.values(), y, w):
        assert spec.shape.as_list() == [None, None]
    # A pass given up does not count.
    next(iter(dataset))
    for epoch in range(2):
        batches.epoch = epoch
        made = [keras.tree.map_structure(lambda tensor: tensor.numpy(), batch) for batch in dataset]
        assert len(made) == len(batches)
        for one, other in zip(made, batches, strict=True):
            assert one[0].keys() == other[0].keys()
            assert [a.dtype for a in keras.tree.flatten(one)] == [
                a.dtype for a in keras.tree.flatten(other)
            ]
            assert equal(one, other)


def test_fit_on_tf_dataset():
    pytest.importorskip("tensorflow")
    batches = Batches(random_pairs(40), special_ids=special_ids(), batch_size=8, num_buckets=2)
    history = tiny_model().fit(batches.as_tf_dataset(), epochs=2, verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"]).all()


def test_the_rest_of_an_epoch_has_its_last_batches():
    batches = Batches(random_pairs(60), special_ids=special_ids(), batch_size=8, seed=3)
    batches.epoch = 5
    whole = [batches[i] for i in range(len(batches))]
    rest = batches.rest_of_epoch(2)
    assert len(rest) == len(batches) - 2
    assert all(equal(rest[i], batch) for i, batch in enumerate(whole[2:]))
    assert equal(rest[-1], whole[-1])
    assert len(list(rest.rest_of_epoch(1))) == len(batches) - 3
    with pytest.raises(IndexError):
        rest[len(rest)]
    # A pass through the rest is none through the whole.
    rest.on_epoch_begin()
    assert len(list(rest)) == len(rest)
    rest.on_epoch_end()
    assert batches.epoch == 5
    for step in (-1, len(batches)):
        with pytest.raises(ValueError, match=f"step is {step}; expected 0 to"):
            batches.rest_of_epoch(step)


def test_fit_on_a_single_batch_that_is_left_reads_that_batch(monkeypatch):
    """Keras looks at one batch before the first epoch: here that is all of them."""
    batches = Batches(random_pairs(60), special_ids=special_ids(), batch_size=8, seed=3)
    batches.epoch = 5
    last = batches[len(batches) - 1]
    rest = batches.rest_of_epoch(len(batches) - 1)
    read = []
    make = Batches._batch

    def seen(self, index, epoch=None):
        read.append(make(self, index, epoch))
        return read[-1]

    monkeypatch.setattr(Batches, "_batch", seen)
    tiny_model().fit(rest, initial_epoch=5, epochs=6, verbose=0)
    assert read
    assert all(equal(batch, last) for batch in read)
