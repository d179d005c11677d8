"""Pairs of texts that are segmented anew in every epoch [Kudo 2018, Provilkov 2020].

Kudo 2018, Subword Regularization, arXiv:1804.10959. Provilkov, Emelianenko, Voita 2020,
BPE-Dropout, arXiv:1910.13267.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_s2s.config import ConfigError, SpecialIds, SubwordSamplingConfig, read_config
from keras_s2s.data.examples.encoded_pairs import BatchReport, EncodedPairs
from keras_s2s.data.examples.ragged import RaggedIds
from keras_s2s.layers.contracts import SourceInput
from keras_s2s.layers.frontends import TOKEN_IDS
from keras_s2s.text.truncation import Side, truncated

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor

#: Texts that are drawn with one seed. It is part of what a run with a seed gives.
GROUP = 256

_SIDES: tuple[Side, Side] = ("source", "target")


class SampledPairs:
    """Pairs of texts, and their segmentations in each epoch.

    A draw depends on the seed, the epoch, the side, and the number of the text among those that
    were given, with the texts next to it (groups of 256 are drawn with one seed); not on batches,
    their order, or threads.

    A draw that is longer than all of the first epoch, or than `max_source_length` or
    `max_target_length`, gives way to the text's likeliest segmentation, which fits; where that one
    was truncated, the draw is, too.

    Args:
        plain: the pairs with their likeliest segmentations; those that cannot be used are left out.
        texts: all pairs that were given.
        preprocessor: text to ids.
        special_ids: the special ids.
        sampling: which sides are drawn, and how.
        seed: of all that is drawn.
        limits: most ids of a source and of a target, special ones included.

    Raises:
        ConfigError: a tokenizer cannot draw so.
        ValueError: sources that are no texts cannot be drawn.

    Attributes:
        plain: as given.
        report: counts of pairs used, dropped and truncated.
    """

    def __init__(
        self,
        plain: EncodedPairs,
        texts: Sequence[Any],
        preprocessor: Preprocessor,
        special_ids: SpecialIds,
        sampling: SubwordSamplingConfig,
        *,
        seed: int,
        limits: tuple[int | None, int | None],
    ) -> None:
        if sampling.source is not None and plain.source_input.name != TOKEN_IDS.name:
            raise ValueError(
                "subword_sampling.source draws segmentations of texts, but the sources are feature "
                "vectors; set subword_sampling for the target alone"
            )
        self.plain = plain
        self.report: BatchReport = plain.report
        self._preprocessor = preprocessor
        self._special_ids = special_ids
        self._sampling = sampling
        self._seed = seed
        self._texts = {
            side: [texts[number][column] for number in plain.numbers]
            for column, side in enumerate(_SIDES)
            if getattr(sampling, side) is not None
        }
        # Groups by the number that a pair was given, so that a pair that is left out moves no
        # other one into another group.
        groups = np.asarray(plain.numbers, "int64") // GROUP
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        ends = [*starts[1:].tolist(), len(groups)]
        self._groups = list(zip(groups[starts].tolist(), starts.tolist(), ends, strict=True))
        self._limits: dict[Side, int | None] = dict(zip(_SIDES, limits, strict=True))
        self._drawn_last = (-1, plain)
        first = self.of_epoch(0)
        #: Length of each source and target in the first epoch, or more; none is ever longer than
        #: the longest of them.
        self.source_lengths = np.maximum(first.source_lengths, plain.source_lengths)
        self.target_lengths = np.maximum(first.target_lengths, plain.target_lengths)
        self._limits = {
            "source": int(self.source_lengths.max()),
            "target": int(self.target_lengths.max()),
        }

    @property
    def source_input(self) -> SourceInput:
        """The model input that the sources are for."""
        return self.plain.source_input

    @property
    def largest_ids(self) -> tuple[int, int]:
        """The largest id that a source and a target can hold."""
        found = dict(zip(_SIDES, self.plain.largest_ids, strict=True))
        for side in self._texts:
            tokenizer = getattr(self._preprocessor, side)
            found[side] = max(found[side], tokenizer.plain_size - 1)
        return found["source"], found["target"]

    def of_epoch(self, epoch: int) -> EncodedPairs:
        """Returns all pairs with the segmentations of an epoch."""
        known, last = self._drawn_last
        if known == epoch:
            return last
        drawn = EncodedPairs(
            sources=self.plain.sources,
            targets=self.plain.targets,
            report=self.report,
            numbers=self.plain.numbers,
        )
        if "source" in self._texts:
            drawn.sources = self._drawn("source", epoch)
        if "target" in self._texts:
            drawn.targets = self._drawn("target", epoch)
        # One assignment, so that Keras' worker threads see a whole epoch or another one.
        self._drawn_last = (epoch, drawn)
        return drawn

    def _drawn(self, side: Side, epoch: int) -> RaggedIds:
        tokenizer = getattr(self._preprocessor, side)
        frame = getattr(self._preprocessor, f"frame_{side}")
        config = getattr(self._sampling, side)
        plain: Any = self.plain.sources if side == "source" else self.plain.targets
        limit = self._limits[side]
        texts = self._texts[side]
        rows = RaggedIds()
        for group, start, end in self._groups:
            seed = _seed(self._seed, epoch, _SIDES.index(side), group)
            drawn = frame(tokenizer.sample_batch(texts[start:end], config, seed))
            for row, ids in enumerate(drawn, start):
                if limit is None or len(ids) <= limit:
                    rows.append(ids)
                elif (row, side) in self.plain.cut:
                    rows.append(self._cut(ids, limit, side))
                else:
                    rows.append(plain[row].tolist())
        return rows

    def _cut(self, ids: list[int], limit: int, side: Side) -> list[int]:
        tokenizer = getattr(self._preprocessor, side)
        return truncated(
            ids,
            limit,
            self._special_ids,
            side,
            cut=tokenizer.truncation_side,
            ends_once=tokenizer.ends_once,
        )


def sampling_config(
    given: SubwordSamplingConfig | Mapping[str, Any],
) -> SubwordSamplingConfig:
    """Returns the argument `subword_sampling` of `Batches` as a configuration.

    Raises:
        ConfigError: it is not one.
    """
    if isinstance(given, SubwordSamplingConfig):
        return given
    return read_config(SubwordSamplingConfig, given, origin="subword_sampling")


def check_sampling(
    sampling: SubwordSamplingConfig,
    preprocessor: Preprocessor | None,
    *,
    where: str = "subword_sampling",
) -> None:
    """Checks that tokenizers can draw as a configuration says.

    Args:
        sampling: which sides are drawn, and how.
        preprocessor: of the pairs.
        where: the key, for messages.

    Raises:
        ValueError: there is no preprocessor, whose tokenizers would draw.
        ConfigError: a tokenizer cannot draw so; the message names its kind and the key.
    """
    if preprocessor is None:
        raise ValueError(
            f"{where} needs texts and a preprocessor, whose tokenizers draw; these are pairs of ids"
        )
    for side in _SIDES:
        config = getattr(sampling, side)
        if config is None:
            continue
        try:
            getattr(preprocessor, side).check_sampling(config)
        except ConfigError as error:
            raise ConfigError(f"{where}.{side}.{error}") from None


def _seed(*numbers: int) -> int:
    """Returns a seed that SentencePiece takes, 0 to 2^31 - 1."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0]) & 0x7FFFFFFF
