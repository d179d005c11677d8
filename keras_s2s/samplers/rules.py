"""Makes logits processors from the options of a generation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keras_s2s.options.generation import OPTIONS
from keras_s2s.samplers import processors
from keras_s2s.samplers.checks import hashable
from keras_s2s.samplers.processors import LogitsProcessor

#: The rule of each option that has one, in the order in which they are applied.
RULES: dict[str, Callable[..., LogitsProcessor]] = {
    option.name: getattr(processors, option.rule) for option in OPTIONS.values() if option.rule
}

#: Options whose rule holds ids, and nothing else.
RULES_OF_IDS = (
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
)


def make_rules(
    options: Mapping[str, Any],
    *,
    vocabulary: int,
    own: Iterable[LogitsProcessor] = (),
) -> tuple[LogitsProcessor, ...]:
    """Makes the rules that `options` ask for.

    Args:
        options: values by the names of `RULES`; None, 0, 1.0 or an empty list, where an option
            has such a neutral value, means no rule.
        vocabulary: size of the target's.
        own: rules of the caller's own, applied after the others; `renormalize_logits` alone
            comes after them.

    Raises:
        ValueError: a value that its option does not take.
        TypeError: something else than a list of rules, which are functions that can be hashed.
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
        value = OPTIONS[name].check(value, vocabulary)
        if not OPTIONS[name].asks(value):
            continue
        if value is True:
            closing.append(make())
        else:
            rules.append(make(value))
    for rule in own:
        if isinstance(rule, type):
            raise TypeError(
                f"processors must hold objects, not the class {rule.__name__}; pass "
                f"processors=[{rule.__name__}(...)]"
            )
        if not callable(rule):
            raise TypeError(
                f"processors must hold LogitsProcessor objects, not {type(rule).__name__}"
            )
        hashable("the rule", rule, rule)
        _check_ids(rule, vocabulary)
        rules.append(rule)
    return (*rules, *closing)


def _check_ids(rule: LogitsProcessor, vocabulary: int) -> None:
    """Raises an error for a rule that an option could have made, of ids that the option refuses."""
    for name in RULES_OF_IDS:
        if type(rule) is RULES[name]:
            (ids,) = dataclasses.astuple(rule)  # type: ignore[call-overload]
            if ids != ():
                OPTIONS[name].check(ids, vocabulary)
