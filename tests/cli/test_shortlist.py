"""`keras-s2s shortlist`, and the file that it writes in `generate`."""

from __future__ import annotations

import pytest
from cli.small_folder import PAIRS, save_small_model

from keras_s2s import Seq2SeqLM, learn_shortlist, read_shortlist
from keras_s2s.cli import main
from keras_s2s.export.errors import ExportError


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return save_small_model(tmp_path_factory.mktemp("model"))


def test_a_shortlist_is_learnt_written_and_used(folder, tmp_path, capsys):
    for name, side in (("s.txt", 0), ("t.txt", 1)):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS))
    files = ["--source", str(tmp_path / "s.txt"), "--target", str(tmp_path / "t.txt")]
    output = str(tmp_path / "lex.bin")
    settings = ["--first", "2", "--best", "1"]
    assert main(["shortlist", folder, *files, "-o", output, *settings]) == 0
    assert "candidates" in capsys.readouterr().out
    model = Seq2SeqLM.from_preset(folder, verbose=False)
    learnt = learn_shortlist(PAIRS, model.preprocessor, first=2, best=1)
    for source in model.preprocessor.encode_source([source for source, _ in PAIRS]):
        read = read_shortlist(output, model.preprocessor)
        assert read.candidates(source).tolist() == learnt.candidates(source).tolist()
    expected = model.generate("ab c", shortlist=learnt)
    assert main(["generate", folder, "ab c", "--shortlist", output]) == 0
    assert capsys.readouterr().out == f"{expected}\n"
    assert main(["generate", folder, "ab c", "--shortlist", str(tmp_path / "no.bin")]) == 1
    assert "no.bin: no such file" in capsys.readouterr().err
    with pytest.raises(ExportError, match="no inputs for the candidates of a shortlist"):
        model.export(tmp_path / "out", format="tf_saved_model", shortlist=output)
    assert "".join(model.stream("ab c", shortlist=output)) == expected
