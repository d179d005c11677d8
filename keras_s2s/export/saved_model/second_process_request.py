"""The request to the second process of an export, as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from keras_s2s.export.errors import ExportError
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processors import AllowedTokens
from keras_s2s.samplers.rules import RULES
from keras_s2s.samplers.sampler import Sampler
from keras_s2s.samplers.stop_strings import StopStrings
from keras_s2s.samplers.strategy_choice import STRATEGIES
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.token_bytes import token_bytes

#: Class name -> class, of what can be written down and made again.
SAMPLERS: dict[str, type[Sampler]] = {cls.__name__: cls for cls, _ in STRATEGIES.values()}
PROCESSORS: dict[str, Any] = {
    rule.__name__: rule for rule in RULES.values() if rule is not AllowedTokens
}


@dataclass(frozen=True)
class ExportRequest:
    """How the exported model generates, and what its signatures have.

    Attributes:
        sampler: the strategy.
        plan: special ids, number of steps and rules.
        truncate: cut what is too long, in place of an error.
        cross_attention: the signatures that generate all hypotheses return attention, too.
        xla: XLA compiles the search, for each shape that comes.
    """

    sampler: Sampler
    plan: Plan
    truncate: bool = False
    cross_attention: bool = False
    xla: bool = False

    def to_json(self) -> dict[str, Any]:
        """Returns the request as values that JSON knows.

        Raises:
            ExportError: a sampler or rule of the caller's own, which only its own process knows.
        """
        plan = {
            field.name: getattr(self.plan, field.name)
            for field in dataclasses.fields(self.plan)
            if field.name not in ("processors", "stops")
        }
        stops = self.plan.stops
        return {
            "sampler": _named(self.sampler, SAMPLERS, "sampler", vars(self.sampler)),
            "plan": plan,
            "stop_strings": None if stops is None else list(stops.strings),
            "processors": [
                _named(rule, PROCESSORS, "logits processor", vars(rule))
                for rule in self.plan.processors
            ],
            "truncate": self.truncate,
            "cross_attention": self.cross_attention,
            "xla": self.xla,
        }

    @classmethod
    def from_json(
        cls, data: dict[str, Any], preprocessor: Preprocessor | None = None, vocabulary: int = 0
    ) -> ExportRequest:
        """Makes a request from what `to_json` returned.

        Args:
            data: the values.
            preprocessor: of the model; its tokenizer finds strings that end results.
            vocabulary: ids of the target.
        """
        stops = None
        if data["stop_strings"]:
            assert preprocessor is not None
            known = token_bytes(preprocessor.target)
            stops = StopStrings.of(data["stop_strings"], known, vocabulary)
        rules = tuple(
            PROCESSORS[rule["name"]](**{k: _hashable(v) for k, v in rule["settings"].items()})
            for rule in data["processors"]
        )
        sampler = data["sampler"]
        return cls(
            SAMPLERS[sampler["name"]](**sampler["settings"]),
            Plan(
                **{k: _hashable(v) for k, v in data["plan"].items()}, processors=rules, stops=stops
            ),
            truncate=data["truncate"],
            cross_attention=data["cross_attention"],
            xla=data["xla"],
        )


def _named(
    value: Any, known: dict[str, type], what: str, settings: dict[str, Any]
) -> dict[str, Any]:
    name = type(value).__name__
    if known.get(name) is not type(value):
        raise ExportError(
            f"{what} {name} is not one of {', '.join(known)}; a {what} of your own is exported "
            "under KERAS_BACKEND=tensorflow only, where no second process has to make it again"
        )
    return {"name": name, "settings": dict(settings)}


def _hashable(value: Any) -> Any:
    """Returns lists of JSON as tuples, which rules hold."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
