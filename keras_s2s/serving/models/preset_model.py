"""Serves a model that `Seq2SeqLM.from_preset` reads."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_s2s.analysis.pieces import attended_pieces
from keras_s2s.config.nearest import did_you_mean
from keras_s2s.decoding.requests.planning import end_ids, stop_strings
from keras_s2s.export.saved_model.document_signatures import SOURCE_LENGTHS
from keras_s2s.export.saved_model.graph_model import ERROR
from keras_s2s.export.saved_model.score_signatures import TARGET_IDS, TARGET_MASK
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.model import Seq2SeqLM
from keras_s2s.options.generation import OPTIONS
from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.models.languages import ModelLanguages
from keras_s2s.serving.models.ranked_rows import ranked_rows
from keras_s2s.serving.models.served_model import (
    DEFAULT_SIGNATURE,
    GENERATE,
    OFFERS,
    Prepared,
    Row,
    ServedModel,
    Signature,
    TensorInfo,
    without_padding,
)
from keras_s2s.serving.models.source_rows import (
    SourceRow,
    languages_of,
    limit_of,
    seeds_of,
    unpadded,
)
from keras_s2s.text.row_error import RowError
from keras_s2s.text.truncation import Overlong

if TYPE_CHECKING:
    from keras_s2s.documents.sentence_model import SentenceModel
    from keras_s2s.reranking import RankedTexts

IDS, GENERATE_IDS, TEXT, SCORE, SCORE_IDS = "ids", "generate_ids", "text", "score", "score_ids"
ATTENTION = "attention"
SOURCE_IDS = "encoder_token_ids"

#: What is wrong with a row, of every signature.
ERRORS = {ERROR: TensorInfo("string", (None,))}
#: Outputs of the signatures that score.
SCORES = {
    "log_probs": TensorInfo("float32", (None,)),
    "token_log_probs": TensorInfo("float32", (None, None)),
    "target_lengths": TensorInfo("int32", (None,)),
    **ERRORS,
}

LENGTHS = {SOURCE_LENGTHS: TensorInfo("int32", (None,)), **ERRORS}

#: Strategies with one result for each source.
_SINGLE = ("greedy", "prompt_lookup", "contrastive")


@dataclass(frozen=True)
class Call:
    """What rows must have in common to be generated in one call.

    Attributes:
        kind: `text` or `ids`, to generate from; `score` or `score_ids`; `source_lengths`;
            `attention`.
        seeded: the rows have seeds.
        written: the options as text, which is compared.
        options: of `generate`.
        every: all results of a row are wanted, in place of the best.
    """

    kind: str
    seeded: bool
    written: str
    options: dict[str, Any] = field(compare=False, hash=False)
    every: bool = False


class PresetModel(ServedModel):
    """A `Seq2SeqLM` behind the server, with the signatures of its SavedModel.

    `serving_default` reads `text`, and, where the model has languages, `src_lang` and `tgt_lang`;
    `ids` reads `encoder_token_ids` and `encoder_padding_mask`. Each row may have one of `seeds`.
    The outputs are `text`, `token_ids`, `lengths` and `scores`, of the best result, and `error`.
    `generate` and `generate_ids` return all results. A model without a preprocessor reads and
    returns ids alone. `score` reads `source` and `target`, `score_ids` the ids of both;
    `source_lengths` counts the ids of `text`.

    Args:
        name: in addresses.
        model: whose sources are texts or ids.
        options: of `generate`, for requests that do not set them.
        languages: of the model; None where it has none.
        overlong: "truncate" cuts a source that is longer than the model's positions.
        rank: chooses the results of texts among several; called as `minimum_bayes_risk` is. Sources
            that are ids are then not generated from, and nothing is streamed.

    Raises:
        ValueError: the model reads neither texts nor ids, or `rank` does not take the options.
    """

    def __init__(
        self,
        name: str,
        model: Seq2SeqLM,
        options: Mapping[str, Any] | None = None,
        languages: ModelLanguages | None = None,
        *,
        overlong: Overlong = "error",
        rank: Callable[..., RankedTexts] | None = None,
    ) -> None:
        if not model.network.frontend.reads_text:
            raise ValueError(
                f"{name}: the sources of this model are {model.network.frontend.input.name}, which "
                "are served from a SavedModel only; write one with model.export, and serve that"
            )
        self.name = name
        self.model = model
        self.options = dict(options or {})
        self.languages = languages
        self.overlong = overlong
        self.rank = rank
        if rank is not None:  # now, and not at the first request
            rank(model, [], **{k: v for k, v in self.options.items() if k != "decoder_prefix"})
        self.pad = model.special_ids.target.pad
        self.ends = end_ids(model.preset, self.options)
        self.stops = stop_strings(model.preset, self.options)

    @property
    def signatures(self) -> Mapping[str, Signature]:
        count = self._count(self.options)

        def outputs(*several: int, text: bool = False) -> dict[str, TensorInfo]:
            named = {
                "token_ids": TensorInfo("int32", (None, *several, None)),
                "lengths": TensorInfo("int32", (None, *several)),
                "scores": TensorInfo("float32", (None, *several)),
                **ERRORS,
            }
            return {"text": TensorInfo("string", (None, *several)), **named} if text else named

        seeds = {"seeds": TensorInfo("int32", (None,), required=False)}
        limit = {"max_length": TensorInfo("int32", (None,), required=False)}
        ids = {
            SOURCE_IDS: TensorInfo("int32", (None, None)),
            SOURCE_MASK: TensorInfo("bool", (None, None), required=False),
        }
        from_ids = Signature({**ids, **seeds}, outputs())
        all_from_ids = Signature({**ids, **seeds, **limit}, outputs(count))
        targets = {
            TARGET_IDS: TensorInfo("int32", (None, None)),
            TARGET_MASK: TensorInfo("bool", (None, None), required=False),
        }
        by_ids = {
            IDS: from_ids,
            GENERATE_IDS: all_from_ids,
            SCORE_IDS: Signature({**ids, **targets}, SCORES),
        }
        if self.model.preprocessor is None:
            return {
                DEFAULT_SIGNATURE: from_ids,
                GENERATE: all_from_ids,
                SCORE: by_ids[SCORE_IDS],
                **by_ids,
            }
        inputs: dict[str, TensorInfo] = {}
        languages = self.model.special_ids.languages
        if languages is not None:
            optional = TensorInfo("string", (None,), required=False)
            named = ("tgt_lang",) if languages.source == "none" else ("src_lang", "tgt_lang")
            inputs.update(dict.fromkeys(named, optional))
        string = TensorInfo("string", (None,))
        from_text = {"text": string, **inputs, **seeds}
        by_text = Signature({"source": string, "target": string, **inputs}, SCORES)
        return {
            DEFAULT_SIGNATURE: Signature(from_text, outputs(text=True)),
            GENERATE: Signature({**from_text, **limit}, outputs(count, text=True)),
            SCORE: by_text,
            SOURCE_LENGTHS: Signature({"text": string, **inputs}, LENGTHS),
            **by_ids,
        }

    def _count(self, options: Mapping[str, Any]) -> int:
        """Returns how many results each source has."""
        asked = options.get("num_return_sequences")
        return int(asked or self.model.preset.generation.num_return_sequences or 1)

    # ------------------------------------------------------------------ requests

    def prepare(
        self, signature: str, rows: Sequence[Row], parameters: Mapping[str, Any]
    ) -> Prepared:
        if signature in (SCORE, SCORE_IDS, SOURCE_LENGTHS):
            return self._prepare_pass(signature, rows, parameters)
        options = {**self.options, **parameters, **limit_of(rows, parameters)}
        every = signature in (GENERATE, GENERATE_IDS)
        seeds = seeds_of(options.pop("seed", None), rows)
        if "text" in self.signatures[signature].inputs:
            kind, key = TEXT, "text"
        elif self.rank is not None:
            raise RequestError(400, f"{signature}: results are chosen by their texts; send text")
        else:
            kind, key = IDS, SOURCE_IDS
        prepared = [
            SourceRow(
                row[key] if kind == TEXT else unpadded(row, i, SOURCE_IDS, SOURCE_MASK),
                src_lang=self._language(row, "src_lang"),
                tgt_lang=self._language(row, "tgt_lang"),
                seed=seed,
            )
            for i, (row, seed) in enumerate(zip(rows, seeds, strict=True))
        ]
        seeded = any(seed is not None for seed in seeds)
        written = repr(sorted(options.items()))
        return Prepared(Call(kind, seeded, written, options, every=every), prepared)

    def _prepare_pass(
        self, signature: str, rows: Sequence[Row], parameters: Mapping[str, Any]
    ) -> Prepared:
        if parameters:
            raise RequestError(
                400, f"{signature} takes no parameters, got {', '.join(map(str, parameters))}"
            )
        inputs = self.signatures[signature].inputs
        by_ids = SOURCE_IDS in inputs
        prepared = [
            SourceRow(
                unpadded(row, i, SOURCE_IDS, SOURCE_MASK),
                unpadded(row, i, TARGET_IDS, TARGET_MASK),
            )
            if by_ids
            else SourceRow(
                row["text" if "text" in inputs else "source"],
                row.get("target"),
                self._language(row, "src_lang"),
                self._language(row, "tgt_lang"),
            )
            for i, row in enumerate(rows)
        ]
        return Prepared(Call(SCORE_IDS if by_ids else signature, False, "", {}), prepared)

    def _language(self, row: Row, name: str) -> str | None:
        """Returns the model's code for a language of a row."""
        code = row.get(name)
        if code is None or code == "":
            return None
        languages = self.model.special_ids.languages
        if languages is None or code in languages.codes:
            return code
        known = None if self.languages is None else self.languages.own_code(code)
        if known is None:
            hint = did_you_mean(code, languages.codes) or "see the model's metadata"
            raise RequestError(400, f"{name} is {code!r}, which the model does not have; {hint}")
        return known

    def translate(
        self,
        texts: Sequence[str],
        source: str | None,
        target: str | None,
        alternatives: int,
    ) -> Prepared:
        if self.model.preprocessor is None:
            return super().translate(texts, source, target, alternatives)
        rows: list[Row] = [{"text": text, "src_lang": source, "tgt_lang": target} for text in texts]
        parameters: dict[str, Any] = {}
        if alternatives:
            own = self.options
            parameters["num_return_sequences"] = alternatives + 1
        if alternatives and self.rank is None:
            configured = self.model.preset.generation
            beams = own.get("num_beams") or configured.num_beams or 1
            draws = own.get("do_sample", configured.do_sample) or "top" in str(own.get("sampler"))
            if not draws:
                parameters["num_beams"] = max(beams, alternatives + 1)
            if own.get("sampler") in _SINGLE:
                parameters["sampler"] = "beam"
        return self.prepare(GENERATE, rows, parameters)

    @property
    def reads_documents(self) -> bool:
        return self.model.preprocessor is not None

    def sentence_model(self, source: str | None, target: str | None) -> SentenceModel:
        if not self.reads_documents:
            return super().sentence_model(source, target)
        from keras_s2s.documents.sentence_model import KerasSentenceModel

        return KerasSentenceModel.of(self.model, source, target)

    def attend(
        self, text: str, target: str | Sequence[int], source_lang: str | None, lang: str | None
    ) -> Prepared:
        if self.model.preprocessor is None:
            return super().attend(text, target, source_lang, lang)
        return Prepared(
            Call(ATTENTION, False, "", {}), [SourceRow(text, target, source_lang, lang)]
        )

    # ------------------------------------------------------------------ what the page offers

    @property
    def obstacles(self) -> Mapping[str, str]:
        if self.model.preprocessor is None:
            why = f"Model {self.name} has no tokenizer: it reads and returns ids alone."
            return dict.fromkeys(OFFERS, why)
        if self.rank is not None:
            why = f"Model {self.name} chooses among several results, so that it shows no draft."
            return {"stream": why}
        return {}

    @property
    def draft_parameters(self) -> Mapping[str, Any]:
        # Greedy search has no use for the options of another strategy, nor for a seed.
        unused = [
            name
            for name in self.options
            if name in OPTIONS
            and (OPTIONS[name].strategies or OPTIONS[name].chooses or OPTIONS[name].forces)
        ]
        return {**dict.fromkeys([*unused, "seed"]), "sampler": "greedy"}

    # ------------------------------------------------------------------ computing

    def run(self, key: Call, rows: Sequence[SourceRow]) -> Sequence[Row | Exception]:
        try:
            return self._results(key, rows)
        except RowError as error:
            # A row that cannot be used does not fail those beside it.
            bad = {
                i: RowError(error.side, {0: reason}, overlong=error.overlong)
                for i, reason in error.reasons.items()
            }
        rest = [row for i, row in enumerate(rows) if i not in bad]
        results = iter(self.run(key, rest) if rest else [])
        return [bad[i] if i in bad else next(results) for i in range(len(rows))]

    def _results(self, key: Call, rows: Sequence[SourceRow]) -> list[Row]:
        if key.kind in (SCORE, SCORE_IDS):
            return self._scores(rows)
        if key.kind == SOURCE_LENGTHS:
            return self._source_lengths(rows)
        if key.kind == ATTENTION:
            return self._attention(rows)
        options = self._call_options(key, rows)
        if key.kind == TEXT and self.rank is not None:
            count = self._count(options)
            options.pop("num_return_sequences", None)
            texts = [row.source for row in rows]
            found = self.rank(self.model, texts, batch_size=len(rows), **options)
            return ranked_rows(found, count if key.every else None, self.pad)
        if key.kind == TEXT:
            x: Any = [row.source for row in rows]
        else:
            x = self._padded([row.source for row in rows])
        output = self.model.generate(x, return_output=True, batch_size=len(rows), **options)
        results: list[Row] = []
        for i in range(len(rows)):
            result: Row = {
                "token_ids": output.token_ids[i],
                "lengths": output.lengths[i],
                "scores": output.scores[i],
            }
            if key.kind == TEXT and output.texts is not None:
                result = {"text": output.texts[i], **result}
            # Of all results, or the best one, whether the search returned one or several.
            several = np.ndim(output.lengths[i]) == 1
            if key.every and not several:
                result = {
                    name: [value] if name == "text" else value[None]
                    for name, value in result.items()
                }
            elif several and not key.every:
                result = {name: value[0] for name, value in result.items()}
            result["token_ids"] = without_padding(result["token_ids"], result["lengths"])
            results.append(result)
        return results

    def _attention(self, rows: Sequence[SourceRow]) -> list[Row]:
        pairs = attended_pieces(
            self.model,
            [row.source for row in rows],
            [row.target for row in rows],
            batch_size=len(rows),
            overlong=self.overlong,
            **languages_of(rows),
        )
        return [{"pieces": pair} for pair in pairs]

    def _source_lengths(self, rows: Sequence[SourceRow]) -> list[Row]:
        text = self.model.preprocessor
        assert text is not None
        ids = text.encode_source([row.source for row in rows], **languages_of(rows))
        return [{SOURCE_LENGTHS: len(each)} for each in ids]

    def _scores(self, rows: Sequence[SourceRow]) -> list[Row]:
        sums, each = self.model.score(
            [row.source for row in rows],
            [row.target for row in rows],
            return_token_log_probs=True,
            batch_size=len(rows),
            overlong=self.overlong,
            **languages_of(rows),
        )
        return [
            {"log_probs": total, "token_log_probs": log_probs, "target_lengths": len(log_probs)}
            for total, log_probs in zip(sums, each, strict=True)
        ]

    def stream(self, rows: Sequence[Row], parameters: Mapping[str, Any]) -> Iterator[list[str]]:
        if self.model.preprocessor is None or self.rank is not None:
            return super().stream(rows, parameters)
        prepared = self.prepare(DEFAULT_SIGNATURE, rows, parameters)
        assert isinstance(prepared.key, Call)
        options = self._call_options(prepared.key, prepared.rows)
        return self.model.stream([row.source for row in prepared.rows], **options)

    def _call_options(self, call: Call, rows: Sequence[SourceRow]) -> dict[str, Any]:
        """Returns the keywords of a call of `generate` or `stream`."""
        options = {**call.options, "overlong": self.overlong}
        prefix = options.pop("decoder_prefix", None)
        if prefix is not None:
            options["decoder_prefix"] = [prefix] * len(rows)
        options |= languages_of(rows)
        if call.seeded:
            # A row without a seed, beside others that have one, draws anew at each call.
            options["seed"] = [
                secrets.randbits(63) if row.seed is None else row.seed for row in rows
            ]
        return options

    def _padded(self, rows: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
        longest = max(len(row) for row in rows)
        ids = np.full((len(rows), longest), self.model.special_ids.source.pad, np.int32)
        mask = np.zeros((len(rows), longest), bool)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = True
        return {SOURCE_IDS: ids, SOURCE_MASK: mask}
