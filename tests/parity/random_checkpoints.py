"""Random checkpoints of every family that the zoo knows, made by transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.checkpoints.huggingface.family import families_by_model_type, family_tables

#: What each family is tried with; sizes that no published model has. A family's own keys decide
#: which list it has, so that a new file in the zoo is tried by being there.
BART_LIKE: dict[str, dict[str, Any]] = {
    "shallow": dict(
        vocab_size=41,
        d_model=12,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=3,
        decoder_attention_heads=2,
        encoder_ffn_dim=20,
        decoder_ffn_dim=28,
        activation_function="relu",
        scale_embedding=True,
        max_position_embeddings=40,
    ),
    "deep": dict(
        vocab_size=29,
        d_model=20,
        encoder_layers=3,
        decoder_layers=1,
        encoder_attention_heads=5,
        decoder_attention_heads=1,
        encoder_ffn_dim=8,
        decoder_ffn_dim=36,
        activation_function="swish",
        scale_embedding=False,
        max_position_embeddings=33,
        pad_token_id=3,
        bos_token_id=4,
        eos_token_id=5,
        decoder_start_token_id=6,
    ),
    "untied": dict(
        vocab_size=23,
        d_model=8,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=1,
        decoder_attention_heads=4,
        encoder_ffn_dim=12,
        decoder_ffn_dim=12,
        activation_function="gelu",
        max_position_embeddings=50,
        tie_word_embeddings=False,
    ),
}

T5_LIKE: dict[str, dict[str, Any]] = {
    "shallow": dict(
        vocab_size=31,
        d_model=12,
        d_kv=5,
        d_ff=20,
        num_layers=2,
        num_decoder_layers=1,
        num_heads=3,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=12,
        feed_forward_proj="relu",
    ),
    "gated": dict(
        vocab_size=43,
        d_model=10,
        d_kv=4,
        d_ff=14,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=5,
        relative_attention_num_buckets=6,
        relative_attention_max_distance=9,
        feed_forward_proj="gated-gelu",
        layer_norm_epsilon=1e-5,
        pad_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=4,
    ),
    "untied": dict(
        vocab_size=37,
        d_model=8,
        d_kv=6,
        d_ff=10,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-silu",
        tie_word_embeddings=False,
    ),
}

#: Beside the lists: what only one family has.
OWN: dict[str, dict[str, dict[str, Any]]] = {
    "marian": {
        "separate": dict(
            BART_LIKE["shallow"],
            decoder_vocab_size=33,
            share_encoder_decoder_embeddings=False,
            pad_token_id=32,
            eos_token_id=0,
            decoder_start_token_id=32,
        )
    },
}

#: Ids that a folder needs where the family's defaults lie beyond a small vocabulary, or unset.
SMALL_IDS = {
    "marian": dict(pad_token_id=22, decoder_start_token_id=22, eos_token_id=0),
    "mbart": dict(decoder_start_token_id=7),
    "plbart": dict(decoder_start_token_id=7),
    "t5": dict(decoder_start_token_id=0),
}


def families() -> list[str]:
    """Families of the zoo that have tables."""
    return sorted(families_by_model_type().values())


def cases(family: str) -> dict[str, dict[str, Any]]:
    """Settings by name for a family."""
    tables = family_tables(family)
    assert tables is not None
    shared = T5_LIKE if "d_kv" in tables.config else BART_LIKE
    return {**shared, **OWN.get(family, {})}


def all_cases() -> list[tuple[str, str]]:
    return [(family, case) for family in families() for case in cases(family)]


def make(family: str, case: str, seed: int = 0) -> Any:
    """A model of transformers with weights that leave no decision close."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    tables = family_tables(family)
    assert tables is not None
    settings = {**SMALL_IDS.get(family, {}), **cases(family)[case]}
    config_class = transformers.AutoConfig.for_model(tables.model_type).__class__
    config = config_class(**settings, attn_implementation="eager")
    torch.manual_seed(seed)
    model = getattr(transformers, tables.model_class)(config).eval()
    untied = settings.get("tie_word_embeddings") is False
    if untied and "d_kv" in tables.config:
        # This family's class ties whatever the configuration says; tensors untie.
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    randomise(model, tables, seed)
    return model


def randomise(model: Any, tables: Any, seed: int = 0) -> None:
    """Give every weight a value that matters, and leave what is computed."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in tables.sinusoids:
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(noise * (0.6 if parameter.ndim > 1 else 0.2))
        for name, buffer in model.named_buffers():
            if name == "final_logits_bias":
                buffer.copy_(torch.randn(buffer.shape, generator=generator))


def save(model: Any, folder: Path, **generation: Any) -> Path:
    """Write it as transformers does, with generation defaults of its own."""
    for key, value in generation.items():
        setattr(model.generation_config, key, value)
    model.save_pretrained(folder)
    return folder


def batch(model: Any, rows: int = 4, seed: int = 1) -> dict[str, np.ndarray]:
    """Padded ids for teacher forcing: sources and labels of several lengths, EOS at each end."""
    rng = np.random.default_rng(seed)
    config = model.config
    pad, eos = config.pad_token_id, config.eos_token_id
    special = {pad, eos}
    special |= {getattr(config, f"{key}_token_id", None) for key in ("bos", "decoder_start")}
    target_size = getattr(config, "decoder_vocab_size", None) or config.vocab_size
    lengths = {"source": [7, 3, 1, 5][:rows], "target": [4, 6, 2, 5][:rows]}

    def fill(size: int, wanted: list[int]) -> np.ndarray:
        words = [i for i in range(size) if i not in special]
        ids = np.full((rows, max(wanted) + 1), pad, "int64")
        for row, length in enumerate(wanted):
            ids[row, :length] = rng.choice(words, length)
            ids[row, length] = eos
        return ids

    source = fill(config.vocab_size, lengths["source"])
    labels = fill(target_size, lengths["target"])
    return {
        "source": source,
        "source_mask": np.arange(source.shape[1])[None] <= np.array(lengths["source"])[:, None],
        "labels": labels,
        "target_mask": np.arange(labels.shape[1])[None] <= np.array(lengths["target"])[:, None],
    }


def inputs_of(other: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Our inputs, shifted by hand, and the batch that they are made of."""
    ids = batch(other)
    start = getattr(other.config, "decoder_start_token_id", None)
    if start is None:
        start = other.config.pad_token_id  # T5's own rule
    shifted = np.concatenate(
        [np.full((len(ids["labels"]), 1), start), ids["labels"][:, :-1]], axis=1
    )
    ours = {
        "encoder_token_ids": ids["source"].astype("int32"),
        "encoder_padding_mask": ids["source_mask"],
        "decoder_token_ids": shifted.astype("int32"),
        "decoder_padding_mask": ids["target_mask"],
    }
    return ours, ids
