"""What LibreTranslate's `format` says a text is, and how texts of each format are translated.

A text is a document: it is split into sentences, and put together from their results. The
sentences of all texts of a request are computed together, and with those of other requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request

from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.models.hosting import Host
from keras_s2s.serving.models.languages import AUTO, NamedLanguage
from keras_s2s.serving.models.served_model import Row, ServedModel

if TYPE_CHECKING:
    from keras_s2s.documents import DocumentFormat, GeneratedDocument

#: Generates for texts that are none of them blank; returns the outputs for each.
Compute = Callable[[list[str]], Awaitable[list[Row]]]

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

        async def compute(sentences: list[str]) -> list[Row]:
            rows: list[Row] = []
            # A document may have more sentences than the queue has room for.
            for start in range(0, len(sentences), at_a_time):
                part = sentences[start : start + at_a_time]
                prepared = host.model.translate(part, source[1], target[1], alternatives)
                rows += await host.compute(request, prepared)
            return rows

        own = source[1] or (None if source[0] == AUTO else source[0])
        return cls(texts, host.model, own, target[1], alternatives, compute)


#: Returns a list of different results for each text, best first.
Format = Callable[[TextJob], Awaitable[list[list[str]]]]


async def plain_text(job: TextJob) -> list[list[str]]:
    """Translates plain texts, sentence by sentence; line breaks and blank texts stay as they are.

    The model gets texts as a whole where sentencex is not installed, or the model is a SavedModel.
    """
    if job.model.reads_documents is not None and find_spec(SPLITTER) is not None:
        return _texts(await documents(job, "text"))
    real = [i for i, text in enumerate(job.texts) if text.strip()]
    rows = await job.compute([job.texts[i] for i in real]) if real else []
    results = [[text] for text in job.texts]
    for i, row in zip(real, rows, strict=True):
        results[i] = _distinct(row["text"])
    return results


async def html(job: TextJob) -> list[list[str]]:
    """Translates HTML, sentence by sentence; tags, attributes and entities stay as they are.

    Raises:
        RequestError: 400 where sentencex is not installed, or the model is a SavedModel.
    """
    if job.model.reads_documents is None:
        raise RequestError(
            400,
            f"model {job.model.name} is a SavedModel, which reads plain text only; send the text "
            "of the page with format 'text'",
        )
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


class _SentencesWanted(Exception):
    """Raised in place of generating, with the sentences of a document."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__(f"{len(sentences)} sentences")
        self.sentences = sentences


class _ModelOfSentences:
    """Stands for a model in `generate_document`, which calls `generate` once for a document.

    Args:
        model: for everything else: tokenizers, limits, attention.
        results: outputs for each sentence; None asks for them.
        rank: which of several results of a sentence is taken, from 0.
    """

    def __init__(self, model: Any, results: Mapping[str, Row] | None = None, rank: int = 0) -> None:
        self._model, self._results, self._rank = model, results, rank

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, texts: Sequence[str], **options: Any) -> Any:
        """Returns the results of sentences, as `GenerationOutput` has them."""
        if self._results is None:
            raise _SentencesWanted(list(texts))
        chosen = [self._chosen(self._results[text]) for text in texts]
        token_ids = np.empty(len(texts), object)
        token_ids[:] = [ids for _, ids, _ in chosen]
        lengths = np.array([length for _, _, length in chosen], int)
        return SimpleNamespace(
            texts=[text for text, _, _ in chosen], token_ids=token_ids, lengths=lengths
        )

    def _chosen(self, row: Row) -> tuple[str, np.ndarray, int]:
        if isinstance(row["text"], str):
            return row["text"], row["token_ids"], row["lengths"]
        i = min(self._rank, len(row["text"]) - 1)
        return row["text"][i], row["token_ids"][i], row["lengths"][i]


async def documents(job: TextJob, format_: DocumentFormat) -> list[list[GeneratedDocument]]:
    """Translates documents: finds the sentences of all, computes them, puts each together.

    Args:
        job: with documents as its texts, and a model that reads documents.
        format_: of all documents.

    Returns:
        for each document its results, best first: one, and as many as the alternatives wanted.

    Raises:
        ValueError: a document that cannot be read.
    """
    from keras_s2s.documents import generate_document

    def read(text: str, model: _ModelOfSentences) -> GeneratedDocument:
        return generate_document(
            model,  # type: ignore[arg-type]
            text,
            format=format_,
            src_lang=job.source,
            tgt_lang=job.target,
        )

    def sentences() -> list[str]:
        found: dict[str, None] = {}
        for text in job.texts:
            try:
                read(text, _ModelOfSentences(job.model.reads_documents))
            except _SentencesWanted as wanted:
                found.update(dict.fromkeys(wanted.sentences))
        return list(found)

    wanted = await asyncio.to_thread(sentences)
    results = dict(zip(wanted, await job.compute(wanted), strict=True)) if wanted else {}

    def written() -> list[list[GeneratedDocument]]:
        ranks = [
            _ModelOfSentences(job.model.reads_documents, results, rank)
            for rank in range(job.alternatives + 1)
        ]
        return [[read(text, model) for model in ranks] for text in job.texts]

    return await asyncio.to_thread(written)


def _texts(found: list[list[GeneratedDocument]]) -> list[list[str]]:
    """Returns the different texts of each document, best first."""
    return [_distinct([result.text for result in results]) for results in found]


def _distinct(texts: str | list[str]) -> list[str]:
    """Returns the different texts among several results, best first."""
    return [texts] if isinstance(texts, str) else list(dict.fromkeys(texts))
