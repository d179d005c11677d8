"""LibreTranslate's interface, over models that return their texts in capitals."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from serving.clients import Shouting, got, posted, using
from small_models import COMPILES

from keras_s2s.config import LanguagesConfig
from keras_s2s.serving.models.languages import ModelLanguages, client_codes

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

REQUEST = {"q": "hello", "source": "en", "target": "de"}


def translated(model: Shouting | None = None, **fields: Any) -> dict[str, Any]:
    reply = posted(model or Shouting(), "/translate", {**REQUEST, **fields})
    assert reply.status_code == 200, reply.text
    return reply.json()


def refused(status: int = 400, model: Shouting | None = None, **fields: Any) -> str:
    body = {k: v for k, v in {**REQUEST, **fields}.items() if v is not ...}
    reply = posted(model or Shouting(), "/translate", body, max_rows=3, max_characters=20)
    assert reply.status_code == status, reply.text
    return reply.json()["error"]


def test_a_text_and_a_list() -> None:
    assert translated() == {"translatedText": "HELLO"}
    assert translated(q=["hello", "world"]) == {"translatedText": ["HELLO", "WORLD"]}
    assert translated(q=["hello"], format="text", api_key="") == {"translatedText": ["HELLO"]}
    assert translated(q=[]) == {"translatedText": []}


def test_fields_that_libretranslate_does_not_have_are_ignored_and_named() -> None:
    # What clients send, whether the server has a use for it or not.
    known = {"api_key": "x", "secret": "y", "apiKey": "z", "format": "text"}
    for further, named in [
        (known, None),
        ({"glossary": {"a": "b"}, "batch": 1}, "glossary, batch"),
        ({"한": 1}, "%ED%95%9C"),
        ({"fromat": "html", "format": "text"}, "fromat"),
    ]:
        reply = posted(Shouting(), "/translate", {**REQUEST, **further})
        assert (reply.status_code, reply.json()) == (200, {"translatedText": "HELLO"})
        assert reply.headers.get("X-Ignored-Fields") == named


def test_alternatives() -> None:
    assert translated(alternatives=2) == {
        "translatedText": "HELLO",
        "alternatives": ["HELLO!", "HELLO!!"],
    }
    assert translated(q=["a", "b"], alternatives=1) == {
        "translatedText": ["A", "B"],
        "alternatives": [["A!"], ["B!"]],
    }
    assert translated(alternatives=0) == {"translatedText": "HELLO"}


def test_blank_texts_stay_as_they_are() -> None:
    model = Shouting()
    assert translated(model, q=["", "a", " \n"], alternatives=1) == {
        "translatedText": ["", "A", " \n"],
        "alternatives": [[], ["A!"], []],
    }
    assert model.batches == [[{"text": "a"}]]
    assert translated(model, q="") == {"translatedText": ""}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({**REQUEST, "q": "grüße & co"}, {"translatedText": "GRÜSSE & CO"}),
        ({**REQUEST, "alternatives": "1"}, {"translatedText": "HELLO", "alternatives": ["HELLO!"]}),
        ({**REQUEST, "q": ["a", "b"]}, {"translatedText": ["A", "B"]}),
    ],
)
def test_a_form(form: dict[str, Any], expected: dict[str, Any]) -> None:
    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/translate", data=form)

    reply = using([Shouting()], use)
    assert (reply.status_code, reply.json()) == (200, expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"q=a&source=en&target=de&source=fr", "field 'source' is there more than once"),
        (b"q=%ff&source=en&target=de", "not UTF-8"),
        (b"q=\xff&source=en&target=de", "not UTF-8"),
        (urlencode({**REQUEST, "alternatives": "x"}).encode(), "alternatives is 'x'"),
    ],
)
def test_a_broken_form(content: bytes, message: str) -> None:
    async def use(client: httpx.AsyncClient) -> httpx.Response:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return await client.post("/translate", content=content, headers=kind)

    reply = using([Shouting()], use)
    assert reply.status_code == 400
    assert message in reply.json()["error"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"q": ...}, "Invalid request: missing q parameter"),
        ({"source": ...}, "Invalid request: missing source parameter"),
        ({"target": ...}, "Invalid request: missing target parameter"),
        ({"q": 3}, "q must be a text or a list of texts"),
        ({"q": ["a", 3]}, "q must be a text or a list of texts"),
        ({"source": ["en"]}, "source must be a language code"),
        ({"source": "xx"}, "xx is not supported"),
        ({"target": "fr"}, "fr is not supported"),
        ({"format": "html"}, "send the text of the page with format 'text'"),
        ({"format": "pdf"}, "format is 'pdf'; expected text or html"),
        ({"alternatives": -1}, "alternatives is -1; expected 0 to 15"),
        ({"alternatives": 16}, "expected 0 to 15"),
        ({"alternatives": True}, "expected 0 to 15"),
        ({"target": ..., "taget": "de"}, "'taget' is unknown; did you mean 'target'?"),
        ({"fromat": "html"}, "'fromat' is unknown; did you mean 'format'?"),
        ({"alternative": 2}, "'alternative' is unknown; did you mean 'alternatives'?"),
        ({"q": "bad"}, "a text is bad"),
        ({"q": ["a", "\ud800"]}, "text 1 of q is no Unicode text"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], message: str) -> None:
    assert message in refused(**fields)


def test_limits() -> None:
    assert refused(413, q=["a"] * 4) == "q has 4 rows; at most 3 are taken at a time"
    assert "text 0 of q has 21 characters" in refused(413, q="a" * 21)


def test_a_form_of_parts() -> None:
    text = "grüße\r\n & co\n"

    async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
        fields = {**REQUEST, "q": text}
        parts = [(name, (None, value)) for name, value in fields.items()]
        several = [(n, (None, v)) for n, v in [*REQUEST.items(), ("q", "b")]]
        return [
            await client.post("/translate", files=parts),
            await client.post("/translate", files=several),
        ]

    one, two = using([Shouting()], use)
    assert (one.status_code, one.json()) == (200, {"translatedText": text.upper()})
    assert two.json() == {"translatedText": ["HELLO", "B"]}


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"q=a", "multipart/form-data", "the form cannot be read"),
        (b"no parts", "multipart/form-data; boundary=b", "the form cannot be read"),
        (
            b'--b\r\nContent-Disposition: form-data; name="q"; filename="a.txt"\r\n\r\na\r\n--b--',
            *("multipart/form-data; boundary=b", "field 'q' is a file; expected a text"),
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\n\xff\r\n--b--\r\n',
            *("multipart/form-data; boundary=b", "not UTF-8"),
        ),
        (
            b"--b\r\nContent-Type: text/plain\r\n\r\na\r\n--b--\r\n",
            *("multipart/form-data; boundary=b", "a part of it has no name"),
        ),
        (b"hello", "text/plain", "Content-Type is text/plain; send application/json"),
    ],
)
def test_other_bodies_are_refused(content: bytes, kind: str, message: str) -> None:
    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/translate", content=content, headers={"Content-Type": kind})

    reply = using([Shouting()], use)
    assert reply.status_code == 400
    assert message in reply.json()["error"]


def test_what_this_server_does_not_do() -> None:
    for path, what in (("/detect", "language detection"), ("/translate_file", "files")):
        reply = posted(Shouting(), path, {"q": "hello"})
        assert reply.status_code == 403
        assert what in reply.json()["error"]


# --------------------------------------------------------------------------------------
# Languages
# --------------------------------------------------------------------------------------


def test_auto_is_the_only_source_language_or_refused() -> None:
    assert translated(source="auto") == {
        "translatedText": "HELLO",
        "detectedLanguage": {"confidence": 0.0, "language": "en"},
    }
    message = refused(model=Shouting(languages="en,fr:de"), source="auto")
    assert message == "this server does not detect languages; name the source language"


def test_languages_lists_targets_per_source() -> None:
    models = [Shouting("a", "en:de,fr"), Shouting("b", "en,ko:fr"), Shouting("c", None)]
    assert got(models, "/languages").json() == [
        {"code": "en", "name": "English", "targets": ["de", "fr"]},
        {"code": "ko", "name": "Korean", "targets": ["fr"]},
    ]
    assert got([Shouting("c", None)], "/languages").json() == []


def test_the_first_model_with_both_languages_translates() -> None:
    models = [Shouting("a", "en:de"), Shouting("b", "fr:ko"), Shouting("c", "fr:de")]

    async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
        pairs = [("fr", "de"), ("en", "de"), ("fr", "ko"), ("en", "ko")]
        return [
            await client.post("/translate", json={"q": "x", "source": s, "target": t})
            for s, t in pairs
        ]

    replies = using(models, use)
    assert [reply.status_code for reply in replies] == [200, 200, 200, 400]
    assert replies[3].json()["error"] == "ko is not available as a target language from en"
    assert [len(model.calls) for model in models] == [1, 1, 1]


def test_a_server_without_languages_says_how_to_declare_them() -> None:
    message = refused(model=Shouting(languages=None))
    assert "start it with --languages, e.g. --languages en:de" in message


def test_frontend_settings() -> None:
    settings = got([Shouting()], "/frontend/settings").json()
    assert settings["language"] == {
        "source": {"code": "en", "name": "English"},
        "target": {"code": "de", "name": "German"},
    }
    assert settings["keyRequired"] is False
    assert settings["charLimit"] == 10_000
    assert got([Shouting(languages=None)], "/frontend/settings").status_code == 200


CODES = {
    "mbart": ["en_XX", "de_DE", "ko_KR", "zh_CN", "pt_XX"],
    "nllb": ["eng_Latn", "deu_Latn", "kor_Hang", "zho_Hans", "zho_Hant", "arb_Arab", "ary_Arab"],
    "m2m": ["en", "de", "ko", "zh", "ast"],
    "marian": ["eng", "deu", "fra", "cmn_Hans"],
}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mbart", {"en": "en_XX", "de": "de_DE", "ko": "ko_KR", "zh": "zh_CN", "pt": "pt_XX"}),
        (
            "nllb",
            {
                "en": "eng_Latn",
                "de": "deu_Latn",
                "ko": "kor_Hang",
                "zh": "zho_Hans",
                "zh-Hant": "zho_Hant",
                "ar": "arb_Arab",
                "ary": "ary_Arab",
            },
        ),
        ("m2m", {code: code for code in CODES["m2m"]}),
    ],
)
def test_short_codes(kind: str, expected: dict[str, str]) -> None:
    assert client_codes(CODES[kind]) == expected


@pytest.mark.parametrize(
    ("kind", "code", "own"),
    [
        ("mbart", "en", "en_XX"),
        ("mbart", "en_XX", "en_XX"),
        ("mbart", "EN", "en_XX"),
        ("mbart", "zh-CN", "zh_CN"),
        ("mbart", "zh-Hans", "zh_CN"),
        ("mbart", "deu", "de_DE"),
        ("nllb", "zt", "zho_Hant"),
        ("nllb", "zh_Hant", "zho_Hant"),
        ("nllb", "eng_Latn", "eng_Latn"),
        ("nllb", "kor", "kor_Hang"),
        ("marian", "fr", "fra"),
        ("marian", "xx", None),
        ("mbart", "zt", None),
    ],
)
def test_codes_of_clients(kind: str, code: str, own: str | None) -> None:
    ids = {code: i for i, code in enumerate(CODES[kind])}
    config = LanguagesConfig(codes=ids, source="prefix", target="forced_bos")
    found = ModelLanguages.of_model(config).target(code)
    assert (found and found[1]) == own


def test_sources_that_do_not_say_their_language() -> None:
    config = LanguagesConfig(codes={"deu": 5, "fra": 6}, source="none", target="source_prefix")
    languages = ModelLanguages.of_model(config)
    assert languages.source("en") == ("en", None)
    assert languages.source("auto") == ("auto", None)
    assert languages.target("de") == ("de", "deu")
    declared = ModelLanguages.declared("en:de", config)
    assert declared.source("en") == ("en", None)
    assert declared.source("fr") is None
    assert declared.targets == {"de": "deu"}


@pytest.mark.parametrize("text", ["en", "en:", ":de", "en:de:fr", "en:de,", ""])
def test_declarations_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="expected source and target languages"):
        ModelLanguages.declared(text)


def test_a_declared_language_that_the_model_lacks() -> None:
    config = LanguagesConfig(codes={"en_XX": 5}, source="prefix", target="forced_bos")
    with pytest.raises(ValueError, match="the model has no language 'ko'"):
        ModelLanguages.declared("en:ko", config)
