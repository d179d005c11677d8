"""The public model: a Keras model that reads and writes text."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_s2s.builder import build_network, dtype_policy, functional_graph
from keras_s2s.checkpoints import preset_folder
from keras_s2s.checkpoints.assignment import check_finite
from keras_s2s.checkpoints.ctranslate2.vocabulary import TokenizerChoice
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.load_report import LoadReport
from keras_s2s.checkpoints.preset_folder import refuse_adapted
from keras_s2s.checkpoints.sources import open_source
from keras_s2s.config import GenerationConfig, PresetConfig, SpecialIds
from keras_s2s.data.batches import Batches
from keras_s2s.data.checked_batches import checked_batches
from keras_s2s.data.given_texts import is_texts, refuse_texts
from keras_s2s.data.limits import ModelLimits
from keras_s2s.decoding.generator import Generator
from keras_s2s.decoding.rows import as_rows, row_seeds
from keras_s2s.export.errors import ExportError
from keras_s2s.export.formats import FORMATS, export_as
from keras_s2s.layers.quantised import quantise_again, quantised_layers
from keras_s2s.network_size import refuse_beyond_memory
from keras_s2s.preset_changes import changed, from_description, with_preprocessor
from keras_s2s.samplers import (
    Beam,
    DiverseBeam,
    GenerationOutput,
    Greedy,
    LogitsProcessor,
    Plan,
    Sampler,
    resolve_sampler,
)
from keras_s2s.samplers.checks import whole
from keras_s2s.samplers.output import merged
from keras_s2s.samplers.resolve import for_streams, refuse_to_stream
from keras_s2s.samplers.rules import RULES, make_rules
from keras_s2s.text.languages import Language, TargetStart, spread, target_start, with_defaults
from keras_s2s.text.pieces import text_pieces
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.row_error import RowError
from keras_s2s.text.truncation import Overlong, Side, check_overlong, fitting
from keras_s2s.training.callbacks import CompilingMessage
from keras_s2s.training.kept_weights import kept_weights
from keras_s2s.training.loss import TokenCrossEntropy, as_token_loss
from keras_s2s.training.metrics import LossTracker, Perplexity, TokenAccuracy, as_token_metrics
from keras_s2s.training.taken_turns import taking_turns
from keras_s2s.training.token_weights import token_weights
from keras_s2s.turns import Turns

#: Why a model with recurrent layers is not compiled for training, by backend.
_LOOPS_NOT_COMPILED = {
    "tensorflow": "XLA on TensorFlow cannot differentiate the loop of a recurrent layer, whose "
    "length is unknown",
    "torch": "PyTorch compiles each step of the loop of a recurrent layer, for minutes, and anew "
    "for each length",
}


@keras.saving.register_keras_serializable("keras_s2s")
class Seq2SeqLM(keras.Model):
    """An encoder-decoder model.

    It is a functional `keras.Model`: inputs `encoder_token_ids`, `encoder_padding_mask`,
    `decoder_token_ids`, `decoder_padding_mask`; output logits `[batch, target, vocabulary]`.
    `summary`, `fit`, `evaluate`, `save` and `keras.saving.load_model` work as on any other.

    Args:
        config: architecture, special ids and generation defaults.
        preprocessor: text <-> ids; None for a model that works on ids.
        dtype: a Keras dtype policy for the layers; None is the global one.
        initialize: False leaves matrices at zero, for weights that are assigned at once.

    Attributes:
        load_report: what `from_preset` read from a folder of another format; None elsewhere.

    Example:
        >>> import keras_s2s as s2s
        >>> pairs = [("hello", "hallo"), ("good day", "guten Tag")]
        >>> text = s2s.text.Preprocessor.train(pairs, "character")
        >>> model = s2s.Seq2SeqLM.from_preset("gru_bahdanau", preprocessor=text)
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
        self.preset = config
        # The name, wherever it came from: a saved model is loaded under its own policy.
        self._dtype = network.encoder.dtype_policy.name
        self.network = network
        self.load_report: LoadReport | None = None
        self._turns = Turns()
        self._generator: Generator | None = None
        self._preprocessor = preprocessor

    # ------------------------------------------------------------------ construction

    @classmethod
    def from_preset(
        cls,
        source: str | Path,
        *,
        load_weights: bool = True,
        preprocessor: Preprocessor | None = None,
        architecture: Mapping[str, Any] | None = None,
        generation: GenerationConfig | Mapping[str, Any] | None = None,
        dtype: str | None = None,
        strict: bool = True,
        verbose: bool = True,
        tokenizer: TokenizerChoice = None,
        decoder_start_token: str | None = None,
        name: str = "seq2seq_lm",
    ) -> Seq2SeqLM:
        """Make a model from a zoo entry, or from a folder of weights.

        Args:
            source: a name out of `list_presets()`; a folder that `save_to_preset` wrote; a Hugging
                Face folder, or one on their hub, `hf://organisation/name`; a CTranslate2 folder.
            load_weights: False gives random weights. Zoo entries that describe an architecture
                have no others; those of public checkpoints then need no download.
            preprocessor: text <-> ids for a zoo entry; sets vocabulary sizes and special ids.
            architecture: differences from the entry's architecture, e.g.
                `{"encoder": {"hidden_dim": 64}}`; not together with a folder's weights.
            generation: defaults of `generate` in place of the preset's own.
            dtype: a Keras dtype policy for the layers, e.g. "bfloat16" or "mixed_bfloat16";
                None is the global one. Weights are converted.
            strict: False leaves weights that a folder lacks at random, and tensors that the
                model does not have alone; the report names them.
            verbose: print what was loaded from a folder of another format; the report is also
                `model.load_report`.
            tokenizer: how text is split for a CTranslate2 folder, which holds vocabularies only:
                "space" (the default), "character", or a tokenizer with the folder's ids.
            decoder_start_token: of a CTranslate2 folder that leaves it to the caller.
            name: of the Keras model.

        Raises:
            ConfigError: an unknown name (with the nearest one) or a broken configuration.
            CheckpointError: files that are missing or broken, or weights that do not fit.
        """
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
            config = changed(
                found.config,
                architecture or {},
                preprocessor if found.adopts or architecture else None,
                origin=str(source),
                generation=generation,
            )
            if load_weights:
                found.check(strict=strict)
            model = cls(
                config,
                preprocessor or found.preprocessor,
                dtype=dtype,
                # What a folder may lack has to be drawn.
                initialize=not (load_weights and strict and not found.adopts),
                name=name,
            )
            if load_weights:
                model.load_report = found.load(model.weights, strict=strict)
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
        """Make a model with random weights from a description of its own.

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

    def save_to_preset(self, directory: str | Path) -> None:
        """Write a folder that `from_preset` reads, under any backend.

        It holds `preset.yaml`, `model.safetensors` and the tokenizer's files.
        """
        preset_folder.save_preset(directory, self.preset, self.weights, self.preprocessor)

    # ------------------------------------------------------------------ training

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = "auto",
        *,
        label_smoothing: float = 0.0,
        metrics: Any = None,
        weighted_metrics: Any = "auto",
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile`, with the loss and metrics of this kind of model.

        Loss and metrics are means over real tokens: those since the epoch began in the logs of
        `fit`, all of them in `evaluate`, however they were batched and padded. Losses and metrics
        of Keras, and functions, are averaged in the same way.

        Args:
            optimizer: a Keras optimiser or its name.
            loss: by default `TokenCrossEntropy`, the mean over real tokens.
            label_smoothing: of the default loss.
            metrics: further metrics.
            weighted_metrics: by default token accuracy and perplexity over real tokens.
            jit_compile: "auto" is True on JAX only. XLA on TensorFlow compiles anew for each
                batch shape, and cannot differentiate a loop of unknown length.
            **kwargs: as in Keras.

        Raises:
            ValueError: a loss or a metric that takes logits for probabilities, or sums over a
                batch; `jit_compile=True` for recurrent layers, but on JAX.
        """
        if jit_compile == "auto":
            jit_compile = keras.backend.backend() == "jax"
        sides = (self.preset.architecture.encoder, self.preset.architecture.decoder)
        loops = any(side.type == "recurrent" for side in sides)
        if jit_compile and loops and (cause := _LOOPS_NOT_COMPILED.get(keras.backend.backend())):
            raise ValueError(
                f'jit_compile=True: {cause}; leave jit_compile out ("auto"), or train on JAX '
                "(KERAS_BACKEND=jax), where it is compiled"
            )
        if isinstance(loss, str) and loss == "auto":
            loss = TokenCrossEntropy(label_smoothing)
        elif label_smoothing:
            raise ValueError("label_smoothing belongs to the default loss; set it in yours")
        if isinstance(weighted_metrics, str) and weighted_metrics == "auto":
            weighted_metrics = [TokenAccuracy(), Perplexity()]
        # Keras would measure `metrics` over padding, too.
        every = [*_listed(as_token_metrics(weighted_metrics)), *_listed(as_token_metrics(metrics))]
        super().compile(
            optimizer=optimizer,
            loss=as_token_loss(loss),
            weighted_metrics=every,
            jit_compile=jit_compile,
            **kwargs,
        )
        self._loss_tracker = LossTracker()

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Keras calls this on loading a model that was compiled; its optimiser goes on."""
        config = keras.saving.deserialize_keras_object(config)
        config["jit_compile"] = "auto"  # the backend that loads may not be the one that saved
        self.compile(**config)
        self.optimizer.build(self.trainable_variables)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`, with the default loss where the model was not compiled.

        Raises:
            ValueError: as `fit` does, and where no token weighs anything.
        """
        given = _named_arguments(keras.Model.evaluate, x, y, *args, **kwargs)
        if not self.compiled:
            self.compile()
        # Within `fit` the validation data are those that it has checked.
        if not given.get("_use_cached_eval_dataset"):
            weights = given.get("sample_weight")
            given["x"] = self._checked_data(x, y, weights, "x", "model.evaluate({})")
        with kept_weights(self):
            result = super().evaluate(**given)
        tracker = self._loss_tracker
        if isinstance(tracker, LossTracker) and not keras.ops.convert_to_numpy(tracker.tokens):
            raise ValueError(
                "nothing was measured: no token of these data weighs anything; look at "
                "decoder_padding_mask, sample_weight and labels"
            )
        return result

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`. `x` is usually `data.Batches(pairs, model.preprocessor)`.

        A model that was not compiled is compiled with Adam and the default loss. With arrays,
        `sample_weight` is of rows, `[N]` or `[N, 1]`, or of tokens, `[N, T]`; labels of -100 are
        left out.

        Raises:
            ValueError: texts instead of batches; inputs that lack masks; ids outside the
                vocabulary; rows longer than the model's positions; labels that are not the decoder
                inputs moved by one; `class_weight`.
        """
        given = _named_arguments(keras.Model.fit, x, y, *args, **kwargs)
        _refuse_class_weight(given.get("class_weight"))
        if not self.compiled:
            self.compile()
        if self.optimizer is not None:
            # Otherwise Keras on TensorFlow makes its variables in the first step, and so traces
            # that step twice.
            self.optimizer.build(self.trainable_variables)
        weights = given.get("sample_weight")
        given["x"] = self._checked_data(x, y, weights, "x", "model.fit({})")
        if (validation := given.get("validation_data")) is not None:
            if isinstance(validation, tuple | list) and not validation:
                raise ValueError(
                    f"validation_data={validation!r} is empty; pass data.Batches(pairs, "
                    "model.preprocessor), (x, y) or (x, y, sample_weight), or leave it out"
                )
            if isinstance(validation, tuple | list) and isinstance(validation[0], Mapping):
                self._checked_data(*_three(validation), "validation_data", "validation_data={}")
            else:
                given["validation_data"] = self._checked_data(
                    validation, None, None, "validation_data", "validation_data={}"
                )
        if isinstance(x, Batches):
            # It shuffles by its own seed; Keras would shuffle again by a global one.
            given.setdefault("shuffle", False)
        callbacks = given.get("callbacks") or []
        is_first = self.train_function is None and not self.run_eagerly
        if is_first and given.get("verbose", "auto") and isinstance(callbacks, list | tuple):
            given["callbacks"] = [CompilingMessage(), *callbacks]
        with kept_weights(self):
            return super().fit(**given)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.predict`: logits `[N, T, V]` of given decoder inputs.

        Raises:
            ValueError: texts, which `generate` takes; inputs that lack masks, ids outside the
                vocabulary, rows longer than the model's positions.
        """
        if is_texts(x):
            raise ValueError(
                "predict() returns logits of given decoder inputs, and this is text; "
                "model.generate(texts) generates from texts, model.score(sources, targets) "
                "measures given targets"
            )
        limits = ModelLimits.of(self.preset.architecture)
        if isinstance(x, Batches):
            x.check_limits(limits, "x")
        elif isinstance(x, Mapping):
            limits.check_ids(x, "x")
        return super().predict(x, *args, **kwargs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """`keras.Model.train_on_batch`; refuses what `fit` refuses."""
        _refuse_class_weight(class_weight)
        self._checked_data(x, y, sample_weight, "x", "model.fit({})")
        return super().train_on_batch(x, y, sample_weight, return_dict=return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """`keras.Model.test_on_batch`; refuses what `evaluate` refuses."""
        self._checked_data(x, y, sample_weight, "x", "model.evaluate({})")
        return super().test_on_batch(x, y, sample_weight, return_dict=return_dict)

    def _checked_data(self, x: Any, y: Any, weights: Any, name: str, call: str) -> Any:
        """`x`, known to be what the model can be trained on, or checked batch by batch."""
        refuse_texts(x, call)
        limits = ModelLimits.of(self.preset.architecture)
        if isinstance(x, Batches):
            theirs, mine = x.preprocessor, self.preprocessor
            if theirs is not None and mine is not None and not mine.encodes_like(theirs):
                raise ValueError(
                    "these Batches were made with another preprocessor than the model's: their "
                    "ids mean other tokens. Make them with model.preprocessor"
                )
            x.check_limits(limits, name)
        elif y is not None or isinstance(x, Mapping):
            limits.check_batch((x, y, weights), name, self.special_ids)
        else:
            return checked_batches(x, limits.check_batch, name)
        return x

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Loss of a batch: the mean over its tokens, and what layers add.

        Args:
            x: the inputs; `decoder_padding_mask` says which target positions are real.
            y: labels int `[B, T]`; -100 is left out.
            y_pred: logits `[B, T, V]`.
            sample_weight: of tokens `[B, T]`, or of rows `[B]` or `[B, 1]`.
            training: as in Keras.
        """
        y, weights = token_weights(x, y, sample_weight)
        loss = super().compute_loss(x, y, y_pred, weights, training=training)
        if isinstance(self._loss_tracker, LossTracker):
            self._loss_tracker.next_step_has(keras.ops.sum(weights))
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Metrics of a batch, over its real tokens; arguments as in `compute_loss`."""
        y, weights = token_weights(x, y, sample_weight)
        return super().compute_metrics(x, y, y_pred, weights)

    # Generation in other threads waits for steps, and steps for it.

    def make_train_function(self, force: bool = False) -> Any:
        """Keras calls this; a step takes turns with generation in other threads."""
        return self._make_step("train", force)

    def make_test_function(self, force: bool = False) -> Any:
        """Keras calls this; a step takes turns with generation in other threads."""
        return self._make_step("test", force)

    def make_predict_function(self, force: bool = False) -> Any:
        """Keras calls this; a step takes turns with generation in other threads."""
        return self._make_step("predict", force)

    def _make_step(self, kind: str, force: bool) -> Any:
        name = f"{kind}_function"
        if getattr(self, name) is None or force:
            getattr(super(), f"make_{name}")(force=force)
            setattr(self, name, taking_turns(getattr(self, name), kind, self, self._turns))
        return getattr(self, name)

    def _get_jax_state(self, *args: Any, **kwargs: Any) -> Any:
        """Keras calls this on JAX; the variables keep their arrays until a step takes them."""
        with self._turns:
            self._jax_state = None
            return super()._get_jax_state(*args, **{**kwargs, "purge_model_variables": False})

    def jax_state_sync(self) -> None:
        """Keras calls this on JAX; so does generation, to see the newest weights."""
        with self._turns:
            super().jax_state_sync()

    # ------------------------------------------------------------------ generation

    @property
    def preprocessor(self) -> Preprocessor | None:
        """Text <-> ids; None for a model that works on ids.

        Another one can be given. Its special ids and default languages are then the model's: they
        hold in every call, and are saved and exported with it.

        Example:
            >>> model.preprocessor = model.preprocessor.in_languages("en_XX", "ko_KR")
        """
        return self._preprocessor

    @preprocessor.setter
    def preprocessor(self, preprocessor: Preprocessor | None) -> None:
        if preprocessor is not None:
            self.preset = with_preprocessor(self.preset, preprocessor)
        self._preprocessor = preprocessor
        if self._generator is not None:
            self._generator.special_ids = self.special_ids

    @property
    def special_ids(self) -> SpecialIds:
        """Ids with a meaning of their own."""
        return self.preset.special_ids

    @property
    def generation_config(self) -> GenerationConfig:
        """Defaults of `generate`."""
        return self.preset.generation

    @property
    def generator(self) -> Generator:
        """The loops compiled so far, over this model's weights."""
        with self._turns:
            if self._generator is None:
                self._generator = Generator(self.network, self, self.special_ids, self._turns)
            return self._generator

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
        """Answer sources.

        Options mean what they mean in Hugging Face's generation configuration, and None asks for
        nothing; the preset's own are used where the caller gives none, as far as they go with
        what the caller gives. Where they differ from transformers': sampling drops nothing by
        default (no `top_k=50`), and a source's padding never counts as text.

        Args:
            x: a text, texts, or (with or without a preprocessor) a mapping with
                `encoder_token_ids` and `encoder_padding_mask`, `[B, S]` each.
            sampler: a `samplers.Sampler`, a name ("greedy", "beam", "random", "top_k", "top_p",
                "beam_sample", "diverse_beam"), or None: `num_beams`, `do_sample` and
                `num_beam_groups` choose.
            max_length: longest result in ids, the decoder start and a prefix counted.
            src_lang, tgt_lang: languages of a multilingual model, a code for all texts or one
                for each; by default the model's own.
            return_output: return a `GenerationOutput` instead of texts or ids.
            max_new_tokens: the same limit without the decoder start and the row's own prefix.
            decoder_prefix: what every result begins with: a text for a text, or one for each
                source; for ids a list of ids for each. They may differ in length or be empty. A
                text goes on from its target language; ids are used as they are.
            processors: a list of rules of your own (`samplers.LogitsProcessor`), applied after
                the others.
            seed: for samplers that draw: one, or one for each row; None is random.
            batch_size: sources decoded at a time; results do not depend on it. Where there are
                more, the memory of up to three batches is used (`decoding/schedule.py`).
            overlong: "truncate" cuts a source that is longer than the model's positions, as
                transformers does (EOS and language stay), and logs a warning; "error" refuses it.
            output_attentions: fill `GenerationOutput.attentions`; with `return_output`.
            **generation_options: of the strategy: num_beams, length_penalty, early_stopping,
                num_return_sequences, do_sample, temperature, top_k, top_p, min_p,
                num_beam_groups, diversity_penalty; rules: min_length, min_new_tokens (which
                wins where both are given), repetition_penalty, no_repeat_ngram_size,
                encoder_no_repeat_ngram_size, bad_words_ids, suppress_tokens,
                begin_suppress_tokens, forced_bos_token_id, forced_eos_token_id,
                prefix_allowed_tokens_fn, renormalize_logits.

        Returns:
            a text for a text, a list of texts for texts, an int32 array `[B, T]` for ids
            (lists of N texts, or `[B, N, T]`, where N hypotheses are returned); or a
            `GenerationOutput`.

        Raises:
            ValueError: an option that cannot be meant, or that the strategy would ignore; a
                source or prefix that is too long.

        Example:
            >>> model.generate("ein Hund", num_beams=4, no_repeat_ngram_size=3)
            'a dog'
        """
        batch_size = whole("batch_size", batch_size)
        if output_attentions and not return_output:
            raise ValueError(
                "output_attentions=True shows in a GenerationOutput alone: pass return_output=True"
            )
        single = isinstance(x, str)
        rows, is_text = self._source_rows(x, src_lang, tgt_lang, overlong)
        first = self._forced_first(tgt_lang, generation_options)
        prefixes = self._prefix_rows(decoder_prefix, len(rows), single, tgt_lang, first)

        groups = self._target_starts(tgt_lang, len(rows))
        seeds = row_seeds(seed, len(rows))

        def of_language(start: TargetStart, members: Sequence[int]) -> GenerationOutput:
            mine = None if prefixes is None else [prefixes[i] for i in members]
            chosen, plan, limits = self._request(
                sampler,
                max_length,
                max_new_tokens,
                generation_options,
                processors,
                _counts(mine, len(members)),
                start,
            )
            _check_seed(seed, chosen)
            return self.generator.generate(
                [rows[i] for i in members],
                chosen,
                plan,
                seeds=seeds[list(members)],
                prefixes=mine,
                limits=limits,
                places=members,
                batch_size=batch_size,
                want_attention=output_attentions,
            )

        parts = [of_language(start, members) for start, members in groups.items()]
        output = merged(parts, list(groups.values()), self.special_ids.target.pad)
        texts = self._texts(output) if self.preprocessor is not None else None
        if return_output:
            return replace(output, texts=texts)
        if not is_text:
            return output.token_ids
        assert texts is not None
        return texts[0] if single else texts

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
        """Answer sources piece by piece, with greedy search or sampling.

        Args:
            x: a text, or texts, which are answered side by side.
            stride: steps between two pieces.
            sampler, max_length, src_lang, tgt_lang, max_new_tokens, decoder_prefix, processors,
                seed, overlong, generation_options: as in `generate`; one sequence for each source.

        Yields:
            pieces that together are what `generate` returns: a text for a text, or a list of
            texts, one for each source, in which those that have nothing new are empty.

        Raises:
            ValueError: as `generate` does, and for a beam search, whose best hypothesis is
                known at its end only.

        Example:
            >>> for piece in model.stream("ein Hund"):
            ...     print(piece, end="", flush=True)
        """
        stride = whole("stride", stride)
        text = self._require_preprocessor()
        single = isinstance(x, str)
        rows, _ = self._source_rows(x, src_lang, tgt_lang, overlong)
        first = self._forced_first(tgt_lang, generation_options)
        prefixes = self._prefix_rows(decoder_prefix, len(rows), single, tgt_lang, first)
        groups = self._target_starts(tgt_lang, len(rows))
        seeds = row_seeds(seed, len(rows))

        def of_language(start: TargetStart, members: Sequence[int]) -> Iterator[list[str]]:
            mine = None if prefixes is None else [prefixes[i] for i in members]
            chosen, plan, limits = self._request(
                sampler,
                max_length,
                max_new_tokens,
                generation_options,
                processors,
                _counts(mine, len(members)),
                start,
                # The preset's own beams are a default, and give way.
                defaults=for_streams(self.generation_config),
            )
            refuse_to_stream(chosen)
            _check_seed(seed, chosen)
            return text_pieces(
                text,
                self.generator.stream(
                    [rows[i] for i in members],
                    chosen,
                    plan,
                    seeds=seeds[list(members)],
                    prefixes=mine,
                    limits=limits,
                    places=members,
                    stride=stride,
                ),
            )

        # All that can be refused is refused here, before anything is asked for.
        streams = [of_language(start, members) for start, members in groups.items()]

        def pieces() -> Iterator[Any]:
            if not rows:
                return
            for step in zip_longest(*streams):
                parts = [""] * len(rows)
                for members, new in zip(groups.values(), step, strict=True):
                    for i, piece in zip(members, new or (), strict=False):
                        parts[i] = piece
                if any(parts):
                    yield parts[0] if single else parts

        return pieces()

    def score(
        self,
        sources: str | Sequence[Any],
        targets: str | Sequence[Any],
        *,
        src_lang: Language = None,
        tgt_lang: Language = None,
        return_token_log_probs: bool = False,
        return_attention: bool = False,
        batch_size: int = 32,
        overlong: Overlong = "error",
    ) -> Any:
        """Returns the log-probability of given targets, given their sources.

        Args:
            sources, targets: texts, or lists of ids; target ids as labels (no decoder start).
            src_lang, tgt_lang: languages of texts, as in `generate`. Ids have theirs in them, but
                for a language that the decoder starts with: that `tgt_lang` names, too.
            return_token_log_probs: also return the log-probability of each id.
            return_attention: also return the attention of each target id to the source ids, while
                the decoder reads the target: that of its top layer, the mean of its heads.
            batch_size: pairs scored at a time; results do not depend on it.
            overlong: as in `generate`, of sources and targets.

        Returns:
            float32 `[B]` (a float for a single text), the sum over each target's ids, EOS
            included. Where more is asked for, a tuple: these sums; with `return_token_log_probs`
            a list of B float32 arrays `[T]`; with `return_attention` a list of B float32 arrays
            `[T, S]`, whose rows sum to 1. T and S are each pair's own lengths in ids.

        Raises:
            ValueError: ids outside a vocabulary, rows that are empty or too long, numbers of
                rows that differ, or `return_attention` for a decoder without attention.
            TypeError: texts on one side and ids on the other.

        Example:
            >>> model.score("ein Hund", "a dog")
            -0.7
            >>> log_prob, attention = model.score("ein Hund", "a dog", return_attention=True)
        """
        batch_size = whole("batch_size", batch_size)
        single = isinstance(sources, str)
        if single != isinstance(targets, str):
            raise TypeError("sources and targets must both be a text, or both be lists")
        sources, targets = ([sources], [targets]) if single else (list(sources), list(targets))
        if len(sources) != len(targets):
            raise ValueError(f"{len(sources)} sources but {len(targets)} targets")
        source_rows, target_rows = self._pair_rows(sources, targets, src_lang, tgt_lang, overlong)
        starts = [0] * len(sources)
        for start, members in self._target_starts(tgt_lang, len(sources)).items():
            for i in members:
                starts[i] = start.decoder_start
        log_probs, attention = self.generator.score(
            source_rows,
            target_rows,
            starts=starts,
            batch_size=batch_size,
            want_attention=return_attention,
        )
        sums = np.asarray([part.sum() for part in log_probs], np.float32)
        result: list[Any] = [float(sums[0]) if single else sums]
        if return_token_log_probs:
            result.append(log_probs)
        if return_attention:
            result.append(attention)
        return tuple(result) if len(result) > 1 else result[0]

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
        quantization: str | None = None,
        max_shard_bytes: int | None = None,
        **generation_options: Any,
    ) -> Path:
        """Write the model for another engine to run.

        Args:
            directory: folder to write; made if missing.
            format: "tf_saved_model", the decoding loop and tokenizers with it, text in and text
                out, under any backend (see `export.export_saved_model` for its signatures; it
                needs TensorFlow); "huggingface", a folder that transformers and `from_preset`
                load; "ctranslate2", one that `ctranslate2.Translator` loads (it needs
                ctranslate2).
            sampler, max_length, max_new_tokens, processors, generation_options: as in
                `generate`, fixed in a SavedModel. The other engines choose at each call.
            src_lang, tgt_lang: default languages of what is written; by default the model's own.
                A CTranslate2 folder has none: what it needs to be told is logged.
            version: write `directory/<version>`, the layout TensorFlow Serving looks for.
            overwrite: replace an export that is there already.
            quantization: of a CTranslate2 model: int8, int16, float16, ...
            max_shard_bytes: of a Hugging Face folder: most bytes of weights in one file.

        Returns:
            the folder written.

        Raises:
            ExportError: an unknown format, a tokenizer that cannot be part of a graph, or a
                folder that is in the way.
            ImportError: TensorFlow is not installed.
            ValueError: an option that cannot be meant.

        Example:
            >>> model.export("exported/dates", num_beams=4, version=1)
            PosixPath('exported/dates/1')
        """
        refuse_adapted(directory, self.weights, "other engines read plain ones")
        fixed = (sampler, max_length, max_new_tokens, *(processors or ()), *generation_options)
        if format in FORMATS and format != "tf_saved_model" and any(v is not None for v in fixed):
            raise ExportError(
                f"a search can be fixed with format='tf_saved_model' alone: {format!r} leaves it "
                "to the engine; from_preset(..., generation=...) changes the defaults that are "
                "written"
            )
        config, preprocessor = self.preset, self.preprocessor
        if src_lang is not None or tgt_lang is not None:
            special_ids = with_defaults(self.special_ids, src_lang, tgt_lang)
            config = config.model_copy(update={"special_ids": special_ids})
            if preprocessor is not None:
                preprocessor = preprocessor.in_languages(src_lang, tgt_lang)
            elif format == "tf_saved_model":
                self._refuse_languages_of_ids(src_lang, tgt_lang)
        chosen, plan, _ = self._request(
            sampler,
            max_length,
            max_new_tokens,
            generation_options,
            processors,
            [0],
            target_start(config.special_ids),
        )
        return export_as(
            format,
            directory,
            {
                "version": version,
                "quantization": quantization,
                "max_shard_bytes": max_shard_bytes,
            },
            network=self.network,
            variables=self.weights,
            config=config,
            preprocessor=preprocessor,
            sampler=chosen,
            plan=plan,
            overwrite=overwrite,
        )

    # ------------------------------------------------------------------ Keras' saving

    def get_config(self) -> dict[str, Any]:
        """Keras saves this; `Seq2SeqLM.from_config(model.get_config())` is a copy with new weights.

        Use that in place of `keras.models.clone_model`, which takes a functional model apart into
        its layers: what it returns is a plain Keras model, and tied weights are tied no longer.
        """
        return {
            "config": self.preset.model_dump(mode="json"),
            "dtype": self._dtype,
            "name": self.name,
            "has_preprocessor": self.preprocessor is not None,
            "quantised": quantised_layers(self._flatten_layers()),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Seq2SeqLM:
        config = dict(config)
        config.pop("has_preprocessor", None)
        quantised = config.pop("quantised", {})
        model = cls(config.pop("config"), **config)
        quantise_again(model._flatten_layers(), quantised)
        return model

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """`keras.Model.load_weights`; what does not fit, or is not finite, is an error.

        LoRA weights are saved merged into those they adapt, and load into a plain model.

        Raises:
            CheckpointError: the weights are those of another model, or of this one quantised
                otherwise; or they are NaN or infinite.
        """
        try:
            super().load_weights(filepath, *args, **kwargs)
        except ValueError as error:
            modes = {how["mode"] for how in quantised_layers(self._flatten_layers()).values()}
            now = f"quantised ({', '.join(sorted(modes))})" if modes else "not quantised"
            raise CheckpointError(
                f"{filepath}: these weights do not fit this model, which is {now}. Weights of a "
                "quantised model load after model.quantize() with the same mode; plain ones "
                f"before it. {error}"
            ) from None
        check_finite(filepath, self.weights)

    def save_assets(self, directory: str) -> None:
        """Keras calls this for `save("m.keras")`: the tokenizer travels as files."""
        if self.preprocessor is not None:
            self.preprocessor.save(directory)

    def load_assets(self, directory: str) -> None:
        """Keras calls this on loading what `save_assets` wrote."""
        if (Path(directory) / preset_folder.TOKENIZER_FOLDER).is_dir():
            self.preprocessor = Preprocessor.load(directory, self.special_ids)

    # ------------------------------------------------------------------ inside

    def _request(
        self,
        sampler: Sampler | str | None,
        max_length: int | None,
        max_new_tokens: int | None,
        options: Mapping[str, Any],
        processors: Sequence[LogitsProcessor] | None,
        given: Sequence[int],
        start: TargetStart | None = None,
        defaults: GenerationConfig | None = None,
    ) -> tuple[Sampler, Plan, list[int]]:
        """The strategy, the plan and the most ids of each row.

        Args:
            given: ids in the prefix of each row.
            start: how the language of the rows begins; None for the default one.
            defaults: of the strategy, in place of the preset's own.
        """
        mine = {name: value for name, value in options.items() if name not in RULES}
        chosen = resolve_sampler(sampler, mine, defaults or self.generation_config)
        # An option that is None asks for nothing: the preset's stays.
        rules = {k: v for k, v in options.items() if k in RULES and v is not None}
        steps, limits = self._limits(max_length, max_new_tokens, given)
        rooms = {
            "min_length": min(limits, default=steps) + 1,
            "min_new_tokens": min(
                (a - b for a, b in zip(limits, given, strict=True)), default=steps
            ),
        }
        for name, room in rooms.items():
            if name in rules and whole(name, rules[name], 0) > room:
                longest = max(given, default=0)
                raise ValueError(
                    f"{name}={rules[name]} cannot be reached: max_length={steps + 1}"
                    + (f" with a prefix of {longest} ids" if longest else "")
                    + f" leaves room for {room}"
                )
        target = self.special_ids.target
        start = start or target_start(self.special_ids)
        own = {
            **self.generation_config.model_dump(include=set(RULES)),
            "forced_bos_token_id": start.forced_bos,
            "forced_eos_token_id": target.forced_eos,
        }
        # The preset's own give way to what the caller asks for.
        for name, room in (("min_length", steps + 1), ("min_new_tokens", steps)):
            if rooms.keys() & rules.keys() or own[name] > room:
                own[name] = 0
        made = make_rules(
            {**own, **rules},
            vocabulary=self.preset.architecture.target_vocab_size,
            own=() if processors is None else processors,
        )
        plan = Plan(start.decoder_start, target.eos, target.pad, max(limits, default=steps), made)
        chosen.check(plan)
        return chosen, plan, limits

    def _limits(
        self, max_length: int | None, max_new_tokens: int | None, given: Sequence[int]
    ) -> tuple[int, list[int]]:
        """Most ids of a result: without a prefix, and of rows with prefixes of `given` ids."""
        if max_length is not None and max_new_tokens is not None:
            raise ValueError(
                f"max_length={max_length} and max_new_tokens={max_new_tokens} say the same "
                "thing twice; pass one of them"
            )
        most = self.network.max_target_length
        longest = max(given, default=0)
        if max_new_tokens is not None:
            steps = whole("max_new_tokens", max_new_tokens)
            limits = [steps + count for count in given]
        else:
            asked = self.generation_config.max_length if max_length is None else max_length
            # The decoder start and one id at least.
            steps = whole("max_length", asked, 2) - 1
            if max_length is None and most is not None:
                steps = min(steps, most)
            limits = [steps] * len(given)
        needed = max(limits, default=steps)
        if most is not None and needed > most:
            raise ValueError(
                f"max_length={needed + 1} needs {needed} decoder positions, but the model "
                f"has {most}; the longest possible max_length is {most + 1}"
            )
        if longest >= needed:
            raise ValueError(
                f"a prefix of {longest} ids leaves no room in max_length={needed + 1}, which "
                f"counts the decoder start: pass max_length={longest + 2} or more"
            )
        return steps, limits

    def _forced_first(self, tgt_lang: Language, options: Mapping[str, Any]) -> int | None:
        """The id that the caller, by its number, forces every target to begin with."""
        first, languages = options.get("forced_bos_token_id"), self.special_ids.languages
        if first is None or languages is None or languages.target != "forced_bos":
            return None
        for code in {tgt_lang} if isinstance(tgt_lang, str) else set(tgt_lang or ()):
            if code is not None and target_start(self.special_ids, code).forced_bos != first:
                raise ValueError(
                    f"forced_bos_token_id={first} and tgt_lang={code!r} name two languages for the "
                    "same target; pass one of them"
                )
        return whole("forced_bos_token_id", first, 0)

    def _prefix_rows(
        self, prefix: Any, count: int, single: bool, tgt_lang: Language, first: int | None
    ) -> list[list[int]] | None:
        """Ids that each row begins with.

        Args:
            prefix: texts or rows of ids; None is none.
            count: rows.
            single: the source was one text.
            tgt_lang: language of each row.
            first: id that all rows are forced to begin with, in place of their language's.
        """
        if prefix is None:
            return None
        if not isinstance(prefix, Iterable):
            raise ValueError(f"decoder_prefix={prefix!r} must be a text, or a list of ids")
        prefixes = [prefix] if single else list(prefix)
        if len(prefixes) != count or (isinstance(prefix, str) and not single):
            raise ValueError(
                f"decoder_prefix must hold one prefix for each of {count} sources, "
                f"got {1 if isinstance(prefix, str) else len(prefixes)}"
            )
        vocabulary = self.preset.architecture.target_vocab_size
        rows = []
        codes = spread(tgt_lang, count, "tgt_lang")
        for i, (each, code) in enumerate(zip(prefixes, codes, strict=True)):
            if isinstance(each, str):
                # The target's own EOS would end it before it begins.
                each = self._require_preprocessor().encode_target_prefix(each, code, first=first)
            rows.append(_ids(f"decoder_prefix {i}", each, vocabulary, "target"))
        return rows

    def _target_starts(self, tgt_lang: Language, count: int) -> dict[TargetStart, list[int]]:
        """Rows by how their language begins."""
        groups: dict[TargetStart, list[int]] = {}
        for row, code in enumerate(spread(tgt_lang, count, "tgt_lang")):
            groups.setdefault(target_start(self.special_ids, code), []).append(row)
        return groups or {target_start(self.special_ids): []}

    def _source_rows(
        self,
        x: Any,
        src_lang: Language = None,
        tgt_lang: Language = None,
        overlong: Overlong = "error",
    ) -> tuple[list[list[int]], bool]:
        """Rows of source ids, and whether they came as text."""
        if isinstance(x, Mapping):
            missing = {"encoder_token_ids", "encoder_padding_mask"} - set(x)
            if missing:
                raise ValueError(f"the input mapping lacks {', '.join(sorted(missing))}")
            self._refuse_languages_of_ids(src_lang, tgt_lang)
            rows, is_text = as_rows(x["encoder_token_ids"], x["encoder_padding_mask"]), False
        else:
            if not isinstance(x, Iterable):
                raise TypeError(
                    f"got {x!r}; generate() takes a text, a list of texts, or a mapping with "
                    "encoder_token_ids and encoder_padding_mask"
                )
            texts = [x] if isinstance(x, str) else list(x)
            for i, text in enumerate(texts):
                if not isinstance(text, str):
                    raise TypeError(
                        f"element {i} is a {type(text).__name__}; generate() takes texts, or a "
                        "mapping with encoder_token_ids and encoder_padding_mask"
                    )
            text = self._require_preprocessor()
            rows, is_text = text.encode_source(texts, src_lang, tgt_lang), True
        return self._checked(rows, "source", overlong), is_text

    def _refuse_languages_of_ids(self, src_lang: Language, tgt_lang: Language) -> None:
        """Refuse languages that ids of sources say themselves, or cannot be told at all."""
        languages = self.special_ids.languages
        if src_lang is not None:
            raise ValueError("src_lang is for texts: these ids have their language or none")
        if tgt_lang is None:
            return
        if languages is None and self.preprocessor is None:
            raise ValueError("tgt_lang needs a preprocessor that knows languages; there is none")
        if languages is not None and languages.target == "source_prefix":
            raise ValueError(
                f"tgt_lang={tgt_lang!r} is for texts: this model reads its target language at the "
                "beginning of the source, so these ids have it or none"
            )

    def _checked(
        self, rows: Sequence[Any], side: Side, overlong: Overlong = "error"
    ) -> list[list[int]]:
        """Rows of ids of a side's vocabulary, none empty or longer than the positions for it."""
        check_overlong(overlong)
        vocabulary = getattr(self.preset.architecture, f"{side}_vocab_size")
        checked = [_ids(f"{side} {i}", row, vocabulary, side) for i, row in enumerate(rows)]
        if empty := {
            i: "is empty: it has no id at all" for i, row in enumerate(checked) if not row
        }:
            raise RowError(side, empty)
        length = getattr(self.network, f"max_{side}_length")
        limit = "the model has positions for {}"
        if self.preprocessor is not None:
            return self.preprocessor.fit_rows(checked, side, length, overlong, limit=limit)
        return fitting(checked, length, self.special_ids, side, overlong=overlong, limit=limit)

    def _pair_rows(
        self,
        sources: Sequence[Any],
        targets: Sequence[Any],
        src_lang: Language = None,
        tgt_lang: Language = None,
        overlong: Overlong = "error",
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Rows of source and of target ids, from texts or from ids."""
        texts = {isinstance(row, str) for row in (*sources, *targets)}
        if len(texts) == 2:
            raise TypeError("sources and targets must all be texts, or all be lists of ids")
        if texts == {True}:
            text = self._require_preprocessor()
            sources = text.encode_source(sources, src_lang, tgt_lang)
            targets = text.encode_target(targets, tgt_lang)
        else:
            self._refuse_languages_of_ids(src_lang, tgt_lang)
            self._check_first_ids(targets, tgt_lang)
        return self._checked(sources, "source", overlong), self._checked(
            targets, "target", overlong
        )

    def _check_first_ids(self, targets: Sequence[Any], tgt_lang: Language) -> None:
        """Hold the languages that ids of targets begin with against those a call names."""
        languages = self.special_ids.languages
        if tgt_lang is None or languages is None or languages.target != "forced_bos":
            return
        codes = spread(tgt_lang, len(targets), "tgt_lang")
        for i, (row, code) in enumerate(zip(targets, codes, strict=True)):
            wanted = None if code is None else target_start(self.special_ids, code).forced_bos
            if wanted is not None and list(row[:1]) != [wanted]:
                raise ValueError(
                    f"target {i} does not begin with {wanted}, the id of {code!r}: ids of a target "
                    "have their language in them"
                )

    def _require_preprocessor(self) -> Preprocessor:
        if self.preprocessor is None:
            raise ValueError(
                "this model has no preprocessor, so it cannot read text; pass ids as "
                '{"encoder_token_ids": ..., "encoder_padding_mask": ...}, or give the model one: '
                "model.preprocessor = text.Preprocessor(...)"
            )
        return self.preprocessor

    def _texts(self, output: GenerationOutput) -> list[Any]:
        """A text for each source, or a list of texts for n-best results."""
        text = self._require_preprocessor()
        ids = output.token_ids
        if ids.ndim == 2:
            return text.decode_target(_cut(ids, output.lengths))
        if not len(ids):
            return []
        flat = _cut(ids.reshape(-1, ids.shape[-1]), output.lengths.reshape(-1))
        texts = text.decode_target(flat)
        n = ids.shape[1]
        return [texts[i : i + n] for i in range(0, len(texts), n)]


def _cut(ids: np.ndarray, lengths: np.ndarray) -> list[list[int]]:
    return [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]


def _ids(what: str, row: Any, vocabulary: int, side: str) -> list[int]:
    """`row`, which must hold ids of a vocabulary."""
    try:
        ids = np.asarray(row)
    except (TypeError, ValueError):
        ids = np.asarray(None)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ValueError(f"{what} is {row!r}; it must be a list of ids, whole numbers")
    wrong = ids[(ids < 0) | (ids >= vocabulary)]
    if wrong.size:
        raise ValueError(
            f"{what} holds the id {wrong[0]}, but the {side} vocabulary has ids 0 to "
            f"{vocabulary - 1}"
        )
    found: list[int] = ids.tolist()
    return found


def _counts(prefixes: Sequence[Sequence[int]] | None, count: int) -> list[int]:
    """Ids in the prefix of each of `count` rows."""
    return [0] * count if prefixes is None else list(map(len, prefixes))


def _check_seed(seed: Any, sampler: Sampler) -> None:
    if seed is not None and type(sampler) in (Greedy, Beam, DiverseBeam):
        raise ValueError(
            f"seed={seed} has no effect: {type(sampler).__name__} draws nothing; drop it, or "
            "choose a sampler that draws (do_sample=True)"
        )


def _named_arguments(method: Any, x: Any, y: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Arguments of a Keras method by their names, whether they came by place or by name."""
    given = inspect.signature(method).bind(None, x, y, *args, **kwargs).arguments
    further = given.pop("kwargs", {})
    del given["self"]
    return {**given, **further}


def _three(data: Any) -> tuple[Any, Any, Any]:
    """x, y and weights of `(x, y)` or `(x, y, weights)`."""
    x, y, weights = [*data, None, None][:3]
    return x, y, weights


def _refuse_class_weight(class_weight: Any) -> None:
    if class_weight is not None:
        raise ValueError(
            "class_weight weighs examples by their class, but a target here is a sequence of ids "
            "and has none; pass sample_weight: one for each row, [N], or for each token, [N, T]"
        )


def _listed(metrics: Any) -> list[Any]:
    if metrics is None:
        return []
    return keras.tree.flatten(metrics)
