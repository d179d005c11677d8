"""Alignment of decoder inputs, labels and weights, derived by hand."""

import numpy as np
import pytest
from fake_text import special_ids
from hypothesis import given
from hypothesis import strategies as st

from keras_s2s.data import DataError, check_teacher_forcing, teacher_forcing

START, EOS, PAD = 2, 3, 0


def test_alignment_by_hand():
    inputs, labels, weights = teacher_forcing([[7, 8, 9, EOS], [5, EOS]], START, PAD, 6)
    assert inputs.tolist() == [[START, 7, 8, 9, PAD, PAD], [START, 5, PAD, PAD, PAD, PAD]]
    assert labels.tolist() == [[7, 8, 9, EOS, PAD, PAD], [5, EOS, PAD, PAD, PAD, PAD]]
    assert weights.tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]
    assert (inputs.dtype, labels.dtype, weights.dtype) == ("int32", "int32", "float32")


@pytest.mark.parametrize(
    ("start", "eos", "pad"),
    [(2, 3, 3), (0, 3, 0), (3, 3, 0), (3, 3, 3)],
    ids=["pad=eos", "pad=start", "start=eos", "all equal"],
)
def test_equal_special_ids_do_not_change_what_counts(start, eos, pad):
    inputs, labels, weights = teacher_forcing([[7, 8, eos]], start, pad, 5)
    assert inputs.tolist() == [[start, 7, 8, pad, pad]]
    assert labels.tolist() == [[7, 8, eos, pad, pad]]
    assert weights.tolist() == [[1, 1, 1, 0, 0]]


def test_pad_id_inside_a_target_counts():
    _, labels, weights = teacher_forcing([[PAD, 7, PAD, EOS]], START, PAD, 5)
    assert labels.tolist() == [[PAD, 7, PAD, EOS, PAD]]
    assert weights.tolist() == [[1, 1, 1, 1, 0]]


def test_empty_row_is_filler():
    inputs, labels, weights = teacher_forcing([[], [EOS]], START, PAD, 2)
    assert inputs.tolist() == [[PAD, PAD], [START, PAD]]
    assert labels.tolist() == [[PAD, PAD], [EOS, PAD]]
    assert weights.tolist() == [[0, 0], [1, 0]]


def test_each_row_may_have_a_start_of_its_own():
    """Where the decoder starts with the target's language, and scoring mixes languages."""
    inputs, labels, weights = teacher_forcing([[7, 8, EOS], [], [5, EOS]], [11, 12, 13], PAD, 4)
    assert inputs.tolist() == [[11, 7, 8, PAD], [PAD] * 4, [13, 5, PAD, PAD]]
    assert labels.tolist() == [[7, 8, EOS, PAD], [PAD] * 4, [5, EOS, PAD, PAD]]
    assert weights.tolist() == [[1, 1, 1, 0], [0] * 4, [1, 1, 0, 0]]
    with pytest.raises(ValueError, match="1 decoder starts for 2 target rows"):
        teacher_forcing([[EOS], [7, EOS]], [11], PAD, 2)


def test_too_long_row_is_refused():
    with pytest.raises(ValueError, match="target row 1 has 3 ids, more than length 2"):
        teacher_forcing([[EOS], [7, 8, EOS]], START, PAD, 2)


# Few distinct ids, so that repetitions and chance agreements are common.
targets = st.lists(st.lists(st.integers(3, 6), min_size=0, max_size=6), min_size=1, max_size=5)


@given(
    rows=targets,
    ids=st.sampled_from([(2, 3, 0), (2, 3, 3), (0, 3, 0), (3, 3, 0), (3, 3, 3)]),
    extra=st.integers(0, 3),
    bos=st.booleans(),
)
def test_correct_batches_always_pass(rows, ids, extra, bos):
    start, eos, pad = ids
    # A raw target begins with the decoder start only where that is BOS too.
    front = [start] if bos else []
    rows = [front + [i for i in row if bos or i != start] + [eos] for row in rows]
    special = special_ids(start, eos, pad, bos=start if bos else None)
    length = max(map(len, rows)) + extra
    inputs, labels, weights = teacher_forcing(rows, start, pad, length)
    check_teacher_forcing(inputs, labels, weights, special)
    for row, ids_of_row in enumerate(rows):
        size = len(ids_of_row)
        assert labels[row, :size].tolist() == ids_of_row
        assert inputs[row, 0] == start
        assert (inputs[row, 1:size] == labels[row, : size - 1]).all()
        assert weights[row].sum() == size and (weights[row, :size] == 1).all()


ROWS = [[7, 8, 9, 5, EOS], [5, 6, 7, EOS]]


@pytest.mark.parametrize("pad", [PAD, EOS])
def test_unshifted_labels_are_refused(pad):
    _, labels, weights = teacher_forcing(ROWS, START, pad, 6)
    with pytest.raises(DataError, match=r"labels equal the decoder inputs.*not shifted"):
        check_teacher_forcing(labels, labels, weights, special_ids(pad=pad))


@pytest.mark.parametrize("pad", [PAD, EOS])
def test_labels_shifted_twice_are_refused(pad):
    inputs, labels, weights = teacher_forcing(ROWS, START, pad, 6)
    labels = np.concatenate([labels[:, 1:], np.full((2, 1), pad)], axis=1)
    weights = np.concatenate([weights[:, 1:], np.zeros((2, 1))], axis=1)
    with pytest.raises(DataError, match=r"two positions ahead.*shifted twice"):
        check_teacher_forcing(inputs, labels, weights, special_ids(pad=pad))


def test_decoder_inputs_shifted_twice_are_refused():
    inputs, labels, weights = teacher_forcing(ROWS, START, PAD, 6)
    inputs = np.concatenate([np.full((2, 1), START), inputs[:, :-1]], axis=1)
    with pytest.raises(DataError, match="two positions ahead"):
        check_teacher_forcing(inputs, labels, weights, special_ids())


def test_targets_that_were_shifted_before_are_refused():
    batch = teacher_forcing([[START, *row] for row in ROWS], START, PAD, 6)
    with pytest.raises(DataError, match="first label is the decoder start id 2"):
        check_teacher_forcing(*batch, special_ids())
    check_teacher_forcing(*batch, special_ids(bos=START))


def test_noise_on_the_decoder_inputs_is_allowed():
    inputs, labels, weights = teacher_forcing(ROWS, START, PAD, 6)
    inputs[0, 2] = 40
    check_teacher_forcing(inputs, labels, weights, special_ids())


def test_shapes_must_agree():
    inputs, labels, weights = teacher_forcing(ROWS, START, PAD, 6)
    with pytest.raises(DataError, match="one shape"):
        check_teacher_forcing(inputs[:, :-1], labels, weights, special_ids())
