"""A model of transformers that holds the weights of one of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
from small_models import DEPTH, to_numpy, transformer, variant

from keras_s2s.config import PresetConfig
from keras_s2s.model import Seq2SeqLM

VOCABULARY = 24
MAX_POSITIONS = 40


def marian_like() -> PresetConfig:
    """Post-norm, sinusoidal positions, scaled and shared embeddings, no output bias."""
    return variant(
        {
            "source_vocab_size": VOCABULARY,
            "target_vocab_size": VOCABULARY,
            "shared": transformer(
                hidden_dim=16,
                num_layers=DEPTH,
                num_heads=4,
                intermediate_dim=24,
                norm_epsilon=1e-5,
                embedding={"positions": "sinusoidal", "scale": True},
            ),
            "share_embeddings": True,
            "output": {"tie_embeddings": True, "bias": False},
        },
        # transformers takes a PAD of 0 for none, and fills up with EOS.
        special_ids={
            "source": {"pad": 1, "unk": 0, "eos": 3},
            "target": {"pad": 1, "unk": 0, "decoder_start": 2, "eos": 3},
        },
    )


def bart_like() -> PresetConfig:
    """Post-norm, learned positions, normalised embeddings, GELU, an output bias; EOS starts."""
    return variant(
        {
            "source_vocab_size": VOCABULARY,
            "target_vocab_size": VOCABULARY,
            "shared": transformer(
                hidden_dim=16,
                num_layers=DEPTH,
                num_heads=2,
                intermediate_dim=24,
                activation="gelu",
                norm_epsilon=1e-5,
                embedding={
                    "positions": "learned",
                    "max_positions": MAX_POSITIONS,
                    "norm": True,
                },
            ),
            "share_embeddings": True,
            "output": {"tie_embeddings": True, "bias": True},
        },
        special_ids={
            "source": {"pad": 1, "unk": 3, "eos": 2, "bos": 0},
            "target": {"pad": 1, "unk": 3, "decoder_start": 2, "eos": 2, "bos": 0},
        },
    )


def twin(model: Seq2SeqLM) -> Any:
    """The same network with the same weights in transformers."""
    import torch
    import transformers

    architecture = model.preset.architecture
    encoder, decoder = architecture.encoder, architecture.decoder
    learned = encoder.embedding.positions == "learned"
    special = model.special_ids.target
    options: dict[str, Any] = dict(
        vocab_size=architecture.target_vocab_size,
        d_model=encoder.hidden_dim,
        encoder_layers=encoder.num_layers,
        decoder_layers=decoder.num_layers,
        encoder_attention_heads=encoder.num_heads,
        decoder_attention_heads=decoder.num_heads,
        encoder_ffn_dim=encoder.intermediate_dim,
        decoder_ffn_dim=decoder.intermediate_dim,
        activation_function=encoder.activation,
        scale_embedding=encoder.embedding.scale,
        max_position_embeddings=MAX_POSITIONS,
        pad_token_id=special.pad,
        eos_token_id=special.eos,
        decoder_start_token_id=special.decoder_start,
        bos_token_id=special.bos,
        forced_eos_token_id=None,
        dropout=0.0,
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    if learned:
        other = transformers.BartForConditionalGeneration(transformers.BartConfig(**options))
    else:
        other = transformers.MarianMTModel(
            transformers.MarianConfig(**options, decoder_vocab_size=VOCABULARY)
        )
    other.eval()

    state = {}
    ours = {v.path: to_numpy(v.value) for v in model.weights}
    used = set()

    def take(path: str) -> np.ndarray:
        matches = [name for name in ours if name == path or name.endswith("/" + path)]
        assert len(matches) == 1, (path, matches, sorted(ours))
        used.add(matches[0])
        return ours[matches[0]]

    def linear(to: str, path: str) -> None:
        state[f"{to}.weight"], state[f"{to}.bias"] = take(f"{path}/kernel").T, take(f"{path}/bias")

    def norm(to: str, path: str) -> None:
        state[f"{to}.weight"], state[f"{to}.bias"] = take(f"{path}/gamma"), take(f"{path}/beta")

    table = take("token_table/embeddings")
    for name in ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens"):
        state[f"{name}.weight"] = table
    state["lm_head.weight"] = table
    for side, name in (("encoder", "source"), ("decoder", "target")):
        if learned:
            # Two unused rows come first in this family.
            positions = take(f"{name}_embedding/positions/embeddings")
            state[f"model.{side}.embed_positions.weight"] = np.concatenate(
                [np.zeros((2, positions.shape[1]), "float32"), positions]
            )
            norm(f"model.{side}.layernorm_embedding", f"{name}_embedding/norm")
        else:
            state[f"model.{side}.embed_positions.weight"] = interleaved(encoder.hidden_dim)
        for i in range(encoder.num_layers):
            here, there = f"{side}/layer_{i}", f"model.{side}.layers.{i}"
            attentions = [("self_attn", "self_attention")]
            if side == "decoder":
                attentions.append(("encoder_attn", "cross_attention"))
            for theirs, own in attentions:
                for to, part in (
                    ("q_proj", "query"),
                    ("k_proj", "key"),
                    ("v_proj", "value"),
                    ("out_proj", "output"),
                ):
                    linear(f"{there}.{theirs}.{to}", f"{here}/{own}/{part}")
                norm(f"{there}.{theirs}_layer_norm", f"{here}/{own}_norm")
            linear(f"{there}.fc1", f"{here}/feed_forward/inner")
            linear(f"{there}.fc2", f"{here}/feed_forward/outer")
            norm(f"{there}.final_layer_norm", f"{here}/feed_forward_norm")
    bias = np.zeros((1, architecture.target_vocab_size), "float32")
    if architecture.output.bias:
        bias = take("logits/bias")[None]
    state["final_logits_bias"] = bias
    assert used == set(ours), f"weights without a place: {sorted(set(ours) - used)}"
    tensors = {
        name: torch.from_numpy(np.array(value, dtype="float32", order="C"))
        for name, value in state.items()
    }
    missing, unexpected = other.load_state_dict(tensors, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    return other


def interleaved(dim: int) -> np.ndarray:
    """Sines and cosines side by side, `[MAX_POSITIONS, dim]` [Vaswani 2017, section 3.5]."""
    positions = np.arange(MAX_POSITIONS, dtype="float64")[:, None]
    angles = positions / 10000.0 ** (np.arange(0, dim, 2) / dim)
    table = np.empty((MAX_POSITIONS, dim))
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles)
    return table.astype("float32")
