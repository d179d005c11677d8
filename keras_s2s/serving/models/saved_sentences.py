"""What a SavedModel tells of sentences, for whole documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_s2s.config import SpecialIds
from keras_s2s.documents.splitting.sentences import sentence_language
from keras_s2s.documents.word_weights import proportional_weights, weights_by_words
from keras_s2s.export.saved_model.document_signatures import ALIGNMENT, SOURCE_LENGTHS
from keras_s2s.serving.models.served_model import Row

#: Texts whose ids are counted at a time, and pairs whose words are aligned.
AT_A_TIME = 256
PAIRS_AT_A_TIME = 32

#: Calls a signature with rows; returns the outputs of each, or what is wrong with it.
CallSignature = Callable[[str, Sequence[Row]], Sequence[Row | Exception]]


@dataclass(frozen=True)
class SavedSentenceModel:
    """A `SentenceModel` of a SavedModel.

    Attributes:
        call: calls a signature of the SavedModel.
        language: as in `SentenceModel`.
        limit: most ids of a source; None where there is no limit.
        aligns: the SavedModel was exported with `cross_attention`.
        languages: `src_lang` and `tgt_lang` of each row, where they are not the model's defaults.
    """

    call: CallSignature
    language: str
    limit: int | None
    aligns: bool
    languages: Mapping[str, str]

    @classmethod
    def of(
        cls,
        call: CallSignature,
        source: str | None,
        target: str | None,
        *,
        special_ids: SpecialIds,
        limit: int | None,
        aligns: bool,
    ) -> SavedSentenceModel:
        """Returns that of a SavedModel.

        Args:
            source: the source language, which need not be one of the model.
            target: the model's own code of the target language.
            special_ids: of the model.
            call, limit, aligns: as the attributes.
        """
        languages = special_ids.languages
        reads_language = languages is not None and languages.source != "none"
        default = None if languages is None else languages.default_source
        own = {"src_lang": source if reads_language else None, "tgt_lang": target}
        named = {name: code for name, code in own.items() if code}
        return cls(call, sentence_language(source or default), limit, aligns, named)

    def source_lengths(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of ids of each source, special ones counted."""
        lengths: list[int] = []
        for part in _divided(texts, AT_A_TIME):
            for row in self.call(SOURCE_LENGTHS, [{"text": t, **self.languages} for t in part]):
                if isinstance(row, Exception):
                    raise row
                lengths.append(int(row[SOURCE_LENGTHS]))
        return lengths

    def word_weights(
        self, sources: Sequence[str], targets: Sequence[str]
    ) -> list[np.ndarray] | None:
        """Returns weights as in `SentenceModel`; None where the SavedModel has no attention.

        A target that its model cannot read again, since it is too long, has weights in proportion.
        """
        if not self.aligns:
            return None
        found: list[np.ndarray] = []
        for part in _divided(list(zip(sources, targets, strict=True)), PAIRS_AT_A_TIME):
            rows: list[Row] = [
                {"source": source, "target": target, **self.languages} for source, target in part
            ]
            for (source, target), row in zip(part, self.call(ALIGNMENT, rows), strict=True):
                found.append(
                    proportional_weights(source, target)
                    if isinstance(row, Exception)
                    else _weights(source, target, row)
                )
        return found


def _weights(source: str, target: str, row: Row) -> np.ndarray:
    size, length = int(row["source_lengths"]), int(row["target_lengths"])
    return weights_by_words(
        source,
        target,
        row["source_prefixes"][:size],
        row["target_prefixes"][:length],
        row["cross_attention"][:length, :size],
    )


def _divided(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
