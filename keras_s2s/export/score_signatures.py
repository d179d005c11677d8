"""The signatures of a SavedModel that score given targets: the log-probability of a target, given
its source, in one teacher-forced pass.

Letters: B pairs, S source ids, T target ids, V target vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from keras_s2s.config import SpecialIds
from keras_s2s.decoding.forced_scoring import forced_pass
from keras_s2s.decoding.tensorflow_driver import source_specs
from keras_s2s.export.checked_rows import checked_rows
from keras_s2s.export.in_graph_preprocessor import InGraphPreprocessor
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.network import Network
from keras_s2s.text.languages import target_start

#: Inputs of `score_ids` beside those of the source.
TARGET_IDS, TARGET_MASK = "target_ids", "target_padding_mask"


def score_signatures(
    network: Network,
    special_ids: SpecialIds,
    text: InGraphPreprocessor | None,
    check_sources: Callable[[Any, Any], tuple[Any, Any]],
) -> dict[str, Any]:
    """Returns the signatures `score` and `score_ids`, not yet traced.

    - `score_ids`: the inputs of the frontend, `target_ids`, int32 `[B, T]`, labels with EOS and
      without decoder start, and `target_padding_mask`, bool `[B, T]` (True = real); returns
      `log_probs`, float32 `[B]`, the sums over the ids, `token_log_probs`, float32 `[B, T]`, zero
      at padding, and `target_lengths`, int32 `[B]`.
    - `score`: `source` and `target`, string `[B]` each. Where sources are no texts it has the
      source's inputs in place of `source`. Without a preprocessor it is the same as `score_ids`.

    The decoder begins as for the model's default language.

    Args:
        network: the network.
        special_ids: of the model.
        text: the preprocessor in TensorFlow ops; None for a model of ids.
        check_sources: refuses the sources that `generate` refuses.
    """
    import tensorflow as tf

    specs = list(source_specs(network.frontend).values())
    start = target_start(special_ids).decoder_start
    pad = special_ids.target.pad
    strings = {name: tf.TensorSpec([None], tf.string, name=name) for name in ("source", "target")}

    def score(values: Any, mask: Any, labels: Any, labels_mask: Any) -> dict[str, Any]:
        values, mask = check_sources(values, mask)
        labels, labels_mask = _checked_targets(network, labels, labels_mask, mask)
        # The decoder reads the target one position behind its labels.
        first = tf.fill([tf.shape(labels)[0], 1], start)
        found = forced_pass(
            network,
            {
                network.frontend.input.name: values,
                SOURCE_MASK: mask,
                "decoder_token_ids": tf.where(
                    labels_mask, tf.concat([first, labels[:, :-1]], axis=1), pad
                ),
                "decoder_padding_mask": labels_mask,
                "labels": labels,
            },
            want_attention=False,
        )
        finite = tf.debugging.Assert(
            tf.reduce_all(found["finite"]),
            ["the logits of a pair are not finite (NaN or infinite)", found["finite"]],
        )
        with tf.control_dependencies([finite]):
            log_probs = tf.identity(found["log_probs"])
        return {
            "log_probs": tf.reduce_sum(log_probs, axis=1),
            "token_log_probs": log_probs,
            "target_lengths": tf.reduce_sum(tf.cast(labels_mask, tf.int32), axis=1),
        }

    def of_texts(source: Any, target: Any) -> dict[str, Any]:
        assert text is not None
        return score(*text.encode_source(source), *text.encode_target(target))

    def of_target_text(values: Any, mask: Any, target: Any) -> dict[str, Any]:
        assert text is not None
        return score(values, mask, *text.encode_target(target))

    graph = partial(tf.function, autograph=False)
    labels = [
        tf.TensorSpec([None, None], tf.int32, name=TARGET_IDS),
        tf.TensorSpec([None, None], tf.bool, name=TARGET_MASK),
    ]
    by_ids = graph(score, input_signature=[*specs, *labels])
    if text is None:
        return {"score": by_ids, "score_ids": by_ids}
    if network.frontend.reads_text:
        by_text = graph(of_texts, input_signature=[strings["source"], strings["target"]])
    else:
        by_text = graph(of_target_text, input_signature=[*specs, strings["target"]])
    return {"score": by_text, "score_ids": by_ids}


def _checked_targets(network: Network, labels: Any, mask: Any, of_sources: Any) -> tuple[Any, Any]:
    """Returns `labels` and `mask` after graph ops that refuse what `score` refuses."""
    import tensorflow as tf

    sources, targets = tf.shape(of_sources)[0], tf.shape(labels)[0]
    as_many = tf.debugging.Assert(
        tf.equal(sources, targets),
        ["there must be as many targets as sources, got:", sources, targets],
    )
    with tf.control_dependencies([as_many]):
        labels = tf.identity(labels)
    return checked_rows(
        labels,
        mask,
        side="target",
        name=TARGET_IDS,
        mask_name=TARGET_MASK,
        size=network.config.target_vocab_size,
        limit=network.max_target_length,
    )


__all__ = ["TARGET_IDS", "TARGET_MASK", "score_signatures"]
