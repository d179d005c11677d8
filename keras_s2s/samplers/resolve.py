"""From what a caller writes (an object, a name, options) to a sampler."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from keras_s2s.config import GenerationConfig
from keras_s2s.samplers.beam import Beam
from keras_s2s.samplers.greedy import Greedy
from keras_s2s.samplers.random import Random, TopK
from keras_s2s.samplers.sampler import Sampler

#: Name -> class, and the options that its constructor takes.
STRATEGIES: dict[str, tuple[type[Sampler], tuple[str, ...]]] = {
    "greedy": (Greedy, ()),
    "beam": (Beam, ("num_beams", "length_penalty", "early_stopping", "num_return_sequences")),
    "random": (Random, ("temperature", "top_k")),
    "top_k": (TopK, ("top_k", "temperature")),
}


def resolve_sampler(
    sampler: Sampler | str | None,
    options: Mapping[str, Any],
    defaults: GenerationConfig,
) -> Sampler:
    """The sampler that a call of `generate` asks for.

    Args:
        sampler: an object, a name, or None: the model's default, or beam search where the
            caller (or else the model's defaults) asks for more than one beam.
        options: what the caller passed; each must mean something to the strategy.
        defaults: the model's own; those without meaning to the strategy are not used.

    Raises:
        ValueError: for an unknown name, or an option that the strategy would ignore.
    """
    if isinstance(sampler, Sampler):
        if options:
            raise ValueError(
                f"{type(sampler).__name__} is already configured; pass "
                f"{', '.join(sorted(options))} to its constructor instead of generate()"
            )
        return sampler
    name = sampler or _default_name(options, defaults)
    if name not in STRATEGIES:
        close = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(STRATEGIES)}"
        raise ValueError(f"sampler={name!r} is unknown; {hint}")
    strategy, names = STRATEGIES[name]
    ignored = sorted(set(options) - set(names))
    if ignored:
        raise ValueError(
            f"sampler={name!r} has no use for {', '.join(ignored)}; " + _takers(ignored[0], options)
        )
    settings = {
        option: value
        for option, value in defaults.model_dump().items()
        if option in names and value is not None
    }
    settings.update(options)
    if name == "beam" and "num_beams" not in options and settings.get("num_beams", 1) == 1:
        settings.pop("num_beams", None)  # asked for by name: the strategy's own default
    return strategy(**settings)


def _default_name(options: Mapping[str, Any], defaults: GenerationConfig) -> str:
    if "num_beams" in options:
        return "beam"
    if defaults.sampler is not None:
        return defaults.sampler
    return "beam" if defaults.num_beams > 1 else "greedy"


def _takers(option: str, options: Mapping[str, Any]) -> str:
    takers = [name for name, (_, names) in STRATEGIES.items() if option in names]
    if takers:
        return f"{option} belongs to {' and '.join(repr(name) for name in takers)}"
    known = sorted({name for _, names in STRATEGIES.values() for name in names})
    close = difflib.get_close_matches(option, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"options are {', '.join(known)}"
