"""Random encoder-decoders of two halves, made by transformers, of every half that the zoo knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.checkpoints.huggingface.family import (
    families_by_model_type,
    family_tables,
    half_families_by_model_type,
)

VOCABULARY = {"encoder": 41, "decoder": 37}
#: Ids of a pair, none of which is its family's default.
IDS = dict(pad_token_id=3, bos_token_id=4, eos_token_id=5, decoder_start_token_id=6)

#: Sizes by the keys that a family has, of each side; widths of encoder and decoder may differ.
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "hidden_size": {
        "encoder": dict(
            hidden_size=12,
            num_hidden_layers=3,
            num_attention_heads=3,
            intermediate_size=20,
            max_position_embeddings=33,
            hidden_act="relu",
        ),
        "decoder": dict(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=28,
            max_position_embeddings=40,
            hidden_act="gelu_new",
            layer_norm_eps=1e-6,
        ),
    },
    "n_layers": {
        "encoder": dict(dim=12, n_layers=2, n_heads=2, hidden_dim=20, max_position_embeddings=33),
    },
    "n_embd": {
        "decoder": dict(
            n_embd=12, n_layer=3, n_head=3, n_inner=20, n_positions=40, activation_function="relu"
        ),
    },
    "d_model": {
        "decoder": dict(
            d_model=16,
            decoder_layers=2,
            decoder_attention_heads=4,
            decoder_ffn_dim=24,
            max_position_embeddings=40,
        ),
    },
}

#: What only one family has.
OWN: dict[str, dict[str, Any]] = {
    "albert": dict(num_hidden_layers=5, num_hidden_groups=2, embedding_size=7),
    "electra": dict(embedding_size=8),
}


def halves(side: str) -> list[str]:
    """Families of which transformers has a class for this side alone."""
    names = [*half_families_by_model_type().values(), *families_by_model_type().values()]
    found = [name for name in names if (tables := family_tables(name)) and tables.halves.get(side)]
    return sorted(found)


def all_pairs() -> list[tuple[str, str]]:
    """Every encoder with BERT, every decoder with BERT, and two more."""
    found = [(one, "bert") for one in halves("encoder")]
    found += [("bert", other) for other in halves("decoder")]
    found += [("albert", "gpt2"), ("roberta", "xlm_roberta")]
    return sorted(set(found))


def half_config(family: str, side: str, **changes: Any) -> Any:
    """A small configuration of transformers for one side."""
    import transformers

    tables = family_tables(family)
    assert tables is not None
    sizes = next(each[side] for key, each in SIZES.items() if key in tables.config)
    known: dict[str, Any] = {**sizes, **OWN.get(family, {}), "vocab_size": VOCABULARY[side]}
    known |= {key: i for key, i in IDS.items() if key != "decoder_start_token_id"}
    if side == "decoder":
        known |= {"is_decoder": True, "add_cross_attention": True}
    config_class = transformers.AutoConfig.for_model(tables.model_type).__class__
    return config_class(**{**known, **changes})


def make_pair(encoder: str, decoder: str, seed: int = 0, **changes: Any) -> Any:
    """An EncoderDecoderModel with weights that leave no decision close.

    Args:
        changes: of both halves' configurations.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(
        half_config(encoder, "encoder", **changes), half_config(decoder, "decoder", **changes)
    )
    for key, value in IDS.items():
        setattr(config, key, value)
    model = transformers.EncoderDecoderModel(config).eval()
    randomise(model, seed)
    for key, value in IDS.items():
        setattr(model.generation_config, key, value)
    return model


def randomise(model: Any, seed: int = 0, scale: float = 0.6) -> None:
    """Give every weight a value that matters."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    fixed = ("embed_positions",)  # sinusoids of Marian and Pegasus
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in fixed) and not parameter.requires_grad:
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            lower = name.lower()
            if ("norm" in lower or ".ln_" in lower) and name.endswith("weight"):
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(noise * (scale if parameter.ndim > 1 else 0.2))


def save_pair(model: Any, folder: Path) -> Path:
    """Write it as transformers does."""
    model.save_pretrained(folder)
    return folder


def batch(rows: int = 4, seed: int = 1) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Our inputs, padded and shifted by hand, and the batch that they are made of."""
    rng = np.random.default_rng(seed)
    lengths = {"source": [7, 3, 1, 5][:rows], "target": [4, 6, 2, 5][:rows]}
    special = set(IDS.values()) | {0, 1, 2}

    def fill(size: int, wanted: list[int]) -> np.ndarray:
        words = [i for i in range(size) if i not in special]
        ids = np.full((rows, max(wanted) + 1), IDS["pad_token_id"], "int64")
        for row, length in enumerate(wanted):
            ids[row, :length] = rng.choice(words, length)
            ids[row, length] = IDS["eos_token_id"]
        return ids

    source = fill(VOCABULARY["encoder"], lengths["source"])
    labels = fill(VOCABULARY["decoder"], lengths["target"])
    masks = {
        "source": np.arange(source.shape[1])[None] <= np.array(lengths["source"])[:, None],
        "target": np.arange(labels.shape[1])[None] <= np.array(lengths["target"])[:, None],
    }
    start = np.full((rows, 1), IDS["decoder_start_token_id"])
    shifted = np.concatenate([start, labels[:, :-1]], axis=1)
    ours = {
        "encoder_token_ids": source.astype("int32"),
        "encoder_padding_mask": masks["source"],
        "decoder_token_ids": shifted.astype("int32"),
        "decoder_padding_mask": masks["target"],
    }
    return ours, {"labels": labels, "target_mask": masks["target"]}


def outputs_there(model: Any, ours: dict[str, np.ndarray], labels: np.ndarray | None = None) -> Any:
    """transformers' output for our inputs, with explicit masks."""
    import torch

    return model(
        input_ids=torch.from_numpy(ours["encoder_token_ids"]).long(),
        attention_mask=torch.from_numpy(ours["encoder_padding_mask"]).long(),
        decoder_input_ids=torch.from_numpy(ours["decoder_token_ids"]).long(),
        decoder_attention_mask=torch.from_numpy(ours["decoder_padding_mask"]).long(),
        labels=None if labels is None else torch.from_numpy(labels),
    )
