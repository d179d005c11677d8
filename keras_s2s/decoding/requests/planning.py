"""Chooses strategy, plan and maximum lengths from the options of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_s2s.config import GenerationConfig, PresetConfig
from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.decoding.requests.grammars import GRAMMARS, grammar_rule
from keras_s2s.layers.contracts import Frontend
from keras_s2s.options.generation import OPTIONS, checked
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processors import LogitsProcessor
from keras_s2s.samplers.rules import RULES, make_rules
from keras_s2s.samplers.sampler import Sampler
from keras_s2s.samplers.stop_strings import StopStrings
from keras_s2s.samplers.strategy_choice import resolve_sampler
from keras_s2s.text.languages import TargetStart, target_start
from keras_s2s.text.token_bytes import token_bytes

#: Options that say what ends a result.
END_IDS, STOP_STRINGS, MAX_RATIO = ENDING = "eos_token_id", "stop_strings", "max_length_ratio"


@dataclass(frozen=True)
class Search:
    """The options of a call about how targets are searched.

    Attributes:
        sampler: a strategy, its name, or None: the options choose.
        max_length, max_new_tokens: most ids, as in `generate`.
        processors: rules of the caller's own.
        options: further options of strategies and rules by their names.
    """

    sampler: Sampler | str | None = None
    max_length: int | None = None
    max_new_tokens: int | None = None
    processors: Sequence[LogitsProcessor] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asks_for_something(self) -> bool:
        """Whether the caller passed any option."""
        fixed = (self.sampler, self.max_length, self.max_new_tokens, *(self.processors or ()))
        return bool(self.options) or any(value is not None for value in fixed)


def plan_search(
    parts: ModelParts,
    search: Search,
    given: Sequence[int],
    start: TargetStart | None = None,
    defaults: GenerationConfig | None = None,
) -> tuple[Sampler, Plan, list[int]]:
    """Returns strategy, plan and the most ids of each source's sequences.

    Args:
        parts: of the model.
        search: what the caller passed.
        given: number of ids in the prefix of each source.
        start: how targets begin in their language; None for the default language.
        defaults: of the strategy, in place of the preset's own.

    Raises:
        ValueError: an option with a value that it does not take, or that the strategy does not use.
        TypeError: a sampler that is not a `Sampler`, or a rule that cannot be called.
    """
    own_config = parts.preset.generation
    strategy_options = {
        name: v for name, v in search.options.items() if name not in {*RULES, *ENDING, *GRAMMARS}
    }
    chosen = resolve_sampler(search.sampler, strategy_options, defaults or own_config)
    if chosen.drafts:
        _refuse_drafts(parts, chosen)
    # An option that is None is ignored: the preset's is used.
    rules = {k: v for k, v in search.options.items() if k in RULES and v is not None}
    most = parts.network.max_target_length
    # A strategy that looks ahead feeds the decoder one id more.
    most = None if most is None else most - chosen.lookahead
    steps, limits = _limits(parts, search.max_length, search.max_new_tokens, given, most)
    rooms = {
        "min_length": min(limits, default=steps) + 1,
        "min_new_tokens": min((a - b for a, b in zip(limits, given, strict=True)), default=steps),
    }
    for name, room in rooms.items():
        if name in rules and checked(name, rules[name]) > room:
            longest = max(given, default=0)
            raise ValueError(
                f"{name}={rules[name]} cannot be reached: max_length={steps + 1}"
                + (f" with a prefix of {longest} ids" if longest else "")
                + f" leaves room for {room}"
            )
    target = parts.special_ids.target
    start = start or target_start(parts.special_ids)
    own = {
        **own_config.model_dump(include=set(RULES)),
        "forced_bos_token_id": start.forced_bos,
        "forced_eos_token_id": target.forced_eos,
    }
    # The caller's options win over the preset's.
    for name, room in (("min_length", steps + 1), ("min_new_tokens", steps)):
        if rooms.keys() & rules.keys() or own[name] > room:
            own[name] = 0
    made = make_rules(
        {**own, **rules},
        vocabulary=parts.preset.architecture.target_vocab_size,
        own=() if search.processors is None else search.processors,
    )
    _refuse_rules_without_ids(made, parts.network.frontend)
    ends = end_ids(parts.preset, search.options)
    # Before the others: forced ids win over it.
    made = (*grammar_rule(parts, search.options, ends), *made)
    plan = Plan(
        start.decoder_start,
        ends[0],
        target.pad,
        max(limits, default=steps),
        made,
        ends=ends,
        stops=_stops(parts, search.options),
        max_length_ratio=_max_length_ratio(own_config, {**own, **rules}, search.options),
    )
    chosen.check(plan)
    return chosen, plan, limits


def end_ids(preset: PresetConfig, options: Mapping[str, Any]) -> tuple[int, ...]:
    """Returns the ids that end a result.

    Args:
        preset: the model's configuration.
        options: those of the call.

    Raises:
        ValueError: `eos_token_id` holds something else than ids of the target's vocabulary.
    """
    asked = options.get(END_IDS)
    if asked is None:
        asked = preset.generation.eos_token_id
    if asked is None:
        asked = preset.special_ids.target.eos
    vocabulary = preset.architecture.target_vocab_size
    ends: tuple[int, ...] = OPTIONS[END_IDS].check(asked, vocabulary)
    return ends


def stop_strings(preset: PresetConfig, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the strings that end a result; arguments as of `end_ids`.

    Raises:
        ValueError: `stop_strings` holds something else than texts.
    """
    asked = options.get(STOP_STRINGS)
    if asked is None:
        asked = preset.generation.stop_strings
    strings: tuple[str, ...] = () if asked is None else OPTIONS[STOP_STRINGS].check(asked)
    return strings


def _max_length_ratio(
    config: GenerationConfig, rules: Mapping[str, Any], options: Mapping[str, Any]
) -> float | None:
    """Returns the most ids of a result as a multiple of those of its source; None for no limit."""
    asked = options.get(MAX_RATIO)
    if asked is None:
        asked = config.max_length_ratio
    if asked is None:
        return None
    most: float = checked(MAX_RATIO, asked)
    least = rules.get("min_length_ratio") or 0.0
    if least > most:
        raise ValueError(f"min_length_ratio={least:g} is more than max_length_ratio={most:g}")
    return most


def _stops(parts: ModelParts, options: Mapping[str, Any]) -> StopStrings | None:
    """Returns the table of the strings that end a result; None where there are none."""
    strings = stop_strings(parts.preset, options)
    if not strings:
        return None
    tokenizer = parts.require_text_output("stop_strings are looked for in text").target
    vocabulary = parts.preset.architecture.target_vocab_size
    return StopStrings.of(strings, token_bytes(tokenizer), vocabulary)


def _refuse_drafts(parts: ModelParts, sampler: Sampler) -> None:
    """Raises an error where a model has nothing to draft from, or cannot take several steps."""
    asked = f"{type(sampler).__name__} (prompt_lookup_num_tokens={sampler.drafts})"
    frontend = parts.network.frontend
    if not frontend.has_token_ids:
        raise ValueError(
            f"{asked} drafts from the token ids of the source, but sources of this model are "
            f"{frontend.input.name}; leave prompt_lookup_num_tokens out, which changes no result"
        )
    if not parts.network.steps_several:
        raise ValueError(
            f"{asked} needs a decoder that takes several steps at once, and takes some of them "
            f"back: one of a Transformer. {type(parts.network.decoder).__name__} cannot; leave "
            "prompt_lookup_num_tokens out, which changes no result"
        )


def _refuse_rules_without_ids(rules: Sequence[LogitsProcessor], frontend: Frontend) -> None:
    """Raises an error for rules that read ids of the source, where a source has none."""
    if frontend.has_token_ids:
        return
    for rule in rules:
        if getattr(rule, "reads_source_ids", False):
            raise ValueError(
                f"{rule} reads the token ids of the source, but sources of this model are "
                f"{frontend.input.name}; leave the rule out (encoder_no_repeat_ngram_size=0)"
            )


def _limits(
    parts: ModelParts,
    max_length: int | None,
    max_new_tokens: int | None,
    given: Sequence[int],
    most: int | None,
) -> tuple[int, list[int]]:
    """Returns the most ids without a prefix, and for each source with a prefix of `given` ids."""
    if max_length is not None and max_new_tokens is not None:
        raise ValueError(
            f"max_length={max_length} and max_new_tokens={max_new_tokens} say the same "
            "thing twice; pass one of them"
        )
    longest = max(given, default=0)
    if max_new_tokens is not None:
        steps = checked("max_new_tokens", max_new_tokens)
        limits = [steps + count for count in given]
    else:
        asked = parts.preset.generation.max_length if max_length is None else max_length
        # The decoder start and one id at least.
        steps = checked("max_length", asked) - 1
        if max_length is None and most is not None:
            steps = min(steps, most)
        limits = [steps] * len(given)
    needed = max(limits, default=steps)
    if most is not None and needed > most:
        raise ValueError(
            f"max_length={needed + 1} needs {needed} decoder positions, but the model "
            f"has {most}; the longest possible max_length is {most + 1}"
        )
    if longest >= needed:
        raise ValueError(
            f"a prefix of {longest} ids leaves no room in max_length={needed + 1}, which "
            f"counts the decoder start: pass max_length={longest + 2} or more"
        )
    return steps, limits
