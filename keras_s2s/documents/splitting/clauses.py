"""Splits a sentence that is too long for a model: at a clause, a space, or between characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from keras_s2s.documents.splitting.sentences import Span

#: Ends a clause where white space follows: `1,000` and `12:30` are no places to split.
_BEFORE_SPACE = frozenset(",;:.!?—–…،؛؟।፣፤፥።՝᠂")
#: Ends a clause also where none follows: scripts without spaces, and dashes between words.
_ANYWHERE = frozenset("、，；：。！？﹐﹑﹔﹕､—،؛")
#: Joins the characters before and after it to one.
_JOINER = "\u200d"


def fitting_spans(
    texts: Sequence[str],
    fits: Callable[[list[str]], list[bool]],
    kept_together: Sequence[Sequence[Span]] | None = None,
) -> list[list[Span]]:
    """Splits texts until each part fits: in halves, at the clause that is nearest to the middle.

    Where a part has no clause it is split at a space, and where it has none between two characters.

    Args:
        texts: the sentences.
        fits: tells of each of some texts whether a model can read it.
        kept_together: for each text, spans that are split only where nothing else is left.

    Returns:
        for each text the spans of its parts, without the white space between them; one span where
        the whole text fits.

    Raises:
        ValueError: a single character does not fit.

    Example:
        >>> text = "If it rains, we stay; else we go."
        >>> spans = fitting_spans([text], lambda parts: [len(part) < 15 for part in parts])[0]
        >>> [text[start:end] for start, end in spans]
        ['If it rains,', 'we stay;', 'else we go.']
    """
    together = [()] * len(texts) if kept_together is None else kept_together
    parts = [[Span(0, len(text))] for text in texts]
    # Spans of which it is not known whether they fit: the text's number, and the span.
    pending = [(i, Span(0, len(text))) for i, text in enumerate(texts)]
    while pending:
        verdicts = fits([texts[i][span.start : span.end] for i, span in pending])
        halves: list[tuple[int, Span]] = []
        for (i, span), fine in zip(pending, verdicts, strict=True):
            if fine:
                continue
            two = _halves(texts[i], span, together[i])
            at = parts[i].index(span)
            parts[i][at : at + 1] = two
            halves += [(i, half) for half in two]
        pending = halves
    return parts


def ends_clause(character: str) -> bool:
    """Returns whether a punctuation mark may end a clause."""
    return character in _ANYWHERE or character in _BEFORE_SPACE


def _halves(text: str, span: Span, together: Sequence[Span]) -> list[Span]:
    """Returns the two parts of a span, without white space around them."""
    inside = range(span.start + 1, span.end)
    apart = [at for at in inside if not any(start < at < end for start, end in together)]
    middle = (span.start + span.end) / 2
    for allowed in (apart, inside):
        for may_split in (_after_clause, _at_space, _between_characters):
            places = [at for at in allowed if may_split(text, at)]
            if places:
                at = min(places, key=lambda place: abs(place - middle))
                return [_stripped(text, span.start, at), _stripped(text, at, span.end)]
    raise ValueError(
        f"the model has no room for {text[span.start : span.end]!r}: its ids alone are more than "
        "the longest source; raise max_source_length"
    )


def _after_clause(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at]
    if after in _ANYWHERE or after in _BEFORE_SPACE:
        return False
    return before in _ANYWHERE or (before in _BEFORE_SPACE and after.isspace())


def _at_space(text: str, at: int) -> bool:
    return text[at].isspace() and not text[at - 1].isspace()


def _between_characters(text: str, at: int) -> bool:
    """Returns whether two characters are no parts of one that is seen."""
    before, after = text[at - 1], text[at]
    if before.isspace() or after.isspace():
        return False  # a part would be white space alone, or the next place is as good
    is_mark = unicodedata.category(after).startswith("M") or "\U0001f3fb" <= after <= "\U0001f3ff"
    return not is_mark and _JOINER not in (before, after)


def _stripped(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    first = start + len(part) - len(part.lstrip())
    return Span(first, first + len(part.strip()))
