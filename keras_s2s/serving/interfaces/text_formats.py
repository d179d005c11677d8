"""What LibreTranslate's `format` says a text is, and how texts of each format are translated.

A text is a document: it is split into sentences, and put together from their results. The
sentences of all texts of a request are computed together, and with those of other requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from typing import TYPE_CHECKING

from starlette.requests import Request

from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.interfaces.event_stream import Tell
from keras_s2s.serving.models.hosting import Host
from keras_s2s.serving.models.languages import AUTO, NamedLanguage
from keras_s2s.serving.models.served_model import Row, ServedModel, count_results

if TYPE_CHECKING:
    from keras_s2s.documents import DocumentFormat, GeneratedDocument
    from keras_s2s.documents.read_document import ReadDocument

#: Generates for texts that are none of them blank; yields the outputs for each, for some at a time.
Compute = Callable[[list[str]], AsyncIterator[list[Row]]]

#: The library that finds sentences.
SPLITTER = "sentencex"


@dataclass(frozen=True)
class TextJob:
    """Texts of a request.

    Attributes:
        texts: to translate.
        model: that translates them.
        source: the source language, for the rules by which sentences are found; None if unknown.
        target: the model's code of the target language; None where it has none.
        alternatives: further results wanted for each text.
        compute: generates for sentences.
    """

    texts: Sequence[str]
    model: ServedModel
    source: str | None
    target: str | None
    alternatives: int
    compute: Compute

    @classmethod
    def of_request(
        cls,
        request: Request,
        host: Host,
        texts: Sequence[str],
        source: NamedLanguage,
        target: NamedLanguage,
        *,
        alternatives: int = 0,
        at_a_time: int,
    ) -> TextJob:
        """Returns the job of a request, which computes in the queue of a model.

        Args:
            request: whose body was read.
            host: of the model.
            texts: to translate.
            source, target: their languages.
            alternatives: further results wanted for each text.
            at_a_time: most sentences that are queued together.
        """

        async def compute(sentences: list[str]) -> AsyncIterator[list[Row]]:
            # A document may have more sentences than the queue has room for.
            for start in range(0, len(sentences), at_a_time):
                part = sentences[start : start + at_a_time]
                prepared = host.model.translate(part, source[1], target[1], alternatives)
                yield await host.compute(request, prepared)

        own = source[1] or (None if source[0] == AUTO else source[0])
        return cls(texts, host.model, own, target[1], alternatives, compute)


def splits_documents(model: ServedModel) -> bool:
    """Returns whether a model gets texts sentence by sentence, so that they may be long."""
    return model.reads_documents and find_spec(SPLITTER) is not None


#: Returns a list of different results for each text, best first.
Format = Callable[[TextJob], Awaitable[list[list[str]]]]


async def plain_text(job: TextJob) -> list[list[str]]:
    """Translates plain texts, sentence by sentence; line breaks and blank texts stay as they are.

    The model gets texts as a whole where sentencex is not installed, or it does not read documents
    (a SavedModel of another program).
    """
    if splits_documents(job.model):
        return _texts(await documents(job, "text"))
    real = [i for i, text in enumerate(job.texts) if text.strip()]
    found = [rows async for rows in job.compute([job.texts[i] for i in real])]
    results = [[text] for text in job.texts]
    for i, row in zip(real, chain.from_iterable(found), strict=True):
        results[i] = _distinct(row["text"])[: count_results(row)]
    return results


async def html(job: TextJob) -> list[list[str]]:
    """Translates HTML, sentence by sentence; tags, attributes and entities stay as they are.

    Raises:
        RequestError: 400 where sentencex is not installed, or the model does not read documents.
    """
    if not job.model.reads_documents:
        why = job.model.obstacles.get("documents", f"model {job.model.name} reads no documents")
        raise RequestError(400, f"{why} Or send the text of the page with format 'text'.")
    if find_spec(SPLITTER) is None:
        raise RequestError(
            400, f"format 'html' needs {SPLITTER}, which this server does not have installed"
        )
    return _texts(await documents(job, "html"))


#: A function for each value of `format`.
FORMATS: dict[str, Format] = {"text": plain_text, "html": html}


# --------------------------------------------------------------------------------------
# Documents
# --------------------------------------------------------------------------------------


async def documents(
    job: TextJob, format_: DocumentFormat, tell: Tell = lambda done, of: None
) -> list[list[GeneratedDocument]]:
    """Translates documents: finds the sentences of all, computes them, puts each together.

    Args:
        job: with documents as its texts, and a model that reads documents.
        format_: of all documents.
        tell: is called with how many sentences are done, and of how many: at first with 0, and
            after each batch.

    Returns:
        for each document its results, best first: one, and as many as the alternatives wanted.

    Raises:
        ValueError: a document that cannot be read.
    """
    from keras_s2s.documents.read_document import read_document
    from keras_s2s.documents.translation import GeneratedPart

    model = job.model.sentence_model(job.source, job.target)

    def read() -> list[ReadDocument]:
        return [read_document(text, format_, model) for text in job.texts]

    found = await asyncio.to_thread(read)
    wanted = list(dict.fromkeys(part for document in found for part in document.parts))
    progress = _Progress(found, tell)
    results: dict[str, Row] = {}
    async for rows in job.compute(wanted):
        computed = wanted[len(results) : len(results) + len(rows)]
        results.update(zip(computed, rows, strict=True))
        progress.add(computed)

    def part(text: str, rank: int) -> GeneratedPart:
        """Returns the result of a part; the worst one where there are fewer."""
        row = results[text]
        texts, ids, length = row["text"], row["token_ids"], row["lengths"]
        if not isinstance(texts, str):
            i = min(rank, count_results(row) - 1)
            texts, ids, length = texts[i], ids[i], length[i]
        ended = job.model.ends, job.model.stops
        return GeneratedPart.of_result(texts, ids[: int(length)], *ended)

    def written() -> list[list[GeneratedDocument]]:
        return [
            [
                document.written([part(text, rank) for text in document.parts], model)
                for rank in range(job.alternatives + 1)
            ]
            for document in found
        ]

    return await asyncio.to_thread(written)


class _Progress:
    """Counts the sentences of which all parts are there.

    Args:
        documents: whose sentences are counted.
        tell: is told.
    """

    def __init__(self, documents: Sequence[ReadDocument], tell: Tell) -> None:
        self._tell = tell
        #: For each text the sentences that wait for it, and for each of these for how many.
        self._waiting: dict[str, list[int]] = {}
        self._left: list[int] = []
        for document in documents:
            parts = iter(document.parts)
            for spans in document.spans:
                for _ in spans:
                    self._waiting.setdefault(next(parts), []).append(len(self._left))
                self._left.append(len(spans))
        self._done = 0
        tell(0, len(self._left))

    def add(self, texts: Sequence[str]) -> None:
        """Counts what these texts complete."""
        for text in texts:
            for sentence in self._waiting[text]:
                self._left[sentence] -= 1
                self._done += not self._left[sentence]
        self._tell(self._done, len(self._left))


def _texts(found: list[list[GeneratedDocument]]) -> list[list[str]]:
    """Returns the different texts of each document, best first."""
    return [_distinct([result.text for result in results]) for results in found]


def _distinct(texts: str | list[str]) -> list[str]:
    """Returns the different texts among several results, best first."""
    return [texts] if isinstance(texts, str) else list(dict.fromkeys(texts))
