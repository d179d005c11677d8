"""Names come when they are used, and Keras finds the classes of a saved model all the same."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from small_models import slow_where_compiled

import keras_s2s
from keras_s2s import registration


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pairs = [("a b", "b a")]
    model = keras_s2s.Seq2SeqLM.from_preset(
        "gru_bahdanau",
        load_weights=False,
        preprocessor=keras_s2s.text.Preprocessor.train(pairs, "character"),
        architecture={"shared": {"hidden_dim": 4, "embedding": {"dim": 4}}},
    )
    model.compile()
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return path


@slow_where_compiled
@pytest.mark.parametrize(
    "imports",
    [
        "import keras_s2s, keras",
        pytest.param("from keras_s2s.data import Batches; import keras", marks=pytest.mark.slow),
        pytest.param("import keras, keras_s2s", marks=pytest.mark.slow),
    ],
)
def test_a_saved_model_is_found_however_the_package_was_imported(saved, imports):
    program = f"""
{imports}
import sys
assert "keras_s2s.model" not in sys.modules
model = keras.saving.load_model(sys.argv[1])
assert model.compiled
print(type(model).__module__, type(model) is sys.modules["keras_s2s.model"].Seq2SeqLM)
"""
    assert run(program, str(saved)).split() == ["keras_s2s.model", "True"]


def test_importing_the_package_imports_no_keras():
    program = """
import sys
import keras_s2s as s2s
assert s2s.list_presets() and s2s.text.Preprocessor and issubclass(s2s.ConfigError, ValueError)
print(sorted({"keras", "tensorflow", "jax", "torch"} & set(sys.modules)))
"""
    assert run(program).strip() == "[]"


def test_every_registered_class_has_a_stand_in():
    modules = [
        module.name
        for module in pkgutil.walk_packages(keras_s2s.__path__, "keras_s2s.")
        if not module.name.endswith("__main__")
    ]
    assert len(modules) >= 50
    for module in modules:
        importlib.import_module(module)
    registered = {
        name.removeprefix("keras_s2s>"): thing
        for name, thing in keras.saving.get_custom_objects().items()
        if name.startswith("keras_s2s>")
    }
    assert set(registered) == set(registration.HOMES)
    for name, thing in registered.items():
        module = importlib.import_module(f"keras_s2s.{registration.HOMES[name]}")
        assert thing is getattr(module, name)


def test_a_stand_in_gives_way():
    config = keras_s2s.layers.FeedForward(hidden_dim=4, intermediate_dim=8).get_config()
    made = registration.stand_in("FeedForward").from_config(config)
    assert type(made) is keras_s2s.layers.FeedForward


def test_names_are_listed_and_unknown_ones_refused():
    assert set(keras_s2s.__all__) <= set(dir(keras_s2s))
    with pytest.raises(AttributeError, match="no attribute 'Seq2SegLM'"):
        _ = keras_s2s.Seq2SegLM
    assert keras_s2s.decoding.generator.__name__ == "keras_s2s.decoding.generator"
