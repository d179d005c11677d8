"""Chooses the ids that texts need, and makes tokenizers with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keras_s2s.config import SpecialIds
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.trimming.selection import (
    SIDES,
    Texts,
    Vocabulary,
    added_again,
    counted,
    in_step,
    trimmed_tokenizers,
    unlike,
)
from keras_s2s.text.trimming.trimmer import NewIds, Side

#: Trials until no text has an unknown token more. A text whose ids all stay has none, so that a
#: few settle it.
TRIALS = 10


@dataclass(frozen=True)
class Request:
    """What is asked of new vocabularies.

    Attributes:
        vocabularies: of both sides; one object where they have the same ids.
        rows: ids that the model has on either side; 0 where sources are no ids.
        special_ids: of the model, with the languages that stay.
        keep: ids to keep, whatever the texts are.
        min_count: how often a token has to occur.
        gone: tokens of languages that do not stay.
    """

    vocabularies: Mapping[Side, Vocabulary]
    rows: Mapping[Side, int]
    special_ids: SpecialIds
    keep: Mapping[Side, set[int]]
    min_count: int = 1
    gone: frozenset[str] = frozenset()

    @property
    def is_shared(self) -> bool:
        """Whether both sides have the same ids."""
        return self.vocabularies["source"] is self.vocabularies["target"]

    def new_ids(self, asked: Mapping[Side, set[int]]) -> NewIds:
        """Returns the new ids where these old ones are asked for."""
        both, rows = self.vocabularies, self.rows
        languages = self.special_ids.languages
        default = languages.default_source if languages is not None and self.gone else None
        if self.is_shared:
            kept = both["source"].closed(asked["source"] | asked["target"])
            ids = both["source"].new_ids(kept)
            sizes: dict[Side, int] = {side: sum(i < rows[side] for i in kept) for side in SIDES}
            return NewIds(ids, ids, sizes, self.gone, default)
        closed = {side: both[side].closed(asked[side]) for side in SIDES}
        if rows["source"]:
            special = (self.special_ids.source, self.special_ids.target)
            mine, theirs = ({i for _, i in side if i is not None} for side in special)
            closed = in_step(closed, both, mine & theirs)
        return NewIds(
            both["source"].new_ids(closed["source"]),
            both["target"].new_ids(closed["target"]),
            {side: len(closed[side]) for side in SIDES},
            self.gone,
            default,
        )


def trimmed_text(
    preprocessor: Preprocessor, texts: Texts, request: Request
) -> tuple[tuple[Tokenizer, Tokenizer], NewIds]:
    """Returns tokenizers with the ids that texts need, and their new ids.

    Args:
        preprocessor: of the model.
        texts: what the new tokenizers have to encode as the old ones do.
        request: what else is asked for.

    Raises:
        ConfigError: a tokenizer whose files cannot be written so that they say the same.
    """
    counts = counted(texts, preprocessor)
    seen = {side: set(count) for side, count in counts.items()}
    if request.is_shared:
        total = counts["source"] + counts["target"]
        counts = {"source": total, "target": total}
    asked: dict[Side, set[int]] = {}
    for side in SIDES:
        frequent = {i for i in seen[side] if counts[side][i] >= request.min_count}
        asked[side] = set(request.keep[side]) | frequent
        for trimmer in request.vocabularies[side].trimmers:
            asked[side] |= trimmer.characters(seen[side] - frequent)
    for _ in range(TRIALS):
        new_ids = request.new_ids(asked)
        made = trimmed_tokenizers(preprocessor, request.vocabularies, new_ids)
        missing = added_again(preprocessor, made, new_ids)
        for side, ids in unlike(texts, preprocessor, made, new_ids).items():
            missing[side] |= ids
        if not any(missing[side] - asked[side] for side in SIDES):
            break
        for side in SIDES:
            asked[side] |= missing[side]
    return made, new_ids
