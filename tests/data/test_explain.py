"""The printed table shows teacher forcing as it is in the batch."""

import keras
import pytest
from fake_text import FakePreprocessor, special_ids
from rich.cells import cell_len

from keras_s2s.data import Batches, DataError, explain_batch


def cells(line):
    return line.replace("padding", "").split()


def test_table_by_hand(capsys):
    batches = Batches([("ab", "cd"), ("efg", "hijkl")], FakePreprocessor(), shuffle=False)
    text = batches.explain_batch(rows=1)
    assert capsys.readouterr().out == text + "\n"
    lines = text.splitlines()
    assert lines[0] == "batch of 2 rows, source length 4, target length 6"
    assert lines[1] == "row 0"
    assert lines[2] == "  source: a (10) | b (11) | <3> (3) | + 1 padding"
    assert cells(lines[3]) == ["position", "decoder", "input", "label", "weight"]
    assert cells(lines[4]) == ["0", "<2>", "(2)", "c", "(12)", "1"]
    assert cells(lines[5]) == ["1", "c", "(12)", "d", "(13)", "1"]
    assert cells(lines[6]) == ["2", "d", "(13)", "<3>", "(3)", "1"]
    assert cells(lines[7]) == ["3", "<0>", "(0)", "<0>", "(0)", "0"] and "padding" in lines[7]
    assert lines[8].strip() == "(2 more positions of padding)"
    assert len(lines) == 9


def test_ids_and_tensors():
    batch = Batches([([5, 6], [7, 3])], special_ids=special_ids())[0]
    text = explain_batch(batch)
    lines = text.splitlines()
    assert lines[2] == "  source: 5 | 6"
    assert [cells(line) for line in lines[4:]] == [["0", "2", "7", "1"], ["1", "7", "3", "1"]]
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, batch)
    assert explain_batch(tensors) == text


def test_filler_rows_and_whole_batches():
    pairs = [([5, 6], [7, 3])] * 3
    batches = Batches(pairs, special_ids=special_ids(), batch_size=2)
    both = [batches.explain_batch(index, rows=9) for index in range(2)]
    assert sum("row 1: filler, weight 0" in text for text in both) == 1
    assert not any("row 2" in text for text in both)


class Wide(FakePreprocessor):
    """Tokens of every width: Hangul, a combining mark, emoji, a space, a line feed."""

    TOKENS = ("한국", "e\u0301", "🙂", " ", "\n")

    def target_tokens(self, ids):
        return [self.TOKENS[i % len(self.TOKENS)] for i in ids]


def test_columns_stay_aligned():
    text = Batches([("abc", "abcdefghij")], Wide()).explain_batch()
    lines = text.splitlines()
    header = lines[3]
    end = cell_len(header)
    table = lines[4:15]
    assert len(table) == 11
    assert all(cell_len(line.replace("  padding", "")) == end for line in table)
    assert "' '" in text and "<line feed> (" in text


def test_not_a_batch():
    with pytest.raises(DataError, match="not a batch"):
        explain_batch([1, 2, 3])
    with pytest.raises(DataError, match="encoder_padding_mask"):
        explain_batch(({"encoder_token_ids": [[1]]}, [[1]], [[1]]))
