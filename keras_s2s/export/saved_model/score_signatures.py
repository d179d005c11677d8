"""The signatures of a SavedModel that score given targets: the log-probability of a target, given
its source, in one teacher-forced pass.

Letters: B pairs, S source ids, T target ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from keras_s2s.export.saved_model.graph_model import (
    ERROR,
    NO_SCORE,
    TARGET_IDS,
    TARGET_MASK,
    GraphModel,
    signature,
)
from keras_s2s.export.saved_model.graph_rows import Rows, no_errors, replaced, with_error


def score_signatures(model: GraphModel) -> dict[str, Any]:
    """Returns the signatures `score` and `score_ids`, not yet traced.

    - `score_ids`: the inputs of the frontend, `target_ids`, int32 `[B, T]`, labels with EOS and
      without decoder start, and `target_padding_mask`, bool `[B, T]` (True = real); returns
      `log_probs`, float32 `[B]`, the sums over the ids, `token_log_probs`, float32 `[B, T]`, zero
      at padding, `target_lengths`, int32 `[B]`, and `error`, string `[B]`, empty where there is
      none. A pair with an error has length 0.
    - `score`: `source` and `target`, string `[B]` each. Where sources are no texts it has the
      source's inputs in place of `source`. Without a preprocessor it is the same as `score_ids`.

    Where the model has languages, `src_lang` and `tgt_lang`, string `[B]`, are optional inputs.

    Args:
        model: the model in TensorFlow ops.
    """
    import tensorflow as tf

    # Traced once for both signatures.
    @partial(
        tf.function,
        autograph=False,
        input_signature=[
            *model.source_specs(),
            *target_specs(),
            tf.TensorSpec([None], tf.int32),
        ],
    )
    def forced(values: Any, mask: Any, labels: Any, labels_mask: Any, starts: Any) -> Any:
        errors = no_errors(tf.shape(mask)[0])
        sources, targets = Rows(values, mask, errors), Rows(labels, labels_mask, errors)
        return model.forced(sources, targets, starts)

    def score(inputs: Mapping[str, Any]) -> dict[str, Any]:
        sources, spoken = model.sources(inputs, key="source")
        labels = model.targets(inputs, spoken)
        pairs = [tf.shape(sources.mask)[0], tf.shape(labels.mask)[0]]
        as_many = tf.debugging.Assert(
            tf.equal(*pairs), ["there must be as many targets as sources, got:", *pairs]
        )
        with tf.control_dependencies([as_many]):
            errors = tf.identity(sources.errors)
        errors = tf.where(errors == "", labels.errors, errors)
        sources = replaced(sources._replace(errors=errors))
        labels = replaced(labels._replace(errors=errors))
        found = forced(sources.values, sources.mask, labels.values, labels.mask, spoken.starts)
        errors = with_error(
            errors, ~found["finite"], "the logits of the pair are not finite (NaN or infinite)"
        )
        good = tf.equal(errors, "")
        log_probs = tf.where(good[:, None], found["log_probs"], 0.0)
        return {
            "log_probs": tf.where(good, tf.reduce_sum(log_probs, axis=1), NO_SCORE),
            "token_log_probs": log_probs,
            "target_lengths": tf.where(good, labels.lengths, 0),
            ERROR: errors,
        }

    by_ids = signature(
        score, [*model.source_specs(), *target_specs()], model.language_specs(of_text=False)
    )
    if model.text is None:
        return {"score": by_ids, "score_ids": by_ids}
    sources = (
        [tf.TensorSpec([None], tf.string, name="source")]
        if model.reads_text
        else model.source_specs()
    )
    target = tf.TensorSpec([None], tf.string, name="target")
    by_text = signature(score, [*sources, target], model.language_specs(of_text=model.reads_text))
    return {"score": by_text, "score_ids": by_ids}


def target_specs() -> list[Any]:
    """Returns specifications of the inputs of a target that is no text."""
    import tensorflow as tf

    return [
        tf.TensorSpec([None, None], tf.int32, name=TARGET_IDS),
        tf.TensorSpec([None, None], tf.bool, name=TARGET_MASK),
    ]
