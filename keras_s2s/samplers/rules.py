"""From the options of a generation to its logits processors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keras_s2s.samplers.checks import hashable, number, whole
from keras_s2s.samplers.processors import (
    AllowedTokens,
    BadWords,
    BeginSuppress,
    EncoderNoRepeatNgram,
    ForcedBos,
    ForcedEos,
    LogitsProcessor,
    MinLength,
    MinNewTokens,
    NoRepeatNgram,
    Renormalize,
    RepetitionPenalty,
    Suppress,
)

#: Options in the order in which their rules are applied, which is that of transformers.
RULES: dict[str, Callable[..., LogitsProcessor]] = {
    "repetition_penalty": RepetitionPenalty,
    "no_repeat_ngram_size": NoRepeatNgram,
    "encoder_no_repeat_ngram_size": EncoderNoRepeatNgram,
    "bad_words_ids": BadWords,
    "min_length": MinLength,
    "min_new_tokens": MinNewTokens,
    "prefix_allowed_tokens_fn": AllowedTokens,
    "forced_bos_token_id": ForcedBos,
    "forced_eos_token_id": ForcedEos,
    "suppress_tokens": Suppress,
    "begin_suppress_tokens": BeginSuppress,
    "renormalize_logits": Renormalize,  # after the caller's own
}


def make_rules(
    options: Mapping[str, Any],
    *,
    vocabulary: int,
    own: Iterable[LogitsProcessor] = (),
) -> tuple[LogitsProcessor, ...]:
    """The rules that `options` ask for.

    Args:
        options: values by the names of `RULES`; None, 0, 1.0 or an empty list, where an option
            has such a neutral value, asks for nothing.
        vocabulary: size of the target's.
        own: rules of the caller's own, applied after the others; `renormalize_logits` alone
            comes after them.

    Raises:
        ValueError: a value that cannot be meant.
        TypeError: a rule that is none.
    """
    if isinstance(own, str) or not isinstance(own, Iterable):
        raise TypeError(
            f"processors={own!r} must be a list of LogitsProcessor objects, also where there is "
            "only one"
        )
    rules: list[LogitsProcessor] = []
    closing: list[LogitsProcessor] = []
    for name, make in RULES.items():
        value = options.get(name)
        # As in transformers, `min_new_tokens` takes the place of `min_length`.
        if value is None or (name == "min_length" and options.get("min_new_tokens")):
            continue
        value = _CHECKS[name](name, value, vocabulary)
        if value is True:
            closing.append(make())
        elif value is not None:
            rules.append(make(value))
    for rule in own:
        if not callable(rule):
            raise TypeError(
                f"processors must hold LogitsProcessor objects, not {type(rule).__name__}"
            )
        hashable("the rule", rule, rule)
        rules.append(rule)
    return (*rules, *closing)


def _count(name: str, value: Any, vocabulary: int) -> int | None:
    return whole(name, value, 0) or None


def _flag(name: str, value: Any, vocabulary: int) -> bool | None:
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r} must be True or False")
    return value or None


def _penalty(name: str, value: Any, vocabulary: int) -> float | None:
    if not 0 < number(name, value) < float("inf"):
        raise ValueError(f"{name}={value} must be above 0; 1.0 changes nothing")
    return None if value == 1 else float(value)


def _token(name: str, value: Any, vocabulary: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"{name}={value!r} must be an id, a whole number")
    if not 0 <= value < vocabulary:
        raise ValueError(f"{name}={value} is no id of a vocabulary of {vocabulary}")
    return int(value)


def _tokens(name: str, value: Any, vocabulary: int) -> tuple[int, ...] | None:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{name}={value!r} must be a list of ids")
    return tuple(_token(f"{name}[{i}]", each, vocabulary) for i, each in enumerate(value)) or None


def _words(name: str, value: Any, vocabulary: int) -> tuple[tuple[int, ...], ...] | None:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{name}={value!r} must be a list of lists of ids, one for each word")
    words = []
    for i, word in enumerate(value):
        ids = _tokens(f"{name}[{i}]", word, vocabulary)
        if ids is None:
            raise ValueError(f"{name}[{i}] is empty: a word has at least one id")
        words.append(ids)
    return tuple(words) or None


def _function(name: str, value: Any, vocabulary: int) -> Any:
    if not callable(value):
        raise ValueError(
            f"{name}={value!r} must be a function of a source's place and its ids so far that "
            "returns the ids allowed next"
        )
    return value


_CHECKS: dict[str, Callable[[str, Any, int], Any]] = {
    "repetition_penalty": _penalty,
    "no_repeat_ngram_size": _count,
    "encoder_no_repeat_ngram_size": _count,
    "bad_words_ids": _words,
    "min_length": _count,
    "min_new_tokens": _count,
    "prefix_allowed_tokens_fn": _function,
    "forced_bos_token_id": _token,
    "forced_eos_token_id": _token,
    "suppress_tokens": _tokens,
    "begin_suppress_tokens": _tokens,
    "renormalize_logits": _flag,
}
