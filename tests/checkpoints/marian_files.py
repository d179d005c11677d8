"""Marian-shaped models: a writer of random ones, and Marian's arithmetic in plain NumPy.

Both follow Marian's own code (`transformer.h`, `cells.h`) and nothing of the package.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

SETTINGS: dict[str, Any] = {
    "type": "transformer",
    "dim-vocabs": [19, 19],
    "dim-emb": 8,
    "enc-depth": 2,
    "dec-depth": 2,
    "transformer-heads": 2,
    "transformer-dim-ffn": 12,
    "transformer-decoder-dim-ffn": 0,
    "transformer-ffn-activation": "swish",
    "transformer-ffn-depth": 2,
    "transformer-preprocess": "",
    "transformer-postprocess": "dan",
    "transformer-postprocess-emb": "d",
    "transformer-postprocess-top": "",
    "transformer-decoder-autoreg": "self-attention",
    "transformer-rnn-projection": False,
    "transformer-tied-layers": [],
    "tied-embeddings": False,
    "tied-embeddings-all": True,
    "tied-embeddings-src": False,
    "output-omit-bias": False,
    "dec-cell": "gru",
    "enc-cell": "gru",
    "layer-normalization": False,
    "version": "v1.12.42 test",
}
SSRU = {"transformer-decoder-autoreg": "rnn", "dec-cell": "ssru"}
Tensors = dict[str, np.ndarray]


# --------------------------------------------------------------------------------------
# Writing
# --------------------------------------------------------------------------------------


def random_model(seed: int = 0, positions: int = 0, **changes: Any) -> tuple[Tensors, dict]:
    """Returns the tensors of a random model under Marian's names, and its settings."""
    settings = {**SETTINGS, **{key.replace("_", "-"): value for key, value in changes.items()}}
    draw = np.random.default_rng(seed)
    dim, made = settings["dim-emb"], {}

    def matrix(name: str, rows: int, columns: int) -> None:
        made[name] = draw.normal(size=(rows, columns)).astype("float32") * rows**-0.5

    def row(name: str, columns: int, around: float = 0.0) -> None:
        made[name] = (around + 0.3 * draw.normal(size=(1, columns))).astype("float32")

    def norms(prefix: str, before: bool, strings: str = "", kinds: str = "n") -> None:
        if kinds[0] in strings:
            suffix = "_pre" if before else ""
            row(f"{prefix}_ln_scale{suffix}", dim, 1.0)
            row(f"{prefix}_ln_bias{suffix}", dim)

    def around(prefix: str, prefix_before: str | None = None) -> None:
        norms(prefix_before or prefix, True, settings["transformer-preprocess"])
        norms(prefix, False, settings["transformer-postprocess"])

    def attention(prefix: str) -> None:
        for part in "qkvo":
            matrix(f"{prefix}_W{part}", dim, dim)
            row(f"{prefix}_b{part}", dim)
        around(f"{prefix}_Wo")

    source, target = settings["dim-vocabs"]
    if settings["tied-embeddings-all"] or settings["tied-embeddings-src"]:
        matrix("Wemb", source, dim)
    else:
        matrix("encoder_Wemb", source, dim)
        matrix("decoder_Wemb", target, dim)
    if positions:
        matrix("Wpos", positions, dim)
    if not (settings["tied-embeddings-all"] or settings["tied-embeddings"]):
        matrix("decoder_ff_logit_out_Wt", target, dim)
    if not settings["output-omit-bias"]:
        row("decoder_ff_logit_out_b", target)
    for side, depth in (("encoder", settings["enc-depth"]), ("decoder", settings["dec-depth"])):
        norms(f"{side}_emb", True, settings["transformer-postprocess-emb"])
        norms(f"{side}_top", False, settings["transformer-postprocess-top"])
        numbers = settings["transformer-tied-layers"] if side == "decoder" else []
        for n in dict.fromkeys(numbers or range(1, depth + 1)):
            if side == "decoder" and settings["transformer-decoder-autoreg"] == "rnn":
                prefix = f"decoder_l{n}_rnn"
                matrix(f"{prefix}_W", dim, dim)
                matrix(f"{prefix}_Wf", dim, dim)
                row(f"{prefix}_bf", dim)
                if settings["transformer-rnn-projection"]:
                    matrix(f"{prefix}_Wo", dim, dim)
                    row(f"{prefix}_bo", dim)
                around(f"{prefix}_ffn", prefix)
            else:
                attention(f"{side}_l{n}_self")
            if side == "decoder":
                attention(f"decoder_l{n}_context")
            inner = settings["transformer-dim-ffn"]
            if side == "decoder":
                inner = settings["transformer-decoder-dim-ffn"] or inner
            matrix(f"{side}_l{n}_ffn_W1", dim, inner)
            row(f"{side}_l{n}_ffn_b1", inner)
            matrix(f"{side}_l{n}_ffn_W2", inner, dim)
            row(f"{side}_l{n}_ffn_b2", dim)
            around(f"{side}_l{n}_ffn_ffn")
    return made, settings


def settings_array(settings: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(yaml.safe_dump(dict(settings)).encode() + b"\0" * 9, np.int8)


def write_npz(path: Path, tensors: Tensors, settings: Mapping[str, Any]) -> Path:
    """Writes `.npz` as Marian does: arrays as they are, not compressed."""
    arrays = {**tensors, "special:model.yml": settings_array(settings)}
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


# --------------------------------------------------------------------------------------
# Marian's arithmetic
# --------------------------------------------------------------------------------------


def layer_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return scale * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) + bias


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "swish": lambda x: x * sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
}


class PlainMarian:
    """Marian's Transformer for one sentence, in float64, step by step."""

    def __init__(self, tensors: Tensors, settings: Mapping[str, Any]) -> None:
        self.t = {name: array.astype("float64") for name, array in tensors.items()}
        self.o = settings

    def norm(self, x, prefix, suffix=""):
        return layer_norm(
            x, self.t[f"{prefix}_ln_scale{suffix}"], self.t[f"{prefix}_ln_bias{suffix}"]
        )

    def before(self, prefix, steps, x):
        for step in steps:
            x = self.norm(x, prefix, "_pre") if step == "n" else x
        return x

    def after(self, prefix, steps, x, previous):
        for step in steps:
            if step == "a":
                x = x + previous
            elif step == "n":
                x = self.norm(x, prefix)
        return x

    def embedded(self, table, ids, start=0):
        """Rows of a table with positions; an id of None is Marian's empty history."""
        dim = self.o["dim-emb"]
        x = np.stack([np.zeros(dim) if i is None else self.t[table][i] for i in ids])
        places = np.arange(start, start + len(ids))
        if "Wpos" in self.t:
            return x + self.t["Wpos"][places]
        half = dim // 2
        rates = 1e-4 ** (np.arange(half) / (half - 1))
        angles = places[:, None] * rates
        return x * math.sqrt(dim) + np.concatenate([np.sin(angles), np.cos(angles)], 1)

    def multi_head(self, prefix, query, keys, values):
        heads = self.o["transformer-heads"]

        def split(name, x):
            y = x @ self.t[f"{prefix}_W{name}"] + self.t[f"{prefix}_b{name}"]
            return y.reshape(len(x), heads, -1).transpose(1, 0, 2)

        q, k, v = split("q", query), split("k", keys), split("v", values)
        weights = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        joined = (weights @ v).transpose(1, 0, 2).reshape(len(query), -1)
        return joined @ self.t[f"{prefix}_Wo"] + self.t[f"{prefix}_bo"]

    def attention_layer(self, prefix, x, keys):
        """`LayerAttention`: keys are normalised only where they are the input itself."""
        query = self.before(f"{prefix}_Wo", self.o["transformer-preprocess"], x)
        read = query if keys is x else keys
        y = self.multi_head(prefix, query, read, read)
        return self.after(f"{prefix}_Wo", self.o["transformer-postprocess"], y, x)

    def feed_forward(self, prefix, x):
        y = self.before(f"{prefix}_ffn", self.o["transformer-preprocess"], x)
        y = y @ self.t[f"{prefix}_W1"] + self.t[f"{prefix}_b1"]
        y = ACTIVATIONS[self.o["transformer-ffn-activation"]](y)
        y = y @ self.t[f"{prefix}_W2"] + self.t[f"{prefix}_b2"]
        return self.after(f"{prefix}_ffn", self.o["transformer-postprocess"], y, x)

    def table(self, side):
        return "Wemb" if "Wemb" in self.t else f"{side}_Wemb"

    def encode(self, ids):
        x = self.embedded(self.table("encoder"), ids)
        x = self.before("encoder_emb", self.o["transformer-postprocess-emb"], x)
        for n in range(1, self.o["enc-depth"] + 1):
            x = self.attention_layer(f"encoder_l{n}_self", x, x)
            x = self.feed_forward(f"encoder_l{n}_ffn", x)
        return self.after("encoder_top", self.o["transformer-postprocess-top"], x, None)

    def start(self, ids):
        """The state before the first step: the memory, and what each layer carries."""
        return self.encode(ids), [None] * self.o["dec-depth"], 0

    def step(self, state, last):
        """Log-probabilities `[V]` of the next id, and the state after it."""
        memory, carried, place = state
        x = self.embedded(self.table("decoder"), [last], place)
        x = self.before("decoder_emb", self.o["transformer-postprocess-emb"], x)
        numbers = self.o["transformer-tied-layers"] or range(1, self.o["dec-depth"] + 1)
        new = []
        for n, before in zip(numbers, carried, strict=True):
            if self.o["transformer-decoder-autoreg"] == "rnn":
                x, after = self.ssru(f"decoder_l{n}_rnn", x, before)
            else:
                keys = x if before is None else np.concatenate([before, x])
                x, after = self.attention_layer(f"decoder_l{n}_self", x, keys), keys
            new.append(after)
            x = self.attention_layer(f"decoder_l{n}_context", x, memory)
            x = self.feed_forward(f"decoder_l{n}_ffn", x)
        x = self.after("decoder_top", self.o["transformer-postprocess-top"], x, None)
        if self.o["tied-embeddings-all"] or self.o["tied-embeddings"]:
            matrix = self.t[self.table("decoder")]
        else:
            matrix = self.t["decoder_ff_logit_out_Wt"]
        logits = (x @ matrix.T + self.t.get("decoder_ff_logit_out_b", 0.0))[0]
        return np.log(softmax(logits)), (memory, new, place + 1)

    def ssru(self, prefix, x, cell):
        y = self.before(prefix, self.o["transformer-preprocess"], x)
        f = sigmoid(y @ self.t[f"{prefix}_Wf"] + self.t[f"{prefix}_bf"])
        cell = f * (0.0 if cell is None else cell) + (1 - f) * (y @ self.t[f"{prefix}_W"])
        y = np.maximum(cell, 0)
        if self.o["transformer-rnn-projection"]:
            y = y @ self.t[f"{prefix}_Wo"] + self.t[f"{prefix}_bo"]
        return self.after(f"{prefix}_ffn", self.o["transformer-postprocess"], y, x), cell


def forced(model: Any, source: Sequence[int], target: Sequence[int]) -> list[float]:
    """Log-probability of each id of a target."""
    state, last, found = model.start(source), None, []
    for i in target:
        log_probs, state = model.step(state, last)
        found.append(float(log_probs[i]))
        last = i
    return found


def beam_search(
    model: Any, source: Sequence[int], beams: int, alpha: float, limit: int, eos: int, never: int
) -> list[tuple[list[int], float, float]]:
    """Marian's search: ids, sum and score of each hypothesis, best first."""
    live = [([], 0.0, model.start(source))]
    done: list[tuple[list[int], float, float]] = []
    for step in range(1, limit + 1):
        options = []
        for ids, total, state in live:
            log_probs, after = model.step(state, ids[-1] if ids else None)
            for i, value in enumerate(log_probs):
                if i != never:
                    options.append(([*ids, i], total + float(value), after))
        options.sort(key=lambda option: -option[1])
        live = options[: beams - len(done)]
        ended = [each for each in live if each[0][-1] == eos or step == limit]
        done += [(ids, total, total / len(ids) ** alpha) for ids, total, _ in ended]
        live = [each for each in live if each[0][-1] != eos]
        if not live:
            break
    return sorted(done, key=lambda each: -each[2])


# --------------------------------------------------------------------------------------
# The binary format
# --------------------------------------------------------------------------------------


def pack_bin(
    tensors: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    int8: int | None = None,
    rows_of_table: bool = False,
) -> tuple[bytes, dict[str, int]]:
    """Packs a `.bin` as `binary.cpp` does, and returns where each part of it begins.

    Args:
        int8: type of the matrices, 0x10001 (Marian) or 0x4101 (Firefox); None keeps float32.
        rows_of_table: the table of tokens is quantised, too, as Firefox has it.
    """
    items = []
    for name, array in {**tensors, "special:model.yml": settings_array(settings)}.items():
        quantised = name.rstrip("12qkvofct")[-2:] == "_W" or (rows_of_table and "Wemb" in name)
        if int8 is not None and quantised and array.ndim == 2 and array.dtype == np.float32:
            multiplier = np.float32(127 / np.abs(array).max())
            flat = array if "Wemb" in name else array.T
            data = np.rint(flat * multiplier).astype(np.int8).tobytes() + multiplier.tobytes()
            number = int8
        else:
            number = {"float32": 0x404, "int8": 0x101}[array.dtype.name]
            data = array.tobytes()
        items.append((name.encode() + b"\0", number, array.shape, data + bytes(-len(data) % 256)))
    places = {"version": 0, "count": 8, "headers": 16}
    content = np.array([1, len(items)], "<u8").tobytes()
    for name, number, shape, data in items:
        content += np.array([len(name), number, len(shape), len(data)], "<u8").tobytes()
    places["names"] = len(content)
    content += b"".join(name for name, *_ in items)
    places["shapes"] = len(content)
    content += b"".join(np.array(shape, "<i4").tobytes() for _, _, shape, _ in items)
    places["padding"] = len(content)
    padding = -(len(content) + 8) % 256
    content += np.array([padding], "<u8").tobytes() + bytes(padding)
    places["data"] = len(content)
    return content + b"".join(data for *_, data in items), places
