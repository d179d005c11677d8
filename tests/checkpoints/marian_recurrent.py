"""Marian's recurrent models: a writer of random ones, and their arithmetic in plain NumPy loops.

After Marian's own code (`s2s.h`, `cells.h`, `attention.h`), and nothing of the package.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from checkpoints.marian_files import Tensors, sigmoid, softmax

SETTINGS: dict[str, Any] = {
    "type": "s2s",
    "dim-vocabs": [19, 19],
    "dim-emb": 5,
    "dim-rnn": 6,
    "enc-type": "bidirectional",
    "enc-cell": "gru",
    "enc-depth": 1,
    "enc-cell-depth": 1,
    "dec-cell": "gru",
    "dec-depth": 1,
    "dec-cell-base-depth": 2,
    "dec-cell-high-depth": 1,
    "skip": False,
    "layer-normalization": False,
    "tied-embeddings": False,
    "tied-embeddings-all": True,
    "tied-embeddings-src": False,
    "output-omit-bias": False,
    "version": "v1.12.42 test",
}


def stacks(o: dict[str, Any]) -> dict[str, list[list[str]]]:
    """Prefixes of the cells of each layer, of the encoder's stacks."""
    first = 1 if o["enc-type"] == "bi-unidirectional" else o["enc-depth"]
    found: dict[str, list[list[str]]] = {"fw": [], "bw": [], "up": []}
    for way, start in (("fw", "encoder_bi"), ("bw", "encoder_bi_r")):
        for i in range(1, first + 1):
            cells = []
            for j in range(1, o["enc-cell-depth"] + 1):
                prefix = start + (f"_l{i}" if i > 1 else "")
                cells.append(prefix + (f"_cell{j}" if i > 1 or j > 1 else ""))
            found[way].append(cells)
    for i in range(first + 1, o["enc-depth"] + 1):
        found["up"].append([f"encoder_l{i}_cell{j}" for j in range(1, o["enc-cell-depth"] + 1)])
    return found


def random_recurrent(seed: int = 0, **changes: Any) -> tuple[Tensors, dict[str, Any]]:
    """Returns the tensors of a random model under Marian's names, and its settings."""
    o = {**SETTINGS, **{key.replace("_", "-"): value for key, value in changes.items()}}
    draw, made = np.random.default_rng(seed), {}
    dim, width = o["dim-emb"], o["dim-rnn"]

    def add(name: str, rows: int, columns: int, around: float = 0.0) -> None:
        made[name] = (around + 0.5 * draw.normal(size=(rows, columns))).astype("float32")

    def cell(prefix: str, kind: str, reads: int) -> None:
        lstm = kind == "lstm"
        parts = {"": 4 * width} if lstm else {"": 2 * width, "x": width}
        for part, columns in parts.items():
            add(f"{prefix}_U{part}", width, columns)
            add(f"{prefix}_b{part}", 1, columns)
            if reads:
                add(f"{prefix}_W{part}", reads, columns)
            if o["layer-normalization"] and kind == "gru-nematus":
                for weight in "UW" if reads else "U":
                    add(f"{prefix}_{weight}{part}_lns", 1, columns, 1.0)
                    add(f"{prefix}_{weight}{part}_lnb", 1, columns)
        if o["layer-normalization"] and kind != "gru-nematus":
            if reads:
                add(f"{prefix}_gamma1", 1, sum(parts.values()), 1.0)
            add(f"{prefix}_gamma2", 1, sum(parts.values()), 1.0)

    def dense(prefix: str, rows: int, columns: int, number: str = "") -> None:
        add(f"{prefix}_W{number}", rows, columns)
        add(f"{prefix}_b{number}", 1, columns)
        if o["layer-normalization"] and o["type"] == "nematus":
            add(f"{prefix}_ln_s{number}", 1, columns, 1.0)
            add(f"{prefix}_ln_b{number}", 1, columns)
        elif o["layer-normalization"]:
            add(f"{prefix}_gamma{number}", 1, columns, 1.0)

    source, target = o["dim-vocabs"]
    if o["tied-embeddings-all"]:
        add("Wemb", source, dim)
    else:
        add("encoder_Wemb", source, dim)
        add("decoder_Wemb", target, dim)
        if not o["tied-embeddings"]:
            add("decoder_ff_logit_l2_Wt", target, dim)
    add("decoder_ff_logit_l2_b", 1, target)
    for way, layers in stacks(o).items():
        reads = 2 * width if way == "up" else dim
        for cells in layers:
            for prefix in cells:
                cell(prefix, o["enc-cell"], reads)
                reads = 0
            reads = width
    memory = width * (1 if stacks(o)["up"] else 2)
    for i in range(1, o["dec-depth"] + 1):
        depth = o["dec-cell-base-depth"] if i == 1 else o["dec-cell-high-depth"]
        for j in range(1, depth + 1):
            prefix = f"decoder_cell{j}" if i == 1 else f"decoder_l{i}_cell{j}"
            read = {1: dim if i == 1 else width, 2: memory if i == 1 else 0}.get(j, 0)
            cell(prefix, o["dec-cell"], read)
    add("decoder_W_comb_att", width, memory)
    add("decoder_Wc_att", memory, memory)
    add("decoder_U_att", memory, 1)
    add("decoder_b_att", 1, memory)
    if o["layer-normalization"] and o["type"] == "nematus":
        for name in ("W_comb_att", "Wc_att"):
            add(f"decoder_{name}_lns", 1, memory, 1.0)
            add(f"decoder_{name}_lnb", 1, memory)
    elif o["layer-normalization"]:
        add("decoder_att_gamma1", 1, memory, 1.0)
        add("decoder_att_gamma2", 1, memory, 1.0)
    dense("decoder_ff_state", memory, width)
    for number, rows in enumerate((dim, width, memory)):
        dense("decoder_ff_logit_l1", rows, dim, str(number))
    return made, o


def layer_norm(x: np.ndarray, gamma: np.ndarray, beta: Any = 0.0, eps: float = 1e-9) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return gamma * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) + beta


class PlainRecurrent:
    """Marian's recurrent model for one sentence, in float64, step by step."""

    def __init__(self, tensors: Tensors, settings: dict[str, Any]) -> None:
        self.t = {name: array.astype("float64") for name, array in tensors.items()}
        self.o = settings
        self.ln = settings["layer-normalization"]
        self.nematus = settings["type"] == "nematus"

    def cell(self, prefix, kind, x, state, final=False, transition=False):
        """One step of `GRU`, `GRUNematus` or `FastLSTM`; `x` is None without an input."""
        t, width = self.t, self.o["dim-rnn"]
        hidden, memory = state
        parts = [""] if kind == "lstm" else ["", "x"]
        bias = np.concatenate([t[f"{prefix}_b{p}"][0] for p in parts])
        if self.ln and kind == "gru-nematus":
            encoder, xs, ss = prefix.startswith("encoder"), [], []
            for p in parts:
                b = t[f"{prefix}_b{p}"][0]
                if x is not None:
                    y = x @ t[f"{prefix}_W{p}"] + (0 if final else b)
                    scale, offset = t[f"{prefix}_W{p}_lns"][0], t[f"{prefix}_W{p}_lnb"][0]
                    xs.append(layer_norm(y, scale, offset, 1e-5))
                inside = not encoder and (final or transition)
                y = hidden @ t[f"{prefix}_U{p}"] + (b if inside else 0)
                scale, offset = t[f"{prefix}_U{p}_lns"][0], t[f"{prefix}_U{p}_lnb"][0]
                y = layer_norm(y, scale, offset, 1e-5)
                ss.append(y + b if encoder and transition and p == "" else y)
            bias = np.zeros(3 * width)
            if encoder and transition:
                bias[2 * width :] = t[f"{prefix}_bx"][0]
            s = np.concatenate(ss)
            x = np.concatenate(xs) if xs else np.zeros_like(s)
        else:
            s = hidden @ np.concatenate([t[f"{prefix}_U{p}"] for p in parts], 1)
            s = layer_norm(s, t[f"{prefix}_gamma2"][0]) if self.ln else s
            if x is None:
                x = np.zeros_like(s)
            else:
                x = x @ np.concatenate([t[f"{prefix}_W{p}"] for p in parts], 1)
                x = layer_norm(x, t[f"{prefix}_gamma1"][0]) if self.ln else x
        if kind == "lstm":
            f, i, c, o = np.split(x + s + bias, 4)
            memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(c)
            return sigmoid(o) * np.tanh(memory), memory
        r = sigmoid(x[:width] + s[:width] + bias[:width])
        z = sigmoid((x + s + bias)[width : 2 * width])
        xl, sl, bl = x[2 * width :], s[2 * width :], bias[2 * width :]
        h = np.tanh(xl + (sl + bl) * r) if final else np.tanh(xl + sl * r + bl)
        return (1 - z) * h + z * hidden, memory

    def layer(self, cells, rows, backward):
        kind, zeros = self.o["enc-cell"], np.zeros(self.o["dim-rnn"])
        state, outputs = (zeros, zeros), []
        for x in rows[::-1] if backward else rows:
            for number, prefix in enumerate(cells):
                state = self.cell(prefix, kind, None if number else x, state, transition=number > 0)
            outputs.append(state[0])
        return np.stack(outputs[::-1] if backward else outputs)

    def stack(self, layers, rows, backward):
        for number, cells in enumerate(layers):
            turned = self.o["enc-type"] == "alternating" and number % 2 == 1
            y = self.layer(cells, rows, backward != turned)
            rows = y + rows if self.o["skip"] and number else y
        return rows

    def encode(self, ids):
        rows = self.t["Wemb" if "Wemb" in self.t else "encoder_Wemb"][list(ids)]
        found = stacks(self.o)
        both = [self.stack(found["fw"], rows, False), self.stack(found["bw"], rows, True)]
        return self.stack(found["up"], np.concatenate(both, 1), False)

    def dense(self, prefix, x, number=""):
        y, b = x @ self.t[f"{prefix}_W{number}"], self.t[f"{prefix}_b{number}"][0]
        if not self.ln:
            return y + b
        if self.nematus:
            scale = self.t[f"{prefix}_ln_s{number}"][0]
            return layer_norm(y + b, scale, self.t[f"{prefix}_ln_b{number}"][0], 1e-5)
        return layer_norm(y, self.t[f"{prefix}_gamma{number}"][0], b)

    def start(self, ids):
        memory = self.encode(ids)
        first = np.tanh(self.dense("decoder_ff_state", memory.mean(0)))
        return memory, [(first, first)] * self.o["dec-depth"]

    def attend(self, memory, hidden):
        t = self.t
        keys, query = memory @ t["decoder_Wc_att"], hidden @ t["decoder_W_comb_att"]
        b = t["decoder_b_att"][0]
        if self.ln and self.nematus:
            names = ("Wc_att", "W_comb_att")
            (ks, kb), (qs, qb) = [
                (t[f"decoder_{n}_lns"][0], t[f"decoder_{n}_lnb"][0]) for n in names
            ]
            keys, query = layer_norm(keys + b, ks, kb, 1e-5), layer_norm(query, qs, qb, 1e-5)
        elif self.ln:
            keys = layer_norm(keys, t["decoder_att_gamma1"][0], b)
            query = layer_norm(query, t["decoder_att_gamma2"][0])
        else:
            keys = keys + b
        return softmax((np.tanh(keys + query) @ t["decoder_U_att"])[:, 0]) @ memory

    def step(self, state, last):
        """Log-probabilities `[V]` of the next id, and the state after it."""
        memory, layers = state
        table = self.t["Wemb" if "Wemb" in self.t else "decoder_Wemb"]
        x = np.zeros(self.o["dim-emb"]) if last is None else table[last]
        kind, new = self.o["dec-cell"], []
        context, hidden = None, x
        for i, carried in enumerate(layers, 1):
            depth = self.o["dec-cell-base-depth"] if i == 1 else self.o["dec-cell-high-depth"]
            for j in range(1, depth + 1):
                prefix = f"decoder_cell{j}" if i == 1 else f"decoder_l{i}_cell{j}"
                read = {1: hidden, 2: context if i == 1 else None}.get(j)
                base = i == 1 and j > 1
                carried = self.cell(prefix, kind, read, carried, base, i == 1 and j > 2)
                if i == 1 and j == 1:
                    context = self.attend(memory, carried[0])
            new.append(carried)
            hidden = carried[0] + hidden if self.o["skip"] and i > 1 else carried[0]
        read = enumerate((x, hidden, context))
        deep = np.tanh(sum(self.dense("decoder_ff_logit_l1", part, str(n)) for n, part in read))
        tied = self.o["tied-embeddings-all"] or self.o["tied-embeddings"]
        matrix = table if tied else self.t["decoder_ff_logit_l2_Wt"]
        logits = deep @ matrix.T + self.t["decoder_ff_logit_l2_b"][0]
        return np.log(softmax(logits)), (memory, new)
