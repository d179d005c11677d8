"""A Keras model whose parts are trained or fixed by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras

from keras_s2s.config import AdapterConfig
from keras_s2s.layers.lora import (
    adaptable,
    adapter_config,
    adapters_of,
    add_adapters,
    is_adapter,
)
from keras_s2s.training.optimizers.freezing import freeze, frozen_weights, unfreeze
from keras_s2s.training.optimizers.weight_groups import WeightGroups


class PartlyTrainedModel(keras.Model):
    """Base class of the model: `freeze`, `unfreeze`, `enable_lora`, and the names of weights."""

    @property
    def weight_groups(self) -> WeightGroups:
        """Finds weights by the names that `freeze` and `compile(learning_rates=...)` take."""
        report = getattr(self, "load_report", None)
        return WeightGroups(self.network, self.weights, report.fresh if report else ())

    def freeze(self, names: str | Iterable[str]) -> None:
        """Fixes a part of the weights: they are not trained until `unfreeze`.

        A weight's own `trainable` is set, so that `trainable_weights`, `summary` and the like
        show it, and `layer.trainable` of Keras works beside it. Call it before `compile`, or
        compile again afterwards. `save` keeps what is frozen; `save_to_preset` writes the weights
        alone.

        Args:
            names: "encoder", "decoder", "embeddings", "cross_attention",
                "all_but_cross_attention", "new" (what a checkpoint lacked), the path of a weight
                or layer, such as "decoder/layer_0/self_attention", where `*` stands for anything;
                or several of these. A table that encoder and decoder share is of neither, but
                one of the "embeddings".

        Raises:
            ValueError: a name that means no weight, with the nearest names; nothing would be left
                to train.

        Example:
            >>> model.freeze(["encoder", "embeddings"])
            >>> model.frozen[:2]
            ('token_table/embeddings', 'encoder/layer_0/self_attention/query/kernel')
            >>> model.unfreeze()
        """
        freeze(self, self.weight_groups.find_all(names))

    def unfreeze(self) -> None:
        """Makes all weights trained again that `freeze` or `layer.trainable = False` fixed.

        Kernels that have a LoRA adapter stay fixed.
        """
        unfreeze(self)

    def enable_lora(
        self,
        rank: int,
        *,
        alpha: float | None = None,
        targets: str | Iterable[str] = ("query", "value"),
    ) -> None:
        """Gives projections of the attention LoRA adapters [Hu 2021], and freezes all else.

        Results stay the same until the adapters are trained. `save_to_preset` keeps them as
        adapters, or merges them with `merge_adapters=True`; `save` merges them, as Keras does.

        Args:
            rank: columns of the first matrix of an adapter, and rows of the second.
            alpha: an adapter's product is multiplied by `alpha / rank`; None is the rank.
            targets: names of projections ("query", "key", "value", "output") in every attention,
                or patterns of the paths of dense layers, such as "decoder/*/cross_attention/*".

        Raises:
            ValueError: the model has adapters already, or is quantised; a target that means no
                layer, with the nearest; a rank that is no number above 0.

        Example:
            >>> model.enable_lora(4)
            >>> model.trainable_weights[0].path
            'encoder/layer_0/self_attention/query/lora_kernel_a'
        """
        layers = self._flatten_layers()
        if adapters_of(layers):
            raise ValueError("this model has LoRA adapters already")
        adapter = adapter_config(rank, alpha)
        targets = [targets] if isinstance(targets, str) else list(targets)
        chosen = adaptable(layers, targets)
        if any(layer.quantization_mode for layer in chosen):
            raise ValueError("this model is quantised: call enable_lora before model.quantize()")
        self._adapt({layer.path: adapter for layer in chosen})

    def _adapt(self, adapters: Mapping[str, AdapterConfig]) -> None:
        """Adds adapters, and freezes what is none."""
        add_adapters(self._flatten_layers(), adapters)
        freeze(self, [weight for weight in self.weights if not is_adapter(weight)])

    @property
    def frozen(self) -> tuple[str, ...]:
        """Paths of the weights that are fixed, in the order of the network."""
        return tuple(weight.path for weight in frozen_weights(self))
