"""The request of a call of `generate` or `stream`, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.decoding.generator import Generator
from keras_s2s.decoding.loop import longest_of
from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.decoding.requests.forced_phrases import check_room, forced_phrases
from keras_s2s.decoding.requests.grammars import check_texts, refuse_with_shortlist, result_rows
from keras_s2s.decoding.requests.planning import Search, plan_search
from keras_s2s.decoding.requests.read_sources import source_rows
from keras_s2s.decoding.requests.read_targets import forced_first, prefix_rows, target_starts
from keras_s2s.decoding.requests.shortlisting import open_shortlist, row_candidates
from keras_s2s.decoding.seeds import row_seeds
from keras_s2s.samplers.output import GenerationOutput, merged
from keras_s2s.samplers.phrases import Constraints
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.sampler import Sampler
from keras_s2s.samplers.strategy_choice import for_streams, refuse_to_stream
from keras_s2s.text.languages import Language
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.streaming import text_pieces
from keras_s2s.text.truncation import Overlong


class LanguageGroup(NamedTuple):
    """Sources of a call whose targets are in the same language, so that they begin alike.

    Attributes:
        places: of the sources among those of the call.
        plan: special ids, number of steps and rules.
        limits: most ids of each source's sequences, its prefix counted.
    """

    places: list[int]
    plan: Plan
    limits: list[int]


@dataclass(frozen=True)
class Request:
    """A call of `generate` or `stream`: its sources, and how their targets are searched.

    Attributes:
        sources: ids of each source, or an array where sources are no ids.
        single: the source was one text.
        is_text: the results are texts.
        sampler: the strategy.
        groups: the sources by the language of their targets, with plans and limits.
        prefixes: ids that each source's sequences begin with; None where no prefix was given.
        seeds: int32 `[B]`, one for each source.
        constraints: what each source's results must have; None where nothing was asked for.
        candidates: the ids that each source's results may have; None where all.

    Example:
        >>> parts = ModelParts(model.preset, model.network, model.preprocessor)
        >>> request = Request.prepare(parts, ["ein Hund"], Search(max_length=20))
        >>> request.generate(model.generator).lengths
        array([6], dtype=int32)
    """

    sources: list[Any]
    single: bool
    is_text: bool
    sampler: Sampler
    groups: list[LanguageGroup]
    prefixes: list[list[int]] | None
    seeds: np.ndarray
    constraints: list[Constraints] | None
    candidates: list[np.ndarray] | None = None

    @classmethod
    def prepare(
        cls,
        parts: ModelParts,
        x: Any,
        search: Search,
        *,
        src_lang: Language = None,
        tgt_lang: Language = None,
        decoder_prefix: Any = None,
        seed: int | Sequence[int] | None = None,
        overlong: Overlong = "error",
        streams: bool = False,
    ) -> Request:
        """Checks the arguments of a call, and makes its request; arguments as in `generate`.

        Args:
            parts: of the model.
            search: the strategy, the limits and the rules.
            streams: the results are shown while they are generated: beam search as the model's
                default is replaced (see `for_streams`), and is an error as the caller's choice.

        Raises:
            ValueError: an option with a value that it does not take, or that the strategy does not
                use; a source or prefix that is too long.
            TypeError: sources, a sampler or a rule of the wrong type.
        """
        single = isinstance(x, str)
        shortlist = open_shortlist(parts, search.options.get("shortlist"))
        if shortlist is not None:
            refuse_with_shortlist(search.options)
        options = {name: v for name, v in search.options.items() if name != "shortlist"}
        search = replace(search, options=options)
        sources, is_text = source_rows(parts, x, src_lang, tgt_lang, overlong)
        first = forced_first(parts, tgt_lang, search.options)
        prefixes = prefix_rows(
            parts, decoder_prefix, len(sources), single=single, tgt_lang=tgt_lang, first=first
        )
        starts = target_starts(parts, tgt_lang, len(sources))
        seeds = row_seeds(seed, len(sources))
        constraints = forced_phrases(parts, search.options, x, len(sources))
        defaults = for_streams(parts.preset.generation) if streams else None
        groups = []
        for start, places in starts.items():
            given = [0 if prefixes is None else len(prefixes[i]) for i in places]
            sampler, plan, limits = plan_search(parts, search, given, start, defaults)
            if streams:
                refuse_to_stream(sampler)
            _check_seed(seed, sampler)
            if constraints is not None:
                lengths = [len(sources[i]) for i in places]
                check_room(constraints, places, _room(plan, limits, given, lengths), given)
            groups.append(LanguageGroup(places, plan, limits))
        candidates = None
        if shortlist is not None:
            ends = groups[0].plan.ends
            candidates = row_candidates(
                parts,
                shortlist,
                sources,
                starts,
                ends,
                prefixes,
                constraints,
                options,
                search.processors or (),
            )
        return cls(
            sources, single, is_text, sampler, groups, prefixes, seeds, constraints, candidates
        )

    def generate(
        self, generator: Generator, *, batch_size: int = 32, want_attention: bool = False
    ) -> GenerationOutput:
        """Generates results for all sources, and returns them in their order.

        Args:
            generator: runs the network.
            batch_size, want_attention: as in `Generator.generate`.
        """
        results = [
            generator.generate(
                **self._arguments(group),
                batch_size=batch_size,
                want_attention=want_attention,
            )
            for group in self.groups
        ]
        places = [group.places for group in self.groups]
        output = merged(results, places, self.groups[0].plan.pad)
        if self.candidates is None:
            return output
        sizes = np.asarray([len(ids) for ids in self.candidates], "int32")
        return replace(output, candidates=sizes)

    def stream(
        self, generator: Generator, preprocessor: Preprocessor, *, stride: int = 1
    ) -> Iterator[list[str]]:
        """Yields the new text of each source, as it is generated.

        Args:
            generator: runs the network.
            preprocessor: ids -> text.
            stride: steps between two pieces.

        Yields:
            a text for each source; at least one of them is not empty.
        """
        streams = [
            text_pieces(preprocessor, self._streamed(group, generator, preprocessor, stride))
            for group in self.groups
            if group.places
        ]
        for step in zip_longest(*streams):
            texts = [""] * len(self.sources)
            for group, new in zip(self.groups, step, strict=True):
                for i, piece in zip(group.places, new or (), strict=False):
                    texts[i] = piece
            if any(texts):
                yield texts

    def _streamed(
        self, group: LanguageGroup, generator: Generator, preprocessor: Preprocessor, stride: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the ids of a group as they are generated, and checks the last ones."""
        last = None
        for last in generator.stream(**self._arguments(group), stride=stride):
            yield last
        if last is not None:
            self._check_texts(group, *last, preprocessor)

    def check_texts(self, output: GenerationOutput, preprocessor: Preprocessor) -> None:
        """Checks that results are what a regex, schema or grammar of the call allows.

        Args:
            output: of `generate`.
            preprocessor: ids -> text.

        Raises:
            ValueError: a text is not, since the tokenizer has changed it.
        """
        for group in self.groups:
            found = output.token_ids[group.places], output.lengths[group.places]
            self._check_texts(group, *found, preprocessor)

    def _check_texts(
        self, group: LanguageGroup, ids: np.ndarray, lengths: np.ndarray, preprocessor: Preprocessor
    ) -> None:
        given = [0 if self.prefixes is None else len(self.prefixes[i]) for i in group.places]
        sizes = [len(self.sources[i]) for i in group.places]
        room = dict(zip(group.places, _room(group.plan, group.limits, given, sizes), strict=True))
        begin = dict(zip(group.places, given, strict=True))
        rows = result_rows(group.places, ids, lengths)
        check_texts(group.plan, preprocessor, [(i, row, begin[i], room[i]) for i, row in rows])

    def _arguments(self, group: LanguageGroup) -> dict[str, Any]:
        """Returns the arguments of `Generator` for a group."""
        prefixes = self.prefixes
        return {
            "sources": [self.sources[i] for i in group.places],
            "sampler": self.sampler,
            "plan": group.plan,
            "limits": group.limits,
            "prefixes": None if prefixes is None else [prefixes[i] for i in group.places],
            "seeds": self.seeds[list(group.places)],
            "places": group.places,
            "candidates": self.candidates and [self.candidates[i] for i in group.places],
            "constraints": self.constraints and [self.constraints[i] for i in group.places],
        }


def _room(
    plan: Plan, limits: Sequence[int], given: Sequence[int], lengths: Sequence[int]
) -> list[int]:
    """Returns the most ids of each source's sequences, also as the plan's ratio limits them.

    Args:
        plan: of the sources.
        limits: most ids without that ratio.
        given: ids of each prefix.
        lengths: of the sources.
    """
    if (ratio := plan.max_length_ratio) is None:
        return list(limits)
    rows = zip(limits, given, lengths, strict=True)
    return [min(limit, prefix + longest_of(length, ratio)) for limit, prefix, length in rows]


def output_texts(output: GenerationOutput, preprocessor: Preprocessor) -> list[Any]:
    """Returns a text for each source, or a list of texts for n-best results.

    Args:
        output: ids `[B, T]`, or `[B, N, T]` for n-best.
        preprocessor: ids -> text.
    """
    ids = output.token_ids
    if ids.ndim == 2:
        return preprocessor.decode_target(_cut(ids, output.lengths))
    if not len(ids):
        return []
    flat = _cut(ids.reshape(-1, ids.shape[-1]), output.lengths.reshape(-1))
    texts = preprocessor.decode_target(flat)
    n = ids.shape[1]
    return [texts[i : i + n] for i in range(0, len(texts), n)]


def _cut(ids: np.ndarray, lengths: np.ndarray) -> list[list[int]]:
    return [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]


def _check_seed(seed: Any, sampler: Sampler) -> None:
    if seed is not None and not sampler.draws:
        raise ValueError(
            f"seed={seed} has no effect: {type(sampler).__name__} draws nothing; leave it out, or "
            "choose a sampler that draws (do_sample=True)"
        )
