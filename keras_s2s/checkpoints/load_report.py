"""The report of what loading a checkpoint did with each tensor and variable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LoadReport:
    """What was loaded from a folder, what was tied, left at random, or not used.

    Attributes:
        source: folder or name.
        family: of the zoo.
        files: that the weights came from. Of an encoder and a decoder of two folders, names of
            files and tensors have their side before them: `encoder: model.safetensors`.
        loaded: tensors that were read, by their names there.
        tied: tensors there that share their values: `name = name`.
        fresh: variables here that no tensor filled, by their paths.
        unused: tensors there that nothing here needs.
        computed: tensors there that are computed here, and were found to hold the same values.
        parameters: how many the model has.
        dtypes: of the tensors that were read.
        tokenizer: description of the tokenizers; None for a model that works on ids.
        generation: defaults of `generate` that differ from the package's own.
        adapters: layers with a LoRA adapter, and its rank.
        notes: remarks for the user: disagreements, settings that are not used here.

    Example:
        >>> model = Seq2SeqLM.from_preset("opus-mt-en-de/")
        >>> model.load_report.fresh
        ()
    """

    source: str
    family: str
    files: tuple[str, ...]
    loaded: tuple[str, ...]
    parameters: int
    dtypes: tuple[str, ...]
    tokenizer: str | None
    generation: dict[str, object]
    tied: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Shows the report in a notebook, without the names of hundreds of tensors."""
        printer.text(str(self))

    def __str__(self) -> str:
        lines = [
            f"{self.source}: {self.family}, {self.parameters:,} parameters",
            f"  loaded      {len(self.loaded)} tensors ({', '.join(self.dtypes) or 'none'}) from "
            + (", ".join(self.files) or "no file"),
            *_listed("tied", self.tied),
            *_listed("fresh", self.fresh),
            *_listed("unused", self.unused),
            *_listed("computed", self.computed),
            *_listed("adapters", self.adapters),
            f"  tokenizer   {self.tokenizer or 'none: the model works on ids'}",
            "  generation  "
            + (", ".join(f"{key}={value}" for key, value in self.generation.items()) or "defaults"),
            *(f"  note        {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def _listed(label: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return [f"  {label:<11} {shown}"]
