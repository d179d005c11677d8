"""Generates texts for lines: an entry for each line, also for one that cannot be used."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_s2s.cli.lines.input import Line
from keras_s2s.cli.lines.notes import LineNotes

if TYPE_CHECKING:
    from keras_s2s.documents.splitting.long_texts import SplitText
    from keras_s2s.reranking import RankedTexts

TRUNCATE = "pass --overlong truncate to cut what is too long, or --overlong split"


class GeneratedText(NamedTuple):
    """A generated text and its scores.

    Attributes:
        text: may hold line breaks.
        score: what the strategy ranks by, see `GenerationOutput.scores`, or what candidates are
            ranked by; None where a search has found fewer hypotheses than were asked for, or for a
            line that was split.
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
    from keras_s2s.samplers.strategy_choice import STRATEGY_OPTIONS, resolve_sampler

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
    rank: Callable[..., RankedTexts] | None = None,
) -> list[LineResult]:
    """Generates texts for lines in one call of `generate`, without lines that cannot be used.

    Args:
        network: a `Seq2SeqLM`.
        lines: the lines; blank ones and those that could not be read are passed over.
        options: of `generate`.
        notes: collects lines for which nothing is generated, or that are cut.
        overlong: "truncate" cuts a line that is longer than the model's positions, "split" splits
            it at sentences and clauses and joins the results.
        strict: generate nothing if one of the lines cannot be used.
        rank: chooses among several results (`Ranking.function`); all candidates are returned.

    Returns:
        an entry for each line, in order.

    Raises:
        ValueError: an option with a value that it does not take.
    """
    from keras_s2s.text.row_error import RowError

    problems = {i: line.problem for i, line in enumerate(lines) if line.problem is not None}
    cut: dict[int, str] = {}
    divided: dict[int, SplitText] = {}
    while True:
        asked = [i for i, line in enumerate(lines) if i not in problems and line.text.strip()]
        sources = [divided.get(i, lines[i].text) for i in asked]
        owners = [i for i, source in zip(asked, sources, strict=True) for _ in _parts(source)]
        try:
            with _without_its_own_note():
                call = {**options, "overlong": "truncate" if cut else "error"}
                found = _generate(network, sources, call, rank)
            break
        except RowError as error:
            reasons = {owners[row]: reason for row, reason in error.reasons.items()}
            if error.overlong and overlong == "truncate":
                cut = reasons
            elif error.overlong and overlong == "split":
                divided |= _divided(network, {i: lines[i].text for i in reasons}, options)
                for i, reason in reasons.items():
                    notes.divide(lines[i].place, reason, len(divided[i].spans))
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


def _divided(
    network: Any, texts: Mapping[int, str], options: Mapping[str, Any]
) -> dict[int, SplitText]:
    """Returns the parts of lines that are too long, by their numbers."""
    from keras_s2s.documents.splitting.long_texts import split_texts

    languages = {name: options.get(name) for name in ("src_lang", "tgt_lang")}
    return dict(zip(texts, split_texts(network, list(texts.values()), **languages), strict=True))


def _parts(source: str | SplitText) -> list[str]:
    return [source] if isinstance(source, str) else source.parts


def _generate(
    network: Any,
    sources: list[str | SplitText],
    options: Mapping[str, Any],
    rank: Callable[..., RankedTexts] | None,
) -> list[list[GeneratedText]]:
    """Returns the generated texts of each source, the best first, from one call of `generate`."""
    if not sources:
        return []
    parts = [_parts(source) for source in sources]
    texts = [part for own in parts for part in own]
    if "decoder_prefix" in options:
        options = {**options, "decoder_prefix": [options["decoder_prefix"]] * len(texts)}
    if rank is None:
        output = network.generate(texts, return_output=True, **options)
        found = [_hypotheses(output, i) for i in range(len(texts))]
    else:
        ranked = rank(network, texts, **options)
        found = [_candidates(ranked, i) for i in range(len(texts))]
    results, at = [], 0
    for source, own in zip(sources, parts, strict=True):
        made = found[at : at + len(own)]
        at += len(own)
        if rank is not None and not isinstance(source, str):
            made = [each[:1] for each in made]  # the others are others for each part
        results.append(made[0] if isinstance(source, str) else _joined(source, made))
    return results


def _hypotheses(output: Any, i: int) -> list[GeneratedText]:
    """Returns the generated texts of a row of a call."""
    rows = range(output.lengths.shape[1]) if output.lengths.ndim == 2 else [None]
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
    return hypotheses


def _candidates(ranked: RankedTexts, i: int) -> list[GeneratedText]:
    """Returns the candidates of a row of a call."""
    rows = zip(ranked.candidates[i], ranked.values[i], ranked.log_probs[i], strict=True)
    return [GeneratedText(text, float(value), float(log_prob)) for text, value, log_prob in rows]


def _joined(source: SplitText, made: Sequence[Sequence[GeneratedText]]) -> list[GeneratedText]:
    """Returns the texts of a line that was split: the best of all parts, the second best, ...

    A search ranks parts, not what they are joined to: the joined text has the sum of their
    log-probabilities, and no score.
    """
    texts = []
    for parts in zip(*made, strict=True):
        text = source.joined([part.text.strip() for part in parts])
        known = [part.log_prob for part in parts if part.log_prob is not None]
        texts.append(GeneratedText(text, None, sum(known) if len(known) == len(parts) else None))
    return texts


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
