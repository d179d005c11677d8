"""Shows a batch as a table: decoder inputs, labels and weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_s2s.data.errors import DataError
from keras_s2s.text.visible import named

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor


class Explanation(str):
    """A text that was printed already, and that a notebook does not show again.

    It is the text, for tests and files. Shown as the value of a notebook's cell, the text would
    stand there twice: there it shows nothing, and elsewhere its `repr` is short.
    """

    def __repr__(self) -> str:
        lines = self.count("\n") + 1
        return f"<explanation of a batch, {lines} lines; str() is its text>"

    def _ipython_display_(self) -> None:
        """Shows nothing in a notebook, since the explanation was printed."""


def explain_batch(
    batch: Any, preprocessor: Preprocessor | None = None, rows: int = 2
) -> Explanation:
    """Prints a batch's sources and, side by side, decoder inputs, labels and weights.

    Decoder inputs are the true ones, of teacher forcing; `compile(teacher_forcing=...)` may replace
    some of them in a training step.

    Args:
        batch: `(x, y, w)` as in `Batches`; arrays or tensors of any backend.
        preprocessor: names the tokens; without it ids are shown alone.
        rows: how many rows of the batch to show.

    Returns:
        What was printed, as a `str` that a notebook does not show once more.

    Raises:
        DataError: `batch` is not of that form.

    Example:
        >>> text = explain_batch(batches[0], model.preprocessor, rows=1)
        batch of 64 rows, source length 18, target length 14
        row 0
          source: d (6) | e (5) | r (15) | ▁ (4) | H (10) | u (16) | n (8) | d (6) | </s> (3) | ...
          position  decoder input  label      weight
                 0  <s> (2)        t (9)           1
                 1  t (9)          h (13)          1
                 2  h (13)         e (5)           1
                 3  e (5)          ▁ (4)           1
                 4  ▁ (4)          d (6)           1
                 5  d (6)          o (14)          1
                 6  o (14)         g (12)          1
                 7  g (12)         </s> (3)        1
                 8  <pad> (0)      <pad> (0)       0  padding
                    (5 more positions of padding)
    """
    try:
        x, labels, weights = batch
        others = ("encoder_padding_mask", "decoder_token_ids", "decoder_padding_mask")
        names = (*[name for name in x if name not in others][:1], *others)
        sources, source_mask, inputs, input_mask = (_array(x[name]) for name in names)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise DataError(
            f"not a batch of (x, y, w) with Batches' names in x ({type(error).__name__}: {error})"
        ) from None
    labels, weights = _array(labels), _array(weights)
    lines = [
        f"batch of {len(labels)} rows, source length {sources.shape[1]}, "
        f"target length {labels.shape[1]}"
    ]
    for row in range(min(rows, len(labels))):
        real = source_mask[row].astype(bool)
        if not real.any() and not weights[row].any():
            lines.append(f"row {row}: filler, weight 0")
            continue
        cells = _source_cells(sources[row], real, preprocessor)
        lines += [f"row {row}", f"  source: {' | '.join(cells)}"]
        lines += _target_lines(
            inputs[row], labels[row], weights[row], input_mask[row], preprocessor
        )
    text = Explanation("\n".join(lines))
    print(text)
    return text


def _source_cells(
    source: np.ndarray, real: np.ndarray, preprocessor: Preprocessor | None
) -> list[str]:
    """Returns the ids of a source with their tokens, or the number of its vectors."""
    if source.ndim == 1:
        cells = _tokens(source[real], "source", preprocessor)
    else:
        size = " x ".join(map(str, source.shape[1:]))
        cells = [f"{int(real.sum())} vectors of {size} numbers"]
    if padding := int((~real).sum()):
        cells.append(f"+ {padding} padding")
    return cells


def _target_lines(
    inputs: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    mask: np.ndarray,
    preprocessor: Preprocessor | None,
) -> list[str]:
    """Returns the table of a row's decoder inputs, labels and weights, `[T]` each."""
    used = np.flatnonzero((weights > 0) | mask.astype(bool))
    # The first padded position too: there one sees where the weight ends.
    shown = min((used[-1] + 1 if len(used) else 0) + 1, len(labels))
    table = [("position", "decoder input", "label", "weight", "")]
    table += [
        (str(position), decoder_input, label, f"{weight:g}", "" if real else "padding")
        for position, decoder_input, label, weight, real in zip(
            range(shown),
            _tokens(inputs[:shown], "target", preprocessor),
            _tokens(labels[:shown], "target", preprocessor),
            weights,
            mask,
            strict=False,
        )
    ]
    lines = _aligned(table)
    if more := len(labels) - shown:
        lines.append(f"            ({more} more positions of padding)")
    return lines


def _tokens(ids: np.ndarray, side: str, preprocessor: Preprocessor | None) -> list[str]:
    """Returns each id with its token: `e (5)`; without a preprocessor the id alone."""
    if preprocessor is None:
        return [str(i) for i in ids]
    describe = preprocessor.source_tokens if side == "source" else preprocessor.target_tokens
    tokens = describe(ids.tolist())
    return [f"{_printable(token)} ({i})" for token, i in zip(tokens, ids, strict=True)]


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def _printable(token: str) -> str:
    """Names control characters and line ends, and quotes lone spaces; other text is unchanged."""
    shown = named(token)
    return repr(shown) if shown != shown.strip() or not shown else shown


def _aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    """Returns the rows with columns of equal width on the screen, where Hangul takes two cells."""
    from rich.cells import cell_len

    widths = [max(cell_len(cell) for cell in column) for column in zip(*table, strict=True)]
    right = (True, False, False, True, False)
    lines = []
    for cells in table:
        padded = []
        for cell, width, to_the_right in zip(cells, widths, right, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if to_the_right else cell + space)
        lines.append(f"  {'  '.join(padded)}".rstrip())
    return lines
