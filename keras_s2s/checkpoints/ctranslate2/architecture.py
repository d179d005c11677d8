"""Derives the architecture of a CTranslate2 model from its variables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_s2s.checkpoints.ctranslate2.model_file import CTranslate2File
from keras_s2s.checkpoints.ctranslate2.variables import (
    CROSS_ATTENTION,
    MAX_DISTANCE,
    RELATIVE_BIAS,
    SELF_ATTENTION,
)
from keras_s2s.checkpoints.ctranslate2.vocabulary import (
    TextSettings,
)
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.sinusoid_tables import find_sinusoids

#: Kind of model -> its number of heads where the file does not hold it.
SPECS = {"TransformerSpec": 8, "TransformerBase": 8, "TransformerBig": 16}


#: By CTranslate2's number.
ACTIVATIONS = {0: "relu", 1: "gelu_tanh", 2: "silu", 3: "gelu", 4: "gelu_sigmoid"}


def stored_name(file: CTranslate2File, name: str) -> str:
    """Returns the name of a table of embeddings, which has no number before revision 4."""
    old = name.replace("/embeddings_0/", "/embeddings/")
    return old if name not in file and old in file else name


@dataclass
class Architecture:
    """Derives the keys of an `ArchitectureConfig` from the settings and shapes of a file."""

    file: CTranslate2File
    settings: TextSettings

    def read(self) -> dict[str, Any]:
        file = self.file
        if "encoder/embeddings_1/weight" in file:
            self._refuse("encoder/embeddings_1/weight", "source factors have no counterpart here")
        if "decoder/layer_0/attention/linear_0/weight" not in file:
            raise CheckpointError(
                f"{file.path}: the decoder does not read the source "
                "(decoder/layer_0/attention/linear_0/weight is missing); only encoder-decoders "
                "can be read"
            )
        source = stored_name(file, "encoder/embeddings_0/weight")
        target, projection = "decoder/embeddings/weight", "decoder/projection/weight"
        encoder, decoder = self._side("encoder", source), self._side("decoder", target)
        for side, other in ((encoder, decoder), (decoder, encoder)):
            mine, theirs = side["relative_positions"], other["relative_positions"]
            if side["num_layers"] == 1 and mine is not None and theirs is not None:
                # One layer does not tell whether each has a table; the other side may.
                mine["per_layer"] = theirs["per_layer"]
        scale = self.file.scalar("decoder/scale_outputs", 1.0)
        tied_scale = decoder["hidden_dim"] ** -0.5
        if not _close(scale, 1.0) and not _close(scale, tied_scale):
            self._refuse(
                "decoder/scale_outputs", f"the scale is {scale}, expected 1 or {tied_scale:.6g}"
            )
        return {
            "source_vocab_size": file.variable(source).shape[0],
            "target_vocab_size": file.variable(target).shape[0],
            "encoder": encoder,
            "decoder": decoder,
            "share_embeddings": self._same(source, target),
            "output": {
                "tie_embeddings": self._same(target, projection),
                "bias": "decoder/projection/bias" in file,
                "scale": not _close(scale, 1.0),
            },
        }

    def _side(self, side: str, table: str) -> dict[str, Any]:
        file = self.file
        layers = 0
        while f"{side}/layer_{layers}/ffn/linear_0/weight" in file:
            layers += 1
        if not layers:
            raise CheckpointError(
                f"{file.path}: variable '{side}/layer_0/ffn/linear_0/weight' is missing"
            )
        width = self._shape(table, 2)[1]
        attention = f"{side}/layer_0/self_attention"
        heads = self._setting(side, "num_heads", SPECS[file.spec])
        fused = self._shape(f"{attention}/linear_0/weight", 2)[0]
        if heads < 1 or fused % (3 * heads):
            self._refuse(
                f"{attention}/linear_0/weight",
                f"{fused} rows are not query, key and value of {heads} heads each",
            )
        head_dim = fused // (3 * heads)
        if file.scalar(f"{attention}/head_dim", head_dim) != head_dim:
            self._refuse(f"{attention}/head_dim", f"expected {head_dim}, by linear_0's rows")
        gammas = f"{side}/layer_0/ffn/layer_norm"
        pre = bool(self._setting(side, "pre_norm", True))
        relative = self._relative_positions(side, layers)
        activation = self._setting(side, "activation", 0)
        if activation not in ACTIVATIONS:
            self._refuse(
                f"{side}/activation",
                f"number {activation} is not one of "
                + ", ".join(f"{number} ({name})" for number, name in ACTIVATIONS.items()),
            )
        linears = [*SELF_ATTENTION, *CROSS_ATTENTION, "ffn/linear_0", "ffn/linear_1"]
        norm = "layer" if f"{gammas}/beta" in file else "rms"
        return {
            "type": "transformer",
            "hidden_dim": width,
            "num_heads": heads,
            "head_dim": None if head_dim * heads == width else head_dim,
            "intermediate_dim": self._shape(f"{side}/layer_0/ffn/linear_0/weight", 2)[0],
            "num_layers": layers,
            "activation": ACTIVATIONS[activation],
            "gated": f"{side}/layer_0/ffn/linear_0_noact/weight" in file,
            "norm_order": "pre" if pre else "post",
            "norm": norm,
            "norm_epsilon": self._epsilon(norm),
            "final_norm": f"{side}/layer_norm/gamma" in file,
            "use_bias": any(
                f"{side}/layer_{i}/{name}/bias" in file for i in range(layers) for name in linears
            ),
            "scale_attention": self._scales_attention(side, layers, width // heads, head_dim),
            "relative_positions": relative,
            "embedding": self._embedding(side, table, width, relative is not None),
        }

    def _embedding(self, side: str, table: str, width: int, relative: bool) -> dict[str, Any]:
        file = self.file
        embedding: dict[str, Any] = {"scale": self._scales_embeddings(side, table, width)}
        name = f"{side}/position_encodings/encodings"
        if relative:
            embedding["positions"] = "none"
        elif name not in file:
            if width % 2 or width < 4:
                self._refuse(table, f"sinusoids have an even width of 4 at least, not {width}")
            # What CTranslate2 computes itself; OpenNMT counts from 1.
            embedding |= {
                "positions": "sinusoidal",
                "sinusoids": "tensor2tensor",
                "position_offset": 1,
            }
        else:
            rows, columns = self._shape(name, 2)
            if columns != width:
                self._refuse(name, f"its width is {columns}, that of {table!r} {width}")
            found = find_sinusoids(file.array(name), file.variable(name).dtype)
            if found is None:
                embedding |= {"positions": "learned", "max_positions": rows}
            else:
                embedding |= found.model_dump(exclude_unset=True)
        norm = f"{side}/layernorm_embedding"
        if f"{norm}/gamma" in file:
            if f"{norm}/beta" not in file:
                self._refuse(f"{norm}/gamma", "embeddings normalised without a bias")
            embedding |= {"norm": True, "norm_epsilon": self._epsilon("layer")}
        return embedding

    def _epsilon(self, norm: str) -> float:
        given = self.settings.layer_norm_epsilon
        return given if given is not None else {"layer": 1e-5, "rms": 1e-6}[norm]

    def _scales_embeddings(self, side: str, table: str, width: int) -> bool:
        name = f"{side}/scale_embeddings"
        if name not in self.file:
            name = table.replace("/weight", "/multiply_by_sqrt_depth")
        if name not in self.file:
            return True
        value = self.file.scalar(name)
        if self.file.variable(name).dtype == "int8":
            return bool(value)
        if not _close(value, 1.0) and not _close(value, math.sqrt(width)):
            self._refuse(name, f"the scale is {value}, expected 1 or {math.sqrt(width):.6g}")
        return not _close(value, 1.0)

    def _scales_attention(self, side: str, layers: int, default_dim: int, head_dim: int) -> bool:
        """Returns whether scores are divided by sqrt(head_dim), which must hold for all layers or
        none.
        """
        kinds = ("self_attention", "attention") if side == "decoder" else ("self_attention",)
        found = set()
        for i in range(layers):
            for kind in kinds:
                name = f"{side}/layer_{i}/{kind}/queries_scale"
                dim = self.file.scalar(f"{side}/layer_{i}/{kind}/head_dim", default_dim)
                value = self.file.scalar(name, dim**-0.5)
                if not _close(value, 1.0) and not _close(value, head_dim**-0.5):
                    self._refuse(name, f"the scale is {value}, expected 1 or {head_dim**-0.5:.6g}")
                found.add(_close(value, head_dim**-0.5))
        if len(found) > 1:
            self._refuse(f"{side}/layer_0/self_attention/queries_scale", "layers differ in it")
        return found.pop()

    def _relative_positions(self, side: str, layers: int) -> dict[str, Any] | None:
        first = f"{side}/layer_0/{RELATIVE_BIAS}"
        if first not in self.file:
            return None
        tables = [f"{side}/layer_{i}/{RELATIVE_BIAS}" for i in range(layers)]
        return {
            "num_buckets": self._shape(first, 2)[0],
            "max_distance": self.file.scalar(f"{side}/layer_0/{MAX_DISTANCE}", 128),
            "per_layer": not all(name in self.file and self._same(first, name) for name in tables),
        }

    # ------------------------------------------------------------------ variables

    def _same(self, one: str, other: str) -> bool:
        """Returns whether two names are one variable: by an alias, or, in older files, by equal
        values.
        """
        file = self.file
        if other not in file or one not in file:
            return False
        first, second = file.variable(one), file.variable(other)
        if first.name == second.name:
            return True
        return (
            first.shape == second.shape
            and first.dtype == second.dtype
            and np.array_equal(file.array(one), file.array(other))
        )

    def _setting(self, side: str, name: str, default: Any) -> Any:
        """Returns a setting of one side, or (before revision 5) of both."""
        return int(self.file.scalar(f"{side}/{name}", self.file.scalar(name, default)))

    def _shape(self, name: str, rank: int) -> tuple[int, ...]:
        variable = self.file.variable(name)
        if len(variable.shape) != rank or 0 in variable.shape:
            self._refuse(name, f"its shape is {variable.shape}, expected {rank} sizes above 0")
        return variable.shape

    def _refuse(self, name: str, problem: str) -> Any:
        place = f", byte {self.file.variable(name).offset}" if name in self.file else ""
        raise CheckpointError(f"{self.file.path}{place}: variable {name!r}: {problem}")


def _close(a: float, b: float) -> bool:
    # Half-precision files hold their settings in float32; these come from float32 arithmetic.
    return math.isclose(a, b, rel_tol=1e-4)
