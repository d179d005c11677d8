"""A model that is made of a pretrained encoder and a pretrained decoder."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from keras_s2s.checkpoints.load_report import LoadReport
from keras_s2s.checkpoints.savable_model import SavableModel
from keras_s2s.checkpoints.warm_start import EncoderDecoder, warm_start
from keras_s2s.config import GenerationConfig
from keras_s2s.preset_changes import with_changes
from keras_s2s.text.preprocessor import Preprocessor


class WarmStartedModel(SavableModel):
    """Base class of the model: warm start from two checkpoints.

    The constructor of a subclass takes the configuration and the preprocessor, and `dtype`,
    `initialize` and `name`.

    Attributes:
        load_report: what was read from the checkpoints.
    """

    load_report: LoadReport | None

    @classmethod
    def from_encoder_decoder(
        cls,
        encoder: str | Path | Any,
        decoder: str | Path | Any,
        *,
        load_weights: bool = True,
        tie_encoder_decoder: bool = False,
        special_ids: Mapping[str, Any] | None = None,
        encoder_config: Mapping[str, Any] | None = None,
        decoder_config: Mapping[str, Any] | None = None,
        preprocessor: Preprocessor | None = None,
        generation: GenerationConfig | Mapping[str, Any] | None = None,
        dtype: str | None = None,
        strict: bool = True,
        verbose: bool = True,
        name: str = "seq2seq_lm",
    ) -> Self:
        """Makes a model of a pretrained encoder and a pretrained decoder (warm start) [Rothe 2020].

        What neither checkpoint has, as cross-attention for a decoder that had none, is new: drawn
        at random as transformers' EncoderDecoderModel draws it, and named in `load_report`. Where
        widths differ, a new linear layer projects the encoder's outputs. Fine-tune before use.

        Args:
            encoder: BERT, RoBERTa, XLM-RoBERTa, CamemBERT, DistilBERT, ELECTRA, ALBERT, or the
                encoder of a BART-, Marian- or T5-like model: a name of the zoo, a Hugging Face
                folder, or one on their hub, `hf://organisation/name`; a KerasHub folder, or a
                `keras_hub` backbone.
            decoder: BERT, RoBERTa and its relatives (made causal), GPT-2, or the decoder of a
                BART-like model; named in the same ways.
            load_weights: False draws every weight, and reads configurations alone; encoder and
                decoder may be configurations then, `transformers.BertConfig()` or a mapping of its
                keys, `{"model_type": "bert", "num_hidden_layers": 2}`.
            tie_encoder_decoder: the decoder has the weights of the encoder, but for its
                cross-attention. Both must have equal sizes.
            special_ids: ids that go before those of the folders and their tokenizers, e.g.
                `{"target": {"decoder_start": 101, "eos": 102}}`.
            encoder_config, decoder_config: changes to the `config.json` of a half, in its keys,
                e.g. `{"hidden_dropout_prob": 0.0}`; with fewer layers than the folder has, the
                first ones are taken.
            preprocessor: text <-> ids, in place of the folders' tokenizers.
            generation, dtype, verbose, name: as in `from_preset`.
            strict: False leaves weights that a folder lacks at random; by default only those are
                new that a single encoder or decoder cannot have.

        Raises:
            ConfigError: an unknown name or key (with the nearest one), or sizes that do not fit.
            CheckpointError: files that are missing or broken, a model type that cannot be this
                side, or an id that nothing states.

        Example:
            >>> model = Seq2SeqLM.from_encoder_decoder("bert-base-uncased/", "gpt2/")
            >>> print(model.load_report)
        """
        with warm_start(
            encoder,
            decoder,
            with_weights=load_weights,
            with_text=preprocessor is None,
            tie_encoder_decoder=tie_encoder_decoder,
            special_ids=special_ids,
            encoder_config=encoder_config,
            decoder_config=decoder_config,
        ) as found:
            return cls._from_source(
                found,
                preprocessor=preprocessor,
                generation=generation,
                dtype=dtype,
                strict=strict,
                verbose=verbose,
                name=name,
            )

    @classmethod
    def _from_source(
        cls,
        found: EncoderDecoder,
        *,
        preprocessor: Preprocessor | None,
        generation: GenerationConfig | Mapping[str, Any] | None,
        dtype: str | None,
        strict: bool,
        verbose: bool,
        name: str,
    ) -> Self:
        """Makes a model of two halves, and loads or draws their weights."""
        config = with_changes(found.config, {}, None, origin=found.name, generation=generation)
        text = preprocessor or found.preprocessor
        model = cls(config, text, dtype=dtype, initialize=False, name=name)
        model.load_report = found.load(model.weights, strict=strict)
        if verbose and model.load_report is not None:
            print(model.load_report, file=sys.stderr)
        return model
