"""Writes a model as a CTranslate2 folder, with the model specification of that package."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from keras_s2s.checkpoints.ctranslate2.architecture import ACTIVATIONS
from keras_s2s.checkpoints.ctranslate2.variables import MAX_DISTANCE, entries, inexpressible
from keras_s2s.checkpoints.ctranslate2.vocabulary import token_of
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.preset_folder import named_weights
from keras_s2s.checkpoints.single_end import check_single_end
from keras_s2s.checkpoints.sinusoid_tables import sinusoid_table
from keras_s2s.config import ArchitectureConfig, PresetConfig, SpecialIds, TransformerConfig
from keras_s2s.text.huggingface_writer import with_languages_in_files
from keras_s2s.text.languages import target_start
from keras_s2s.text.preprocessor import Preprocessor

logger = logging.getLogger(__name__)

#: Rows of a table of sinusoids, where CTranslate2 does not compute them itself: longer texts than
#: these positions it refuses.
SINUSOID_ROWS = 2048


def write_ctranslate2_folder(
    directory: str | Path,
    variables: Sequence[Any],
    config: PresetConfig,
    preprocessor: Preprocessor | None,
    quantization: str | None = None,
) -> None:
    """Writes `model.bin`, `config.json` and vocabularies into an empty folder.

    The tokens of a model without a preprocessor are its ids, in decimal. A preprocessor's
    tokenizers are written beside them; CTranslate2 does not look at them, this package does.
    CTranslate2 stores neither languages nor a forced first id: its caller has to give them, as
    tokens of the source and as the target's prefix.

    Args:
        directory: an existing folder.
        variables: every variable of the network.
        config: the architecture, and its special ids.
        preprocessor: text <-> ids; None for a model of ids.
        quantization: None keeps float32; else int8, int8_float32, int8_float16, int8_bfloat16,
            int16, float16, bfloat16 or float32.

    Raises:
        CheckpointError: CTranslate2 cannot express the model; the message says which key of the
            configuration, or which weight.
        ValueError: an unknown quantization.
        ImportError: ctranslate2 is not installed.
    """
    try:
        from ctranslate2.specs import model_spec
    except ImportError:
        raise ImportError(
            "writing a CTranslate2 folder needs its package: pip install ctranslate2"
        ) from None

    kinds = model_spec.ACCEPTED_MODEL_TYPES
    if quantization is not None and quantization not in kinds:
        raise ValueError(f"quantization={quantization!r} is not one of {', '.join(kinds)}")
    _check_expressible(config.architecture)
    spec = _specification(config.architecture)
    _fill(spec, config.architecture, variables)
    source, target = _vocabularies(config, preprocessor)
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    for name, value in _settings(config, source, target).items():
        setattr(spec.config, name, value)
    spec.config.add_attribute("layer_norm_epsilon", _epsilons(config.architecture)[0][1])
    # CTranslate2 pads with any id; M2M-100 counts its positions from this one.
    spec.config.add_attribute("pad_token", target[config.special_ids.target.pad])
    spec.validate()
    try:
        spec.optimize(quantization=quantization)
    except RuntimeError as error:  # bfloat16 goes through PyTorch
        raise CheckpointError(f"quantization={quantization!r}: {error}") from None
    spec.save(str(directory))
    if preprocessor is not None:
        with_languages_in_files(preprocessor).save(directory)
    _log_languages(config.special_ids)


def _log_languages(ids: SpecialIds) -> None:
    """Logs which languages CTranslate2 has to be given at each call, since it stores none."""
    languages = ids.languages
    if languages is None:
        return
    told = []
    source, target = languages.default_source, languages.default_target
    if source is not None:
        place = "at the beginning" if languages.source == "prefix" else "behind the end token"
        told.append(f"each source has the token of {source!r} {place}")
    if target is not None and languages.target == "source_prefix":
        told.append(f"each source begins with the token of {target!r}")
    first = target_start(ids).forced_bos
    if languages.target == "forced_bos" and first in languages.codes.values():
        code = next(code for code, i in languages.codes.items() if i == first)
        told.append(f"target_prefix of each source is the token of {code!r}")
    if told:
        logger.warning(
            "CTranslate2 stores no languages; its caller has to give them at each call: %s",
            "; ".join(told),
        )


# --------------------------------------------------------------------------------------
# Architecture
# --------------------------------------------------------------------------------------


def _check_expressible(config: ArchitectureConfig) -> None:
    """Raises an error for settings that CTranslate2's Transformer does not have."""
    if config.source_vocab_size is None:
        raise CheckpointError(
            f"architecture.frontend.type is {config.frontend.type}, but CTranslate2 reads sources "
            "of token ids only; export this model as tf_saved_model"
        )
    for side in ("encoder", "decoder"):
        part = getattr(config, side)
        key = f"architecture.{side}"
        if not isinstance(part, TransformerConfig):
            raise CheckpointError(
                f"{key}.type is {part.type}, but CTranslate2 runs Transformers only; export this "
                "model as tf_saved_model"
            )
        if part.embedding.norm and part.embedding.norm_place != "after_positions":
            raise CheckpointError(
                f"{key}.embedding.norm_place is {part.embedding.norm_place}, but CTranslate2 "
                "normalises embeddings after their positions were added"
            )
        if part.relative_positions is not None and part.embedding.positions != "none":
            raise CheckpointError(
                f"{key} has relative_positions and embedding.positions "
                f"{part.embedding.positions}, but CTranslate2 has one or the other"
            )
    if other := inexpressible(config):
        key, value = next(iter(other.items()))
        raise CheckpointError(
            f"architecture.{key} is {value!r}, which CTranslate2's Transformer does not have; "
            "export this model as tf_saved_model or huggingface"
        )
    epsilons = _epsilons(config)
    if len({value for _, value in epsilons}) > 1:
        listed = ", ".join(f"{name} {value:g}" for name, value in epsilons)
        raise CheckpointError(f"CTranslate2 has one epsilon for all norms, but here are {listed}")


def _epsilons(config: ArchitectureConfig) -> list[tuple[str, float]]:
    found = []
    for side, part in _sides(config):
        found.append((f"{side}.norm_epsilon", part.norm_epsilon))
        if part.embedding.norm:
            found.append((f"{side}.embedding.norm_epsilon", part.embedding.norm_epsilon))
    return found


def _sides(config: ArchitectureConfig) -> list[tuple[str, TransformerConfig]]:
    assert isinstance(config.encoder, TransformerConfig)
    assert isinstance(config.decoder, TransformerConfig)
    return [("encoder", config.encoder), ("decoder", config.decoder)]


def _specification(config: ArchitectureConfig) -> Any:
    """Returns a `TransformerSpec` with all settings, and no weights."""
    from ctranslate2.specs import common_spec, transformer_spec

    classes = {
        "encoder": transformer_spec.TransformerEncoderSpec,
        "decoder": transformer_spec.TransformerDecoderSpec,
    }
    numbers = {name: number for number, name in ACTIVATIONS.items()}
    sides = {}
    for side, part in _sides(config):
        usual_heads = part.head_dim is None or part.head_dim * part.num_heads == part.hidden_dim
        made = classes[side](
            part.num_layers,
            part.num_heads,
            pre_norm=part.norm_order == "pre",
            no_final_norm=not part.has_final_norm,
            activation=common_spec.Activation(numbers[part.activation]),
            layernorm_embedding=part.embedding.norm,
            relative_attention_bias=part.relative_positions is not None,
            ffn_glu=part.gated,
            rms_norm=part.norm == "rms",
            head_dim=None if usual_heads else part.head_dim,
        )
        made.scale_embeddings = part.embedding.scale
        if side == "decoder":
            made.start_from_zero_embedding = part.embedding.zero_start
        if part.embedding.norm:
            # Embeddings have a layer normalisation, whichever the blocks have.
            made.layernorm_embedding = common_spec.LayerNormSpec()
        if part.has_final_norm and part.norm_order == "post":
            # Its constructor knows one of pre-norm blocks only; CTranslate2 runs any.
            vars(made)["layer_norm"] = common_spec.LayerNormSpec(rms_norm=part.norm == "rms")
        if (table := _computed_positions(part)) is not None:
            made.position_encodings.encodings = table
        for layer in made.layer:
            attentions = [layer.self_attention]
            if side == "decoder":
                attentions.append(layer.attention)
            for attention in attentions:
                if not part.scale_attention:
                    attention.queries_scale = 1.0
                elif not usual_heads and part.head_dim is not None:
                    attention.queries_scale = part.head_dim**-0.5
            if part.relative_positions is not None:
                _set(layer, MAX_DISTANCE, np.int32(part.relative_positions.max_distance))
        sides[side] = made
    spec = transformer_spec.TransformerSpec(sides["encoder"], sides["decoder"])
    if config.output.scale:
        spec.decoder.scale_outputs = config.decoder.hidden_dim**-0.5
    return spec


def _computed_positions(config: TransformerConfig) -> np.ndarray | None:
    """Returns a table of positions that are not trained; None where none has to be stored."""
    embedding, width = config.embedding, config.hidden_dim
    if config.relative_positions is not None or embedding.positions == "learned":
        return None
    if embedding.positions == "none":
        return np.zeros((SINUSOID_ROWS, width), np.float32)
    if embedding.sinusoids == "tensor2tensor" and embedding.position_offset == 1 and width > 3:
        return None if width % 2 == 0 else sinusoid_table("tensor2tensor", 1, SINUSOID_ROWS, width)
    return sinusoid_table(embedding.sinusoids, embedding.position_offset, SINUSOID_ROWS, width)


# --------------------------------------------------------------------------------------
# Weights
# --------------------------------------------------------------------------------------


def _fill(spec: Any, config: ArchitectureConfig, variables: Sequence[Any]) -> None:
    """Sets every trained variable of a specification."""
    named = named_weights(variables)
    table = entries(config)
    unknown = sorted(set(named) - {path for entry in table for path in entry.paths})
    if unknown:
        raise CheckpointError(
            f"the model has weights that CTranslate2 has no place for: {', '.join(unknown[:5])}"
            + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
            + "; merge LoRA weights, and export the model as it was before model.quantize()"
        )
    for entry in table:
        arrays = []
        for path in entry.paths:
            if path not in named:
                raise CheckpointError(f"the model lacks the weight {path!r}")
            arrays.append(np.asarray(ops.convert_to_numpy(named[path].value), np.float32))
        # A copy, also of a single array: quantising changes arrays in place, and these may share
        # memory with the model.
        joined = entry.join(arrays)
        if entry.name.endswith("/encodings"):
            # Rows before the first position are never looked at.
            offset = getattr(config, entry.name.partition("/")[0]).embedding.position_offset
            joined = joined[offset:]
        _set(spec, entry.name, np.ascontiguousarray(joined))


def _set(spec: Any, name: str, value: Any) -> None:
    from ctranslate2.specs import model_spec

    scope, _, attribute = name.rpartition("/")
    setattr(model_spec.index_spec(spec, scope), attribute, value)


# --------------------------------------------------------------------------------------
# Vocabularies
# --------------------------------------------------------------------------------------


def _vocabularies(
    config: PresetConfig, preprocessor: Preprocessor | None
) -> tuple[list[str], list[str]]:
    """Returns the tokens of source and target, as many as there are embeddings."""
    sizes = config.architecture.source_vocab_size or 0, config.architecture.target_vocab_size
    if preprocessor is None:
        return [str(i) for i in range(sizes[0])], [str(i) for i in range(sizes[1])]
    sides = []
    for side, size in zip(("source", "target"), sizes, strict=True):
        tokenizer = getattr(preprocessor, side)
        tokens = [token_of(tokenizer, i) for i in range(size)]
        first = {token: i for i, token in reversed(list(enumerate(tokens)))}
        for i, token in enumerate(tokens):
            if first[token] != i:
                raise CheckpointError(
                    f"the {side} tokenizer has {token!r} as id {first[token]} and as id {i}, but "
                    "CTranslate2 knows tokens by their spelling"
                )
        sides.append(tokens)
    return sides[0], sides[1]


def _settings(config: PresetConfig, source: list[str], target: list[str]) -> dict[str, Any]:
    """Returns the special tokens by the names of CTranslate2's `config.json`."""
    ids: SpecialIds = config.special_ids
    eos = target[ids.target.eos]
    check_single_end(config, "CTranslate2")
    if ids.source.eos is not None and source[ids.source.eos] != eos:
        raise CheckpointError(
            f"sources end with {source[ids.source.eos]!r} and targets with {eos!r}, but "
            "CTranslate2 has one end token for both sides"
        )
    start = target[ids.target.decoder_start]
    bos = start if ids.target.bos is None else target[ids.target.bos]
    if ids.source.bos is not None:
        bos = source[ids.source.bos]
    # It has to be in both vocabularies: CTranslate2 adds it to one that lacks it.
    candidates = [source[i] for i in (ids.source.unk, ids.source.pad) if i is not None]
    candidates += [target[i] for i in (ids.target.unk, ids.target.pad) if i is not None]
    unk = next(
        (token for token in [*candidates, *source] if token in source and token in target), None
    )
    if unk is None:
        raise CheckpointError(
            "source and target vocabulary have no token in common, but CTranslate2 needs one that "
            "stands for unknown text in both"
        )
    return {
        "unk_token": unk,
        "bos_token": bos,
        "eos_token": eos,
        "decoder_start_token": start,
        "add_source_bos": ids.source.bos is not None,
        "add_source_eos": ids.source.eos is not None,
    }
