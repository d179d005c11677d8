"""The ops that a SavedModel needs, and which of them a stock TensorFlow Serving has: those of
TensorFlow itself, and those of tensorflow-text, which it links.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from keras_s2s.export.errors import ExportError

#: Ops of tensorflow-text 2.16 and later; newer ones begin with `TFText>`.
TEXT_OPS = frozenset(
    {
        "CaseFoldUTF8",
        "ConstrainedSequence",
        "FastBertNormalize",
        "FastWordpieceTokenizeWithOffsets",
        "FindSourceOffsets",
        "MaxSpanningTree",
        "NormalizeUTF8",
        "NormalizeUTF8WithOffsetsMap",
        "PhraseTokenize",
        "RegexSplitWithOffsets",
        "SentenceFragments",
        "SentenceFragmentsV2",
        "SentencepieceDetokenizeOp",
        "SentencepieceIdToStringOp",
        "SentencepieceOp",
        "SentencepieceStringToIdOp",
        "SentencepieceTokenizeOp",
        "SentencepieceTokenizeWithOffsetsOp",
        "SentencepieceVocabSizeOp",
        "SplitMergeTokenizeWithOffsets",
        "TokenizerFromLogits",
        "UnicodeScriptTokenizeWithOffsets",
        "WhitespaceTokenizeWithOffsets",
        "WordpieceTokenizeWithOffsets",
    }
)

#: Registered in every TensorFlow, and of no use in a server: they call a Python function of the
#: process that made the graph.
_PYTHON = ("PyFunc", "EagerPyFunc", "PyFuncStateless")


class RequiredOps(NamedTuple):
    """The ops of a graph and of its functions, sorted.

    Attributes:
        tensorflow: of TensorFlow itself.
        tensorflow_text: of tensorflow-text.
    """

    tensorflow: list[str]
    tensorflow_text: list[str]


def required_ops(directory: Path) -> RequiredOps:
    """Returns the ops that the SavedModel in a folder needs.

    Raises:
        ExportError: a stock server does not have one of them.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString((directory / "saved_model.pb").read_bytes())
    ops: set[str] = set()
    for graph in (meta_graph.graph_def for meta_graph in model.meta_graphs):
        ops.update(node.op for node in graph.node)
        functions = {function.signature.name for function in graph.library.function}
        ops.update(node.op for function in graph.library.function for node in function.node_def)
        ops -= functions  # a function may be called like an op
    known = set(dir(tf.raw_ops)) - set(_PYTHON)
    # XLA is not linked everywhere, and kernels of a GPU do not run on a CPU.
    known = {name for name in known if not name.startswith(("Xla", "Cudnn"))}
    text = {name for name in ops if name in TEXT_OPS or name.startswith("TFText>")}
    missing = sorted(ops - known - text)
    if missing:
        raise ExportError(
            f"the graph needs {', '.join(missing)}, which a stock TensorFlow Serving does not have "
            "or cannot run: a layer, sampler or rule of your own makes them; write it with "
            "keras.ops (no Python functions, XLA, kernels of a GPU or ops of other libraries)"
        )
    return RequiredOps(sorted(ops & known), sorted(text))
