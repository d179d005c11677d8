"""What single keys of a recipe do in a run: TensorBoard, signatures, LoRA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from recipes.small_runs import run, without_times
from small_models import slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.config import ConfigError
from keras_s2s.recipes import runner
from keras_s2s.recipes.records import tensorboard
from keras_s2s.text_metrics.corpus_metrics import TextMetrics

SHORT = ("training.epochs=2", "data.train_size=32")


class Values(keras.callbacks.Callback):
    """Stands where Keras' callback would, which needs the package tensorboard."""

    def __init__(self, log_dir: str, **options: Any) -> None:
        super().__init__()
        self.log_dir = Path(log_dir)
        self.log_dir.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        with open(self.log_dir / "values", "a") as file:
            file.write(json.dumps(sorted(logs or {})) + "\n")


@slow_where_compiled
def test_a_run_writes_for_tensorboard_and_trains_the_same(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(tensorboard.keras.callbacks, "TensorBoard", Values)
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: name)
    plain = run(tmp_path / "plain", *SHORT)
    key = "training.tensorboard={texts: 3, attention: 1}"
    found = run(tmp_path / "run", *SHORT, key)
    assert without_times(found) == without_times(plain)
    logs = tmp_path / "run" / "tensorboard"
    tags = [tag for tag in _tags(logs)]
    assert tags == ["attention/0"] * 2 + ["samples"] * 2
    lines = (logs / "values").read_text().splitlines()
    assert len(lines) == 2
    assert {"loss", "val_loss"} <= set(json.loads(lines[0]))
    # A run that begins anew has files of its own.
    run(tmp_path / "run", *SHORT, key, overwrite=True)
    assert len((logs / "values").read_text().splitlines()) == 2


def _tags(folder: Path) -> list[str]:
    import tensorflow as tf

    return sorted(
        value.tag
        for path in folder.glob("**/events.*")
        for record in tf.data.TFRecordDataset(str(path))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    )


def test_what_tensorboard_needs_is_asked_for_before_training(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        tensorboard, "find_spec", lambda name: None if name == "tensorboard" else name
    )
    with pytest.raises(ConfigError, match=r"training\.tensorboard: needs tensorboard; pip install"):
        run(tmp_path / "run", "training.tensorboard={}")
    assert not (tmp_path / "run" / "preset.yaml").exists()


@slow_where_compiled
def test_metrics_of_texts_are_logged_with_their_signatures(tmp_path: Path) -> None:
    run(tmp_path / "run", *SHORT, "training.monitor=val_chrf")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    expected = TextMetrics(["chrf"], ["a"]).signatures["chrf_signature"]
    assert [line["val_chrf_signature"] for line in epochs] == [expected] * 2
    assert all(isinstance(line["val_chrf"], float) for line in epochs)
    results = json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]
    for name in results:
        if not name.endswith("_signature"):
            assert f"{name}_signature" in results


@slow_where_compiled
def test_a_run_trains_adapters_and_saves_them(tmp_path: Path, monkeypatch) -> None:
    before: dict[str, Any] = {}
    compile_by = runner.compile_by

    def seen(training: Any, model: Any, total_steps: int) -> list[str]:
        before.update({w.path: np.array(w.numpy()) for w in model.weights})
        return compile_by(training, model, total_steps)

    monkeypatch.setattr(runner, "compile_by", seen)
    lora = "training.lora={rank: 2, alpha: 4, targets: query, train: [decoder/layer_0/*norm*]}"
    report = run(tmp_path / "run", *SHORT, lora)
    assert any("frozen" in line for line in report["training"])
    model = Seq2SeqLM.from_preset(tmp_path / "run")
    after = {w.path: np.array(w.numpy()) for w in model.weights}
    added = set(after) - set(before)
    assert added
    assert all("/query/lora_kernel_" in path for path in added)
    assert all(np.abs(after[path]).max() > 0 for path in added), "an adapter was not trained"
    changed = {path for path in before if not np.array_equal(before[path], after[path])}
    assert changed
    assert all("decoder/layer_0" in path and "norm" in path for path in changed)


def test_adapters_of_layers_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.lora: .*'qury'.*query"):
        run(tmp_path / "run", *SHORT, "training.lora={rank: 2, targets: qury}")
    with pytest.raises(ConfigError, match=r"training\.lora\.train: 'new'"):
        run(tmp_path / "other", *SHORT, "training.lora={rank: 2, train: new}")


def test_adapters_and_freezing_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.freeze: goes without lora"):
        run(tmp_path / "run", "training.lora={rank: 2}", "training.freeze=encoder")
