"""Chooses the strategy of a call, and makes its sampler: from an object, a name, or options.

The strategies and their names are in `options/strategies.py`, the options that choose one in
`options/generation.py`; `decoding/requests/planning.py` calls this with the options of `generate`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from keras_s2s.config import GenerationConfig
from keras_s2s.config.nearest import did_you_mean
from keras_s2s.options import strategies
from keras_s2s.options.generation import OPTIONS, checked
from keras_s2s.options.other_names import OTHER_NAMES
from keras_s2s.samplers.checks import hashable
from keras_s2s.samplers.sampler import Sampler


def _class(strategy: strategies.Strategy) -> type[Sampler]:
    module, name = strategy.sampler.split(".")
    found: type[Sampler] = getattr(
        importlib.import_module(f"keras_s2s.samplers.strategies.{module}"), name
    )
    return found


#: Name -> class, and the options that its constructor takes.
STRATEGIES: dict[str, tuple[type[Sampler], tuple[str, ...]]] = {
    name: (
        _class(strategy),
        tuple(option.name for option in OPTIONS.values() if name in option.strategies),
    )
    for name, strategy in strategies.STRATEGIES.items()
}

#: Options that choose a strategy where none is named.
CHOOSING = tuple(option.name for option in OPTIONS.values() if option.chooses)

#: Options that say what results must have.
FORCING = tuple(option.name for option in OPTIONS.values() if option.forces)

#: The option that drafts ids.
DRAFTING = "prompt_lookup_num_tokens"

#: Options of strategies, and those that choose one.
STRATEGY_OPTIONS = frozenset(
    option.name
    for option in OPTIONS.values()
    if option.strategies or option.chooses or option.forces
)


def resolve_sampler(
    sampler: Sampler | str | None,
    options: Mapping[str, Any],
    defaults: GenerationConfig,
) -> Sampler:
    """Returns the sampler that a call of `generate` asks for.

    Args:
        sampler: an object, a name, or None: then `num_beams`, `do_sample` and
            `num_beam_groups` choose as they do in transformers, the caller's before the
            model's own.
        options: the caller's options, which the strategy must have; those that are None are
            ignored.
        defaults: the model's own options. Those that the strategy does not have, or that
            contradict the caller's, are not used.

    Raises:
        ValueError: for an unknown name, or an option that the strategy would ignore.
        TypeError: a sampler that is neither an object nor a name.
    """
    unknown = sorted(set(options) - STRATEGY_OPTIONS)
    if unknown:
        raise ValueError(f"generate() has no option {unknown[0]}; {_takers(unknown[0])}")
    options = {option: value for option, value in options.items() if value is not None}
    forcing = [name for name in FORCING if options.pop(name, None) is not None]
    if isinstance(sampler, Sampler):
        if forcing and not sampler.reads_phrases:
            raise ValueError(_cannot_force(forcing[0], type(sampler).__name__))
        hashable("the sampler", sampler, sampler.key())
        if options:
            raise ValueError(
                f"{type(sampler).__name__} is already configured; pass "
                f"{', '.join(sorted(options))} to its constructor instead of generate()"
            )
        return sampler
    for option in ("num_beams", "num_beam_groups"):
        if option in options:
            options[option] = checked(option, options[option])
    settings = {**_fitting(defaults, options), **options}
    if sampler is None:
        if forcing:
            name = _constrained(forcing[0], options)
        else:
            name = _drafting(options) if DRAFTING in options else _chosen(settings)
        options.pop("do_sample", None)
        if "num_beams" not in STRATEGIES[name][1] and options.get("num_beams") == 1:
            del options["num_beams"]
        if name != "diverse_beam" and options.get("num_beam_groups") == 1:
            del options["num_beam_groups"]
    else:
        if not isinstance(sampler, str):
            made = isinstance(sampler, type) and issubclass(sampler, Sampler)
            raise TypeError(
                f"sampler={sampler!r} must be a name or an object"
                + (f": {sampler.__name__}()" if made else f"; names are {', '.join(STRATEGIES)}")
            )
        name = sampler
        if "do_sample" in options:
            raise ValueError(
                f"do_sample={options['do_sample']} and sampler={sampler!r} both choose the "
                "strategy; pass one of them"
            )
    if name not in STRATEGIES:
        hint = did_you_mean(name, STRATEGIES) or f"one of {', '.join(STRATEGIES)}"
        raise ValueError(f"sampler={name!r} is unknown; {hint}")
    strategy, names = STRATEGIES[name]
    if forcing and not strategy.reads_phrases:
        raise ValueError(_cannot_force(forcing[0], name))
    if "num_return_sequences" not in names and options.get("num_return_sequences") == 1:
        del options["num_return_sequences"]  # what greedy search gives
    ignored = sorted(set(options) - set(names))
    if ignored:
        raise ValueError(
            f"sampler={name!r} has no use for {', '.join(ignored)}; {_takers(ignored[0])}"
        )
    settings = {option: value for option, value in settings.items() if option in names}
    if name == "contrastive" and "top_k" not in options:
        settings.pop("top_k", None)  # the model's own is for draws
    if "num_beams" in names and "num_beams" not in options and settings.get("num_beams", 1) == 1:
        settings.pop("num_beams", None)  # asked for by name: the strategy's own default
    if "num_beam_groups" not in options and settings.get("num_beam_groups", 1) == 1:
        settings.pop("num_beam_groups", None)
    return strategy(**settings)


def for_streams(defaults: GenerationConfig) -> GenerationConfig:
    """Returns a model's default options for text that is shown while it is generated.

    A beam search shows only what its hypotheses agree on. Where it is the default, greedy search is
    used instead, or random sampling where it draws, with one sequence for each source.
    """
    changes: dict[str, Any] = {"num_beams": 1, "num_beam_groups": 1, "num_return_sequences": 1}
    if defaults.sampler is not None:
        own = STRATEGIES[defaults.sampler][0]()
        if not own.streams or own.width > 1:
            changes |= {"sampler": None, "do_sample": own.draws}
    return defaults.model_copy(update=changes)


def refuse_to_stream(sampler: Sampler) -> None:
    """Raises an error for a sampler whose ids cannot be shown before a sequence has ended.

    Raises:
        ValueError: its `streams` is False.
    """
    if sampler.streams:
        return
    asked = type(sampler).__name__
    if sampler.num_return_sequences == 1:
        raise ValueError(
            f"stream() shows sequences while they grow, and {asked} does not say that its ids are "
            "final when they are chosen (its property `streams`); call generate()"
        )
    raise ValueError(
        f"stream() shows one sequence of each source while it grows, and {asked} with "
        f"num_return_sequences={sampler.num_return_sequences} was asked for. Leave it out, or call "
        "generate()"
    )


def _fitting(defaults: GenerationConfig, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the model's default options without those that contradict the caller's."""
    own = {name: value for name, value in defaults.model_dump().items() if value is not None}
    beams, groups = options.get("num_beams"), options.get("num_beam_groups")
    if any(name in options for name in CHOOSING):
        own.pop("sampler", None)
    if options.get("do_sample") is True or (beams or 0) % own["num_beam_groups"] or beams == 1:
        own["num_beam_groups"] = 1
    if (groups or 1) > 1:
        own["do_sample"] = False
    if beams is not None and own["num_return_sequences"] > beams > 1:
        own["num_return_sequences"] = 1
    return own


def _chosen(settings: Mapping[str, Any]) -> str:
    """Returns the name of the strategy, where the caller gave none."""
    if "sampler" in settings:
        return str(settings["sampler"])
    beams, sample, groups = (
        settings[name] for name in ("num_beams", "do_sample", "num_beam_groups")
    )
    checked("do_sample", sample)
    if groups != 1:
        if sample:
            raise ValueError(
                f"num_beam_groups={groups} is a search without draws; it does not go with "
                "do_sample=True"
            )
        return "diverse_beam"
    if beams != 1:
        return "beam_sample" if sample else "beam"
    return "random" if sample else "greedy"


def _constrained(forcing: str, options: Mapping[str, Any]) -> str:
    """Returns the name of the strategy where results must have something."""
    name = strategies.WITH_PHRASES[0]
    if checked("do_sample", options.get("do_sample", False)):
        raise ValueError(
            f"{forcing} is a search without draws ({name}); it does not go with do_sample=True"
        )
    if options.get("num_beam_groups", 1) != 1:
        raise ValueError(f"{forcing} does not go with num_beam_groups; leave one of them out")
    return name


def _drafting(options: Mapping[str, Any]) -> str:
    """Returns the name of the strategy that drafts ids, a greedy search."""
    for name in CHOOSING:
        if name != DRAFTING and name in options and options[name] != OPTIONS[name].default:
            raise ValueError(
                f"{DRAFTING}={options[DRAFTING]} drafts ids for greedy search; it does not go with "
                f"{name}={options[name]}: leave one of them out"
            )
    return "prompt_lookup"


def _cannot_force(forcing: str, sampler: str) -> str:
    return (
        f"{forcing} says what results must have, and {sampler} cannot look for it; leave the "
        f"sampler out, or name one of {', '.join(strategies.WITH_PHRASES)}"
    )


def _takers(option: str) -> str:
    if option in OTHER_NAMES:
        return OTHER_NAMES[option]
    takers = [name for name, (_, names) in STRATEGIES.items() if option in names]
    if takers:
        hint = f"{option} belongs to {', '.join(repr(name) for name in takers)}"
        return f"{hint}: name one as sampler=" + (
            ", or pass do_sample=True" if "random" in OPTIONS[option].strategies else ""
        )
    known = sorted(name for name, option in OPTIONS.items() if option.strategies or option.rule)
    return did_you_mean(option, [*known, *CHOOSING]) or f"options are {', '.join(known)}"
