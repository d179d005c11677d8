"""The parts of a model that a call of `generate`, `stream`, `score` or `export` reads."""

from __future__ import annotations

from dataclasses import dataclass

from keras_s2s.config import PresetConfig, SpecialIds
from keras_s2s.network import Network
from keras_s2s.text.languages import with_defaults
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.shortlists import Shortlist


@dataclass(frozen=True)
class ModelParts:
    """The parts of a model that a call reads: configuration, network and preprocessor.

    Attributes:
        preset: architecture, special ids and generation defaults.
        network: the network, and the longest rows it has positions for.
        preprocessor: text <-> ids; None for a model that works on ids.
        shortlist: the model's own candidates for sources; None where it has none.
    """

    preset: PresetConfig
    network: Network
    preprocessor: Preprocessor | None
    shortlist: Shortlist | None = None

    @property
    def special_ids(self) -> SpecialIds:
        """Special ids of the model."""
        return self.preset.special_ids

    def require_text_output(self, what: str) -> Preprocessor:
        """Returns the preprocessor, which calls that return text need.

        Args:
            what: the call and what it returns, for the message.

        Raises:
            ValueError: there is none.
        """
        if self.preprocessor is None:
            raise ValueError(
                f"{what}, and this model has no preprocessor; generate returns ids, or give the "
                "model one: model.preprocessor = text.Preprocessor(...)"
            )
        return self.preprocessor

    def require_preprocessor(self) -> Preprocessor:
        """Returns the preprocessor, which calls with texts need.

        Raises:
            ValueError: there is none.
        """
        if self.preprocessor is None:
            frontend = self.network.frontend
            inputs = "{" + ", ".join(f'"{name}": ...' for name in frontend.specs) + "}"
            ids = f"ids as {inputs}" if frontend.reads_text else "targets as ids"
            raise ValueError(
                f"this model has no preprocessor, so it cannot read text; pass {ids}, or give the "
                "model one: model.preprocessor = text.Preprocessor(...)"
            )
        return self.preprocessor

    def in_languages(self, src_lang: str | None, tgt_lang: str | None) -> ModelParts:
        """Returns the parts with other default languages; None leaves a default as it is.

        Raises:
            ConfigError: the model has no such language, or none at all.
        """
        if src_lang is None and tgt_lang is None:
            return self
        special_ids = with_defaults(self.special_ids, src_lang, tgt_lang)
        preset = self.preset.model_copy(update={"special_ids": special_ids})
        preprocessor = self.preprocessor
        if preprocessor is not None:
            preprocessor = preprocessor.in_languages(src_lang, tgt_lang)
        return ModelParts(preset, self.network, preprocessor, self.shortlist)
