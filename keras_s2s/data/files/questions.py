"""Reads questions about texts in SQuAD's JSON form, as pairs of texts."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_s2s.data.errors import DataError
from keras_s2s.data.files.text_files import text_lines
from keras_s2s.data.files.text_pairs import TextPairs, without_empty
from keras_s2s.text.answer import Answer

logger = logging.getLogger(__name__)


def read_questions(
    path: str | os.PathLike[str], *, articles: tuple[int, int] | None = None
) -> TextPairs:
    """Reads question answering as text-to-text pairs [Raffel 2020, appendix D.15].

    Args:
        path: a JSON file in the form of SQuAD 1.1 [Rajpurkar 2016] and KorQuAD 1.0, plain or
            compressed with gzip.
        articles: the first article that is read and the one after the last, counted from 0, so
            that splits of one file share no article.

    Returns:
        pairs of `question: ... context: ...` and the first answer, an `Answer`. Questions without
        an answer are dropped and counted. Line breaks of a context are spaces.

    Raises:
        DataError: the file is missing, damaged, or not of this form; the message names the place.

    Example:
        >>> pairs = read_questions("questions.json")
        >>> pairs[0]
        ('question: Who sleeps? context: A dog sleeps.', 'A dog')
        >>> pairs[0][1].accepted
        ('A dog', 'dog')
    """
    path = Path(path)
    try:
        content = json.loads("\n".join(text_lines(path)))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({error})") from None
    found = _entries(content, "data", path, "the file")
    if articles is not None:
        first, end = articles
        if not first < end <= len(found):
            raise DataError(
                f"{path}: articles {first} to {end} are asked for, and there are {len(found)}; "
                "give the first one and the one after the last, counted from 0"
            )
        found = found[first:end]
    start = 0 if articles is None else articles[0]
    return without_empty(_pairs(found, path, start), str(path))


def _pairs(articles: list[Any], path: Path, start: int) -> Iterator[tuple[str, str]]:
    for number, article in enumerate(articles, start):
        place = f"article {number}"
        for i, paragraph in enumerate(_entries(article, "paragraphs", path, place)):
            where = f"{place}, paragraph {i}"
            context = _spaced(_text(paragraph, "context", path, where))
            for j, entry in enumerate(_entries(paragraph, "qas", path, where)):
                which = f"{where}, question {j}"
                question = _spaced(_text(entry, "question", path, which))
                answers = [
                    _text(answer, "text", path, f"{which}, an answer")
                    for answer in _entries(entry, "answers", path, which)
                ]
                accepted = tuple(dict.fromkeys(text for text in answers if text.strip()))
                yield f"question: {question} context: {context}", Answer(accepted)


def _entries(value: Any, key: str, path: Path, where: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise DataError(
            f"{path}, {where}: expected an object with a list under {key!r}, as in SQuAD 1.1 and "
            "KorQuAD 1.0"
        )
    return found


def _text(value: Any, key: str, path: Path, where: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, str):
        raise DataError(f"{path}, {where}: expected an object with a text under {key!r}")
    try:
        found.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            f"{path}, {where}: {key} holds an unpaired surrogate, which is no character"
        ) from None
    return found


def _spaced(text: str) -> str:
    return " ".join(text.split())
