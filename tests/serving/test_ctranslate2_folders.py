"""CTranslate2 folders are served, with and without a tokenizer in them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli.small_folder import save_small_model
from serving.clients import posted
from small_models import COMPILES

from keras_s2s import Seq2SeqLM
from keras_s2s.serving.models.loading import ModelArgument, load_served

pytest.importorskip("ctranslate2")
# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

TEXTS = ["ab c", "abc", "가나"]
BODY = {"q": TEXTS, "source": "en", "target": "de"}


def test_both_interfaces(tmp_path: Path) -> None:
    model = Seq2SeqLM.from_preset(save_small_model(tmp_path / "small"), verbose=False)
    folder = model.export(tmp_path / "ct2", format="ctranslate2")
    expected = Seq2SeqLM.from_preset(folder, verbose=False).generate(TEXTS)
    assert len(set(expected)) == len(TEXTS)
    argument = ModelArgument("small", str(folder))
    served = load_served(argument, {}, "en:de")
    # White space around a sentence is that of its source.
    translated = {"translatedText": [text.strip() for text in expected]}
    assert posted(served, "/translate", BODY).json() == translated
    reply = posted(served, "/v1/models/small:predict", {"instances": TEXTS}).json()
    assert [row["text"] for row in reply["predictions"]] == expected

    # As other converters write them: vocabularies alone.
    shutil.rmtree(folder / "tokenizer")
    served = load_served(argument, {}, "en:de", tokenizer="character")
    assert posted(served, "/translate", BODY).json() == translated
    with pytest.raises(ValueError, match="tokenizer"):
        load_served(argument, {}, "en:de", tokenizer="words")  # type: ignore[arg-type]
