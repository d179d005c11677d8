"""Checks arguments of `Batches`, and encodes its examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_s2s.config import SpecialIds, SubwordSamplingConfig
from keras_s2s.data.errors import DataError
from keras_s2s.data.examples.encoded_pairs import EncodedPairs
from keras_s2s.data.examples.encoding import OverlongPairs, encode_pairs
from keras_s2s.data.examples.sampled_pairs import SampledPairs, check_sampling, sampling_config
from keras_s2s.data.objectives.drawn_pairs import DrawnPairs
from keras_s2s.data.objectives.encoding import encode_texts
from keras_s2s.data.objectives.objective import Objective, as_objective
from keras_s2s.layers.contracts import Frontend
from keras_s2s.text.data_frames import pairs_of

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


def encoded_examples(
    pairs: Iterable[Any],
    preprocessor: Preprocessor | None,
    special_ids: SpecialIds,
    *,
    objective: Objective | Sequence[Objective] | None,
    subword_sampling: SubwordSamplingConfig | Mapping[str, Any] | None,
    seed: int,
    frontend: Frontend | None,
    max_source_length: int | None,
    max_target_length: int | None,
    overlong: OverlongPairs,
) -> EncodedPairs | DrawnPairs | SampledPairs:
    """Encodes the pairs, or the texts of an objective; arguments as those of `Batches`.

    Raises:
        DataError: a pair cannot be used, or none is left.
        ConfigError: a tokenizer cannot draw as `subword_sampling` says.
        ValueError: arguments that exclude each other.
    """
    limits: dict[str, Any] = {
        "max_source_length": max_source_length,
        "max_target_length": max_target_length,
        "overlong": overlong,
    }
    if objective is not None:
        if subword_sampling is not None:
            raise ValueError(
                "subword_sampling is for pairs of texts; an objective draws from ids, anew in "
                "every epoch, too"
            )
        rule = as_objective(objective)
        return encode_texts(pairs, preprocessor, special_ids, rule, seed=seed, **limits)
    if subword_sampling is None:
        return encode_pairs(pairs, preprocessor, special_ids, frontend=frontend, **limits)
    sampling = sampling_config(subword_sampling)
    check_sampling(sampling, preprocessor)  # before much is encoded
    assert preprocessor is not None
    try:
        pairs = list(pairs_of(pairs))
    except ValueError as error:
        raise DataError(str(error)) from None
    plain = encode_pairs(pairs, preprocessor, special_ids, frontend=frontend, **limits)
    return SampledPairs(
        plain,
        pairs,
        preprocessor,
        special_ids,
        sampling,
        seed=seed,
        limits=(max_source_length, max_target_length),
    )
