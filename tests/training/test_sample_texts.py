"""Tables of generated texts for TensorBoard, read back from its files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from keras_s2s.callbacks import SampleTexts
from keras_s2s.training.sample_texts import as_markdown

PAIRS = [("ab", "b*a"), ("c d", "<d> c")]


class Model:
    """Generates the source, and says which epoch it is."""

    def __init__(self) -> None:
        self.options: list[dict[str, Any]] = []

    def generate(self, sources: list[str], **options: Any) -> list[str]:
        self.options.append(options)
        return [f"{source}_{len(self.options)}" for source in sources]


def tables(folder: Path) -> list[tuple[int, str, str, list[list[str]]]]:
    tf = pytest.importorskip("tensorflow")
    found = []
    for path in sorted(folder.glob("validation/events.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                rows = tf.make_ndarray(value.tensor)
                texts = [[cell.decode() for cell in row] for row in rows]
                plugin = value.metadata.plugin_data.plugin_name
                found.append((event.step, value.tag, plugin, texts))
    return found


def test_a_table_for_each_epoch(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    samples, model = SampleTexts(PAIRS, tmp_path, every=2, max_length=9), Model()
    samples.set_model(model)
    for epoch in range(4):
        samples.on_epoch_end(epoch)
    assert len(tables(tmp_path)) == 2, "they can be looked at while the model trains"
    samples.on_train_end()
    header = ["**source**", "**generated**", "**target**"]
    expected = [
        (1, "samples", "text", [header, ["ab", r"ab\_1", r"b\*a"], ["c d", r"c d\_1", _D]]),
        (3, "samples", "text", [header, ["ab", r"ab\_2", r"b\*a"], ["c d", r"c d\_2", _D]]),
    ]
    assert tables(tmp_path) == expected
    assert model.options == [{"max_length": 9}] * 2


_D = "&lt;d&gt; c"


def test_texts_are_shown_as_they_are() -> None:
    assert as_markdown("a | b\n#1. <x> & `y`") == r"a \| b \#1\. &lt;x&gt; &amp; \`y\`"
    assert as_markdown("안녕하세요") == "안녕하세요"


def test_what_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        SampleTexts([])
    with pytest.raises(ValueError, match="every=0 must be at least 1"):
        SampleTexts(PAIRS, every=0)
    with pytest.raises(ValueError, match="drop return_output=True"):
        SampleTexts(PAIRS, return_output=True)
    monkeypatch.setitem(sys.modules, "tensorflow.summary", None)
    with pytest.raises(ImportError, match="pip install tensorflow"):
        SampleTexts(PAIRS)
