"""Places the markup of a sentence around the words of a generated one.

An element follows the words that it stands around: it is put around the run of target words that
are aligned with them. Elements stay balanced and keep their nesting; none is lost or doubled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from keras_s2s.documents.formats.blocks import Mark
from keras_s2s.documents.splitting.sentences import Span


class Placed(NamedTuple):
    """Markup at a place of a generated text.

    Attributes:
        start, end: the characters that it takes the place of; none where it is inserted.
        mark: the markup.
    """

    start: int
    end: int
    mark: Mark


@dataclass
class _Node:
    """An element, or markup without text.

    Attributes:
        span: of the sentence's characters inside of it.
        first, last: its marks; None where an element begins before the sentence or ends after it.
    """

    kind: Literal["element", "point", "kept"]
    span: Span
    first: Mark | None = None
    last: Mark | None = None
    children: list[_Node] = field(default_factory=list)


class _Crossing(Exception):
    """Elements overlap, `<b><i></b></i>`, and so are no tree."""


def place_marks(
    marks: Sequence[Mark], source: str, words: Sequence[Span], weights: np.ndarray | None
) -> list[Placed]:
    """Returns where the markup of a sentence goes in a generated text.

    Args:
        marks: of the sentence, with offsets from its first character.
        source: the sentence, S characters.
        words: of the generated text, in order, T.
        weights: how much each word stands for each character of the source, `[T, S]`; rows sum
            to 1, or are 0. None keeps the order of the markup, each as far along as it was.

    Returns:
        the markup in the order in which it is written.
    """
    target = None if weights is None else _Target(source, words, weights)
    try:
        nodes = _tree(marks, len(source))
    except _Crossing:
        return _in_order(marks, len(source), words, target)
    if target is None:
        return _in_order(marks, len(source), words, None)
    placed: list[Placed] = []
    _place(nodes, Span(0, len(words)), target, placed)
    return placed


# --------------------------------------------------------------------------------------
# Marks -> tree
# --------------------------------------------------------------------------------------


def _tree(marks: Sequence[Mark], length: int) -> list[_Node]:
    """Returns the nodes of the highest level.

    Raises:
        _Crossing: elements overlap.
    """
    root: list[_Node] = []
    opened: list[_Node] = []
    for mark in marks:
        level = opened[-1].children if opened else root
        if mark.kind == "open":
            node = _Node("element", Span(mark.offset, length), first=mark)
            level.append(node)
            opened.append(node)
        elif mark.kind == "close" and opened:
            node = opened.pop()
            if node.first is None or node.first.name != mark.name:
                raise _Crossing
            node.span, node.last = Span(node.span.start, mark.offset), mark
        elif mark.kind == "close":
            # Its element begins before the sentence, so that all before is inside.
            root = [_Node("element", Span(0, mark.offset), last=mark, children=root)]
        else:
            kind: Literal["kept", "point"] = "kept" if mark.kind == "kept" else "point"
            level.append(_Node(kind, Span(mark.offset, mark.end), first=mark))
    return root


# --------------------------------------------------------------------------------------
# Tree -> places
# --------------------------------------------------------------------------------------


class _Target:
    """The words of a generated text, and which part of the source each stands for."""

    def __init__(self, source: str, words: Sequence[Span], weights: np.ndarray) -> None:
        self.source = source
        self.words = words
        # Running sums: the weight of a span is the difference of two.
        sums = np.cumsum(np.asarray(weights, np.float64), axis=1)  # [T, S]
        self._sums = np.pad(sums, ((0, 0), (1, 0)))  # [T, S + 1]
        self._best = np.argmax(weights, axis=1) if weights.size else np.zeros(len(words), int)

    def gains(self, span: Span) -> np.ndarray:
        """Returns for each word what is gained by putting it inside of an element, `[T]`.

        It is positive for words that are aligned with the element's, negative for others.
        """
        inside = self._sums[:, span.end] - self._sums[:, span.start]
        aligned = (self._best >= span.start) & (self._best < span.end)
        return (aligned + inside) / 2 - 0.5 + 1e-6 * aligned

    def position(self, boundary: int, within: Span, after_space: bool) -> int:
        """Returns the character at a boundary between words.

        Args:
            boundary: number of words before it.
            within: the words of the element around it.
            after_space: behind the space between two words, or before it.
        """
        words = self.words
        if not words:
            return 0
        if boundary == within.start:
            return words[boundary].start if boundary < len(words) else words[-1].end
        if boundary == within.end or not after_space:
            return words[boundary - 1].end
        return words[boundary].start


def _place(nodes: Sequence[_Node], within: Span, target: _Target, placed: list[Placed]) -> None:
    """Appends the places of nodes of one level, and of all that is inside of them.

    Args:
        nodes: in the order of the source.
        within: numbers of the target words of the element around them.
    """
    windows: dict[int, Span] = {}
    free = [within] if within.end > within.start else []
    # Those that go on beyond the sentence keep to its end.
    for i in sorted(range(len(nodes)), key=lambda i: not _is_cut(nodes[i])):
        node = nodes[i]
        if node.kind != "point" and node.span.end > node.span.start:
            window = _window(node, within, free, target)
            if window is not None:
                windows[i] = window
                free = _without(free, window)
    apart = np.ones(within.end - within.start + 1, bool)
    for start, end in windows.values():
        apart[start + 1 - within.start : max(end, start + 1) - within.start] = False
    for i, node in enumerate(nodes):
        if i not in windows:
            boundary = _boundary(node, within, apart, target)
            windows[i] = Span(boundary, boundary)
    order = sorted(windows, key=lambda i: (windows[i].start, windows[i].end, i))
    for i in order:
        _write(nodes[i], windows[i], within, target, placed)


def _is_cut(node: _Node) -> bool:
    return node.kind == "element" and (node.first is None or node.last is None)


def _window(node: _Node, within: Span, free: Sequence[Span], target: _Target) -> Span | None:
    """Returns the run of words that gains most; None where there is none.

    Args:
        node: an element, or what is kept.
        within: the words of the element around it.
        free: runs of them that no other node has.
        target: the words.
    """
    gains = target.gains(node.span)
    best: tuple[float, Span] | None = None
    for run in free:
        sums = np.concatenate([[0.0], np.cumsum(gains[run.start : run.end])])
        if not _is_cut(node):
            gain, first, last = _best_run(sums)
        elif node.first is None and run.start == within.start:
            first, last = 0, int(np.argmax(sums))
            gain = float(sums[last])
        elif node.last is None and run.end == within.end:
            first, last = int(np.argmin(sums)), len(sums) - 1
            gain = float(sums[last] - sums[first])
        else:
            continue
        if best is None or gain > best[0] + 1e-12:
            best = gain, Span(run.start + first, run.start + last)
    if best is None or (node.kind == "kept" and best[0] <= 0):
        return None  # no word is replaced that stands for others
    return best[1]


def _best_run(sums: np.ndarray) -> tuple[float, int, int]:
    """Returns the largest difference of two running sums, of one word or more, and its ends."""
    gains = sums[1:] - np.minimum.accumulate(sums[:-1])
    end = int(np.argmax(gains)) + 1
    return float(gains[end - 1]), int(np.argmin(sums[:end])), end


def _without(free: Sequence[Span], window: Span) -> list[Span]:
    """Returns runs of words without those of a window."""
    left = []
    for start, end in free:
        before = Span(start, min(end, window.start))
        after = Span(max(start, window.end), end)
        # An empty window takes no word, and leaves a run as it is.
        whole = window.start == window.end or end <= window.start or window.end <= start
        left += [Span(start, end)] if whole else [s for s in (before, after) if s.end > s.start]
    return left


def _boundary(node: _Node, within: Span, apart: np.ndarray, target: _Target) -> int:
    """Returns the place between words for markup without words of its own.

    Args:
        node: the markup.
        within: the words of the element around it, N.
        apart: whether each boundary is outside of all other elements, bool `[N + 1]`.
        target: the words.
    """
    gains = target.gains(Span(0, node.span.start))[within.start : within.end]
    sums = np.concatenate([[0.0], np.cumsum(gains)])
    sums[~apart] = -np.inf
    # The last one of those that are as good.
    return within.end - int(np.argmax(sums[::-1]))


def _write(node: _Node, window: Span, within: Span, target: _Target, placed: list[Placed]) -> None:
    words = target.words
    if window.end > window.start:
        start, end = words[window.start].start, words[window.end - 1].end
    else:
        at = node.span.start
        before_space = at < len(target.source) and target.source[at].isspace()
        start = end = target.position(window.start, within, not before_space)
    if node.kind != "element":
        assert node.first is not None
        placed.append(Placed(start, end if node.kind == "kept" else start, node.first))
        return
    if node.first is not None:
        placed.append(Placed(start, start, node.first))
    _place(node.children, window, target, placed)
    if node.last is not None:
        placed.append(Placed(end, end, node.last))


def _in_order(
    marks: Sequence[Mark], length: int, words: Sequence[Span], target: _Target | None
) -> list[Placed]:
    """Returns places that keep the order of the source, each as far along as it was there."""

    def scaled(offset: int) -> int:
        """Returns the first character of the word that is as far along as a source character."""
        boundary = round(offset / max(length, 1) * len(words))
        if not words:
            return 0
        return words[boundary].start if boundary < len(words) else words[-1].end

    placed, least = [], 0
    everything = Span(0, len(words))
    for mark in marks:
        start = end = max(scaled(mark.offset), least)
        if mark.kind == "kept" and target is not None and words:
            node = _Node("kept", Span(mark.offset, mark.end), first=mark)
            window = _window(node, everything, [everything], target)
            if window is not None and words[window.start].start >= least:
                start, end = words[window.start].start, words[window.end - 1].end
        placed.append(Placed(start, end, mark))
        least = end
    return placed
