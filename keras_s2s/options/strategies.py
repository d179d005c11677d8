"""The table of generation strategies, each declared once.

The classes, the choices of the option `sampler`, the strategies' own defaults and the table in
`docs/generation.md` are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Strategy:
    """A generation strategy.

    Attributes:
        name: that `sampler=` takes.
        sampler: module of `keras_s2s.samplers.strategies`, and its class there.
        title: what the field calls it.
        asked_for: options with which a caller chooses it where no sampler is named.
        beams: it keeps several hypotheses of each source.
        draws: it draws ids.
        phrases: it obeys options that say what results must have.
        defaults: of its constructor, by the names of options, where they differ from those of the
            options: a strategy that is asked for by name has beams, groups or candidates.
    """

    name: str
    sampler: str
    title: str
    asked_for: str = ""
    beams: bool = False
    draws: bool = False
    phrases: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)


#: Beams of a beam search whose caller does not say how many.
_BEAMS = {"num_beams": 4}

#: Every strategy by its name.
STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("greedy", "greedy.Greedy", "greedy search", "no option"),
        Strategy(
            "prompt_lookup",
            "prompt_lookup.PromptLookup",
            "greedy search with drafts from the source",
            "prompt_lookup_num_tokens=10",
            defaults={"prompt_lookup_num_tokens": 10},
        ),
        Strategy("beam", "beam.Beam", "beam search", "num_beams=4", beams=True, defaults=_BEAMS),
        Strategy("random", "random.Random", "sampling", "do_sample=True", draws=True),
        Strategy("top_k", "random.TopK", "top-k sampling", draws=True, defaults={"top_k": 50}),
        Strategy("top_p", "random.TopP", "top-p sampling", draws=True, defaults={"top_p": 0.9}),
        Strategy(
            "beam_sample",
            "beam_sample.BeamSample",
            "beam sampling",
            "num_beams=4, do_sample=True",
            beams=True,
            draws=True,
            defaults=_BEAMS,
        ),
        Strategy(
            "diverse_beam",
            "diverse_beam.DiverseBeam",
            "diverse beam search",
            "num_beams=4, num_beam_groups=2",
            beams=True,
            defaults={**_BEAMS, "num_beam_groups": 2},
        ),
        Strategy(
            "constrained_beam",
            "constrained_beam.ConstrainedBeam",
            "beam search with phrases that must occur",
            'force_words=["Haus"]',
            beams=True,
            phrases=True,
            defaults=_BEAMS,
        ),
        Strategy(
            "contrastive",
            "contrastive_search.ContrastiveSearch",
            "contrastive search",
            defaults={"top_k": 4},
        ),
    )
}

#: Names of the strategies that keep several hypotheses of each source.
WITH_BEAMS = tuple(name for name, each in STRATEGIES.items() if each.beams)

#: Names of the strategies that draw ids.
WITH_DRAWS = tuple(name for name, each in STRATEGIES.items() if each.draws)

#: Names of the strategies that obey options about what results must have.
WITH_PHRASES = tuple(name for name, each in STRATEGIES.items() if each.phrases)

#: Names of the strategies that can return several results for a source.
WITH_SEVERAL = tuple(name for name, each in STRATEGIES.items() if each.beams or each.draws)


def strategies_table() -> str:
    """Returns the strategies as a table in Markdown, a line each."""
    lines = [
        "| strategy | `sampler=` | chosen without it by | defaults of its own |",
        "| --- | --- | --- | --- |",
    ]
    for strategy in STRATEGIES.values():
        asked_for = strategy.asked_for
        if "=" in asked_for:
            asked_for = f"`{asked_for}`"
        own = ", ".join(f"`{name}={value}`" for name, value in strategy.defaults.items())
        lines.append(f'| {strategy.title} | `"{strategy.name}"` | {asked_for} | {own} |')
    return "\n".join(lines)
