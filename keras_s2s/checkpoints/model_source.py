"""Base class of what `from_preset` and `from_encoder_decoder` open."""

from __future__ import annotations

import abc
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

from keras_s2s.checkpoints.load_report import LoadReport
from keras_s2s.config import GenerationConfig, PresetConfig
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.shortlists import Shortlist


class Source(abc.ABC):
    """Base class of the kinds of model sources: configuration, preprocessor and weights of a model.

    Attributes:
        name: its name in messages.
        config: configuration of the model.
        preprocessor: text <-> ids; None where there is no tokenizer.
        notes: remarks for the report.
        shortlist: candidates of target ids that lay beside the model; None elsewhere.
        adopts: whether the caller's preprocessor may change vocabulary and special ids, since no
            weights depend on them.
    """

    name: str
    config: PresetConfig
    preprocessor: Preprocessor | None = None
    notes: Sequence[str] = ()
    shortlist: Shortlist | None = None
    adopts: bool = False

    def check(self, *, strict: bool) -> None:  # noqa: B027  (most have nothing to compare)
        """Compares the sizes of `config` with those of the weights, before memory is allocated."""

    @abc.abstractmethod
    def load(self, variables: Sequence[Any], *, strict: bool) -> LoadReport | None:
        """Assigns the weights to the variables of the model that `config` describes."""

    def report(
        self, family: str, variables: Sequence[Any], tensors: Mapping[str, Any]
    ) -> LoadReport:
        """Returns the report of a `load`.

        Args:
            family: of the zoo.
            variables: of the model.
            tensors: fields of the report that say what became of which tensor.
        """
        return LoadReport(
            source=self.name,
            family=family,
            parameters=sum(math.prod(variable.shape) for variable in variables),
            tokenizer=describe_text(self.preprocessor),
            generation=unusual(self.config.generation),
            notes=(*self.notes, *_beyond_positions(self.config)),
            **tensors,
        )

    def close(self) -> None:  # noqa: B027  (most have nothing open)
        """Closes files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()


def check_source(source: Any, what: str) -> None:
    """Raises an error for what names no checkpoint.

    Args:
        source: what a caller gave.
        what: the argument, for the message.

    Raises:
        TypeError: it is neither a str nor a path.
    """
    if not isinstance(source, str | os.PathLike):
        shown = repr(source).partition("\n")[0][:60]
        hint = (
            ". A model of transformers is read from the folder that its save_pretrained writes"
            if hasattr(source, "save_pretrained")
            else ""
        )
        raise TypeError(
            f"{what} is {shown}, a {type(source).__name__}; expected the name of an entry of the "
            "zoo, a folder (str or Path), hf://organisation/name, or a model of keras_hub" + hint
        )


def describe_text(preprocessor: Preprocessor | None) -> str | None:
    """Returns the tokenizers of a preprocessor, in a line."""
    if preprocessor is None:
        return None
    sides = [preprocessor.source] + ([] if preprocessor.joint else [preprocessor.target])
    return " and ".join(f"{side.kind}, {side.vocabulary_size:,} ids" for side in sides)


def _beyond_positions(config: PresetConfig) -> list[str]:
    """Says where a decoder has fewer positions than results would have ids by default."""
    positions = config.architecture.decoder.embedding.max_positions
    asked = config.generation.max_length
    if positions is None or asked - 1 <= positions:
        return []
    return [
        f"the decoder has positions for {positions} ids, so that results have at most as many; "
        f"max_length={asked} would be {asked - 1}"
    ]


def unusual(generation: GenerationConfig) -> dict[str, object]:
    """Returns the settings that differ from the package's defaults."""
    defaults = GenerationConfig()
    return {name: value for name, value in generation if value != getattr(defaults, name)}
