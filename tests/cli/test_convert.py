"""`keras-s2s convert`: folders of one library read, and written for another."""

from __future__ import annotations

import numpy as np
import pytest
from cli.small_folder import save_small_model
from parity.random_checkpoints import make, save
from parity.test_huggingface_text import make as make_multilingual
from small_models import slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.cli import main
from keras_s2s.export.in_graph.registry import IN_GRAPH_TOKENIZERS

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(make("marian", "shallow"), tmp_path_factory.mktemp("marian"), max_length=9)


def answers(folder) -> np.ndarray:
    ids = np.arange(12, dtype="int32").reshape(2, 6) + 2
    inputs = {"encoder_token_ids": ids, "encoder_padding_mask": np.ones((2, 6), "bool")}
    model = Seq2SeqLM.from_preset(folder, verbose=False)
    return model.generate(inputs, num_beams=2, max_length=9, early_stopping=True, min_new_tokens=1)


@slow_where_compiled
@pytest.mark.parametrize("to", ["keras_s2s", "huggingface", "ctranslate2"])
def test_there(folder, tmp_path, capsys, to):
    if to == "ctranslate2":
        pytest.importorskip("ctranslate2")
    assert main(["convert", str(folder), str(tmp_path / "out"), "--to", to]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "out")
    assert "marian" in printed.err
    found, expected = answers(tmp_path / "out"), answers(folder)
    assert found[:, :3].tolist() == expected[:, :3].tolist()


@slow_where_compiled
def test_half_precision(folder, tmp_path):
    out = tmp_path / "half"
    assert (
        main(["convert", str(folder), str(out), "--to", "huggingface", "--dtype", "float16"]) == 0
    )
    model = Seq2SeqLM.from_preset(out, verbose=False)
    # What would overflow in half precision stays in float32, as transformers keeps some of it.
    assert set(model.load_report.dtypes) == {"float16", "float32"}


@slow_where_compiled
def test_quantised(folder, tmp_path):
    pytest.importorskip("ctranslate2")
    words = ["--to", "ctranslate2", "--quantization", "int8"]
    assert main(["convert", str(folder), str(tmp_path / "int8"), *words]) == 0
    small = (tmp_path / "int8" / "model.bin").stat().st_size
    assert main(["convert", str(folder), str(tmp_path / "plain"), "--to", "ctranslate2"]) == 0
    assert small < (tmp_path / "plain" / "model.bin").stat().st_size


@slow_where_compiled
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "onnx"], "--to onnx: expected one of keras_s2s, huggingface"),
        (["--ids"], "--ids is for --to tf_saved_model, not keras_s2s"),
        (["--quantization", "int8"], "--quantization is for --to ctranslate2"),
        (["--to", "ctranslate2", "--quantization", "int3"], "int3"),
        (["--tokenizer", "character"], "for CTranslate2 folders"),
        (["--src-lang", "de"], "this model has no tokenizer"),
    ],
)
def test_refused(folder, tmp_path, capsys, words, message):
    assert main(["convert", str(folder), str(tmp_path / "out"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@slow_where_compiled
@pytest.mark.parametrize("to", ["keras_s2s", "huggingface"])
def test_languages_become_the_defaults_of_what_is_written(tmp_path, to):
    _, _, source = make_multilingual("mbart50", tmp_path / "source")
    languages = ["--src-lang", "fr_XX", "--tgt-lang", "ko_KR"]
    target = tmp_path / "target"
    assert main(["convert", str(source), str(target), "--to", to, *languages]) == 0
    written = Seq2SeqLM.from_preset(target, verbose=False)
    model = Seq2SeqLM.from_preset(source, verbose=False)
    options = {"src_lang": "fr_XX", "tgt_lang": "ko_KR", "max_length": 8}
    expected = model.generate("The fox", **options)
    assert written.generate("The fox", max_length=8) == expected
    assert model.generate("The fox", max_length=8) != expected


@slow_where_compiled
def test_a_folder_that_is_in_use(folder, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for to in ("keras_s2s", "huggingface"):
        assert main(["convert", str(folder), str(tmp_path / "out"), "--to", to]) == 1
        assert "out" in capsys.readouterr().err
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


@slow_where_compiled
def test_no_such_source(tmp_path, capsys):
    assert main(["convert", str(tmp_path / "none"), str(tmp_path / "out")]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_a_tokenizer_that_no_graph_holds_names_the_way_out(tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(IN_GRAPH_TOKENIZERS, "token_list", raising=False)
    source = save_small_model(tmp_path / "model")
    assert main(["convert", source, str(tmp_path / "ct2"), "--to", "ctranslate2"]) == 0
    target = tmp_path / "saved"
    words = ["convert", str(tmp_path / "ct2"), str(target), "--to", "tf_saved_model"]
    words += ["--tokenizer", "space"]  # as for a folder that says nothing of a tokenizer
    assert main(words) == 1
    error = capsys.readouterr().err
    assert "tokenizer cannot be exported into a TensorFlow graph" in error
    assert "Pass --ids to export the model from ids to ids" in error
    assert "model.preprocessor" not in error
    assert not target.exists()
    # What the way out asks the exporter for; writing takes another process under most backends.
    asked = {}

    def export(self, directory, **options):
        asked.update(options, preprocessor=self.preprocessor)

    monkeypatch.setattr(Seq2SeqLM, "export", export)
    assert main([*words, "--ids"]) == 0
    assert asked["text"] is False and asked["format"] == "tf_saved_model"


@slow_where_compiled
@pytest.mark.parametrize("suffix", ["lines", "pairs"])
def test_trimmed_to_texts(tmp_path, capsys, suffix):
    source = save_small_model(tmp_path / "model")
    (tmp_path / "a.txt").write_text("ab\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("ba\n", encoding="utf-8")
    (tmp_path / "c.tsv").write_text("ab\tba\n", encoding="utf-8")
    files = ["a.txt", "b.txt"] if suffix == "lines" else ["c.tsv"]
    words = [word for name in files for word in ("--trim-to", str(tmp_path / name))]
    assert main(["convert", source, str(tmp_path / "out"), *words]) == 0
    assert "rows" in capsys.readouterr().err
    model = Seq2SeqLM.from_preset(tmp_path / "out")
    assert model.preprocessor.source.vocabulary.tokens[4:] == ("a", "b")
    assert model.count_params() < Seq2SeqLM.from_preset(source).count_params()


@slow_where_compiled
def test_trimmed_to_languages(tmp_path):
    transformers = pytest.importorskip("transformers")
    make_multilingual("mbart50", tmp_path / "mbart")
    (tmp_path / "texts.txt").write_text("The quick brown fox\n", encoding="utf-8")
    words = ["--trim-to", str(tmp_path / "texts.txt"), "--trim-languages", "en_XX, ko_KR"]
    folder = str(tmp_path / "mbart" / "model")
    out = tmp_path / "out"
    assert main(["convert", folder, str(out), *words, "--to", "huggingface"]) == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    assert {"en_XX", "ko_KR"} <= set(tokenizer.get_vocab())
    assert "de_DE" not in tokenizer.get_vocab()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trim-languages", "en"], "--trim-languages is for --trim-to FILE"),
        (["--trim-min-count", "2"], "--trim-min-count is for --trim-to FILE"),
        (["--trim-to", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_trimming_that_cannot_be_done(tmp_path, capsys, words, message):
    assert main(["convert", "transformer_tiny", str(tmp_path / "out"), *words]) != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
