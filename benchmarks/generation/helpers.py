"""Workers that prepare something and leave: each answers one request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generation.build import convert_to_ctranslate2, keras_s2s_model
from generation.engines import Settings, converted
from generation.model import BenchmarkError, Model
from generation.workload import pad


class Convert:
    """Writes the model as CTranslate2 reads it, so that its worker holds nothing else."""

    def __init__(self, settings: Settings) -> None:
        self.folder = Path(settings.folder)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        convert_to_ctranslate2(self.folder, converted(self.folder))
        return {}


class Save:
    """Writes the model as a preset folder, which `keras-s2s serve` reads."""

    def __init__(self, settings: Settings) -> None:
        self.folder = Path(settings.folder)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """`{"to": folder}` gives `{}`."""
        keras_s2s_model(self.folder).save_to_preset(request["to"])
        return {}


class Split:
    """Splits lines of text into ids, by a preset's tokenizer or by one trained on the lines."""

    def __init__(self, settings: Settings) -> None:
        self.model = Model.read(Path(settings.folder))

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """`{"lines": [...]}` gives `{"rows": ids, "pieces": size of the vocabulary, "eos"}`."""
        import keras_s2s as s2s
        from keras_s2s.config import ConfigError

        lines = request["lines"]
        if self.model.preset is not None:
            built = s2s.Seq2SeqLM.from_preset(self.model.preset, load_weights=False)
            text = built.preprocessor
            if text is None:
                raise BenchmarkError(f"--text: {self.model.preset} has no tokenizer")
        else:
            try:
                text = s2s.text.Preprocessor.train(
                    [(line, line) for line in lines],
                    "sentencepiece_bpe",
                    vocab_size=min(8_000, self.model.vocabulary),
                    joint=True,
                )
            except ConfigError as error:
                raise BenchmarkError(f"--text, --vocabulary: {error}") from None
        return {
            "rows": text.encode_source(lines),
            "pieces": text.source.vocabulary_size,
            "eos": text.special_ids.target.eos,
        }


class Calibrate:
    """Finds the bias of EOS under which sentences of random weights end after so many steps.

    No EOS comes before the end of a sequence, so its bias does not change what was generated up
    to there: with forced sequences and their logits, the step at which each would have ended is
    known for every bias.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = Path(settings.folder)
        self.model = Model.read(self.folder)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """`{"rows": sources, "length": wanted mean}` gives `{"bias": ...}`."""
        import keras
        import numpy as np

        built = keras_s2s_model(self.folder)
        steps = 4 * request["length"]
        ids, mask = pad(request["rows"], self.model.pad)
        inputs = {"encoder_token_ids": ids, "encoder_padding_mask": mask}
        found = built.generate(inputs, sampler="greedy", max_length=steps + 1, min_length=steps + 1)
        begun = np.concatenate([np.full((len(ids), 1), self.model.decoder_start), found], 1)
        inputs["decoder_token_ids"] = begun[:, :-1].astype(np.int32)
        inputs["decoder_padding_mask"] = np.ones(found.shape, bool)
        logits = np.array(keras.ops.convert_to_numpy(built(inputs, training=False)))
        eos = logits[..., self.model.eos].copy()
        logits[..., self.model.eos] = -np.inf
        margins = logits.max(-1) - eos  # [B, T]: the bias that would have ended it there
        lowest, highest = float(margins.min()), float(margins.max())
        for _ in range(50):
            bias = (lowest + highest) / 2
            ended = margins < bias
            lengths = np.where(ended.any(1), ended.argmax(1) + 1, steps)
            if lengths.mean() > request["length"]:
                lowest = bias
            else:
                highest = bias
        return {"bias": bias}
