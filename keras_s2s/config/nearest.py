"""Finds words that look like a misspelt one, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def close_words(word: str, valid: Iterable[str], *, n: int = 1, cutoff: float = 0.5) -> list[str]:
    """Returns the valid words that look most like `word`, best first, then those that contain it.

    Args:
        word: what was written.
        valid: the words that would have been right.
        n: most words to return.
        cutoff: least similarity, between 0 and 1.

    Example:
        >>> close_words("gru_bahdana", ["gru_bahdanau", "t5_base"])
        ['gru_bahdanau']
    """
    valid = list(valid)
    found = difflib.get_close_matches(word, valid, n=n, cutoff=cutoff)
    if found or not word:
        return found
    return [known for known in valid if known.startswith(word)][:n]


def either(values: Iterable[object]) -> str:
    """Returns choices as text, `'a', 'b' or 'c'`, each as YAML writes it; "" for no choices."""
    shown = [str(value).lower() if isinstance(value, bool) else repr(value) for value in values]
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def did_you_mean(word: str, valid: Iterable[str], *, n: int = 1, cutoff: float = 0.5) -> str:
    """Returns the hint `did you mean 'x'?`, or "" where no valid word looks like `word`.

    Example:
        >>> did_you_mean("beem", ["beam", "greedy"])
        "did you mean 'beam'?"
    """
    close = close_words(word, valid, n=n, cutoff=cutoff)
    return f"did you mean {either(close)}?" if close else ""
