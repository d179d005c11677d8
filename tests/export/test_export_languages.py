"""Requests to an exported multilingual model choose their languages, as calls of `generate` do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from parity.test_huggingface_text import make as make_folder
from small_models import randomise
from test_saved_model import run_c_api

from keras_s2s import Seq2SeqLM
from keras_s2s.export.saved_model.graph_model import NO_SCORE

# Other backends export in a process of TensorFlow.
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="runs under the TensorFlow backend"
)

TEXTS = ["The quick brown fox", "안녕하세요", "def maximum(a, b)", "Two men", "a b c"]
MAX_LENGTH = 9

#: Folder -> languages of the sources and targets, None for the default. The decoder begins with
#: the language (mbart, plbart), is forced to generate it first (nllb, m2m_100), or its source has
#: it (marian).
LANGUAGES: dict[str, tuple[list[str | None], list[str | None]]] = {
    "mbart": (["ko_KR", None, "en_XX", "de_DE", None], ["de_DE", "ro_RO", None, "en_XX", "de_DE"]),
    "nllb": (
        ["kor_Hang", None, "fra_Latn", "eng_Latn", None],
        ["zul_Latn", "fra_Latn", None, "eng_Latn", "zul_Latn"],
    ),
    "marian": ([None] * 5, ["fra", "deu", None, "fra", "deu"]),
    "m2m_100": (["ko", None, "de", "en", None], ["zu", "de", None, "en", "zu"]),
    "plbart_multi": (["python", None, "java", "go", None], ["go", "java", None, "en_XX", "go"]),
}
#: The way of the others is that of one of these.
QUICK = ["mbart", "nllb", "marian"]
OPTIONS: dict[str, Any] = {"num_beams": 2, "repetition_penalty": 1.5, "max_length": MAX_LENGTH}


def make(name: str, folder: Path) -> Seq2SeqLM:
    made = make_folder(name, folder)[2]
    model = Seq2SeqLM.from_preset(made, verbose=False)
    randomise(model, seed=3, scale=2.0)
    return model


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in LANGUAGES]
)
def test_languages_of_requests(name: str, tmp_path: Path) -> None:
    model = make(name, tmp_path)
    directory = model.export(tmp_path / "exported", verify=False, **OPTIONS)
    sources, targets = LANGUAGES[name]
    named = {"tgt_lang": [code or "" for code in targets]}
    languages: dict[str, Any] = {"tgt_lang": targets}
    if any(sources):
        named["src_lang"] = [code or "" for code in sources]
        languages["src_lang"] = sources
    default: dict[str, Any] = {"signature": "generate", "inputs": {"text": TEXTS}}
    chosen = {"signature": "generate", "inputs": {"text": TEXTS, **named}}
    best = {"signature": "serving_default", "inputs": {"text": TEXTS, **named}}
    for_all = {
        "signature": "generate",
        "inputs": {"text": TEXTS, "tgt_lang": [targets[0]]},
    }
    unknown = {
        "signature": "generate",
        "inputs": {"text": TEXTS, "tgt_lang": ["xx", *named["tgt_lang"][1:]]},
    }
    pairs = {
        "signature": "score",
        "inputs": {"source": TEXTS, "target": TEXTS[::-1], **named},
    }
    (answer,) = run_c_api(
        [
            {
                "directory": str(directory),
                "calls": [default, chosen, best, for_all, unknown, pairs],
            }
        ]
    )["models"]
    outputs = [call.get("outputs", call) for call in answer["calls"]]
    expected = [
        model.generate(TEXTS, return_output=True, **OPTIONS),
        model.generate(TEXTS, return_output=True, **languages, **OPTIONS),
        model.generate(TEXTS, return_output=True, tgt_lang=targets[0], **OPTIONS),
    ]
    ids = [output.token_ids.tolist() for output in expected]
    assert ids[0] != ids[1] and ids[0] != ids[2], "the languages make no difference here"
    for found, output in zip([outputs[0], outputs[1], outputs[3]], expected, strict=True):
        assert found["error"] == [""] * len(TEXTS)
        assert found["text"] == [[text] for text in output.texts]
        assert [row[0] for row in found["token_ids"]] == output.token_ids.tolist()
        np.testing.assert_allclose(np.ravel(found["scores"]), output.scores, rtol=1e-4, atol=1e-4)
    assert outputs[2]["text"] == expected[1].texts

    assert outputs[4]["error"][0] == "tgt_lang is xx, which is not a language of this model"
    assert outputs[4]["error"][1:] == [""] * 4 and outputs[4]["scores"][0] == [NO_SCORE]

    sums = model.score(TEXTS, TEXTS[::-1], **languages)
    np.testing.assert_allclose(outputs[5]["log_probs"], sums, rtol=1e-4, atol=1e-4)
