"""Generates texts for lines: an entry for each line, also for one that cannot be used."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from keras_s2s.cli.lines.input import Line
from keras_s2s.cli.lines.notes import LineNotes

TRUNCATE = "pass --overlong truncate to cut what is too long"


class GeneratedText(NamedTuple):
    """A generated text and its scores.

    Attributes:
        text: may hold line breaks.
        score: what the strategy ranks by, see `GenerationOutput.scores`; None where a search
            has found fewer hypotheses than were asked for.
        log_prob: the model's log-probability of it, as `score` gives it.
    """

    text: str
    score: float | None = None
    log_prob: float | None = None


class LineResult(NamedTuple):
    """The generated texts of a line, or its problem.

    Attributes:
        line: the line.
        texts: as many as each line has; none for a blank line, or one that failed.
        problem: why there are none, where the line is not blank.
    """

    line: Line
    texts: list[GeneratedText]
    problem: str | None = None


def texts_per_line(network: Any, options: Mapping[str, Any]) -> int:
    """Returns how many texts are generated for each line.

    Raises:
        ValueError: an option with a value that it does not take.
    """
    from keras_s2s.samplers.resolve import STRATEGY_OPTIONS, resolve_sampler

    mine = {name: value for name, value in options.items() if name in STRATEGY_OPTIONS}
    sampler = resolve_sampler(options.get("sampler"), mine, network.generation_config)
    return sampler.num_return_sequences


def generate_for_lines(
    network: Any,
    lines: Sequence[Line],
    options: Mapping[str, Any],
    notes: LineNotes,
    *,
    overlong: str = "error",
    strict: bool = False,
) -> list[LineResult]:
    """Generates texts for lines in one call of `generate`, without lines that cannot be used.

    Args:
        network: a `Seq2SeqLM`.
        lines: the lines; blank ones and those that could not be read are passed over.
        options: of `generate`.
        notes: collects lines for which nothing is generated, or that are cut.
        overlong: "truncate" cuts a line that is longer than the model's positions.
        strict: generate nothing if one of the lines cannot be used.

    Returns:
        an entry for each line, in order.

    Raises:
        ValueError: an option with a value that it does not take.
    """
    from keras_s2s.text.row_error import RowError

    problems = {i: line.problem for i, line in enumerate(lines) if line.problem is not None}
    cut: dict[int, str] = {}
    while True:
        asked = [i for i, line in enumerate(lines) if i not in problems and line.text.strip()]
        try:
            with _without_its_own_note():
                found = _generate(
                    network,
                    [lines[i].text for i in asked],
                    {**options, "overlong": "truncate" if cut else "error"},
                )
            break
        except RowError as error:
            reasons = {asked[row]: reason for row, reason in error.reasons.items()}
            if error.overlong and overlong == "truncate":
                cut = reasons
            elif error.overlong:
                problems |= {i: f"{reason}; {TRUNCATE}" for i, reason in reasons.items()}
            else:
                problems |= reasons
        if strict and problems:
            asked, found = [], []
            break
    for i, problem in sorted(problems.items()):
        notes.fail(lines[i].place, problem)
    for i, reason in cut.items():
        notes.shorten(lines[i].place, reason)
    made = dict(zip(asked, found, strict=True))
    return [LineResult(line, made.get(i, []), problems.get(i)) for i, line in enumerate(lines)]


def _generate(
    network: Any, texts: list[str], options: Mapping[str, Any]
) -> Iterator[list[GeneratedText]] | list[list[GeneratedText]]:
    """Yields the generated texts of each source, the best first."""
    if not texts:
        return []
    if "decoder_prefix" in options:
        options = {**options, "decoder_prefix": [options["decoder_prefix"]] * len(texts)}
    output = network.generate(texts, return_output=True, **options)
    several = output.lengths.ndim == 2
    found = []
    for i in range(len(texts)):
        rows = range(output.lengths.shape[1]) if several else [None]
        hypotheses = []
        for row in rows:
            at = (i,) if row is None else (i, row)
            length = int(output.lengths[at])
            text = output.texts[i] if row is None else output.texts[i][row]
            if not length:
                hypotheses.append(GeneratedText(text))
                continue
            log_prob = float(output.token_log_probs[at][:length].sum())
            hypotheses.append(GeneratedText(text, float(output.scores[at]), log_prob))
        found.append(hypotheses)
    return found


@contextlib.contextmanager
def _without_its_own_note() -> Iterator[None]:
    """Suppresses the warning that counts the cut rows of a call, since they are named by line."""
    logger = logging.getLogger("keras_s2s.text.truncation")

    def refuse(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(refuse)
    try:
        yield
    finally:
        logger.removeFilter(refuse)
