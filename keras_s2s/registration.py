"""Lets Keras find this package's classes by name before their modules are imported.

A `.keras` file names its classes, and Keras looks a name up among what
`register_keras_serializable` has registered; it imports no module for it. `import keras_s2s`
imports neither Keras nor anything built on it, so that programs which need no network start at
once. Therefore stand-ins are registered as soon as Keras is imported: when a configuration names a
class, its stand-in imports the module, and the class itself is registered instead.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

PACKAGE = "keras_s2s"

#: Each registered class: the module that registers it.
HOMES = {
    "AdditiveAttention": "layers.recurrent.attention",
    "BilinearAttention": "layers.recurrent.attention",
    "Bridge": "layers.recurrent.bridge",
    "ConcatAttention": "layers.recurrent.attention",
    "ConditionalDecoder": "layers.recurrent.conditional_decoder",
    "ConstantShare": "training.share_schedules",
    "DeepLayer": "layers.recurrent.deep_encoder",
    "DeepRecurrentEncoder": "layers.recurrent.deep_encoder",
    "DotAttention": "layers.recurrent.attention",
    "ExponentialDecay": "training.share_schedules",
    "FeedForward": "layers.transformer.feed_forward",
    "InputEmbedding": "layers.embeddings",
    "InverseSigmoidDecay": "training.share_schedules",
    "InverseSqrt": "training.optimizers.schedules",
    "LearnedPositions": "layers.positions",
    "LinearDecay": "training.share_schedules",
    "LinearWarmup": "training.optimizers.schedules",
    "MeanOverTokens": "training.losses.given_losses",
    "MultiHeadAttention": "layers.transformer.multi_head_attention",
    "NormedDense": "layers.recurrent.normed_dense",
    "OutputProjection": "layers.output_projection",
    "OutputTransform": "layers.output_transform",
    "Perplexity": "training.losses.metrics",
    "RecurrentDecoder": "layers.recurrent.decoder",
    "RecurrentEncoder": "layers.recurrent.encoder",
    "RelativePositions": "layers.transformer.relative_positions",
    "SSRU": "layers.transformer.ssru",
    "SSRUDecoder": "layers.transformer.ssru_decoder",
    "SSRUDecoderBlock": "layers.transformer.ssru_decoder",
    "ScheduledSampling": "training.scheduled_sampling",
    "Seq2SeqLM": "model",
    "TokenAccuracy": "training.losses.metrics",
    "TokenCrossEntropy": "training.losses.loss",
    "TokenMetric": "training.losses.given_metrics",
    "TokenTypes": "layers.token_types",
    "TransitionCell": "layers.recurrent.transition_cells",
    "TransformerDecoder": "layers.transformer.decoder",
    "TransformerDecoderBlock": "layers.transformer.decoder",
    "TransformerEncoder": "layers.transformer.encoder",
    "TransformerEncoderBlock": "layers.transformer.encoder",
    "WideOrthogonal": "layers.recurrent.cells",
}


def stand_in(name: str) -> type:
    """Returns a class that Keras can register in place of the class `name`, without importing
    it.
    """

    def from_config(cls: type, config: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        real = getattr(importlib.import_module(f"{PACKAGE}.{HOMES[name]}"), name)
        return real.from_config(config, *args, **kwargs)

    members = {
        "__module__": f"{PACKAGE}.{HOMES[name]}",
        "from_config": classmethod(from_config),
        "get_config": lambda self: {},
    }
    return type(name, (), members)


def register_stand_ins() -> None:
    """Registers a stand-in for every class whose module is not imported yet."""
    objects = sys.modules["keras"].saving.get_custom_objects()
    for name in HOMES:
        objects.setdefault(f"{PACKAGE}>{name}", stand_in(name))


def register_with_keras() -> None:
    """Registers the stand-ins: now, or as soon as Keras is imported."""
    if getattr(sys.modules.get("keras"), "saving", None) is not None:
        register_stand_ins()
    elif not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds Keras as the other finders do, and registers the stand-ins once it is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "keras":
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = None if find is None else find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    _call_after_import(spec.loader, self._done)
                return spec
        return None

    def _done(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        register_stand_ins()


def _call_after_import(loader: Any, function: Any) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        function()

    loader.exec_module = exec_module
