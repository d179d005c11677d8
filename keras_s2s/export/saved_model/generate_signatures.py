"""The signatures of a SavedModel that generate.

Letters: B sources, S source ids, N hypotheses of a source, T generated ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from keras import ops

from keras_s2s.decoding.drivers.tensorflow_driver import GraphResult, tensorflow_graph
from keras_s2s.decoding.loop import Loop
from keras_s2s.export.errors import ExportError
from keras_s2s.export.in_graph.languages import NONE, per_row
from keras_s2s.export.saved_model.graph_model import ERROR, NO_SCORE, GraphModel, signature
from keras_s2s.export.saved_model.graph_rows import Rows, replaced, with_error
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.samplers.context import Step
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processors import (
    BeginSuppress,
    ForcedBos,
    LogitsProcessor,
    MinLength,
    MinNewTokens,
    forbid,
)
from keras_s2s.samplers.rules import RULES
from keras_s2s.text.languages import target_start
from keras_s2s.typing import Tensor


def generate_signatures(model: GraphModel) -> dict[str, Any]:
    """Returns the signatures that generate, not yet traced.

    - `generate`: `text`, string `[B]`; returns `text`, string `[B, N]`, the hypotheses, best
      first, `token_ids`, int32 `[B, N, T]`, `lengths`, int32 `[B, N]`, `scores`, float32 `[B, N]`,
      and `error`, string `[B]`, empty where there is none. A source with an error has empty texts
      and lengths of 0. An optional input `max_length`, int32 `[B]`, limits a source's results,
      the decoder start counted; 0 is the limit of the export.
    - `serving_default`: the best hypothesis alone, without the axis N, and without `max_length`.
    - `generate_ids` and `ids`: the same two from ids, with the inputs of the frontend, and without
      `text` in the outputs.

    Where the model has languages, `src_lang` and `tgt_lang`, string `[B]`, are optional inputs of
    the first two; those from ids have `tgt_lang` where the decoder begins with it. A sampler that
    draws adds an input `seeds`, int32 `[B]`. With `cross_attention` in the request, `generate` and
    `generate_ids` return `cross_attention`, float32 `[B, N, T, S]`, and `source_ids`,
    int32 `[B, S]`, too.

    Where sources are no texts, `serving_default` and `generate` have the inputs of the frontend.
    Without a preprocessor they are the same as `ids` and `generate_ids`.

    Args:
        model: the model in TensorFlow ops.

    Raises:
        ExportError: rules of the search that do not go together with a choice of languages.
    """
    import tensorflow as tf

    sampler = model.request.sampler
    search = _Search(model)
    seeds = [tf.TensorSpec([None], tf.int32, name="seeds")] if sampler.draws else []
    max_length = [tf.TensorSpec([None], tf.int32, name="max_length")]

    def both(sources: list[Any], of_text: bool, as_text: bool) -> tuple[Any, Any]:
        """Returns the signatures of the best hypothesis and of all."""
        languages = model.language_specs(of_text=of_text)
        required = [*sources, *seeds]
        specs = [*required, *languages, *max_length]

        # Traced once for both.
        @partial(tf.function, autograph=False, input_signature=specs)
        def answers(*values: Any) -> Any:
            inputs = {spec.name: value for spec, value in zip(specs, values, strict=True)}
            return search(inputs, as_text=as_text)

        def generate(inputs: Mapping[str, Any]) -> dict[str, Any]:
            found, read, starts = answers(*[inputs[spec.name] for spec in specs])
            return {**found, **search.attention(found, read, starts)}

        def best(inputs: Mapping[str, Any]) -> dict[str, Any]:
            given = [inputs[spec.name] for spec in specs[:-1]]
            found, _, _ = answers(*given, tf.constant([], tf.int32))
            ids, lengths = found["token_ids"][:, 0], found["lengths"][:, 0]
            longest = tf.reduce_max(tf.concat([lengths, [0]], axis=0))
            result = {name: value[:, 0] for name, value in found.items() if name != ERROR}
            return {**result, "token_ids": ids[:, :longest], ERROR: found[ERROR]}

        return (
            signature(best, required, languages),
            signature(generate, required, [*languages, *max_length]),
        )

    by_ids = both(model.source_specs(), False, False)
    if model.text is None:
        default = by_ids
    elif model.reads_text:
        default = both([tf.TensorSpec([None], tf.string, name="text")], True, True)
    else:
        default = both(model.source_specs(), False, True)
    return {
        "serving_default": default[0],
        "generate": default[1],
        "ids": by_ids[0],
        "generate_ids": by_ids[1],
    }


class _Search:
    """The search of a request, as one function of the graph that all signatures call."""

    def __init__(self, model: GraphModel) -> None:
        import tensorflow as tf

        self.model = model
        self.plan = model.request.plan
        self.follows_language = _follows_language(model, self.plan)
        rows = tf.TensorSpec([None], tf.int32)
        specs = model.source_specs()
        graph = self._searched
        if model.request.xla:
            graph = partial(_in_buckets, tf.function(graph, autograph=False, jit_compile=True))
            graph = partial(graph, model.network.max_source_length)
        # Traced once, however many signatures there are.
        self._graph = tf.function(
            graph, autograph=False, input_signature=[*specs, rows, rows, rows, rows]
        )

    def _searched(
        self, values: Any, mask: Any, seeds: Any, limits: Any, starts: Any, first: Any
    ) -> Any:
        import tensorflow as tf

        plan, network = self.plan, self.model.network
        if self.follows_language:
            plan = replace(plan, processors=_with_first(plan.processors, first))
        batch = tf.shape(mask)[0]
        return tensorflow_graph(
            Loop(network, self.model.request.sampler, plan),
            {
                network.frontend.input.name: values,
                SOURCE_MASK: mask,
                "places": tf.range(batch),
                "seeds": seeds,
                "prefix": tf.zeros([batch, 1], tf.int32),
                "prefix_lengths": tf.zeros([batch], tf.int32),
                "limits": limits,
                "starts": starts,
            },
            grows=not self.model.request.xla,
        )

    def __call__(
        self, inputs: Mapping[str, Any], *, as_text: bool
    ) -> tuple[dict[str, Any], Rows, Any]:
        """Returns the outputs of a signature, the sources, and their decoder starts."""
        import tensorflow as tf

        model, plan = self.model, self.plan
        sources, spoken = model.sources(inputs)
        rows = tf.shape(sources.mask)[0]
        limits, errors = self._limits(inputs, rows, sources.errors)
        sources = replaced(sources._replace(errors=errors))
        seeds = inputs.get("seeds")
        found = self._graph(
            sources.values,
            sources.mask,
            tf.zeros([rows], tf.int32) if seeds is None else seeds,
            limits,
            spoken.starts,
            spoken.first,
        )
        longest = tf.reduce_max(tf.concat([tf.reshape(found.lengths, [-1]), [0]], axis=0))
        found = found._replace(token_ids=found.token_ids[..., :longest])
        errors = with_error(
            errors,
            ~found.finite,
            "the model's logits are not finite (NaN or infinite): see `generate` for the cause",
        )
        errors = with_error(
            errors, found.lengths[:, 0] < 1, "the rules of this generation leave no sequence"
        )
        good = tf.equal(errors, "")[:, None]
        lengths = tf.where(good, found.lengths, 0)
        result = {
            "token_ids": tf.where(good[..., None], found.token_ids, plan.pad),
            "lengths": lengths,
            "scores": tf.where(good, found.scores, NO_SCORE),
            ERROR: errors,
        }
        if as_text:
            assert model.text is not None
            # [B, N, T] -> [B*N, T]; spelt out, since nothing can be inferred for an empty batch.
            shape = tf.shape(found.token_ids)
            flat = tf.reshape(result["token_ids"], [shape[0] * shape[1], shape[2]])
            texts = model.text.decode_target(flat, tf.reshape(lengths, [-1]))
            result["text"] = tf.reshape(texts, tf.shape(lengths))
        return result, sources, spoken.starts

    def _limits(self, inputs: Mapping[str, Any], rows: Any, errors: Any) -> tuple[Any, Any]:
        """Returns the most ids of each row, int32 `[B]`, and the errors of rows that ask for
        something else.
        """
        import tensorflow as tf

        steps = self.plan.steps
        if "max_length" not in inputs:
            return tf.fill([rows], steps), errors
        asked = per_row(inputs["max_length"], rows, 0, "max_length")
        least = max([2, *(least_length(rule) for rule in self.plan.processors)])
        wrong = (asked != 0) & ((asked < least) | (asked > steps + 1))
        errors = with_error(
            errors,
            wrong,
            "max_length is ",
            asked,
            f", expected {least} to {steps + 1}, for which the model was exported, or 0",
        )
        return tf.where(wrong | (asked == 0), steps, asked - 1), errors

    def attention(self, found: Mapping[str, Any], sources: Rows, starts: Any) -> dict[str, Any]:
        """Returns the attention of hypotheses, if it was asked for, and the ids that it is to.

        It is that of a teacher-forced pass over them.
        """
        import tensorflow as tf

        if not self.model.request.cross_attention:
            return {}
        lengths = found["lengths"]
        rows, copies = tf.shape(lengths)[0], tf.shape(lengths)[1]
        longest = tf.shape(found["token_ids"])[2]
        # No row of a pass is empty; the first id of one without a hypothesis is not looked at.
        read = tf.maximum(tf.reshape(lengths, [-1]), 1)
        width = tf.maximum(longest, 1)
        labels = tf.pad(found["token_ids"], [[0, 0], [0, 0], [0, width - longest]])
        labels = tf.reshape(labels, [rows * copies, width])
        repeated = Rows(*[tf.repeat(part, copies, axis=0) for part in sources])
        attention = self.model.forced(
            repeated,
            Rows(labels, tf.sequence_mask(read, width), repeated.errors),
            tf.repeat(starts, copies),
            want_attention=True,
        ).get("attention")
        if attention is None:
            raise ExportError(
                "cross_attention=True: this model's decoder has no attention to show, since it "
                "reads its source as a fixed vector only; leave the option out"
            )
        real = tf.sequence_mask(tf.reshape(lengths, [-1]), width)
        attention = tf.where(real[:, :, None], attention, 0.0)
        attention = tf.reshape(attention, [rows, copies, width, tf.shape(attention)[-1]])
        result = {"cross_attention": attention[:, :, :longest]}
        if self.model.network.frontend.has_token_ids:
            result["source_ids"] = sources.values
        return result


def _in_buckets(
    search: Callable[..., GraphResult],
    most: int | None,
    values: Any,
    mask: Any,
    seeds: Any,
    limits: Any,
    starts: Any,
    first: Any,
) -> GraphResult:
    """Calls a search that XLA compiles for each shape: with few numbers of rows and lengths.

    Numbers of rows are powers of two, and lengths are those of `padded_inputs.round_up_length`.

    Args:
        search: the compiled search.
        most: positions of a source; None where there is no limit.
        values, mask, seeds, limits, starts, first: of the rows.
    """
    import tensorflow as tf

    rows, length = tf.shape(mask)[0], tf.shape(mask)[1]
    more_rows = _power_of_two(rows) - rows
    step = tf.maximum(8, _power_of_two(length) // 8)
    rounded = -(-length // step) * step
    if most is not None:
        rounded = tf.maximum(length, tf.minimum(rounded, most))

    def filled(part: Any, content: Any = 0) -> Any:
        paddings = [[0, more_rows], [0, rounded - length]] + [[0, 0]] * (part.shape.rank - 2)
        return tf.pad(part, paddings[: part.shape.rank], constant_values=content)

    # Rows that are added have one position, and end at once.
    one = tf.range(rounded)[None] < 1
    real = tf.range(rows + more_rows)[:, None] < rows
    found = search(
        filled(values),
        tf.where(real, filled(mask, False), one),
        *(filled(seeds), filled(limits, 1), filled(starts), filled(first, NONE)),
    )
    return GraphResult(*[part[:rows] for part in found])


def _power_of_two(number: Any) -> Any:
    """Returns the least power of two that is not below `number`, an int32 scalar of at least 1."""
    import tensorflow as tf

    powers = tf.constant([2**i for i in range(31)], tf.int32)
    return tf.reduce_min(tf.where(powers >= number, powers, powers[-1]))


def least_length(rule: LogitsProcessor) -> int:
    """Returns the least `max_length` under which a rule can be obeyed."""
    if isinstance(rule, MinLength):
        return rule.min_length
    return rule.count + 1 if isinstance(rule, MinNewTokens) else 0


@dataclass(frozen=True)
class ForcedFirst(ForcedBos):
    """Forces the first generated id of each source: that of its target's language.

    Attributes:
        first: int32 `[B]`, by the sources' places; `NONE` forces nothing.
    """

    token: int = NONE
    first: Any = field(default=None, compare=False)

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        tokens = step.of_rows(ops.take(self.first, step.sources.places, axis=0))[:, None]
        chosen = ops.equal(ops.arange(scores.shape[-1], dtype="int32")[None], tokens)
        when = ops.logical_and(ops.equal(step.index, 0), tokens != NONE)
        forced = forbid(scores, ops.logical_and(ops.logical_not(chosen), when))
        return ops.where(ops.logical_and(chosen, when), ops.zeros_like(forced), forced)


def _follows_language(model: GraphModel, plan: Plan) -> bool:
    """Returns whether the first generated id is that of a language which requests may choose.

    As in `generate`, a caller's `forced_bos_token_id` wins over languages.
    """
    languages = model.special_ids.languages
    if languages is None or languages.target != "forced_bos":
        return False
    default = target_start(model.special_ids).forced_bos
    forced = next((rule.token for rule in plan.processors if isinstance(rule, ForcedBos)), None)
    if forced != default:
        return False
    if default is None and any(isinstance(rule, BeginSuppress) for rule in plan.processors):
        raise ExportError(
            "begin_suppress_tokens acts after a language that targets begin with, and this model "
            "has no default one: pass tgt_lang=..., the default of what is exported"
        )
    return True


def _with_first(rules: tuple[LogitsProcessor, ...], first: Any) -> tuple[LogitsProcessor, ...]:
    """Returns rules with `ForcedFirst` in the place of `ForcedBos`, or where that would be."""
    before = list(RULES.values())
    before = before[: before.index(ForcedBos)]
    others = [rule for rule in rules if not isinstance(rule, ForcedBos)]
    place = next((i for i, rule in enumerate(others) if type(rule) not in before), len(others))
    return (*others[:place], ForcedFirst(first=first), *others[place:])
