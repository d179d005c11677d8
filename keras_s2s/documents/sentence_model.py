"""What is asked of a model, beside generating, to read documents and to write their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from keras_s2s.documents.splitting.sentences import sentence_language
from keras_s2s.documents.word_weights import attended_weights

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM


class SentenceModel(Protocol):
    """A model that sentences are generated with, in a pair of languages.

    `KerasSentenceModel` is that of a `Seq2SeqLM`; servers have one of a SavedModel.
    """

    @property
    def language(self) -> str:
        """Language of the sources by which sentences are found (see `sentence_language`)."""

    @property
    def limit(self) -> int | None:
        """Most ids of a source, special ones counted; None where there is no limit."""

    def source_lengths(self, texts: Sequence[str]) -> Sequence[int]:
        """Returns the number of ids of each source, special ones counted."""

    def word_weights(
        self, sources: Sequence[str], targets: Sequence[str]
    ) -> list[np.ndarray] | None:
        """Returns for each pair how much each target word attends to each source character.

        Returns:
            float arrays `[T words, S characters]` whose rows sum to 1, or are 0; None where the
            model does not tell.
        """


@dataclass(frozen=True)
class KerasSentenceModel:
    """A `SentenceModel` of a `Seq2SeqLM` with a preprocessor.

    Attributes:
        model: the model.
        language: as in `SentenceModel`.
        src_lang, tgt_lang: languages, as in `Seq2SeqLM.generate`.
        batch_size: pairs whose words are aligned at a time.
        max_source_length: most ids of a source; None is what the model has positions for.
    """

    model: Seq2SeqLM
    language: str
    src_lang: str | None = None
    tgt_lang: str | None = None
    batch_size: int = 32
    max_source_length: int | None = None

    @classmethod
    def of(
        cls,
        model: Seq2SeqLM,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        batch_size: int = 32,
        max_source_length: int | None = None,
    ) -> KerasSentenceModel:
        """Returns that of a model, which need not know `src_lang` where it has no languages."""
        text = model.preprocessor
        assert text is not None
        languages = text.special_ids.languages
        own = src_lang if languages is not None and languages.source != "none" else None
        language = sentence_language(src_lang, text)
        return cls(model, language, own, tgt_lang, batch_size, max_source_length)

    @property
    def limit(self) -> int | None:
        """Most ids of a source, special ones counted; None where there is no limit."""
        limits = [self.max_source_length, self.model.network.max_source_length]
        return min((limit for limit in limits if limit is not None), default=None)

    def source_lengths(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of ids of each source, special ones counted."""
        text = self.model.preprocessor
        assert text is not None
        return [len(row) for row in text.encode_source(list(texts), self.src_lang, self.tgt_lang)]

    def word_weights(
        self, sources: Sequence[str], targets: Sequence[str]
    ) -> list[np.ndarray] | None:
        """Returns weights as in `SentenceModel`, from a teacher-forced pass."""
        return attended_weights(
            self.model,
            sources,
            targets,
            src_lang=self.src_lang,
            tgt_lang=self.tgt_lang,
            batch_size=self.batch_size,
        )
