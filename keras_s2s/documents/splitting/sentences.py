"""Finds the sentences of a text, in the language that it is written in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor

#: Where neither a call nor the model names a language.
DEFAULT_LANGUAGE = "en"


class Span(NamedTuple):
    """A part of a text: positions of characters, the end not included."""

    start: int
    end: int


def sentence_spans(text: str, language: str) -> list[Span]:
    """Returns the sentences of a line of text, without the white space around them.

    What lies between two spans is white space: no character of a sentence is ever left out.

    Args:
        text: without line breaks that separate sentences.
        language: an ISO 639-1 code, or one of three letters (see `sentence_language`).

    Returns:
        spans, in order.

    Raises:
        ImportError: sentencex is not installed.

    Example:
        >>> text = " Dr. Ito is here.  She waits."
        >>> [text[start:end] for start, end in sentence_spans(text, "en")]
        ['Dr. Ito is here.', 'She waits.']
    """
    spans, start = [], 0
    for piece in _pieces(text, language):
        inner = piece.strip()
        if inner:
            first = start + len(piece) - len(piece.lstrip())
            spans.append(Span(first, first + len(inner)))
        start += len(piece)
    return spans


def _pieces(text: str, language: str) -> list[str]:
    """Returns the sentences with the white space around them; together they are the text."""
    if not text.strip():
        return []
    pieces = list(_splitter().segment(language, text))
    # The splitter may change, and the documents must not.
    return pieces if "".join(pieces) == text else [text]


def _splitter() -> Any:
    try:
        import sentencex
    except ImportError as error:
        raise ImportError(
            "whole documents are split into sentences by sentencex, which is not installed; "
            'pip install "keras_s2s[documents]"'
        ) from error
    return sentencex


def has_words(text: str) -> bool:
    """Returns whether a text has a letter or a digit, and so anything that a model can write.

    Example:
        >>> has_words("* * *"), has_words("(a)"), has_words("第")
        (False, True, True)
    """
    return any(map(str.isalnum, text))


def sentence_language(src_lang: str | None, preprocessor: Preprocessor | None = None) -> str:
    """Returns the code by which the sentence splitter knows a language.

    Args:
        src_lang: a code in any of the forms in use: `en`, `en_XX`, `eng_Latn`, `>>deu<<`; None is
            the language that the model reads by default.
        preprocessor: of the model, for its default.

    Returns:
        a code of ISO 639-1, or the three letters of a language that has none; "en" where neither
        names a language.

    Example:
        >>> [sentence_language(code) for code in ("en_XX", "zho_Hans", ">>deu<<", "pt-BR", None)]
        ['en', 'zh', 'de', 'pt', 'en']
    """
    code = src_lang or _default_language(preprocessor)
    if code is None:
        return DEFAULT_LANGUAGE
    return _iso_639_1(re.split("[_-]", code.strip("<>_").lower())[0])


def _default_language(preprocessor: Preprocessor | None) -> str | None:
    """Returns the language that a model reads by default; None where it does not say."""
    special_ids = getattr(preprocessor, "special_ids", None)
    languages = getattr(special_ids, "languages", None)
    if languages is not None and languages.default_source is not None:
        return languages.default_source
    # A Marian folder names the language of each side in its tokenizer's configuration.
    files = getattr(getattr(preprocessor, "source", None), "files", None)
    declared = None if files is None else files.declared().options.get("source_lang")
    return declared if isinstance(declared, str) else None


def _iso_639_1(code: str) -> str:
    """Returns the two letters of a language, where it has them, for two or three letters."""
    if len(code) != 3:
        return code
    from babel.core import get_global

    return get_global("language_aliases").get(code, code)
