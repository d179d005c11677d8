"""Documents, HTML and languages of SavedModels: results are those of `generate_document` with the
model that was exported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.small_folder import POSITIONS, save_small_model
from parity.test_huggingface_text import make
from serving.clients import got, posted
from serving.test_page import SUBTITLES, followed
from small_models import COMPILES, randomise

from keras_s2s import Seq2SeqLM, generate_document
from keras_s2s.documents.sentence_model import KerasSentenceModel
from keras_s2s.serving.models.loading import ModelArgument, load_served
from keras_s2s.serving.models.saved_model import SavedModel
from keras_s2s.serving.models.served_model import ServedModel

pytest.importorskip("tensorflow_text")
pytest.importorskip("sentencex")
# Exports take long, and TensorFlow runs them whichever backend wrote them.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(COMPILES, reason="once is enough")]

LONG = "abc " * 20
PAGE = "<p>abc. <i>ab</i> c b.</p>\n<ul><li>abc &amp; <b>c <a href='x'>b</a></b> a.</ul>"
DOCUMENTS = [
    ("text", "\ufeffabc. ab c.\r\n\r\n\tabc.\n"),
    ("text", LONG),
    ("text", " \n"),
    ("html", PAGE),
    ("srt", SUBTITLES),
    ("vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nabc.\n"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seq2SeqLM]:
    yield Seq2SeqLM.from_preset(save_small_model(tmp_path_factory.mktemp("small") / "small"))


def exported(model: Seq2SeqLM, folder: Path, **options: Any) -> SavedModel:
    model.export(folder, verify=False, **options)
    served = load_served(ModelArgument("small", str(folder)), {}, "en:de")
    assert isinstance(served, SavedModel)
    return served


@pytest.fixture(scope="module")
def plain(model: Seq2SeqLM, tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    return exported(model, tmp_path_factory.mktemp("plain") / "1")


@pytest.fixture(scope="module")
def attending(model: Seq2SeqLM, tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """It would cut what is too long, if it ever got that."""
    folder = tmp_path_factory.mktemp("attending") / "1"
    return exported(model, folder, cross_attention=True, truncate=True)


def document(model: ServedModel, text: str, format_: str) -> Any:
    _, found = followed(model, text, format=format_, source="en", target="de")
    return found


def same_sentences(found: Any, expected: Any) -> None:
    assert found["text"] == expected.text
    assert found["markup"] == expected.markup
    names = ["source", "text", "source_start", "source_end", "start", "end", "was_split"]
    names += ["is_source"]
    for ours, theirs in zip(found["sentences"], expected.sentences, strict=True):
        assert {name: ours[name] for name in names} == {n: getattr(theirs, n) for n in names}
        assert ours["parts"] == list(theirs.parts)
        assert ours["unfinished"] is theirs.unfinished


@pytest.mark.parametrize(("format_", "text"), DOCUMENTS)
def test_documents_are_those_of_the_model(
    attending: SavedModel, model: Seq2SeqLM, format_: Any, text: str
) -> None:
    assert "documents" not in attending.obstacles
    expected = generate_document(model, text, format_, src_lang="en")
    if text == LONG:
        assert expected.sentences[0].was_split
    if format_ == "html":
        assert expected.markup == "attention"
    same_sentences(document(attending, text, format_), expected)


@pytest.mark.parametrize(("format_", "text"), DOCUMENTS)
def test_without_attention_markup_is_placed_in_proportion(
    plain: SavedModel,
    model: Seq2SeqLM,
    format_: Any,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KerasSentenceModel, "word_weights", lambda *arguments: None)
    expected = generate_document(model, text, format_, src_lang="en")
    if format_ == "html":
        assert expected.markup == "proportion"
    same_sentences(document(plain, text, format_), expected)


def test_libretranslate(plain: SavedModel, model: Seq2SeqLM) -> None:
    body: dict[str, Any] = {"source": "en", "target": "de", "q": ["abc. ab c.", LONG, " "]}
    found = posted(plain, "/translate", body).json()["translatedText"]
    assert found == [generate_document(model, text).text for text in body["q"]]
    page = posted(plain, "/translate", {**body, "q": PAGE, "format": "html"}).json()
    page = page["translatedText"]
    assert page.count("<") == PAGE.count("<") and page.count("</b>") == 1
    assert page == document(plain, PAGE, "html")["text"]


def test_several_results(model: Seq2SeqLM, tmp_path: Path) -> None:
    served = exported(model, tmp_path / "1", num_beams=3, num_return_sequences=2)
    text = "abc.\n\nab c."
    body = {"q": text, "source": "en", "target": "de", "alternatives": 1}
    reply = posted(served, "/translate", body).json()
    options: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 2}
    results = model.generate(["abc.", "ab c."], **options)
    written = ["\n\n".join(map(str.strip, texts)) for texts in zip(*results, strict=True)]
    assert [reply["translatedText"], *reply["alternatives"]] == list(dict.fromkeys(written))


def test_lengths_are_those_of_the_tokenizer(plain: SavedModel, model: Seq2SeqLM) -> None:
    texts = ["", "abc", "a" * 300, "가나 c"]
    assert model.preprocessor is not None
    expected = [len(row) for row in model.preprocessor.encode_source(texts)]
    body = {"signature_name": "source_lengths", "instances": texts}
    rows = posted(plain, "/v1/models/small:predict", body).json()["predictions"]
    assert rows == [{"source_lengths": length, "error": ""} for length in expected]
    sentences = plain.sentence_model("en", None)
    assert list(sentences.source_lengths(texts)) == expected
    assert sentences.limit == POSITIONS


@pytest.mark.parametrize(
    ("name", "pair", "own"),
    [("nllb", ("en", "zu"), ("eng_Latn", "zul_Latn")), ("marian", ("auto", "fr"), (None, "fra"))],
)
def test_languages(name: str, pair: tuple[str, str], own: tuple[Any, str], tmp_path: Path) -> None:
    model = Seq2SeqLM.from_preset(make(name, tmp_path)[2], verbose=False)
    randomise(model, seed=3, scale=2.0)
    model.export(tmp_path / "1", verify=False, max_length=9, cross_attention=True)
    served = load_served(ModelArgument("model", str(tmp_path / "1")), {})
    targets = [code for each in got([served], "/languages").json() for code in each["targets"]]
    assert pair[1] in targets
    text = "<p>The <b>quick</b> fox. Two <i>men</i></p>"
    body = {"q": text, "source": pair[0], "target": pair[1], "format": "html"}
    reply = posted(served, "/translate", body)
    assert reply.status_code == 200, reply.text
    expected = generate_document(
        model, text, "html", src_lang=own[0], tgt_lang=own[1], max_length=9
    )
    assert expected.markup == "attention"
    assert reply.json()["translatedText"] == expected.text
    other = generate_document(model, text, "html", tgt_lang=None, max_length=9)
    assert other.text != expected.text, "the language makes no difference here"


def test_a_saved_model_without_the_signature(plain: SavedModel) -> None:
    """An older export, or one of another program."""
    without = SavedModel.__new__(SavedModel)
    without.__dict__.update(plain.__dict__)
    without._signatures = {k: v for k, v in plain.signatures.items() if k != "source_lengths"}
    assert "without the signature source_lengths" in without.obstacles["documents"]
    body = {"q": "abc. ab c.", "source": "en", "target": "de"}
    assert posted(without, "/translate", body).status_code == 200
    reply = posted(without, "/translate", {**body, "format": "html"})
    assert reply.status_code == 400
    assert "send the text of the page with format 'text'" in reply.json()["error"]
