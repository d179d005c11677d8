"""The public model: a Keras model that is trained on text pairs and generates text.

Here are `from_preset`, `generate`, `stream` and `export`. The other methods come from base classes,
one for each subject: `compile`, `fit` and `evaluate` from `training/trainable_model.py`, what Keras
calls in a step from `training/training_step.py`, `freeze` and `enable_lora` from
`training/partly_trained_model.py`, `score` from `decoding/scoring_model.py`, `save_to_preset` from
`checkpoints/savable_model.py`, `from_encoder_decoder` from `checkpoints/warm_started_model.py`.

The file is longer than others because it is the manual of its methods.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from keras_s2s.builder import build_network, dtype_policy, functional_graph
from keras_s2s.checkpoints.ctranslate2.vocabulary import TokenizerChoice
from keras_s2s.checkpoints.load_report import LoadReport
from keras_s2s.checkpoints.sources import open_source
from keras_s2s.checkpoints.warm_started_model import WarmStartedModel
from keras_s2s.config import GenerationConfig, PresetConfig, SpecialIds
from keras_s2s.decoding.compute_types import check_available
from keras_s2s.decoding.cuda_graphs import check_cuda_graphs
from keras_s2s.decoding.generator import Generator
from keras_s2s.decoding.requests.planning import Search
from keras_s2s.decoding.requests.request import Request, output_texts
from keras_s2s.decoding.scoring_model import ScoringModel
from keras_s2s.export.model_export import export_model
from keras_s2s.fair_lock import FairLock
from keras_s2s.network_size import refuse_beyond_memory
from keras_s2s.options.compute_types import ComputeType
from keras_s2s.options.descriptions import describes_options
from keras_s2s.preset_changes import (
    from_description,
    with_changes,
    with_preprocessor,
    with_trained_bias,
)
from keras_s2s.samplers import LogitsProcessor, Sampler
from keras_s2s.samplers.checks import whole
from keras_s2s.text.languages import Language
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.shortlists import Shortlist
from keras_s2s.text.trimming.report import TrimReport
from keras_s2s.text.truncation import Overlong
from keras_s2s.training.trainable_model import TrainableModel


@keras.saving.register_keras_serializable("keras_s2s")
class Seq2SeqLM(TrainableModel, WarmStartedModel, ScoringModel):
    """An encoder-decoder model that is trained on text pairs and generates target sequences.

    It is a functional `keras.Model`: inputs of its frontend (for token ids `encoder_token_ids` and
    `encoder_padding_mask`), `decoder_token_ids`, `decoder_padding_mask`; output logits
    `[batch, target, vocabulary]`.
    `summary`, `fit`, `evaluate`, `save` and `keras.saving.load_model` work as on any other.

    Args:
        config: architecture, special ids and generation defaults.
        preprocessor: text <-> ids; None for a model that works on ids.
        dtype: a Keras dtype policy for the layers; None is the global one.
        initialize: False leaves matrices at zero, for weights that are assigned at once.

    Attributes:
        load_report: what `from_preset` read from a folder of another format; None elsewhere.
        trim_report: what `trim_vocabulary` left out to make this model; None elsewhere.
        shortlist: the lexical shortlist that lay beside a model of Marian, for
            `generate(..., shortlist=True)`; None elsewhere. It is not saved with the model.

    Example:
        >>> import keras_s2s as s2s
        >>> pairs = [("hello", "hallo"), ("good day", "guten Tag")]
        >>> text = s2s.text.Preprocessor.train(pairs, "character")
        >>> model = s2s.Seq2SeqLM.from_preset("gru_bahdanau", load_weights=False, preprocessor=text)
        >>> model.fit(s2s.data.Batches(pairs, text), epochs=50)
        >>> model.generate("hello")
        'hallo'
    """

    def __init__(
        self,
        config: PresetConfig | Mapping[str, Any],
        preprocessor: Preprocessor | None = None,
        *,
        dtype: str | None = None,
        initialize: bool = True,
        **kwargs: Any,
    ) -> None:
        config = PresetConfig.model_validate(config)
        if preprocessor is not None:
            config = with_preprocessor(config, preprocessor)
        refuse_beyond_memory(config.architecture, config.description)
        with dtype_policy(dtype):
            network = build_network(config.architecture)
            inputs, logits = functional_graph(network, initialize=initialize)
            kwargs.setdefault("name", "seq2seq_lm")
            # In this policy too: compile() scales the loss by that of the model.
            super().__init__(inputs=inputs, outputs=logits, **kwargs)
        # Which layers have an adapter they say themselves.
        self.preset = config.model_copy(update={"adapters": None})
        # The name, wherever it came from: a saved model is loaded under its own policy.
        self._dtype = network.encoder.dtype_policy.name
        self.network = network
        self.load_report: LoadReport | None = None
        self.trim_report: TrimReport | None = None
        self.shortlist: Shortlist | None = None
        self._turns = FairLock()
        self._generator: Generator | None = None
        self._preprocessor = preprocessor
        if config.adapters:
            self._adapt(config.adapters)

    # ------------------------------------------------------------------ construction

    @classmethod
    def from_preset(
        cls,
        source: str | Path | Any,
        *,
        load_weights: bool = True,
        preprocessor: Preprocessor | None = None,
        architecture: Mapping[str, Any] | None = None,
        generation: GenerationConfig | Mapping[str, Any] | None = None,
        dtype: str | None = None,
        compute_type: ComputeType | None = None,
        cuda_graphs: bool = False,
        strict: bool = True,
        verbose: bool = True,
        tokenizer: TokenizerChoice = None,
        decoder_start_token: str | None = None,
        train_output_bias: bool | None = None,
        name: str = "seq2seq_lm",
    ) -> Seq2SeqLM:
        """Makes a model from a preset of the zoo, or from a folder of weights.

        Args:
            source: a name out of `list_presets()`; a folder that `save_to_preset` wrote; a Hugging
                Face folder, or one on their hub, `hf://organisation/name`; a CTranslate2 folder; a
                KerasHub folder, or a `keras_hub` backbone or task of BART or T5; a folder with the
                state dict of a recurrent model from PyTorch and a `torch_rnn.yaml`; a model of
                Marian: `.npz`, `.bin`, `.decoder.yml`, or its folder.
            load_weights: False gives random weights. Zoo entries that describe an architecture
                have no others; those of public checkpoints then need no download.
            preprocessor: text <-> ids for a zoo entry; sets vocabulary sizes and special ids.
            architecture: differences from the entry's architecture, e.g.
                `{"encoder": {"hidden_dim": 64}}`; not together with a folder's weights.
            generation: defaults of `generate` in place of the preset's own.
            dtype: a Keras dtype policy for the layers, e.g. "bfloat16" or "mixed_bfloat16";
                None is the global one. Weights are converted.
            compute_type: how `generate`, `stream` and `score` multiply; see the attribute.
            cuda_graphs: run the steps of `generate` as CUDA graphs; see the attribute.
            strict: False leaves weights that a folder lacks at random, and tensors that the
                model does not have alone; the report names them.
            verbose: print what was loaded from a folder of another format; the report is also
                `model.load_report`.
            tokenizer: how text is split for a CTranslate2 folder, which holds vocabularies only:
                "space" (the default), "character", or a tokenizer with the folder's ids.
            decoder_start_token: for a CTranslate2 folder that does not have one.
            train_output_bias: whether the bias of the logits is trained; None is what the preset
                says. In BART and its relatives it is not, as in transformers.
            name: of the Keras model.

        Raises:
            ConfigError: an unknown name (with the nearest one) or a broken configuration;
                `train_output_bias=True` for a model without such a bias.
            CheckpointError: files that are missing or broken, or weights that do not fit.
            ValueError: a `compute_type` or `cuda_graphs` that are not there, as for the attributes.
        """
        check_available(compute_type)  # before anything that takes time
        check_cuda_graphs(cuda_graphs)
        with open_source(
            source,
            with_weights=load_weights,
            with_text=preprocessor is None,
            tokenizer=tokenizer,
            decoder_start_token=decoder_start_token,
        ) as found:
            if architecture and load_weights and not found.adopts:
                raise ValueError(
                    "architecture= changes the network, so that the folder's weights no longer "
                    "fit; pass load_weights=False with it"
                )
            config = with_changes(
                found.config,
                architecture or {},
                preprocessor if found.adopts or architecture else None,
                origin=str(source),
                generation=generation,
            )
            config = with_trained_bias(config, train_output_bias, origin=str(source))
            if load_weights:
                found.check(strict=strict)
            model = cls(
                config,
                preprocessor or found.preprocessor,
                dtype=dtype,
                # Weights that a folder may lack are drawn.
                initialize=not (load_weights and strict and not found.adopts),
                name=name,
            )
            model.shortlist = found.shortlist
            if load_weights:
                model.load_report = found.load(model.weights, strict=strict)
            model.compute_type = compute_type
            model.cuda_graphs = cuda_graphs
        if verbose and model.load_report is not None:
            print(model.load_report, file=sys.stderr)
        return model

    @classmethod
    def from_architecture(
        cls,
        architecture: Mapping[str, Any] | str | Path,
        *,
        preprocessor: Preprocessor | None = None,
        special_ids: SpecialIds | Mapping[str, Any] | None = None,
        name: str = "seq2seq_lm",
    ) -> Seq2SeqLM:
        """Makes a model with random weights from a description of its architecture.

        Args:
            architecture: the keys of `ArchitectureConfig`, or those of a whole preset
                (`architecture`, `special_ids`, ...), as a mapping or the path of a YAML file.
            preprocessor: text <-> ids; sets vocabulary sizes and special ids.
            special_ids: for a model without one. By default the ids that tokenizers trained
                here have.

        Raises:
            ConfigError: a key or value that is not valid, with file, key and nearest key.
        """
        config = from_description(architecture, preprocessor, special_ids)
        return cls(config, preprocessor, name=name)

    # ------------------------------------------------------------------ generation

    @describes_options
    def generate(
        self,
        x: str | Sequence[str] | Mapping[str, Any],
        sampler: Sampler | str | None = None,
        max_length: int | None = None,
        return_output: bool = False,
        *,
        src_lang: Language = None,
        tgt_lang: Language = None,
        max_new_tokens: int | None = None,
        decoder_prefix: Any = None,
        processors: Sequence[LogitsProcessor] | None = None,
        seed: int | Sequence[int] | None = None,
        batch_size: int = 32,
        overlong: Overlong = "error",
        output_attentions: bool = False,
        **generation_options: Any,
    ) -> Any:
        """Generates target sequences for a batch of sources.

        Options mean what they mean in Hugging Face's generation configuration. Options that are
        None or not given are the preset's own, unless these contradict the caller's. Two things
        differ from transformers: sampling drops no ids (no `top_k=50`), and a source's padding
        never counts as text.

        Args:
            x: a text, texts, or (with or without a preprocessor) a mapping with
                `encoder_token_ids` and `encoder_padding_mask`, `[B, S]` each. Where sources are
                feature vectors: a list of arrays `[S, F]`, or such a mapping.
            src_lang, tgt_lang: languages of a multilingual model, a code for all texts or one
                for each; by default the model's own.
            return_output: return a `GenerationOutput` instead of texts or ids.
            batch_size: sources decoded at a time; results do not depend on it. Where there are
                more, the memory of up to three batches is used (`decoding/schedule.py`).
            overlong: "truncate" cuts a source that is longer than the model's positions, as
                transformers does (EOS and language stay), and logs a warning; "error" refuses it.
            output_attentions: fill `GenerationOutput.attentions`; with `return_output`.
            {generation_options}

        Returns:
            a text for a text, a list of texts for texts, an int32 array `[B, T]` for ids
            (lists of N texts, or `[B, N, T]`, where N hypotheses are returned); or a
            `GenerationOutput`.

        Raises:
            ValueError: an option with a value that it does not take, or that the strategy does
                not use; a source or prefix that is too long.

        Example:
            >>> model.generate("ein Hund", num_beams=4, no_repeat_ngram_size=3)
            'a dog'
        """
        batch_size = whole("batch_size", batch_size)
        if output_attentions and not return_output:
            raise ValueError(
                "output_attentions=True needs a GenerationOutput: pass return_output=True"
            )
        request = Request.prepare(
            self._parts,
            x,
            Search(sampler, max_length, max_new_tokens, processors, generation_options),
            src_lang=src_lang,
            tgt_lang=tgt_lang,
            decoder_prefix=decoder_prefix,
            seed=seed,
            overlong=overlong,
        )
        output = request.generate(
            self.generator, batch_size=batch_size, want_attention=output_attentions
        )
        texts = None
        if self.preprocessor is not None:
            texts = output_texts(output, self.preprocessor)
            request.check_texts(output, self.preprocessor)
        if return_output:
            return replace(output, texts=texts)
        if texts is None or not request.is_text:
            return output.token_ids
        return texts[0] if request.single else texts

    def stream(
        self,
        x: str | Sequence[str],
        sampler: Sampler | str | None = None,
        max_length: int | None = None,
        *,
        src_lang: Language = None,
        tgt_lang: Language = None,
        max_new_tokens: int | None = None,
        decoder_prefix: Any = None,
        processors: Sequence[LogitsProcessor] | None = None,
        seed: int | Sequence[int] | None = None,
        overlong: Overlong = "error",
        stride: int = 1,
        **generation_options: Any,
    ) -> Iterator[Any]:
        """Generates target sequences piece by piece; beams that are the model's own default are
        left out.

        Of a beam search that is asked for, it yields what all hypotheses agree on that may be the
        best.

        Args:
            x: a text, or texts, whose targets are generated side by side.
            stride: steps between two pieces.
            sampler, max_length, max_new_tokens, decoder_prefix, processors, seed: as in `generate`.
            src_lang, tgt_lang, overlong, generation_options: as in `generate`; one sequence for
                each source.

        Yields:
            pieces of what `generate` returns with the same options: a text for a text, or a list of
            texts, one for each source, in which those that have nothing new are empty.

        Raises:
            ValueError: as `generate` does, and for a strategy whose ids are not final before its
                end, or several results of a source.

        Example:
            >>> for piece in model.stream("ein Hund"):
            ...     print(piece, end="", flush=True)
        """
        stride = whole("stride", stride)
        parts = self._parts
        preprocessor = parts.require_text_output("stream yields text")
        # All errors are raised here, before the first piece is asked for.
        request = Request.prepare(
            parts,
            x,
            Search(sampler, max_length, max_new_tokens, processors, generation_options),
            src_lang=src_lang,
            tgt_lang=tgt_lang,
            decoder_prefix=decoder_prefix,
            seed=seed,
            overlong=overlong,
            streams=True,
        )
        pieces = request.stream(self.generator, preprocessor, stride=stride)
        return (texts[0] for texts in pieces) if request.single else pieces

    # ------------------------------------------------------------------ export

    def export(
        self,
        directory: str | Path,
        format: str = "tf_saved_model",
        *,
        sampler: Sampler | str | None = None,
        max_length: int | None = None,
        max_new_tokens: int | None = None,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        processors: Sequence[LogitsProcessor] | None = None,
        version: int | None = None,
        overwrite: bool = False,
        text: bool = True,
        truncate: bool = False,
        cross_attention: bool = False,
        xla: bool = False,
        verify: bool = True,
        samples: Sequence[str] | None = None,
        quantization: str | None = None,
        max_shard_bytes: int | None = None,
        **generation_options: Any,
    ) -> Path:
        """Exports the model for another engine to run.

        Args:
            directory: folder to write; made if missing.
            format: "tf_saved_model", text in and text out (`export.export_saved_model`; it needs
                TensorFlow); "huggingface", for transformers and `from_preset`; "ctranslate2", for
                `ctranslate2.Translator` (it needs ctranslate2); "torch_rnn", for PyTorch; "marian".
            sampler, max_length, max_new_tokens, processors, generation_options: as in
                `generate`, fixed in a SavedModel. The other engines choose at each call.
            src_lang, tgt_lang: default languages of what is written; by default the model's own.
                A CTranslate2 folder stores none: which ones its caller has to give is logged.
            overwrite: replace an export that is there already.
            version, text, truncate, cross_attention, xla: see `export.export_saved_model`.
            verify: of a SavedModel: compare what it gives in a fresh process with `generate`, for
                the texts `samples`, by default some of the model's vocabulary.
            quantization: of a CTranslate2 model: int8, int16, float16, ...
            max_shard_bytes: of a Hugging Face folder: most bytes of weights in one file.

        Returns:
            the folder written.

        Raises:
            ExportError: an unknown format, a tokenizer that cannot be part of a graph, a folder
                that is in the way, a SavedModel with other results than the model's, or one of a
                model that has a `compute_type`.
            ImportError: TensorFlow is not installed.
            ValueError: an option with a value that it does not take.

        Example:
            >>> model.export("exported/dates", num_beams=4, version=1)
            PosixPath('exported/dates/1')
        """
        return export_model(
            self._parts,
            self.weights,
            self.generate,
            Search(sampler, max_length, max_new_tokens, processors, generation_options),
            directory,
            format,
            overwrite=overwrite,
            languages=(src_lang, tgt_lang),
            verify=verify,
            samples=samples,
            compute_type=self.compute_type,
            version=version,
            text=text,
            truncate=truncate,
            cross_attention=cross_attention,
            xla=xla,
            quantization=quantization,
            max_shard_bytes=max_shard_bytes,
        )
