"""The one model that every engine runs: its sizes, its weights, and their names elsewhere.

The weights are kept in a file under the names they have in transformers (Marian, or Pegasus
where blocks normalise first), made here with NumPy or read from one of our preset folders.
Nothing here needs a backend; `build` makes models of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

MODEL_FILE = "model.json"
STATE_FILE = "state.safetensors"
OUTPUT_BIAS = "final_logits_bias"

#: Rows of the position tables of the other engines; ours computes positions.
POSITIONS = 1024

#: Standard deviation of the logits of random weights: about as decided as a trained model, so
#: that rounding rarely changes a choice.
LOGITS_DEVIATION = 5.0

SIZES: dict[str, dict[str, int]] = {
    "marian": {"layers": 6, "hidden": 512, "heads": 8, "ffn": 2048, "vocabulary": 32_000},
    "tiny": {"layers": 2, "hidden": 32, "heads": 4, "ffn": 64, "vocabulary": 1_000},
}


class BenchmarkError(ValueError):
    """Something the person who runs the benchmark can put right; shown without a traceback."""


@dataclass(frozen=True)
class Model:
    """Sizes and ids of a Transformer with one table for source, target and output.

    Attributes:
        preset: a folder that `save_to_preset` wrote; None for random weights.
        immovable: why only keras_s2s can run this model; None where the others can, too.
    """

    encoder_layers: int
    decoder_layers: int
    hidden: int
    heads: int
    ffn: int
    vocabulary: int
    activation: str = "relu"
    pre_norm: bool = False
    scale: bool = True
    output_bias: bool = False
    norm_epsilon: float = 1e-5
    # The ids that tokenizers trained by keras_s2s have.
    pad: int = 0
    unk: int = 1
    decoder_start: int = 2
    eos: int = 3
    preset: str | None = None
    immovable: str | None = None

    @classmethod
    def read(cls, folder: Path) -> Model:
        """Read what `write` wrote into `folder`."""
        return cls(**json.loads((folder / MODEL_FILE).read_text(encoding="utf-8")))

    def write(self, folder: Path, state: Mapping[str, np.ndarray] | None) -> None:
        """Write the description and, where there is one, the state into `folder`."""
        from safetensors.numpy import save_file

        if state is not None:
            save_file(dict(state), folder / STATE_FILE)
        (folder / MODEL_FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @property
    def decoder_multiplications(self) -> int:
        """Multiply-adds with weights in one step of one row, the output projection included.

        Keys and values of cross-attention are computed once a source and do not count;
        neither do the attentions themselves.
        """
        attention, cross = 4 * self.hidden**2, 2 * self.hidden**2
        block = attention + cross + 2 * self.hidden * self.ffn
        return self.decoder_layers * block + self.hidden * self.vocabulary


# --------------------------------------------------------------------------------------
# Names
# --------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A weight: its name in transformers, its path in our model, its shape there, its kind.

    Kinds are "table" `[V, D]`, "matrix" `[out, in]` (ours is `[in, out]`), "gain" and "bias".
    """

    name: str
    path: str
    shape: tuple[int, ...]
    kind: str


def entries(model: Model) -> Iterator[Entry]:
    """Every weight of `model` that is stored once."""
    d, f = model.hidden, model.ffn
    yield Entry("model.shared.weight", "token_table/embeddings", (model.vocabulary, d), "table")
    for side, layers in (("encoder", model.encoder_layers), ("decoder", model.decoder_layers)):
        for i in range(layers):
            there, here = f"model.{side}.layers.{i}", f"{side}/layer_{i}"
            attentions = [("self_attn", "self_attention")]
            if side == "decoder":
                attentions.append(("encoder_attn", "cross_attention"))
            for theirs, ours in attentions:
                for to, part in (
                    ("q_proj", "query"),
                    ("k_proj", "key"),
                    ("v_proj", "value"),
                    ("out_proj", "output"),
                ):
                    yield from _linear(f"{there}.{theirs}.{to}", f"{here}/{ours}/{part}", d, d)
                yield from _norm(f"{there}.{theirs}_layer_norm", f"{here}/{ours}_norm", d)
            yield from _linear(f"{there}.fc1", f"{here}/feed_forward/inner", d, f)
            yield from _linear(f"{there}.fc2", f"{here}/feed_forward/outer", f, d)
            yield from _norm(f"{there}.final_layer_norm", f"{here}/feed_forward_norm", d)
        if model.pre_norm:
            yield from _norm(f"model.{side}.layer_norm", f"{side}/norm", d)
    if model.output_bias:
        yield Entry(OUTPUT_BIAS, "logits/bias", (model.vocabulary,), "bias")


def _linear(name: str, path: str, inputs: int, outputs: int) -> Iterator[Entry]:
    yield Entry(f"{name}.weight", f"{path}/kernel", (outputs, inputs), "matrix")
    yield Entry(f"{name}.bias", f"{path}/bias", (outputs,), "bias")


def _norm(name: str, path: str, width: int) -> Iterator[Entry]:
    yield Entry(f"{name}.weight", f"{path}/gamma", (width,), "gain")
    yield Entry(f"{name}.bias", f"{path}/beta", (width,), "bias")


def position_table(model: Model) -> np.ndarray:
    """Sines and cosines side by side, `[POSITIONS, D]` [Vaswani 2017, section 3.5]."""
    angles = np.arange(POSITIONS)[:, None] / 10000.0 ** (
        np.arange(0, model.hidden, 2) / model.hidden
    )
    # [P, D/2, 2] -> [P, D]
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(POSITIONS, -1)
    return table[:, : model.hidden].astype("float32")


# --------------------------------------------------------------------------------------
# Weights
# --------------------------------------------------------------------------------------


def random_state(model: Model, seed: int) -> dict[str, np.ndarray]:
    """Random weights by their names in transformers; the same on every machine.

    Feed-forwards outweigh attention, so that each step depends on the id before it and a
    sequence does not run into a loop of one id. An output bias is zero: see `helpers.Calibrate`.
    """
    rng = np.random.default_rng(seed)
    last_norm = f"model.decoder.layers.{model.decoder_layers - 1}.final_layer_norm.weight"
    state = {}
    for name, _, shape, kind in entries(model):
        value = rng.standard_normal(shape, dtype=np.float32)
        if kind == "bias":
            value *= 0.05
        elif kind == "gain":
            value = 1 + 0.1 * value
            if name == last_norm:
                value *= LOGITS_DEVIATION
        else:
            value *= _gain(name) * shape[1] ** -0.5
            if "fc2" in name:
                # What comes out of a ReLU is positive: without this, every position would get
                # the same large vector added in every layer, and soon all would be alike.
                value -= value.mean(axis=1, keepdims=True)
        if name == OUTPUT_BIAS:
            value[:] = 0
        state[name] = value
    return state


def _gain(name: str) -> float:
    if "q_proj" in name or "k_proj" in name:
        return 1.7  # scores with a deviation of 3: a few places get most of the attention
    # What attention brings is much the same at each step, what a feed-forward brings is not.
    return 0.5 if "out_proj" in name else 3.5 if "fc2" in name else 1.0


def from_preset(folder: Path) -> tuple[Model, dict[str, np.ndarray] | None]:
    """The model of a preset folder, and its weights by their names in transformers.

    The weights are None where no other engine can run them; the model says why.

    Raises:
        BenchmarkError: the folder is not a preset folder, or its weights are incomplete.
    """
    config_file = folder / "preset.yaml"
    if not config_file.is_file():
        raise BenchmarkError(
            f"--model {folder}: there is no preset.yaml in it; give a folder that "
            "model.save_to_preset or `keras-s2s train` wrote"
        )
    config = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    architecture, special = config["architecture"], config["special_ids"]
    encoder, decoder = architecture["encoder"], architecture["decoder"]
    output = architecture.get("output", {})
    model = Model(
        encoder_layers=encoder.get("num_layers", 1),
        decoder_layers=decoder.get("num_layers", 1),
        hidden=decoder["hidden_dim"],
        heads=decoder.get("num_heads", 0),
        ffn=decoder.get("intermediate_dim", 0),
        vocabulary=architecture["target_vocab_size"],
        activation=decoder.get("activation", ""),
        pre_norm=decoder.get("norm_order") == "pre",
        scale=decoder.get("embedding", {}).get("scale", False),
        output_bias=output.get("bias", True),
        norm_epsilon=decoder.get("norm_epsilon", 0.0),
        pad=special["target"]["pad"],
        unk=special["target"].get("unk") or 0,
        decoder_start=special["target"]["decoder_start"],
        eos=special["target"]["eos"],
        preset=str(folder.resolve()),
        immovable=_immovable(architecture, special["target"]),
    )
    if model.immovable is not None:
        return model, None
    return model, _preset_state(folder / "model.safetensors", model)


def _immovable(architecture: Mapping[str, Any], target: Mapping[str, Any]) -> str | None:
    """Why transformers' Marian or Pegasus cannot hold this architecture, if it cannot."""
    sides = [architecture["encoder"], architecture["decoder"]]
    if any(side["type"] != "transformer" for side in sides):
        return "it is not a Transformer on both sides"
    same = ("hidden_dim", "num_heads", "intermediate_dim", "activation", "norm_order")
    for key in (*same, "norm_epsilon"):
        if sides[0][key] != sides[1][key]:
            return f"{key} differs between encoder and decoder"
    for side in sides:
        embedding, pre = side["embedding"], side["norm_order"] == "pre"
        if embedding["positions"] != "sinusoidal" or embedding.get("norm"):
            return "its positions are not sinusoidal, or its embeddings are normalised"
        if embedding.get("scale") != sides[0]["embedding"].get("scale"):
            return "only one side scales its embeddings"
        if side.get("gated") or not side.get("use_bias", True):
            return "its feed-forward is gated, or it has no biases"
        if side.get("final_norm") not in (None, pre):
            return "its final normalisation is not that of its norm_order"
    tied = architecture.get("output", {}).get("tie_embeddings")
    if not (architecture.get("share_embeddings") and tied):
        return "source, target and output do not share one table"
    if target.get("forced_bos") is not None or target.get("forced_eos") is not None:
        return "it forces its first or last id"
    return None


def _preset_state(path: Path, model: Model) -> dict[str, np.ndarray]:
    from safetensors import safe_open

    state = {}
    with safe_open(path, framework="numpy") as file:
        paths = list(file.keys())
        for name, ours, shape, kind in entries(model):
            value = file.get_tensor(one_path(ours, paths, str(path)))
            value = value.T if kind == "matrix" else value
            if value.shape != shape:
                raise BenchmarkError(f"{path}: {ours} is {value.shape}, expected {shape}")
            state[name] = np.ascontiguousarray(value, dtype="float32")
    return state


def one_path(path: str, paths: list[str], where: str) -> str:
    """The one of `paths` that is `path`, or ends in it.

    Raises:
        BenchmarkError: there is none, or more than one.
    """
    found = [known for known in paths if known == path or known.endswith(f"/{path}")]
    if len(found) != 1:
        raise BenchmarkError(
            f"{where}: {len(found)} weights are called {path}, expected one; the table in "
            "benchmarks/generation/model.py no longer fits the package"
        )
    return found[0]


def check_sizes(model: Model) -> None:
    """Refuse sizes that no engine could build.

    Raises:
        BenchmarkError: with the option to change.
    """
    if model.hidden % model.heads:
        raise BenchmarkError(f"--hidden {model.hidden} is not a multiple of --heads {model.heads}")
    if model.vocabulary < 8:
        raise BenchmarkError(f"--vocabulary {model.vocabulary} is too small; give at least 8")
