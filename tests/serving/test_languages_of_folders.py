"""Languages of models from Hugging Face folders, under the codes that clients use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity.test_huggingface_text import make
from serving.clients import got, posted
from serving.test_server import events
from small_models import COMPILES

from keras_s2s import Seq2SeqLM
from keras_s2s.serving.models.loading import ModelArgument, load_served
from keras_s2s.serving.models.preset_model import PresetModel

pytest.importorskip("transformers")
pytest.importorskip("sentencex")

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

TEXT = "The quick brown fox."

#: Folder: client's codes of a pair, and the model's own.
PAIRS = {
    "mbart50": (("en", "ko"), ("en_XX", "ko_KR")),
    "nllb": (("en", "ko"), ("eng_Latn", "kor_Hang")),
    "m2m_100": (("en", "ko"), ("en", "ko")),
}


def loaded(folder: Path) -> tuple[PresetModel, Seq2SeqLM]:
    served = load_served(ModelArgument("model", str(folder)), {})
    assert isinstance(served, PresetModel)
    return served, served.model


def translated(served: PresetModel, source: str, target: str) -> Any:
    reply = posted(served, "/translate", {"q": TEXT, "source": source, "target": target})
    assert reply.status_code == 200, reply.text
    return reply.json()["translatedText"]


@pytest.mark.parametrize("name", list(PAIRS))
def test_multilingual_models(name: str, tmp_path: Path) -> None:
    served, model = loaded(make(name, tmp_path)[2])
    (source, target), (own_source, own_target) = PAIRS[name]
    expected = model.generate(TEXT, src_lang=own_source, tgt_lang=own_target)
    assert translated(served, source, target) == expected.strip()
    assert translated(served, own_source, own_target) == expected.strip()
    listed = {each["code"]: each for each in got([served], "/languages").json()}
    assert target in listed[source]["targets"]
    assert listed["ko"]["name"] == "Korean"
    rows: list[Any] = [
        {"text": TEXT, "src_lang": source, "tgt_lang": target},
        {"text": TEXT, "src_lang": own_target, "tgt_lang": own_source},
        {"text": TEXT, "tgt_lang": own_target},
    ]
    found = posted(served, "/v1/models/model:predict", {"instances": rows}).json()["predictions"]
    assert [row["text"] for row in found] == [
        expected,
        model.generate(TEXT, src_lang=own_target, tgt_lang=own_source),
        model.generate(TEXT, tgt_lang=own_target),
    ]
    reply = posted(
        served, "/v1/models/model:predict", {"instances": [{**rows[0], "tgt_lang": "x"}]}
    )
    assert "tgt_lang is 'x', which the model does not have" in reply.json()["error"]
    # The page: results and attention in these languages, and a draft.
    body = {"model": "model", "text": TEXT, "source": source, "target": target}
    options: dict[str, Any] = {"src_lang": own_source, "tgt_lang": own_target}
    beams = max(2, model.preset.generation.num_beams)  # as many as the model's own, or more
    best = model.generate(
        [TEXT], return_output=True, output_attentions=True, num_beams=beams, **options
    )
    (result, _) = posted(served, "/page/generate", {**body, "results": 2}).json()["results"]
    assert result["text"] == best.texts[0]
    asked = {**body, "output_ids": result["ids"]}
    attention = posted(served, "/page/attention", asked).json()
    expected_weights = best.attentions[0][: best.lengths[0]]
    np.testing.assert_allclose(attention["attention"], expected_weights, atol=2e-5)
    assert own_source in " ".join(attention["source"]["tokens"]) or name == "m2m_100"
    drafted = list(events(posted(served, "/page/stream", body).text))
    text = "".join(data["text"] for kind, data in drafted if not kind)
    assert text == model.generate(TEXT, sampler="greedy", **options)


def test_the_pair_of_a_marian_folder(tmp_path: Path) -> None:
    folder = make("marian", tmp_path)[2]
    path = folder / "tokenizer_config.json"
    stated = {"source_lang": "eng", "target_lang": "de"}
    path.write_text(json.dumps({**json.loads(path.read_text()), **stated}))
    served, model = loaded(folder)
    assert served.languages is not None
    assert list(served.languages.sources) == ["en"]
    if model.special_ids.languages is None:
        assert served.languages.targets == {"de": None}
        assert translated(served, "en", "de") == model.generate(TEXT).strip()
    else:
        target = next(iter(served.languages.targets))
        own = served.languages.targets[target]
        assert translated(served, "en", target) == model.generate(TEXT, tgt_lang=own).strip()
