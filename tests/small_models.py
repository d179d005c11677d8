"""Small models that many tests share: every zoo preset made tiny, and what presets leave out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.catalog import list_presets, load_entry, load_preset
from keras_s2s.config import GenerationConfig, PresetConfig, SpecialIds, merge
from keras_s2s.model import Seq2SeqLM

#: Whether the running backend compiles or traces for seconds what PyTorch runs at once.
COMPILES = keras.backend.backend() != "torch"

VOCABULARY = 16
WIDTH = 8

#: Layers of a preset made tiny. Tracing and compiling take as long as there are layers; PyTorch
#: runs two of each, and so do the variants below on every backend.
DEPTH = 1 if COMPILES else 2

SPECIAL_IDS: dict[str, Any] = {
    "source": {"pad": 0, "unk": 1, "eos": 3},
    "target": {"pad": 0, "unk": 1, "decoder_start": 2, "eos": 3},
}


def slow_where_compiled(test: Any) -> Any:
    """Mark a test that no backend, or none more than PyTorch, has a part in: it runs there."""
    return pytest.mark.slow(test) if COMPILES else test


def covered(parameters: Sequence[Any], cover: Sequence[Any]) -> list[Any]:
    """All `parameters` of a test; where compiling takes seconds, those outside `cover` are slow."""
    missing = [parameter for parameter in cover if parameter not in parameters]
    assert not missing, f"a cover names what is not there: {missing}"
    if not COMPILES:
        return list(parameters)
    slow = pytest.mark.slow
    return [
        p if p in cover else pytest.param(*(p if isinstance(p, tuple) else (p,)), marks=slow)
        for p in parameters
    ]


# --------------------------------------------------------------------------------------
# Configurations
# --------------------------------------------------------------------------------------


def shrink(config: PresetConfig) -> PresetConfig:
    """The same architecture with widths, depths and vocabularies of a toy.

    Proportions between the widths of both sides stay, and so does everything that is not a
    size: norm order, positions, cell, bridge, tying. The ids of a public checkpoint, which lie
    anywhere in its vocabulary, become those of the other toys.
    """
    data = config.model_dump()
    architecture = data["architecture"]
    narrowest = min(architecture[side]["hidden_dim"] for side in ("encoder", "decoder"))
    for side in ("encoder", "decoder"):
        part = architecture[side]
        part["hidden_dim"] = part["hidden_dim"] * WIDTH // narrowest
        part["num_layers"] = min(part["num_layers"], DEPTH)
        if part["type"] == "transformer":
            part["num_heads"] = 2
            part["intermediate_dim"] = 12
            part["head_dim"] = part["head_dim"] and 3
        elif (part.get("attention") or {}).get("units") is not None:
            part["attention"]["units"] = 6
        if part["embedding"]["dim"] is not None and part["type"] == "recurrent":
            part["embedding"]["dim"] = WIDTH - 2
        elif part["embedding"]["dim"] is not None:
            part["embedding"]["dim"] = part["hidden_dim"]
        if part["embedding"]["max_positions"] is not None:
            part["embedding"]["max_positions"] = 32
    architecture["source_vocab_size"] = architecture["target_vocab_size"] = VOCABULARY
    data["parameters"] = None
    if config.source is not None:
        data["special_ids"] = SPECIAL_IDS
        data["generation"] = GenerationConfig(max_length=config.generation.max_length)
        data["source"] = None
    return PresetConfig.model_validate(data)


def architectures() -> list[str]:
    """Entries of the zoo that describe an architecture to train."""
    return [name for name in list_presets() if load_entry(name).source is None]


def checkpoints() -> list[str]:
    """Entries of the zoo for public checkpoints that state their sizes."""
    entries = {name: load_entry(name) for name in list_presets()}
    return [
        name
        for name, entry in entries.items()
        if isinstance(entry, PresetConfig) and entry.source is not None
    ]


def checkpoint_of_each_family() -> list[str]:
    """The smallest public checkpoint of each family: others differ from it in sizes alone."""
    smallest: dict[str | None, tuple[int, str]] = {}
    for name in checkpoints():
        entry = load_preset(name)
        size = (entry.parameters or 0, name)
        smallest[entry.family] = min(size, smallest.get(entry.family, size))
    return sorted(name for _, name in smallest.values())


def variant(architecture: Mapping[str, Any], **preset: Any) -> PresetConfig:
    """A preset of its own around `architecture`."""
    sizes = {"source_vocab_size": VOCABULARY, "target_vocab_size": VOCABULARY}
    return PresetConfig.model_validate(
        {
            "description": "A variant for tests.",
            "architecture": merge(sizes, architecture),
            "special_ids": SPECIAL_IDS,
            **preset,
        }
    )


def recurrent(cell: str, **options: Any) -> dict[str, Any]:
    return {"type": "recurrent", "cell": cell, "hidden_dim": WIDTH, **options}


def transformer(**options: Any) -> dict[str, Any]:
    sizes = {"hidden_dim": WIDTH, "num_heads": 2, "intermediate_dim": 12, "num_layers": 2}
    return {"type": "transformer", **sizes, **options}


def attention(score: str, query: str, **options: Any) -> dict[str, Any]:
    return {"context": "attention", "attention": {"score": score, "query": query, **options}}


#: What no preset has.
VARIANTS: dict[str, PresetConfig] = {
    "rnn_additive": variant(
        {
            "encoder": recurrent("rnn"),
            "decoder": recurrent("rnn", **attention("additive", "previous", units=5)),
            "bridge": {"type": "copy"},
        }
    ),
    "lstm_deep_bidirectional_previous": variant(
        {
            "encoder": recurrent("lstm", num_layers=2, bidirectional=True),
            "decoder": recurrent("lstm", num_layers=2, **attention("general", "previous")),
            "bridge": {"type": "dense", "activation": "linear"},
        }
    ),
    "lstm_deep_bidirectional_copy": variant(
        {
            "encoder": recurrent("lstm", num_layers=2, bidirectional=True),
            "decoder": {
                **recurrent("lstm", num_layers=2, **attention("dot", "current")),
                "hidden_dim": 2 * WIDTH,
            },
            "bridge": {"type": "copy"},
        }
    ),
    "gru_luong_without_feeding_zero_bridge": variant(
        {
            "encoder": recurrent("gru"),
            "decoder": recurrent(
                "gru", num_layers=2, embedding={"dim": 5}, **attention("concat", "current", units=4)
            ),
            "bridge": {"type": "zero"},
        }
    ),
    "rnn_every_step": variant(
        {
            "encoder": recurrent("rnn", embedding={"dim": 5, "scale": True, "norm": True}),
            "decoder": recurrent("rnn", context="every_step"),
            "bridge": {"type": "copy"},
            "output": {"tie_embeddings": True, "bias": False},
        }
    ),
    # What models written in PyTorch have beside the papers' equations.
    "lstm_concat_readout_own_bridge": variant(
        {
            "encoder": recurrent("lstm", num_layers=2, bidirectional=True, use_bias=False),
            "decoder": recurrent(
                "lstm",
                num_layers=2,
                embedding={"dim": 5},
                readout="concat",
                **attention("additive", "previous", units=6),
            ),
            "bridge": {"type": "dense", "reads": "own", "shared": True, "activation": "linear"},
        }
    ),
    "gru_plain_readout_top_bridge": variant(
        {
            "encoder": recurrent("gru", num_layers=2, embedding={"dim": 5}),
            "decoder": recurrent(
                "gru",
                readout="hidden",
                embedding={"activation": "relu"},
                **attention("additive", "previous"),
            ),
            "bridge": {"type": "dense", "reads": "top"},
            "output": {"tie_embeddings": True},
        }
    ),
    "rnn_relu_concat_readout_every_step": variant(
        {
            "encoder": recurrent("rnn", activation="relu"),
            "decoder": recurrent("rnn", use_bias=False, context="every_step", readout="concat"),
            "bridge": {"type": "copy"},
        }
    ),
    "lstm_concat_readout_of_attention_after": variant(
        {
            "encoder": recurrent("lstm"),
            "decoder": recurrent(
                "lstm", readout="concat", use_bias=False, **attention("dot", "current")
            ),
            "bridge": {"type": "dense", "reads": "own"},
        }
    ),
    "transformer_encoder_recurrent_decoder": variant(
        {
            "encoder": transformer(norm_order="pre"),
            "decoder": recurrent("gru", **attention("additive", "previous")),
            "bridge": {"type": "dense"},
        }
    ),
    "transformer_encoder_every_step": variant(
        {
            "encoder": transformer(),
            "decoder": recurrent("lstm", context="every_step"),
            "bridge": {"type": "dense", "activation": "relu"},
        }
    ),
    "recurrent_encoder_transformer_decoder": variant(
        {
            "encoder": recurrent("gru", bidirectional=True),
            "decoder": transformer(activation="gelu"),
            "output": {"tie_embeddings": True},
        }
    ),
    "transformer_pre_norm_gated_learned": variant(
        {
            "shared": transformer(
                norm_order="pre",
                activation="silu",
                gated=True,
                use_bias=False,
                embedding={"positions": "learned", "max_positions": 24, "norm": True},
            ),
            "share_embeddings": True,
        }
    ),
    "transformer_post_norm_final_norm_tied": variant(
        {
            "shared": transformer(activation="gelu_tanh", final_norm=True, norm_epsilon=1e-5),
            "decoder": {"num_layers": 1, "num_heads": 4},
            "output": {"tie_embeddings": True},
        }
    ),
    # Few buckets, so that the short sentences of tests have near and far distances.
    "t5_like": variant(
        {
            "shared": transformer(
                norm_order="pre",
                norm="rms",
                use_bias=False,
                scale_attention=False,
                relative_positions={"num_buckets": 6, "max_distance": 5},
                embedding={"positions": "none", "scale": False},
            ),
            "share_embeddings": True,
            "output": {"tie_embeddings": True, "bias": False, "scale": True},
        }
    ),
    "t5_like_per_layer_gated": variant(
        {
            "shared": transformer(
                head_dim=3,
                norm_order="pre",
                norm="rms",
                activation="gelu_tanh",
                gated=True,
                use_bias=False,
                scale_attention=False,
                relative_positions={"num_buckets": 4, "max_distance": 6, "per_layer": True},
                embedding={"positions": "none", "scale": False},
            ),
            "share_embeddings": True,
            "output": {"bias": False},
        }
    ),
    # What Marian trains: no start token, steps in any order, students with an SSRU.
    "marian_like": variant(
        {
            "shared": transformer(
                norm_order="steps",
                steps={"before": "n", "after": "nda"},
                activation="gelu_sigmoid",
                final_norm=True,
                embedding={
                    "positions": "sinusoidal",
                    "sinusoids": "tensor2tensor",
                    "scale": True,
                    "norm": True,
                },
            ),
            "decoder": {
                "intermediate_dim": 10,
                "residual_keys": True,
                "embedding": {"zero_start": True},
            },
            "share_embeddings": True,
        }
    ),
    "ssru_student": variant(
        {
            "shared": transformer(
                activation="silu",
                dropout=0.1,
                embedding={"positions": "sinusoidal", "sinusoids": "tensor2tensor", "scale": True},
            ),
            "decoder": {"type": "ssru", "embedding": {"zero_start": True}},
            "share_embeddings": True,
            "output": {"tie_embeddings": True},
        }
    ),
    "ssru_pre_norm_projected": variant(
        {
            "encoder": transformer(norm_order="pre"),
            "decoder": transformer(type="ssru", norm_order="pre", ssru_projection=True),
        }
    ),
    "nematus_like": variant(
        {
            "encoder": {
                "type": "deep_recurrent",
                "hidden_dim": 6,
                "cell_depth": 2,
                "norm": "nematus",
                "embedding": {"dim": 5},
            },
            "decoder": {
                "type": "conditional",
                "hidden_dim": 6,
                "norm": "nematus",
                "cell_depth": 3,
                "readout_norm": "nematus",
                "embedding": {"dim": 5, "zero_start": True},
            },
            "output": {"tie_embeddings": True},
        }
    ),
    "conditional_lstm": variant(
        {
            "encoder": {
                "type": "deep_recurrent",
                "hidden_dim": 6,
                "cell": "lstm",
                "num_layers": 3,
                "norm": "scale",
                "skip": True,
                "direction": "bi_unidirectional",
            },
            "decoder": {
                "type": "conditional",
                "hidden_dim": 6,
                "cell": "lstm",
                "num_layers": 2,
                "upper_cell_depth": 2,
                "norm": "scale",
                "readout_norm": "scale",
                "skip": True,
            },
        }
    ),
    "conditional_alternating": variant(
        {
            "encoder": {
                "type": "deep_recurrent",
                "hidden_dim": 6,
                "num_layers": 2,
                "direction": "alternating",
            },
            "decoder": {"type": "conditional", "hidden_dim": 6},
        }
    ),
    "m2m_like": variant(
        {
            "shared": transformer(
                norm_order="pre",
                norm_epsilon=1e-5,
                embedding={
                    "positions": "sinusoidal",
                    "sinusoids": "tensor2tensor",
                    "position_offset": 2,
                    "scale": True,
                },
            ),
            "share_embeddings": True,
            "output": {"tie_embeddings": True, "bias": False},
        }
    ),
    "bart_like": variant(
        {
            "shared": transformer(
                activation="gelu",
                norm_epsilon=1e-5,
                embedding={
                    "positions": "learned",
                    "max_positions": 24,
                    "position_offset": 2,
                    "norm": True,
                },
            ),
            "share_embeddings": True,
            "output": {"tie_embeddings": True},
        }
    ),
    "transformer_norm_before_positions": variant(
        {
            "encoder": transformer(
                embedding={
                    "positions": "sinusoidal",
                    "sinusoids": "halves",
                    "norm": True,
                    "norm_epsilon": 0.1,
                }
            ),
            "decoder": transformer(
                embedding={
                    "positions": "learned",
                    "max_positions": 24,
                    "norm": True,
                    "norm_place": "before_positions",
                }
            ),
        }
    ),
}


# --------------------------------------------------------------------------------------
# Models
# --------------------------------------------------------------------------------------


def randomise(model: keras.Layer, seed: int = 0, scale: float = 1.0) -> None:
    """Give every weight a random value, biases and norms included: the same on every backend.

    A bias of zero or a gain of one hides a term that is left out.
    """
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape = tuple(variable.shape)
        name = variable.path.rsplit("/", 1)[-1]
        if name in ("gamma", "scale"):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) < 2:
            value = rng.normal(0, 0.3, shape)
        else:
            value = rng.normal(0, scale * shape[0] ** -0.5, shape)
        if "embeddings" in name:
            value = rng.normal(0, scale * shape[1] ** -0.5, shape)
        variable.assign(value.astype("float32"))


def randomise_layer(layer: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights for a built layer; returns them by their path inside it."""
    randomise(layer, seed)
    return {
        variable.path.removeprefix(f"{layer.name}/"): to_numpy(variable.value)
        for variable in layer.weights
    }


def make_model(config: PresetConfig, seed: int = 0, scale: float = 1.0) -> Seq2SeqLM:
    """A model with random weights that do not depend on the backend."""
    model = Seq2SeqLM(config)
    randomise(model, seed, scale)
    return model


def shrunken_preset(name: str) -> PresetConfig:
    return shrink(load_preset(name))


def without_dropout(config: PresetConfig) -> PresetConfig:
    """The same preset with every rate of dropout at 0."""

    def cleared(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        return {k: 0.0 if k.endswith("dropout") else cleared(v) for k, v in part.items()}

    return PresetConfig.model_validate(cleared(config.model_dump()))


def with_special_ids(config: PresetConfig, **target: Any) -> PresetConfig:
    """`config` with other ids on the target's side."""
    data = config.model_dump()
    data["special_ids"]["target"].update(target)
    return PresetConfig.model_validate(data)


# --------------------------------------------------------------------------------------
# Inputs
# --------------------------------------------------------------------------------------


def padded(rows: Sequence[Sequence[int]], pad: int, length: int | None = None) -> Any:
    """Rows of ids as `(ids, mask)`, NumPy arrays `[B, length]`."""
    length = length or max(map(len, rows))
    ids = np.full((len(rows), length), pad, "int32")
    mask = np.zeros((len(rows), length), bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, True
    return ids, mask


def model_inputs(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    special_ids: SpecialIds,
    *,
    source_length: int | None = None,
    target_length: int | None = None,
) -> dict[str, np.ndarray]:
    """The four inputs of a model; `targets` are decoder inputs, the start included."""
    encoder_ids, encoder_mask = padded(sources, special_ids.source.pad, source_length)
    decoder_ids, decoder_mask = padded(targets, special_ids.target.pad, target_length)
    return {
        "encoder_token_ids": encoder_ids,
        "encoder_padding_mask": encoder_mask,
        "decoder_token_ids": decoder_ids,
        "decoder_padding_mask": decoder_mask,
    }


def source_mapping(rows: Sequence[Sequence[int]], pad: int = 0) -> dict[str, np.ndarray]:
    """Source ids as `generate` takes them from a model without a tokenizer."""
    ids, mask = padded(rows, pad)
    return {"encoder_token_ids": ids, "encoder_padding_mask": mask}


class Probe:
    """A model's network, move by move, with NumPy arrays in and out.

    Under JAX each move is compiled once for each shape (a recurrent layer compiles its loop at
    every eager call); TensorFlow and PyTorch run eagerly.
    """

    def __init__(self, model: Seq2SeqLM) -> None:
        self.model = model
        self.network = model.network
        self._compiled: dict[Any, Any] = {}

    def call(self, key: Any, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`, compiled under `key` where the backend compiles."""
        backend = keras.backend.backend()
        if backend == "jax":
            import jax

            variables = self.model.variables
            if key not in self._compiled:

                def stateless(weights: Any, args: Any) -> Any:
                    mapping = list(zip(variables, weights, strict=True))
                    with keras.StatelessScope(state_mapping=mapping):
                        return function(*args)

                self._compiled[key] = jax.jit(stateless)
            return self._compiled[key]([v.value for v in variables], args)
        args = keras.tree.map_structure(
            lambda leaf: leaf if leaf is None else ops.convert_to_tensor(leaf), args
        )
        if backend == "torch":
            import torch

            with torch.no_grad():
                return function(*args)
        return function(*args)

    def logits(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """Teacher-forced logits `[B, T, V]`."""
        return to_numpy(self.call("logits", self.network.logits, dict(inputs)))

    def logits_and_attention(self, inputs: Mapping[str, Any]) -> Any:
        """Teacher-forced logits `[B, T, V]` and attention `[B, T, S]` or None."""
        return to_numpy(self.call("attention", self.network.logits_and_attention, dict(inputs)))

    def encode(self, inputs: Mapping[str, Any]) -> Any:
        """The memory, of the backend's tensors."""
        sources = {k: v for k, v in inputs.items() if k.startswith("encoder")}
        return self.call("encode", self.network.encode, sources)

    def start(self, memory: Any, capacity: int, beams: int) -> Any:
        """A state in which each source has `beams` rows."""
        sources = memory.mask.shape[0]

        def function(memory: Any) -> Any:
            state = self.network.init_state(memory, capacity)
            return self.network.reorder(state, np.repeat(np.arange(sources, dtype="int32"), beams))

        return self.call(("start", capacity, beams), function, memory)

    def step(self, tokens: Any, state: Any, index: int) -> Any:
        """`(logits [R, V], state, attention [R, S] or None)`; the state stays on the backend."""

        def function(tokens: Any, state: Any, index: Any) -> Any:
            return tuple(self.network.step(tokens, state, index, want_attention=True))[:3]

        tokens, index = np.asarray(tokens, "int32"), np.asarray(index, "int32")
        logits, state, attention = self.call("step", function, tokens, state, index)
        return to_numpy(logits), state, to_numpy(attention)

    def step_several(self, tokens: Any, state: Any, starts: Any) -> Any:
        """`(logits [B, T, V], state)`; the state stays on the backend."""
        tokens, starts = np.asarray(tokens, "int32"), np.asarray(starts, "int32")
        logits, state = self.call("step_several", self.network.step_several, tokens, state, starts)
        return to_numpy(logits), state


def to_numpy(tree: Any) -> Any:
    """Every tensor of a tree as a NumPy array; None stays."""
    return keras.tree.map_structure(
        lambda leaf: None if leaf is None else np.asarray(ops.convert_to_numpy(leaf)), tree
    )
