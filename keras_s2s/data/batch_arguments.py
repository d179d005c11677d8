"""Checks arguments of `Batches`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_s2s.config import SpecialIds

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor


def special_ids_of(preprocessor: Preprocessor | None, special_ids: SpecialIds | None) -> SpecialIds:
    if preprocessor is None:
        if special_ids is None:
            raise ValueError(
                "Batches needs a preprocessor for pairs of texts, or special_ids for pairs of ids"
            )
        return special_ids
    if special_ids is not None and special_ids != preprocessor.special_ids:
        raise ValueError(
            f"special_ids {special_ids} differ from the preprocessor's "
            f"{preprocessor.special_ids}; leave them out"
        )
    return preprocessor.special_ids


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}")
