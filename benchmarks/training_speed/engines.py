"""The engines that train: how each is built, and a step as somebody who uses it writes it.

An engine lives in a process of its own (see `generation.worker`), so libraries are imported in its
constructor. Every one trains the same network on the same batches: Adam, dropout, label smoothing,
and a loss that is the mean over tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from generation.build import architecture, keras_s2s_model, transformers_model

from training_speed.job import (
    DROPOUT,
    LABEL_SMOOTHING,
    LEARNING_RATE,
    decoder_inputs,
)
from training_speed.marian import Marian
from training_speed.trainer import Trainer

#: Steps without dropout, whose losses are compared between engines.
COMPARED_STEPS = 3
#: Of plain SGD in these steps: libraries have Adam's epsilon in different places.
#: Small: with a larger one, differences of rounding soon grow visible.
COMPARED_LEARNING_RATE = 0.01


class KerasS2S(Trainer):
    """This project: `model.fit`, with the loss, the metrics and the optimiser of a user."""

    def losses(self) -> list[float]:
        import keras

        built = self._built()
        built.compile(keras.optimizers.SGD(COMPARED_LEARNING_RATE), label_smoothing=LABEL_SMOOTHING)
        found = [
            float(built.train_on_batch(x, y, return_dict=True)["loss"])
            for x, y in self._batches(COMPARED_STEPS)
        ]
        del built
        keras.backend.clear_session()
        self.built = self._built(DROPOUT)
        self._compile(self.built)
        return found

    def _built(self, dropout: float = 0.0) -> Any:
        if not dropout:
            return keras_s2s_model(self.folder)
        import keras_s2s as s2s

        plain = architecture(self.model)
        plain["shared"] |= {
            "dropout": dropout,
            "embedding": {**plain["shared"]["embedding"], "dropout": dropout},
        }
        return s2s.Seq2SeqLM.from_architecture(plain)

    def _compile(self, built: Any) -> None:
        import keras

        built.compile(keras.optimizers.Adam(LEARNING_RATE), label_smoothing=LABEL_SMOOTHING)

    def _batches(self, steps: int) -> Any:
        for step in range(steps):
            source, labels = self.data[step % len(self.data)]
            yield self._inputs(source, labels), labels

    def _inputs(self, source: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "encoder_token_ids": source,
            "encoder_padding_mask": np.ones(source.shape, bool),
            "decoder_token_ids": decoder_inputs(labels, self.model),
            "decoder_padding_mask": np.ones(labels.shape, bool),
        }

    def train(self, steps: int) -> None:
        several = list(self._batches(steps))
        x = {name: np.concatenate([x[name] for x, _ in several]) for name in several[0][0]}
        y = np.concatenate([labels for _, labels in several])
        self.built.fit(x, y, batch_size=self.job.rows, shuffle=False, verbose=0)


class Transformers(Trainer):
    """transformers' Marian in a plain PyTorch loop."""

    def losses(self) -> list[float]:
        import torch

        torch.set_num_threads(self.settings.threads)
        self.built = transformers_model(self.folder)
        self.optimizer: Any = torch.optim.SGD(self.built.parameters(), COMPARED_LEARNING_RATE)
        # Without dropout, as the configuration that the worker wrote has none.
        self.built.train()
        for module in self.built.modules():
            if hasattr(module, "dropout") and isinstance(module.dropout, float):
                module.dropout = 0.0
        found = [self._step(*self.data[step]) for step in range(COMPARED_STEPS)]
        for module in self.built.modules():
            name = type(module).__name__
            if name in ("MarianEncoderLayer", "MarianDecoderLayer", "MarianEncoder") or (
                name == "MarianDecoder"
            ):
                module.dropout = DROPOUT
        self.optimizer = torch.optim.Adam(self.built.parameters(), LEARNING_RATE)
        return found

    def _step(self, source: np.ndarray, labels: np.ndarray) -> float:
        import torch

        targets = torch.from_numpy(labels).long()
        ids = torch.from_numpy(source).long()
        logits = self.built(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            decoder_input_ids=torch.from_numpy(decoder_inputs(labels, self.model)).long(),
            use_cache=False,
        ).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), label_smoothing=LABEL_SMOOTHING
        )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def train(self, steps: int) -> None:
        for step in range(steps):
            self._step(*self.data[step % len(self.data)])


class KerasHub(Trainer):
    """A BART of the same size in keras-hub, with random weights of its own."""

    def losses(self) -> None:
        import keras
        import keras_hub

        keras.utils.set_random_seed(self.settings.seed)
        backbone = keras_hub.models.BartBackbone(
            vocabulary_size=self.model.vocabulary,
            num_layers=self.model.decoder_layers,
            num_heads=self.model.heads,
            hidden_dim=self.model.hidden,
            intermediate_dim=self.model.ffn,
            dropout=DROPOUT,
            max_sequence_length=max(64, self.job.length),
        )
        self.built = keras_hub.models.BartSeq2SeqLM(backbone=backbone, preprocessor=None)
        # Its loss has no label smoothing for ids.
        self.built.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy()],
        )

    def train(self, steps: int) -> None:
        sources, labels = (
            np.concatenate([self.data[i % len(self.data)][side] for i in range(steps)])
            for side in (0, 1)
        )
        x = {
            "encoder_token_ids": sources,
            "encoder_padding_mask": np.ones(sources.shape, bool),
            "decoder_token_ids": decoder_inputs(labels, self.model),
            "decoder_padding_mask": np.ones(labels.shape, bool),
        }
        self.built.fit(x, labels, batch_size=self.job.rows, shuffle=False, verbose=0)


@dataclass(frozen=True)
class Spec:
    """What must be known of an engine before its process starts.

    Attributes:
        make: its class.
        needs: modules that must be installed.
        backend: for KERAS_BACKEND; None where Keras is not involved.
    """

    make: type[Trainer]
    needs: tuple[str, ...]
    backend: str | None = None


TRAINERS: dict[str, Spec] = {
    "keras_s2s-torch": Spec(KerasS2S, ("torch",), "torch"),
    "keras_s2s-jax": Spec(KerasS2S, ("jax",), "jax"),
    "keras_s2s-tensorflow": Spec(KerasS2S, ("tensorflow",), "tensorflow"),
    "transformers": Spec(Transformers, ("torch", "transformers")),
    "keras_hub-jax": Spec(KerasHub, ("keras_hub", "jax"), "jax"),
    "keras_hub-tensorflow": Spec(KerasHub, ("keras_hub", "tensorflow"), "tensorflow"),
    "marian": Spec(Marian, ("pymarian",)),
}

#: What `generation.worker` makes of the name of an engine, to tell it from one that generates.
PREFIX = "train-"
