"""The page at `/`: its files ask nothing of other servers, and its requests give what the model
gives. `test_page_in_browser.py` uses it as a person does.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from cli.small_folder import save_small_model
from serving.clients import Shouting, got, posted, using
from serving.test_server import events
from small_models import COMPILES

from keras_s2s import Seq2SeqLM, generate_document
from keras_s2s.analysis.plots import attention_of
from keras_s2s.serving.app import make_app
from keras_s2s.serving.interfaces.page_files import FILES, FOLDER, INDEX
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.hosting import Serving
from keras_s2s.serving.models.languages import ModelLanguages
from keras_s2s.serving.models.preset_model import PresetModel
from keras_s2s.serving.models.served_model import OFFERS

# Starts, sums and alternatives are those of the model; no backend has a part in the rest.
pytestmark = [pytest.mark.slow] if COMPILES else []

TEXTS = ["ab c", "abc", "가나"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seq2SeqLM]:
    yield Seq2SeqLM.from_preset(save_small_model(tmp_path_factory.mktemp("small") / "small"))


def served(model: Seq2SeqLM, languages: str | None = None, **options: Any) -> PresetModel:
    known = None if languages is None else ModelLanguages.declared(languages)
    return PresetModel("small", model, options, known)


def asked(model: PresetModel, what: str, **body: Any) -> Any:
    reply = posted(model, f"/page/{what}", {"model": "small", **body})
    assert reply.status_code == 200, reply.text
    return reply.json()


def followed(model: Any, text: str, **body: Any) -> tuple[list[tuple[int, int]], Any]:
    """How many sentences of a document were done, and of how many, each time; and the result."""
    limits = body.pop("limits", {})
    reply = posted(model, "/page/document", {"model": model.name, "text": text, **body}, **limits)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/event-stream")
    *progress, (kind, result) = events(reply.text)
    assert kind == "end", result
    assert not any(kind for kind, _ in progress)
    return [(data["done"], data["of"]) for _, data in progress], result


def refused(model: Any, what: str, body: dict[str, Any], **limits: Any) -> tuple[int, str]:
    reply = posted(model, f"/page/{what}", body, **limits)
    return reply.status_code, reply.json()["error"]


# --------------------------------------------------------------------------------------
# Files
# --------------------------------------------------------------------------------------


def test_the_files_and_their_headers() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        for name, kind in FILES.items():
            path = "/" if name == INDEX else f"/page/{name}"
            reply = await client.get(path)
            assert reply.status_code == 200
            assert reply.content == (FOLDER / name).read_bytes()
            assert reply.headers["content-type"] == kind
            policy = dict(
                each.split(" ", 1) for each in reply.headers["content-security-policy"].split("; ")
            )
            assert policy["default-src"] == "'none'"
            assert set(policy.values()) == {"'none'", "'self'"}
            assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert (await client.head(path)).content == b""
        assert (await client.get("/page/models.json")).status_code == 404
        assert (await client.get("/page/../app.py")).status_code == 404
        assert (await client.post("/", json={})).status_code == 405
        text = (await client.get("/metrics")).text
        assert 'keras_s2s_requests_total{route="/page/page.css",status="200"} 2.0' in text

    using([Shouting()], use)
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)


def test_the_files_name_no_other_server() -> None:
    for name in FILES:
        text = (FOLDER / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//\w+\.|@import|url\(", text), name
        assert not re.search(r"\beval\(|innerHTML|document\.write|new Function", text), name
    page = (FOLDER / INDEX).read_text("utf-8")
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert len(addresses) == 3
    assert all(address.removeprefix("page/") in FILES for address in addresses)
    assert not re.search(r"<script(?![^>]*src=)|\bstyle=|\bon\w+=", page)


def test_every_element_that_a_script_names_is_on_the_page() -> None:
    page = (FOLDER / INDEX).read_text("utf-8")
    there = re.findall(r'\bid="([\w-]+)"', page)
    assert len(there) == len(set(there)) >= 40
    named = {
        name
        for script in FOLDER.glob("*.js")
        for name in re.findall(r"byId\('([\w-]+)'\)", script.read_text("utf-8"))
    }
    assert len(named) >= 30
    assert named <= set(there)
    pointed = re.findall(
        r'\b(?:for|aria-labelledby|aria-describedby|aria-controls)="([^"]*)"', page
    )
    assert {name for names in pointed for name in names.split()} <= set(there)


# --------------------------------------------------------------------------------------
# Models
# --------------------------------------------------------------------------------------


def test_what_is_served(model: Seq2SeqLM) -> None:
    models = got([served(model, "en:de,ko"), Shouting("loud", None)], "/page/models").json()
    first, second = models.pop("models")
    assert models == {"most_results": 16, "most_characters": 10_000, "most_bytes": 2**20}
    assert (first["name"], first["version"]) == ("small", 1)
    assert first["languages"] == {
        "sources": [{"code": "en", "name": "English"}],
        "targets": [{"code": "de", "name": "German"}, {"code": "ko", "name": "Korean"}],
        "any_source": False,
    }
    assert set(first["obstacles"]) <= {"documents"}
    assert second["languages"] is None
    assert set(second["obstacles"]) == set(OFFERS)


def test_a_model_without_a_tokenizer_says_so(model: Seq2SeqLM) -> None:
    preprocessor, model.preprocessor = model.preprocessor, None
    try:
        without = served(model)
        told = got([without], "/page/models").json()["models"][0]["obstacles"]
        assert set(told) == set(OFFERS)
        assert told["text"] == "Model small has no tokenizer: it reads and returns ids alone."
        for what in ("generate", "stream", "attention", "document"):
            assert refused(without, what, {"model": "small", "text": "abc"}) == (400, told["text"])
    finally:
        model.preprocessor = preprocessor


# --------------------------------------------------------------------------------------
# Results
# --------------------------------------------------------------------------------------


def test_results_are_those_of_the_model(model: Seq2SeqLM) -> None:
    for text in TEXTS:
        expected = model.generate(text, num_beams=3, num_return_sequences=3, return_output=True)
        found = asked(served(model), "generate", text=text, results=3)["results"]
        assert [each["text"] for each in found] == expected.texts[0]
        np.testing.assert_allclose([r["score"] for r in found], expected.scores[0], rtol=1e-5)
        for result, ids, length in zip(
            found, expected.token_ids[0], expected.lengths[0], strict=True
        ):
            assert result["ids"] == ids[:length].tolist()
        (single,) = asked(served(model), "generate", text=text)["results"]
        assert single["text"] == model.generate(text)
        greedy = served(model, sampler="greedy")
        assert len(asked(greedy, "generate", text=text, results=2)["results"]) == 2
        (own,) = asked(served(model, num_beams=4, num_return_sequences=2), "generate", text=text)[
            "results"
        ]
        assert own["text"] == model.generate(text, num_beams=4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 3, "num_return_sequences": 2, "length_penalty": 0.5},
        {"do_sample": True, "temperature": 0.7, "seed": 3},
        {"sampler": "diverse_beam", "num_beam_groups": 2},
    ],
)
def test_a_draft_is_that_of_greedy_search(model: Seq2SeqLM, options: dict[str, Any]) -> None:
    for text in TEXTS:
        body = {"model": "small", "text": text}
        reply = posted(served(model, no_repeat_ngram_size=2, **options), "/page/stream", body)
        assert reply.headers["content-type"].startswith("text/event-stream")
        sent = list(events(reply.text))
        assert sent[-1] == ("end", {})
        found = "".join(data["text"] for kind, data in sent if not kind)
        assert found == model.generate(text, sampler="greedy", no_repeat_ngram_size=2)


def test_attention_is_that_of_the_model(model: Seq2SeqLM) -> None:
    for text in TEXTS:
        result = asked(served(model), "generate", text=text, results=2)["results"][0]
        found = asked(served(model), "attention", text=text, output_ids=result["ids"])
        options = {"num_beams": 2, "num_return_sequences": 2}
        sources, targets, weights = attention_of(model, text, None, **options)
        assert found["source"]["tokens"] == sources
        assert found["output"]["tokens"] == targets
        np.testing.assert_allclose(found["attention"], weights, atol=2e-5)
        assert "".join(found["source"]["texts"]) == text
        assert "".join(found["output"]["texts"]) == result["text"]
        words = found["source"]["words"]
        assert len(words) == len(sources) and words[-1] == -1
        assert max(words) + 1 == len(text.split())
        # By its text, which is encoded again.
        again = asked(served(model), "attention", text=text, output=result["text"])
        _, targets, weights = attention_of(model, text, result["text"])
        assert again["output"]["tokens"] == targets
        np.testing.assert_allclose(again["attention"], weights, atol=2e-5)


def test_a_decoder_without_attention_says_so() -> None:
    from keras_s2s.text import Preprocessor

    without = Seq2SeqLM.from_preset(
        "lstm_seq2seq",
        load_weights=False,
        preprocessor=Preprocessor.train([("ab", "ba")], "character"),
        architecture={"shared": {"hidden_dim": 4}},
    )
    status, message = refused(
        served(without), "attention", {"model": "small", "text": "ab", "output": "ba"}
    )
    assert status == 400
    assert message.startswith("this model's decoder has no attention to show")


@pytest.mark.parametrize(
    ("what", "body", "status", "message"),
    [
        ("generate", {"text": "a"}, 400, "field 'model' is missing"),
        ("generate", {"model": "small"}, 400, "field 'text' is missing"),
        ("generate", {"model": "large", "text": "a"}, 404, "there is no model 'large'"),
        ("generate", {"model": "small", "text": 3}, 400, "text must be a JSON string"),
        ("generate", {"model": "small", "text": "a", "result": 1}, 400, "did you mean 'results'"),
        ("generate", {"model": "small", "text": "a", "results": 17}, 400, "expected 1 to 16"),
        ("generate", {"model": "small", "text": "a", "results": True}, 400, "expected 1 to 16"),
        ("generate", {"model": "small", "text": "a" * 40}, 400, "source 0 has 41 ids"),
        ("generate", {"model": "small", "text": "a" * 51}, 413, "at most 50 are taken"),
        ("generate", {"model": "small", "text": "a", "source": "en"}, 400, "has no languages"),
        ("stream", {"model": "small", "text": "a" * 40}, 400, "source 0 has 41 ids"),
        ("attention", {"model": "small", "text": "a"}, 400, "either output, a text, or"),
        ("attention", {"model": "small", "text": "a", "output_ids": ["b"]}, 400, "a list of ids"),
        ("attention", {"model": "small", "text": "a", "output_ids": [10**6]}, 400, "1000000"),
        ("document", {"model": "small", "text": "a", "format": "htm"}, 400, "did you mean 'html'"),
    ],
)
def test_mistakes(
    model: Seq2SeqLM, what: str, body: dict[str, Any], status: int, message: str
) -> None:
    found = refused(served(model), what, body, max_characters=50)
    assert found[0] == status
    assert message in found[1]


class Reading(Shouting):
    """A model that the page can ask."""

    obstacles: Mapping[str, str] = {}  # type: ignore[assignment]


def test_languages_of_a_request() -> None:
    loud = Reading("loud", "en,fr:de,ko")
    reply = posted(
        loud,
        "/page/generate",
        {"model": "loud", "text": "a", "source": "fr", "target": "ko", "results": 2},
    )
    assert [each["text"] for each in reply.json()["results"]] == ["A", "A!"]
    for body, message in (
        ({"target": "de"}, "has several languages; name the source"),
        ({"source": "en"}, "has several languages; name the target"),
        ({"source": "de", "target": "ko"}, "'de' is not a source language of model loud"),
        ({"source": "en", "target": "xx"}, "'xx' is not a target language of model loud"),
    ):
        assert message in refused(loud, "generate", {"model": "loud", "text": "a", **body})[1]
    # A single pair needs not be named.
    single = Reading("loud", "en:de")
    assert posted(single, "/page/generate", {"model": "loud", "text": "a"}).status_code == 200


# --------------------------------------------------------------------------------------
# Documents
# --------------------------------------------------------------------------------------

SUBTITLES = "1\n00:00:01,000 --> 00:00:02,000\nabc.\n\n2\n00:00:03,000 --> 00:00:04,000\nab c\n"


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        ("text", "\ufeffabc. ab c.\r\n\r\n\tabc.\n"),
        ("html", "<p>abc. <i>ab c.</i></p>\n<p>abc &amp; abc.</p>"),
        ("srt", SUBTITLES),
        ("vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nabc.\n"),
        ("text", "abc " * 20),
        ("text", " \n"),
    ],
)
def test_documents_are_those_of_generate_document(
    model: Seq2SeqLM, format_: Any, text: str
) -> None:
    pytest.importorskip("sentencex")
    expected = generate_document(model, text, format_, src_lang="en")
    _, found = followed(served(model, "en:de"), text, format=format_, source="en", target="de")
    assert found["markup"] == expected.markup
    assert found["text"] == expected.text
    assert [(each["source"], each["text"]) for each in found["sentences"]] == [
        (each.source, each.text) for each in expected.sentences
    ]
    assert [each["was_split"] for each in found["sentences"]] == [
        each.was_split for each in expected.sentences
    ]


def test_a_document_may_be_longer_than_a_text(model: Seq2SeqLM) -> None:
    pytest.importorskip("sentencex")
    text = "abc.\n" * 300
    body = {"model": "small", "text": text}
    _, found = followed(served(model), text, limits={"max_characters": 50, "max_rows": 20})
    assert len(found["sentences"]) == 300
    assert refused(served(model), "document", body, max_body_bytes=1000)[0] == 413


class Sentences:
    """Of a model that reads 16 characters, and shows no attention."""

    language, limit = "en", 16

    def source_lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def word_weights(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        return None


class Writing(Reading):
    """It reads documents."""

    reads_documents = True  # type: ignore[assignment]
    eos = 2

    def sentence_model(self, source: str | None, target: str | None) -> Any:
        return Sentences()

    def run(self, key: Any, rows: Sequence[Any]) -> list[Any]:
        return [{**row, "token_ids": [5, 2], "lengths": 2} for row in super().run(key, rows)]


def test_the_progress_of_a_document() -> None:
    pytest.importorskip("sentencex")
    text = "One is here. Two is. Three.\nTwo is. Five, six and seven of them, and eight.\n"
    progress, found = followed(Writing(), text, source="en", limits={"max_batch_size": 2})
    # "Two is." is computed once, and the last sentence in four parts.
    assert [len(each["parts"]) for each in found["sentences"]] == [1, 1, 1, 1, 4]
    assert progress == [(0, 5), (3, 5), (4, 5), (4, 5), (5, 5)]
    assert found["text"] == text.upper()
    assert found["markup"] is None
    assert [text[s["source_start"] : s["source_end"]] for s in found["sentences"]] == [
        "One is here.", "Two is.", "Three.", "Two is.", "Five, six and seven of them, and eight.",
    ]  # fmt: skip
    # Nothing to do is done at once.
    assert followed(Writing(), " * \n")[0] == [(0, 0)]
    _, found = followed(Writing(), "<p>One <b>is</b> here.", format="html")
    assert found["markup"] == "proportion"


def test_a_document_that_fails_on_its_way() -> None:
    pytest.importorskip("sentencex")
    for last, message in (("bad", "a text is bad"), ("broken", "unexpected RuntimeError")):
        body = {"model": "loud", "text": f"One.\nTwo.\n{last}\nFour."}
        reply = posted(Writing(), "/page/document", body, max_batch_size=2)
        *sent, (kind, data) = events(reply.text)
        assert kind == "error" and message in data["error"]
        assert [each["done"] for _, each in sent] == [0, 2]


def test_a_document_whose_client_goes() -> None:
    pytest.importorskip("sentencex")
    model = Writing()

    async def run() -> None:
        with Serving([model], Limits(max_wait=0.0, max_batch_size=1)) as serving:
            app = make_app(serving)
            text = "".join(f"Sentence {i}.\n" for i in range(100))
            body = json.dumps({"model": "loud", "text": text})
            messages = iter([{"type": "http.request", "body": body.encode()}])
            gone = asyncio.Event()

            async def receive() -> Any:
                for message in messages:
                    return message
                await gone.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                if b'"done": 1' in message.get("body", b""):
                    gone.set()

            scope = {
                "type": "http", "method": "POST", "path": "/page/document", "headers": [],
                "query_string": b"", "root_path": "", "http_version": "1.1", "scheme": "http",
                "server": ("server", 80),
            }  # fmt: skip
            await asyncio.wait_for(app(scope, receive, send), 10)

    asyncio.run(run())
    assert 1 <= len(model.batches) < 10


def test_documents_where_sentencex_is_missing(
    model: Seq2SeqLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_s2s.serving.interfaces.page_api.find_spec", lambda name: None)
    told = got([served(model)], "/page/models").json()["models"][0]["obstacles"]
    assert set(told) == {"documents"}
    assert "sentencex" in told["documents"]
    assert refused(served(model), "document", {"model": "small", "text": "a"}) == (
        400,
        told["documents"],
    )
