"""Parts of a pipeline of the `tokenizers` library: what all of them have in common.

A part is described by the mapping that `tokenizer.json` has for it. Whether it has an equivalent in
TensorFlow is checked without importing TensorFlow, before anything is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from keras_s2s.export.errors import TokenizerExportError
from keras_s2s.export.in_graph.special_tokens import escape

Settings = Mapping[str, Any]
#: A part's settings to why TensorFlow lacks it; None where it does not.
Check = Callable[[Settings], str | None]


def always(settings: Settings) -> None:
    """Accepts any settings of a part."""


def check_part(kind: str, role: str, settings: Settings | None, known: Mapping[str, Check]) -> None:
    """Raises an error for a part without an equivalent in TensorFlow.

    Args:
        kind: the tokenizer's.
        role: what the part is, e.g. `"normalizer"`.
        settings: the part; None where the pipeline has none.
        known: name of a part to its check.

    Raises:
        ExportError: naming the part, and the ones that are supported.
    """
    for part in flat(settings):
        name = str(part.get("type"))
        if name not in known:
            reason = f"the {role} {name} has no TensorFlow twin; supported: {', '.join(known)}"
        elif (problem := known[name](part)) is not None:
            reason = f"the {role} {name} has no TensorFlow twin: {problem}"
        else:
            continue
        raise TokenizerExportError(
            f"this {kind} tokenizer cannot be exported into a TensorFlow graph: {reason}",
            "Without a preprocessor (model.preprocessor = None) the model is exported from ids "
            "to ids",
        )


def flat(settings: Settings | None) -> list[Settings]:
    """Returns the parts of a part in order; one that is no sequence is its only part."""
    if settings is None:
        return []
    if settings.get("type") != "Sequence":
        return [settings]
    key = next((k for k in ("normalizers", "pretokenizers", "decoders") if k in settings), None)
    return [inner for part in settings.get(key, []) for inner in flat(part)] if key else []


#: What a regular expression of Oniguruma may consist of to mean the same in RE2.
_PLAIN_PATTERN = (
    r"(?:[A-Za-z0-9 _▁,;:<>@#%&'\"=~!/-]|\\[nrt.+*?()\[\]{}|^$\\-]|[+*?]|\{\d+,?\d*\})+"
)


def pattern_of(settings: Settings) -> str | None:
    """Returns the `pattern` of a part as a regular expression of RE2; None where it is none."""
    pattern = settings.get("pattern", {})
    if isinstance(pattern, Mapping) and "String" in pattern:
        return escape(str(pattern["String"]))
    if isinstance(pattern, Mapping) and re.fullmatch(_PLAIN_PATTERN, str(pattern.get("Regex", ""))):
        return str(pattern["Regex"])
    return None


def check_pattern(settings: Settings) -> str | None:
    """Accepts a pattern that means the same in RE2."""
    if pattern_of(settings) is not None:
        return None
    return f"its pattern {settings.get('pattern')!r} may mean something else in RE2"
