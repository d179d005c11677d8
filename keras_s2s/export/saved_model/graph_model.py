"""A model in TensorFlow ops: what the signatures of a SavedModel have in common.

Letters: B rows, S source ids, N hypotheses of a source, T target ids.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from keras_s2s.config import SpecialIds
from keras_s2s.decoding.drivers.tensorflow_driver import source_specs
from keras_s2s.decoding.forced_scoring import forced_pass
from keras_s2s.export.in_graph.languages import InGraphLanguages, Languages
from keras_s2s.export.in_graph.preprocessor import InGraphPreprocessor
from keras_s2s.export.saved_model.graph_rows import Rows, checked_rows, cut_rows, no_errors
from keras_s2s.export.saved_model.second_process_request import ExportRequest
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.network import Network
from keras_s2s.text.truncation import Side

#: Inputs of the signatures that score ids, beside those of the source.
TARGET_IDS, TARGET_MASK = "target_ids", "target_padding_mask"

#: Output with what is wrong with a row; empty where nothing is.
ERROR = "error"

#: Score and log-probability of a row with an error: the least number that JSON can hold.
NO_SCORE = -3.4028234663852886e38

#: Values of the inputs that a request may leave out, which stand for the model's own.
OPTIONAL: dict[str, Any] = {"src_lang": "", "tgt_lang": "", "max_length": 0}


@dataclass(eq=False)
class GraphModel:
    """A network, and what is around it, in TensorFlow ops.

    Attributes:
        network: the network.
        special_ids: of the model.
        text: the preprocessor; None for a model of ids.
        languages: reads language codes.
        request: how the model generates.
    """

    network: Network
    special_ids: SpecialIds
    text: InGraphPreprocessor | None
    languages: InGraphLanguages
    request: ExportRequest

    @property
    def reads_text(self) -> bool:
        """Whether sources are texts: only those of token ids are made of text."""
        return self.text is not None and self.network.frontend.reads_text

    def source_specs(self) -> list[Any]:
        """Returns specifications of the inputs of a source that is no text."""
        return list(source_specs(self.network.frontend).values())

    def language_specs(self, *, of_text: bool) -> list[Any]:
        """Returns specifications of the language codes that a signature takes.

        Args:
            of_text: its sources are texts. Ids have their languages in them, but for one that the
                decoder begins with.
        """
        import tensorflow as tf

        names = []
        if of_text and self.languages.names_source:
            names.append("src_lang")
        if self.languages.names_target and (of_text or not self.languages.target_in_source):
            names.append("tgt_lang")
        return [tf.TensorSpec([None], tf.string, name=name) for name in names]

    def sources(self, inputs: Mapping[str, Any], key: str = "text") -> tuple[Rows, Languages]:
        """Reads the sources of a signature.

        Args:
            inputs: of the signature.
            key: the input that holds texts.
        """
        codes = _codes(inputs)
        if key in inputs:
            return self._read_texts(inputs[key], *codes)
        return self._read_ids(inputs[self.network.frontend.input.name], inputs[SOURCE_MASK], *codes)

    def spoken(self, inputs: Mapping[str, Any], rows: Any) -> Languages:
        """Reads the languages of a signature.

        Args:
            inputs: of the signature.
            rows: int32 scalar, how many there are.
        """
        return self.languages(rows, *_codes(inputs))

    # Each is traced once, however many signatures call it.

    @cached_property
    def _read_texts(self) -> Any:
        import tensorflow as tf

        def read(texts: Any, src_lang: Any, tgt_lang: Any) -> Any:
            assert self.text is not None
            spoken = self.languages(tf.shape(texts)[0], src_lang, tgt_lang)
            values, mask = self.text.encode_source(texts, spoken)
            return self._readable(Rows(values, mask, spoken.errors), "source"), spoken

        strings = tf.TensorSpec([None], tf.string)
        return tf.function(read, autograph=False, input_signature=[strings] * 3)

    @cached_property
    def _read_ids(self) -> Any:
        import tensorflow as tf

        def read(values: Any, mask: Any, src_lang: Any, tgt_lang: Any) -> Any:
            spoken = self.languages(tf.shape(mask)[0], src_lang, tgt_lang)
            return self._readable(Rows(values, mask, spoken.errors), "source"), spoken

        strings = tf.TensorSpec([None], tf.string)
        specs = [*self.source_specs(), strings, strings]
        return tf.function(read, autograph=False, input_signature=specs)

    def targets(self, inputs: Mapping[str, Any], spoken: Languages) -> Rows:
        """Reads the targets of a signature as labels: texts `target`, or ids."""
        if "target" in inputs:
            assert self.text is not None
            values, mask = self.text.encode_target(inputs["target"], spoken)
        else:
            values, mask = inputs[TARGET_IDS], inputs[TARGET_MASK]
        import tensorflow as tf

        return self._readable(Rows(values, mask, no_errors(tf.shape(mask)[0])), "target")

    def _readable(self, rows: Rows, side: Side) -> Rows:
        """Returns rows that the network can read: cut where that was asked for, and checked."""
        network, frontend = self.network, self.network.frontend
        is_source = side == "source"
        limit = network.max_source_length if is_source else network.max_target_length
        size = network.config.source_vocab_size if is_source else network.config.target_vocab_size
        names = (frontend.input.name, SOURCE_MASK) if is_source else (TARGET_IDS, TARGET_MASK)
        if self.request.truncate and limit is not None:
            if size is None:
                rows = rows._replace(values=rows.values[:, :limit], mask=rows.mask[:, :limit])
            else:
                options: dict[str, Any] = {}
                if self.text is not None:
                    options = {
                        "cut": self.text.cuts[side],
                        "ends_once": self.text.ends_once[side],
                    }
                rows = cut_rows(rows, limit, self.special_ids, side, **options)
        return checked_rows(
            rows, side=side, name=names[0], mask_name=names[1], size=size, limit=limit
        )

    def forced(
        self, sources: Rows, labels: Rows, starts: Any, *, want_attention: bool = False
    ) -> dict[str, Any]:
        """Returns the results of a teacher-forced pass, as `decoding.forced_scoring.forced_pass`
        does.

        Args:
            sources: of the pairs.
            labels: their targets.
            starts: int32 `[B]`, the decoder starts of the targets.
            want_attention: also return the attention, where the decoder has one.
        """
        import tensorflow as tf

        rows = tf.shape(labels.mask)[0]
        # An empty batch, for which layers cannot infer their shapes, gets a row that is cut off.
        extra = tf.cast(rows == 0, tf.int32)

        def filled(values: Any, content: Any = 0) -> Any:
            paddings = [[0, extra]] + [[0, 0]] * (values.shape.rank - 1)
            return tf.pad(values, paddings, constant_values=content)

        ids, mask = filled(labels.values), filled(labels.mask, True)
        # The decoder reads the target one position behind its labels.
        shifted = tf.concat([filled(starts)[:, None], ids[:, :-1]], axis=1)
        found = forced_pass(
            self.network,
            {
                self.network.frontend.input.name: filled(sources.values),
                SOURCE_MASK: filled(sources.mask, True),
                "decoder_token_ids": tf.where(mask, shifted, self.special_ids.target.pad),
                "decoder_padding_mask": mask,
                "labels": ids,
            },
            want_attention=want_attention,
        )
        return {name: value[:rows] for name, value in found.items()}


def _codes(inputs: Mapping[str, Any]) -> list[Any]:
    """Returns `src_lang` and `tgt_lang` of a signature; empty ones where it has none."""
    import tensorflow as tf

    codes = [inputs.get(name) for name in ("src_lang", "tgt_lang")]
    return [tf.constant([], tf.string) if each is None else each for each in codes]


def signature(
    function: Callable[[dict[str, Any]], dict[str, Any]],
    required: Sequence[Any],
    optional: Sequence[Any] = (),
) -> Any:
    """Returns a signature of a SavedModel, not yet traced.

    An optional input has an empty default, which is stored with the signature: requests over gRPC,
    and sessions, may leave it out. (TensorFlow Serving's REST interface, and Python's functions of
    a loaded model, want every input; there the values of `OPTIONAL` say the same.)

    Args:
        function: from inputs by name to outputs by name.
        required, optional: `tf.TensorSpec`s with names.
    """
    import tensorflow as tf

    specs = [*required, *optional]

    def call(*values: Any) -> dict[str, Any]:
        return function({spec.name: value for spec, value in zip(specs, values, strict=True)})

    # TensorFlow reads the names of inputs, and their defaults, from the function's parameters.
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(spec.name, kind) for spec in required]
    parameters += [
        inspect.Parameter(spec.name, kind, default=tf.constant([], spec.dtype)) for spec in optional
    ]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    # Nothing here branches on tensors in Python; converting it took longer than tracing.
    return tf.function(call, input_signature=specs, autograph=False)


__all__ = ["ERROR", "NO_SCORE", "OPTIONAL", "TARGET_IDS", "TARGET_MASK", "GraphModel", "signature"]
