"""Export formats by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keras_s2s.export.ctranslate2 import export_ctranslate2
from keras_s2s.export.errors import ExportError
from keras_s2s.export.huggingface import export_huggingface
from keras_s2s.export.marian import export_marian
from keras_s2s.export.saved_model.artefact import export_saved_model
from keras_s2s.export.torch_rnn import export_torch_rnn


class Format(NamedTuple):
    """An export format.

    Attributes:
        write: its function.
        options: arguments that only this format, or not every format, takes.
    """

    write: Callable[..., Path]
    options: frozenset[str]


FORMATS: dict[str, Format] = {
    "tf_saved_model": Format(
        export_saved_model,
        frozenset({"version", "text", "truncate", "cross_attention", "xla", "verification"}),
    ),
    "huggingface": Format(export_huggingface, frozenset({"max_shard_bytes"})),
    "ctranslate2": Format(export_ctranslate2, frozenset({"quantization"})),
    "torch_rnn": Format(export_torch_rnn, frozenset()),
    "marian": Format(export_marian, frozenset()),
}


def export_as(
    format: str, directory: str | Path, options: Mapping[str, Any], **arguments: Any
) -> Path:
    """Exports a model in the format of this name.

    Args:
        format: a key of `FORMATS`.
        directory: where to write.
        options: options of single formats; those that are None are ignored.
        **arguments: what every format takes.

    Returns:
        the folder written.

    Raises:
        ExportError: an unknown format (the message lists those that are supported), or an
            option that this one does not take.
    """
    if format not in FORMATS:
        raise ExportError(
            f"format={format!r} is not supported; supported formats: {', '.join(FORMATS)}"
        )
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if name not in FORMATS[format].options:
            takes = [other for other, known in FORMATS.items() if name in known.options]
            raise ExportError(f"{name}={value!r} is for format={' or '.join(map(repr, takes))}")
    return FORMATS[format].write(directory, **given, **arguments)


def refuse_fixed_search(format: str) -> None:
    """Refuses options of a search for a format whose engine chooses them at each call.

    Raises:
        ExportError: this is such a format. (One that is unknown is an error of `export_as`.)
    """
    if format in FORMATS and format != "tf_saved_model":
        raise ExportError(
            f"a search can be fixed with format='tf_saved_model' alone: {format!r} leaves it "
            "to the engine; from_preset(..., generation=...) changes the defaults that are "
            "written"
        )
