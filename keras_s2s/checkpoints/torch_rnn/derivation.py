"""Derives an architecture from the shapes of a state dict's tensors.

What shapes do not tell is asked for: nothing is guessed. What the user stated is believed here, and
compared with the tensors afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.torch_rnn.modules import LAYER, REVERSE, VECTOR, Module, Modules
from keras_s2s.config import merge
from keras_s2s.network_size import GATES

Shape = tuple[int, ...]

#: Rows of a weight for each unit -> the cell.
_CELLS = {gates: cell for cell, gates in GATES.items()}


class Derivation:
    """The architecture of a state dict: what its shapes tell, and what they leave open.

    Args:
        modules: by role.
        shapes: of the tensors.
        stated: the architecture that the user stated, with `shared` spread.
        equal: whether two tensors have the same values.

    Attributes:
        architecture: settings that the shapes tell, and over them those that are stated.
        missing: what has to be stated as well, a line each.

    Raises:
        CheckpointError: tensors that no recurrent layer has, or a module that lacks one.
    """

    def __init__(
        self,
        modules: Modules,
        shapes: Mapping[str, Shape],
        stated: Mapping[str, Any],
        equal: Callable[[str, str], bool],
    ) -> None:
        self._modules = modules
        self._shapes = shapes
        self._stated = stated
        self._equal = equal
        self.missing: list[str] = []
        source = self._shape("encoder.embedding", "weight", axes=2)
        target = self._shape("decoder.embedding", "weight", axes=2)
        encoder = self._side("encoder", source[1])
        decoder = self._side("decoder", target[1])
        if decoder.pop("bidirectional"):
            raise CheckpointError(
                f"{modules['decoder.rnn'].tensor('weight_hh' + REVERSE)}: a decoder writes in one "
                "direction; a bidirectional one has no place here"
            )
        self._memory_dim = encoder["hidden_dim"] * (2 if encoder["bidirectional"] else 1)
        self._read_context(decoder, target[1])
        derived: dict[str, Any] = {
            "source_vocab_size": source[0],
            "target_vocab_size": target[0],
            "encoder": encoder,
            "decoder": decoder,
            "bridge": self._bridge(encoder, decoder),
            **self._tables(),
        }
        self.architecture = merge(derived, stated)

    # ------------------------------------------------------------------ what is there

    def _shape(self, role: str, part: str, *, axes: int) -> Shape:
        module = self._modules[role]
        if part not in module.tensors:
            name = module.name or next(iter(module.tensors.values()))
            raise CheckpointError(f"modules.{role}: {name} has no {part}")
        name = module.tensor(part)
        shape = self._shapes[name]
        if len(shape) != axes:
            raise CheckpointError(f"{name} has the shape {shape}; expected {axes} axes")
        return shape

    def _said(self, *keys: str) -> Any:
        value: Any = self._stated
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def _ask(self, key: str, why: str, *keys: str) -> None:
        """Asks for a setting, unless it is stated."""
        if self._said(*key.split("."), *keys) is None:
            self.missing.append(f"architecture.{key}: {why}")

    def _has(self, *roles: str) -> bool:
        return any(role in self._modules for role in roles)

    # ------------------------------------------------------------------ parts

    def _side(self, side: str, embedding: int) -> dict[str, Any]:
        """Returns the settings of the encoder's or decoder's cells."""
        module = self._modules[f"{side}.rnn"]
        rows, width = self._shape(f"{side}.rnn", "weight_hh", axes=2)
        cell = _CELLS.get(rows // width) if width and rows % width == 0 else None
        if cell is None:
            raise CheckpointError(
                f"{module.tensor('weight_hh')} has the shape {(rows, width)}; its rows are as many "
                "as its columns in nn.RNN, three times as many in nn.GRU, four times in nn.LSTM "
                "(proj_size is not known here)"
            )
        if cell == "rnn":
            self._ask(f"{side}.activation", "tanh or relu, the nonlinearity of nn.RNN")
        return {
            "type": "recurrent",
            "cell": cell,
            "hidden_dim": width,
            "num_layers": self._depth(module),
            "bidirectional": "weight_hh" + REVERSE in module.tensors,
            "use_bias": bool({"bias_ih", "bias_hh"} & set(module.tensors)),
            # The default is the width of the cells.
            "embedding": {} if embedding == width else {"dim": embedding},
        }

    def _depth(self, module: Module) -> int:
        if LAYER not in module.tensors["weight_hh"]:
            return 1
        layers = 1
        while module.tensor("weight_hh", layers) in self._shapes:
            layers += 1
        return layers

    def _read_context(self, decoder: dict[str, Any], embedding: int) -> None:
        """Adds to the decoder's settings how it reads the source."""
        hidden, memory = decoder["hidden_dim"], self._memory_dim
        beside = self._shape("decoder.rnn", "weight_ih", axes=2)[1] - embedding
        width = self._output_width(hidden)
        attends = self._has("attention.score", "attention.keys", "attention.joint")
        context = self._said("decoder", "context")
        if context is None and (attends or self._said("decoder", "attention") is not None):
            context = "attention"
        elif context is None and not beside and width == hidden and not self._reads_out:
            context = "initial_state"
        if context is None:
            self.missing.append(
                "architecture.decoder.context: every_step, where the decoder reads the encoder's "
                "final state at every step, or attention, with architecture.decoder.attention"
            )
            return
        decoder["context"] = context
        if context == "attention":
            decoder["attention"] = self._attention(beside, width, hidden, memory)
        if context != "initial_state" and not self._reads_out:
            decoder["readout"] = "hidden" if width == hidden else "concat"

    @property
    def _reads_out(self) -> bool:
        return self._has("decoder.readout")

    def _output_width(self, hidden: int) -> int:
        module = self._modules.get("decoder.output")
        if module is None or "weight" not in module.tensors:
            return hidden  # tied to the table
        return self._shape("decoder.output", "weight", axes=2)[1]

    def _attention(self, beside: int, width: int, hidden: int, memory: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        feeds = self._said("decoder", "attention", "input_feeding")
        after = not beside or feeds or self._said("decoder", "attention", "query") == "current"
        if after:
            found |= {"query": "current", "input_feeding": bool(beside)}
        elif beside != hidden or (width == hidden and not self._reads_out):
            found["query"] = "previous"
        elif beside != memory:
            found |= {"query": "current", "input_feeding": True}
        else:
            self._ask(
                "decoder.attention.query",
                "previous, where the context of the last state enters the cell, or current, with "
                "input_feeding: true, where the last readout does",
            )
        if self._has("attention.score"):
            parts = [
                self._modules[role].tensors
                for role in ("attention.joint", "attention.query", "attention.keys")
                if role in self._modules
            ]
            biased = any("bias" in tensors for tensors in parts)
            vector = VECTOR in self._modules["attention.score"].tensors
            part, axes = (VECTOR, 1) if vector else ("weight", 2)
            units = self._shape("attention.score", part, axes=axes)[-1]
            found["score"] = "additive" if biased else "concat"
            if units != hidden:
                found["units"] = units
        elif self._has("attention.keys"):
            found["score"] = "general"
        else:
            self._ask(
                "decoder.attention.score",
                "dot, or name the modules of another score under modules (attention.joint or "
                "attention.query and attention.keys, attention.score)",
            )
        return found

    def _bridge(self, encoder: Mapping[str, Any], decoder: Mapping[str, Any]) -> dict[str, Any]:
        if not self._has("bridge.hidden"):
            if decoder.get("context") == "initial_state":
                # Otherwise nothing of the source would reach the decoder.
                return {"type": "copy"}
            self._ask(
                "bridge.type",
                "copy, where the decoder starts with the encoder's final state, or zero (a module "
                "between them is named under modules.bridge.hidden)",
            )
            return {}
        self._ask("bridge.activation", "linear, tanh or relu, after the module between both halves")
        found: dict[str, Any] = {"type": "dense"}
        width = self._shape("bridge.hidden", "weight", axes=2)[1]
        states = 2 if encoder["cell"] == "lstm" else 1
        same = (encoder["num_layers"], encoder["cell"]) == (decoder["num_layers"], decoder["cell"])
        fits = {
            "all": width == self._memory_dim * states * encoder["num_layers"],
            "top": width == self._memory_dim * states,
            "own": width == self._memory_dim and same,
        }
        if encoder["num_layers"] == 1:
            fits["top"] = False  # the same as all
            fits["own"] = fits["own"] and states == 2
        candidates = [reads for reads, fit in fits.items() if fit]
        if len(candidates) == 1:
            found["reads"] = candidates[0]
        else:
            self._ask("bridge.reads", "top or own" if candidates else "all, top or own")
        reads = self._said("bridge", "reads") or found.get("reads")
        name = self._modules["bridge.hidden"].tensors["weight"]
        if reads == "own" and decoder["num_layers"] > 1:
            found["shared"] = LAYER not in name
        return found

    def _tables(self) -> dict[str, Any]:
        """Returns which tables are one, and whether logits have a bias."""
        source = self._modules["encoder.embedding"].tensor("weight")
        target = self._modules["decoder.embedding"].tensor("weight")
        output = self._modules.get("decoder.output", Module({})).tensors
        weight = output.get("weight")
        return {
            "share_embeddings": self._same(source, target),
            "output": {
                "tie_embeddings": weight is None or self._same(weight, target),
                "bias": "bias" in output,
            },
        }

    def _same(self, one: str, other: str) -> bool:
        if one == other:
            return True
        return self._shapes[one] == self._shapes[other] and self._equal(one, other)
