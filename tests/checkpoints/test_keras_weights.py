"""`load_weights` of Keras: all weights of a file are loaded, or none, and an error says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from quantising import quantise
from small_models import randomise, slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.data import Batches
from keras_s2s.text import Preprocessor

PAIRS = [("ab c", "c ba"), ("abc", "cba")]


def small(seed: int = 1, dtype: str = "float32", **decoder: Any) -> Seq2SeqLM:
    shared = {"hidden_dim": 8, "intermediate_dim": 8, "num_layers": 1, "num_heads": 2}
    model = Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        dtype=dtype,
        preprocessor=Preprocessor.train(PAIRS, "character", joint=True),
        architecture={"shared": shared, "decoder": decoder},
    )
    randomise(model, seed, scale=1.0)
    return model


def values(variables: Any) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(each.value)) for each in variables]


def check_kept(model: Seq2SeqLM, path: Path, message: str, error: Any = CheckpointError) -> None:
    variables = list(model.variables)
    if getattr(model, "optimizer", None) is not None:
        variables += model.optimizer.variables
    before, expected = values(variables), model.generate("abc", max_length=6)
    with pytest.raises(error, match=message) as told:
        model.load_weights(path)
    assert str(path) in str(told.value)
    for one, other, variable in zip(before, values(variables), variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=variable.path)
    assert model.generate("abc", max_length=6) == expected


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_a_misfit_changes_nothing(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"other{suffix}"
    # The encoder fits, and would be loaded first.
    other = small(2, intermediate_dim=12)
    other.save(path) if suffix == ".keras" else other.save_weights(path)
    # It names the weight, its shape and that of the file.
    named = r"decoder/\S*inner/kernel: shape \(8, 8\) in the model, \(8, 12\) in the file"
    check_kept(small(), path, f"do not fit this model(?s:.)*{named}")


def test_a_file_with_fewer_layers(tmp_path: Path) -> None:
    path = tmp_path / "other.weights.h5"
    small(2).save_weights(path)
    check_kept(small(num_layers=2), path, r"do not fit this model(?s:.)*expected \d+ variables")


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_weights_of_every_type_are_kept(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "other.weights.h5"
    small(2, intermediate_dim=12).save_weights(path)
    model = small(dtype="float32" if dtype == "int8" else dtype)
    if dtype == "int8":
        quantise(model, "int8")
    check_kept(model, path, "do not fit this model")


@slow_where_compiled
def test_the_optimizer_is_kept(tmp_path: Path) -> None:
    def trained(**decoder: Any) -> Seq2SeqLM:
        model = small(**decoder)
        model.compile(optimizer="adam")
        assert model.preprocessor is not None
        model.fit(Batches(PAIRS, model.preprocessor, batch_size=2), verbose=0)
        return model

    path = tmp_path / "other.weights.h5"
    trained(intermediate_dim=12).save_weights(path)
    model = trained()
    assert any(np.any(value) for value in values(model.optimizer.variables))
    check_kept(model, path, "do not fit this model")


def test_weights_that_are_not_finite_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bad.weights.h5"
    other = small(2)
    last = other.weights[-1]
    last.assign(np.full(last.shape, np.nan))
    other.save_weights(path)
    check_kept(small(), path, "not finite")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    model = small()
    missing = tmp_path / "missing.weights.h5"
    check_kept(model, missing, "there is no such file", FileNotFoundError)
    texts = {"a.weights.h5": "not an HDF5 file", "a.keras": r"not a \.keras archive"}
    for name, message in texts.items():
        path = tmp_path / name
        path.write_text("These are no weights.")
        check_kept(model, path, message)
    folder = tmp_path / "folder.weights.h5"
    folder.mkdir()
    check_kept(model, folder, r"is a folder.*from_preset")
    whole = tmp_path / "whole.weights.h5"
    small(2).save_weights(whole)
    content = whole.read_bytes()
    cut = tmp_path / "cut.weights.h5"
    cut.write_bytes(content[: len(content) // 2])
    check_kept(model, cut, "cannot be read|not an HDF5 file")
    other = tmp_path / "weights.txt"
    other.write_text("x")
    check_kept(model, other, r"Keras reads weights from .*\.keras files")


def test_a_file_that_fits_is_loaded(tmp_path: Path) -> None:
    path, other, model = tmp_path / "good.weights.h5", small(2), small()
    other.save_weights(path)
    model.load_weights(str(path))
    for one, expected in zip(values(model.weights), values(other.weights), strict=True):
        np.testing.assert_array_equal(one, expected)
    # What does not fit may be left out, if that is asked for.
    third = small(intermediate_dim=12)
    with pytest.warns(UserWarning, match="could not be loaded"):
        third.load_weights(path, skip_mismatch=True)
