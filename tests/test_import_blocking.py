"""The package works where keras and one backend are all that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from small_models import slow_where_compiled

BACKENDS = ("jax", "tensorflow", "torch")

# Each backend's own libraries; the other backends' are taken away.
BACKEND_LIBRARIES = {
    "jax": {"jax", "jaxlib"},
    "tensorflow": {"tensorflow"},
    "torch": {"torch"},
}

# Of no use to import, train and generate, so that none of them may be needed for it.
OPTIONAL = {
    "babel",
    "ctranslate2",
    "datasets",
    "huggingface_hub",
    "keras_hub",
    "keras_nlp",
    "matplotlib",
    "rouge_score",
    "sacrebleu",
    "sentencepiece",
    "llguidance",
    "sentencex",
    "tensorflow_text",
    "tokenizers",
    "transformers",
}

BLOCK = """
import sys

class Without:
    "A finder that does not find the blocked libraries, as if they were not installed."

    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            return None
        return self.finder.find_spec(name, path, target)

BLOCKED = {blocked!r}
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""

IMPORT_EVERYTHING = """
import importlib, pkgutil
import keras_s2s

names = [
    module.name
    for module in pkgutil.walk_packages(keras_s2s.__path__, "keras_s2s.")
    if not module.name.endswith("__main__")
]
for name in names:
    importlib.import_module(name)
import keras
loaded = sorted(BLOCKED & set(sys.modules))
print(len(names), keras.backend.backend(), loaded)
"""

TRAIN_AND_GENERATE = """
import keras
import keras_s2s as s2s

keras.utils.set_random_seed(0)
pairs = [("a b c", "c b a"), ("b c", "c b"), ("a", "a"), ("c a", "a c")]
preprocessor = s2s.text.Preprocessor.train(pairs, "character")
model = s2s.Seq2SeqLM.from_preset(
    "gru_bahdanau",
    load_weights=False,
    preprocessor=preprocessor,
    architecture={"shared": {"hidden_dim": 8, "embedding": {"dim": 8}}},
)
model.compile(optimizer="adam")
history = model.fit(s2s.data.Batches(pairs, preprocessor, batch_size=2), epochs=1, verbose=0)
assert history.history["loss"][0] > 0
texts = model.generate(["a b", "c"], max_length=6)
assert len(texts) == 2 and all(isinstance(text, str) for text in texts)
beams = model.generate(["a b"], max_length=6, sampler="beam", num_beams=2)
assert len(beams) == 1
print("done", sorted(BLOCKED & set(sys.modules)))
"""


def run_without_others(program: str, backend: str) -> str:
    """Run a program where only keras and `backend` are installed; what it prints.

    The program finds the names of the absent libraries in `BLOCKED`.
    """
    others = set().union(*(BACKEND_LIBRARIES[name] for name in BACKENDS if name != backend))
    source = BLOCK.replace("{blocked!r}", repr(OPTIONAL | others)) + textwrap.dedent(program)
    result = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@slow_where_compiled
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_module_imports_with_one_backend(backend):
    count, used, loaded = run_without_others(IMPORT_EVERYTHING, backend).split(maxsplit=2)
    assert int(count) >= 50
    assert used == backend
    assert loaded.strip() == "[]"


@pytest.mark.slow
def test_trains_and_generates_with_jax_alone():
    assert run_without_others(TRAIN_AND_GENERATE, "jax").split("\n")[-2] == "done []"


@slow_where_compiled
def test_a_blocked_library_is_absent():
    program = """
    try:
        import tensorflow.keras
    except ModuleNotFoundError as error:
        print(error)
    """
    assert run_without_others(program, "jax").strip() == "No module named 'tensorflow'"


@slow_where_compiled
def test_import_adds_little_to_keras(monkeypatch):
    # As an installed package is: compiled, which the first run does.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")
    # Without the garbage collector, which may happen to walk over all of Keras in either part.
    program = """
    import gc
    import time
    gc.disable()
    begin = time.process_time()
    import keras
    middle = time.process_time()
    from keras_s2s import *  # every public name: they are imported when they are used
    print((time.process_time() - middle) / (middle - begin))
    """
    # A share of what Keras and its backend take in the same process, since seconds differ between
    # machines and with what else runs there; and the best of three, since the share does a little.
    run_without_others(program, "jax")
    shares: list[float] = []
    while len(shares) < 3 and (not shares or min(shares) >= 0.33):
        shares.append(float(run_without_others(program, "jax")))
    assert min(shares) < 0.33, shares
