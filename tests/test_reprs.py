"""What a notebook shows of the package's objects, and that it shows things once."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys

import pytest
from small_models import slow_where_compiled

import keras_s2s as s2s
from keras_s2s.data import Batches, SpanCorruption, TextInfilling, make_dates
from keras_s2s.text import Preprocessor

PAIRS = [("abc", "cba"), ("bca", "acb"), ("cab", "bac")]


@pytest.fixture(scope="module")
def model() -> s2s.Seq2SeqLM:
    return s2s.Seq2SeqLM.from_preset(
        "gru_bahdanau",
        load_weights=False,
        preprocessor=Preprocessor.train(PAIRS, "character"),
        architecture={"shared": {"hidden_dim": 8, "embedding": {"dim": 8}}},
    )


def test_reprs_tell_something(model) -> None:
    preprocessor = model.preprocessor
    assert repr(preprocessor.source) == "<character tokenizer, 7 ids>"
    assert repr(preprocessor) == (
        "Preprocessor(source=<character tokenizer, 7 ids>, target=<character tokenizer, 7 ids>, "
        "decoder_start=2, eos=3, pad=0)"
    )
    joint = Preprocessor.train(PAIRS, "character", joint=True)
    assert "target=source" in repr(joint)
    batches = Batches(PAIRS, preprocessor, batch_size=2, num_buckets=1)
    assert repr(batches) == (
        "Batches(pairs=3, batches=2, batch_size=2 sentences, shapes=1, padding=25%, epoch=0)"
    )
    network = "<Network, RecurrentEncoder (7 ids) to RecurrentDecoder (7 ids)>"
    assert repr(model.network) == network
    assert repr(model.generator).startswith(f"Generator({network}, backend=")
    assert repr(SpanCorruption()).startswith("SpanCorruption(noise_density=0.15, ")
    assert repr(s2s.samplers.Beam(2)).startswith("Beam(num_beams=2, length_penalty=1.0, ")


@pytest.mark.parametrize(
    "thing",
    [
        s2s.samplers.Greedy(),
        s2s.samplers.Beam(3),
        s2s.samplers.TopK(4),
        SpanCorruption(),
        TextInfilling(),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_no_repr_is_an_address(thing) -> None:
    assert not re.search(r"object at 0x", repr(thing))
    assert len(repr(thing)) < 300 and "\n" not in repr(thing)


def test_splits_are_shown_by_their_sizes() -> None:
    splits = make_dates(20, 3, 5, languages=["ko", "en"])
    assert repr(splits) == ("DateSplits(train: 20, validation: 3, test: 5 examples in 2 languages)")


def test_explain_batch_stands_once_in_a_script_and_in_a_notebook(model, capsys) -> None:
    batches = Batches(PAIRS, model.preprocessor)
    text = batches.explain_batch()
    printed = capsys.readouterr().out
    assert printed == text + "\n" == str(text) + "\n"
    assert type(str(text)) is str and "decoder input" in str(text)
    assert "decoder input" not in repr(text)

    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell.instance()
    shell.push({"batches": batches})
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        shell.run_cell("batches.explain_batch()")
    assert out.getvalue().count(str(text)) == 1
    assert out.getvalue().count("decoder input") == text.count("decoder input")
    # The value shows nothing of its own.
    data, _ = shell.display_formatter.format(text)
    assert data == {}


@slow_where_compiled
def test_progress_does_not_ask_for_ipywidgets() -> None:
    """In a notebook kernel `tqdm.auto` warns where ipywidgets is missing."""
    code = (
        "import sys, warnings; sys.modules['ipywidgets'] = None; sys.modules['IPython'] = fake = "
        "type(sys)('IPython')\n"
        "fake.get_ipython = lambda: type('S', (), {'config': {'IPKernelApp': 1}})()\n"
        "warnings.simplefilter('error')\n"
        "from keras_s2s.decoding.progress import progress_bar\n"
        "with progress_bar('generate', 3, True) as bar: bar.update(3)\n"
        "from keras_s2s.training.callbacks import ProgressBar\n"
        "bar = ProgressBar(); bar.set_params({'epochs': 1, 'steps': 2}); bar.on_train_begin()\n"
        "bar.on_epoch_begin(0); bar.on_train_batch_end(0); bar.on_epoch_end(0, {'loss': 1.0})\n"
        "print(type(bar.bar).__module__)"
    )
    # Warnings of what is imported are others' business.
    code = code.replace("warnings.simplefilter('error')", "", 1).replace(
        "with progress_bar", "warnings.simplefilter('error')\nwith progress_bar", 1
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "tqdm.std"
