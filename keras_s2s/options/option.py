"""What is declared of a generation option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_s2s.options.kinds import Kind


@dataclass(frozen=True)
class GenerationOption:
    """An option of `generate`.

    Attributes:
        name: the keyword in Python; on the command line `--name-with-hyphens`.
        kind: the values that it takes.
        meaning: what it does, a phrase.
        detail: further sentences for the docstring.
        default: the value where neither the caller nor the model's configuration has one; None
            where the option is then not used.
        strategies: names of the strategies whose constructors take it.
        rule: name of the class in `samplers.processors` that is made from the value (for a
            switch that is on, without arguments); None for an option that makes no rule.
        chooses: the strategy depends on it, where no sampler is named.
        forces: it says what results must have; strategies that read phrases can obey it, and one of
            them is chosen where no sampler is named.
        configured: a model may have a default of its own (a field of `GenerationConfig`).
        nullable: a model's own default may be null, although the option has a default.
        huggingface: the name in Hugging Face's generation configuration; None where it has none.
    """

    name: str
    kind: Kind
    meaning: str
    default: Any = None
    strategies: tuple[str, ...] = ()
    rule: str | None = None
    chooses: bool = False
    forces: bool = False
    configured: bool = True
    nullable: bool = False
    huggingface: str | None = None
    detail: str = ""

    def check(self, value: Any, vocabulary: int | None = None) -> Any:
        """Returns `value` in its usual type, or raises a `ValueError` that names the option."""
        return self.kind.check(self.name, value, vocabulary)

    def asks(self, value: Any) -> bool:
        """Returns whether a rule is made from a checked value of the option."""
        return value is not None and value != () and value != self.default

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--" + self.name.replace("_", "-")
