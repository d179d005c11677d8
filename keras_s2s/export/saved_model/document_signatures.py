"""The signatures of a SavedModel with which whole documents are generated.

A document is split into sentences, and a sentence that is too long for the model into parts.

Letters: B texts, S source ids, T target ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_s2s.export.saved_model.graph_model import ERROR, GraphModel, signature
from keras_s2s.export.saved_model.graph_rows import replaced

#: Name of a signature, and of its output.
SOURCE_LENGTHS = "source_lengths"
#: Name of a signature.
ALIGNMENT = "alignment"


def document_signatures(model: GraphModel) -> dict[str, Any]:
    """Returns the signatures that documents need, not yet traced.

    - `source_lengths`: `text`, string `[B]`; returns `source_lengths`, int32 `[B]`, the number of
      ids of each source, special ids counted, however many the model can read, and `error`,
      string `[B]`.
    - `alignment`, with `cross_attention` in the request: `source` and `target`, string `[B]` each;
      returns `cross_attention`, float32 `[B, T, S]`, `source_prefixes`, string `[B, S]`, the texts
      of the first id, of the first two, and so on, `target_prefixes`, string `[B, T]`, both
      lengths, int32 `[B]`, and `error`, string `[B]`.

    Where the model has languages, `src_lang` and `tgt_lang`, string `[B]`, are optional inputs.
    There are none where sources are no texts.

    Args:
        model: the model in TensorFlow ops.
    """
    import tensorflow as tf

    if not model.reads_text:
        return {}

    def source_lengths(inputs: Mapping[str, Any]) -> dict[str, Any]:
        assert model.text is not None
        spoken = model.spoken(inputs, tf.shape(inputs["text"])[0])
        lengths = model.text.source_lengths(inputs["text"], spoken)
        return {
            SOURCE_LENGTHS: tf.where(tf.equal(spoken.errors, ""), lengths, 0),
            ERROR: spoken.errors,
        }

    def alignment(inputs: Mapping[str, Any]) -> dict[str, Any]:
        text = model.text
        assert text is not None
        sources, spoken = model.sources(inputs, key="source")
        labels = model.targets(inputs, spoken)
        errors = tf.where(sources.errors == "", labels.errors, sources.errors)
        sources = replaced(sources._replace(errors=errors))
        labels = replaced(labels._replace(errors=errors))
        found = model.forced(sources, labels, spoken.starts, want_attention=True)
        good = tf.equal(errors, "")
        return {
            "cross_attention": found["attention"],
            "source_prefixes": text.prefixes("source", sources.values, sources.lengths),
            "target_prefixes": text.prefixes("target", labels.values, labels.lengths),
            SOURCE_LENGTHS: tf.where(good, sources.lengths, 0),
            "target_lengths": tf.where(good, labels.lengths, 0),
            ERROR: errors,
        }

    languages = model.language_specs(of_text=True)
    text, source, target = (
        tf.TensorSpec([None], tf.string, name=name) for name in ("text", "source", "target")
    )
    found = {SOURCE_LENGTHS: signature(source_lengths, [text], languages)}
    if model.request.cross_attention:
        found[ALIGNMENT] = signature(alignment, [source, target], languages)
    return found
