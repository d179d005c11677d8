"""Maps the variables of a recurrent network to the tensors of PyTorch's modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.torch_rnn.modules import LAYER, REVERSE, ROLES, VECTOR, Module, Modules
from keras_s2s.checkpoints.torch_rnn.transforms import (
    GATE_ORDER,
    Column,
    Copies,
    JointMatrix,
    Matrix,
    Shape,
    StackedBiases,
    SummedBiases,
    Transform,
    WithoutEffect,
)
from keras_s2s.config import (
    ArchitectureConfig,
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    TokensConfig,
    embedding_dim,
    output_dim,
    readout_dim,
)

#: What Keras calls the cells.
_CELL_NAMES = {"gru": "gru_cell", "lstm": "lstm_cell", "rnn": "simple_rnn_cell"}


class Entry(NamedTuple):
    """Variables and the tensors that hold them.

    Attributes:
        ours: paths of the variables.
        theirs: names of the tensors.
        shapes: of the tensors, one each.
        transform: between the two.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    shapes: tuple[Shape, ...]
    transform: Transform


class Reading(NamedTuple):
    """What a layer reads side by side: the name and width of each part, in the order here."""

    names: tuple[str, ...]
    widths: tuple[int, ...]

    @property
    def width(self) -> int:
        return sum(self.widths)


def check_representable(architecture: ArchitectureConfig) -> None:
    """Raises an error for a network that is not made of the modules of `ROLES`.

    Raises:
        CheckpointError: names the setting.
    """
    parts = [
        (
            "frontend.type",
            architecture.frontend.type,
            isinstance(architecture.frontend, TokensConfig),
        ),
        *(
            (f"{side}.type", part.type, isinstance(part, kind))
            for side, part, kind in (
                ("encoder", architecture.encoder, RecurrentEncoderConfig),
                ("decoder", architecture.decoder, RecurrentDecoderConfig),
            )
        ),
        *(
            (f"{side}.embedding.{key}", value, not value or value == "none")
            for side, part in (("encoder", architecture.encoder), ("decoder", architecture.decoder))
            for key, value in (
                ("norm", part.embedding.norm),
                ("positions", part.embedding.positions == "learned" and "learned"),
            )
        ),
    ]
    for key, value, known in parts:
        if not known:
            raise CheckpointError(
                f"architecture.{key}: {value} has no module in a recurrent model from PyTorch, "
                "which is made of nn.Embedding, nn.RNN, nn.GRU or nn.LSTM, and nn.Linear"
            )


class KeyTable:
    """The tensors of every variable of a network.

    Args:
        architecture: of the network.
        modules: by role.

    Raises:
        CheckpointError: the network has a part that no module has, or parts of vectors that are
            read in an order that is not stated.
    """

    def __init__(self, architecture: ArchitectureConfig, modules: Modules) -> None:
        check_representable(architecture)
        assert isinstance(architecture.encoder, RecurrentEncoderConfig)
        assert isinstance(architecture.decoder, RecurrentDecoderConfig)
        self.architecture = architecture
        self.encoder, self.decoder = architecture.encoder, architecture.decoder
        self._modules = modules
        self._problems: list[str] = []
        self._used: set[str] = set()
        self.entries = [
            *self._tables(),
            *self._encoder_cells(),
            *self._bridge(),
            *self._decoder_cells(),
            *self._attention(),
            *self._outputs(),
        ]
        self._problems += [
            f"modules.{role}: the architecture has no such part"
            for role in ROLES
            if role in modules and role not in self._used
        ]
        if self._problems:
            raise CheckpointError("\n".join(f"  {line}" for line in self._problems))

    # ------------------------------------------------------------------ modules and their order

    def _module(self, role: str, *parts: str) -> Module | None:
        """Returns a module that has these tensors; otherwise notes what is missing."""
        self._used.add(role)
        module = self._modules.get(role)
        if module is None:
            self._problems.append(
                f"modules.{role}: the architecture has this part, but no module is known for it"
            )
            return None
        for part in parts:
            if part not in module.tensors:
                name = module.name or next(iter(module.tensors.values()))
                self._problems.append(f"modules.{role}: {name} has no {part}")
                return None
        return module

    def _order(self, role: str, module: Module, reading: Reading) -> tuple[int, ...]:
        """Returns, for each part in the order there, its place here."""
        if module.inputs:
            if sorted(module.inputs) != sorted(reading.names):
                self._problems.append(
                    f"modules.{role}.inputs: {', '.join(module.inputs)}; expected "
                    f"{', '.join(reading.names)}, in the order of the columns there"
                )
                return ()
            return tuple(reading.names.index(name) for name in module.inputs)
        if len(reading.names) > 1:
            parts = " and ".join(f"{name} ({width})" for name, width in zip(*reading, strict=True))
            self._problems.append(
                f"modules.{role}.inputs: missing; it reads {parts} side by side, in an order that "
                f"shapes do not tell, such as [{', '.join(reading.names)}]"
            )
        return ()

    def _linear(
        self,
        role: str,
        path: str,
        reading: Reading,
        size: int,
        *,
        layer: int = 0,
        bias: bool = True,
    ) -> Iterator[Entry]:
        module = self._module(role, "weight", *(["bias"] if bias else []))
        if module is None:
            return
        order = self._order(role, module, reading)
        matrix = Matrix(widths=reading.widths, order=order)
        name = (module.tensor("weight", layer),)
        yield Entry((f"{path}/kernel",), name, ((size, reading.width),), matrix)
        if bias:
            name = (module.tensor("bias", layer),)
            yield Entry((f"{path}/bias",), name, ((size,),), Copies())

    # ------------------------------------------------------------------ parts of the network

    def _tables(self) -> Iterator[Entry]:
        architecture = self.architecture
        source, target = self._stored("encoder.embedding"), self._stored("decoder.embedding")
        self._used.add("decoder.output")
        output = self._stored("decoder.output") if architecture.output.tie_embeddings else []
        target_shape = (architecture.target_vocab_size, embedding_dim(self.decoder))
        if architecture.share_embeddings:
            names = list(dict.fromkeys([*source, *target, *output]))
            yield self._table("token_table", names, target_shape)
            return
        source_shape = (architecture.source_vocab_size or 0, embedding_dim(self.encoder))
        yield self._table("source_table", source, source_shape)
        yield self._table("target_table", list(dict.fromkeys([*target, *output])), target_shape)

    def _stored(self, role: str) -> list[str]:
        self._used.add(role)
        module = self._modules.get(role)
        return [module.tensor("weight")] if module and "weight" in module.tensors else []

    def _table(self, layer: str, names: list[str], shape: Shape) -> Entry:
        if not names:
            self._problems.append(f"no module holds the {layer.replace('_', ' ')}")
        count = len(names)
        return Entry((f"{layer}/embeddings",), tuple(names), (shape,) * count, Copies(count))

    def _encoder_cells(self) -> Iterator[Entry]:
        config = self.encoder
        reading = Reading(("embedding",), (embedding_dim(config),))
        for layer in range(config.num_layers):
            path = f"encoder/layer_{layer}"
            if config.bidirectional:
                yield from self._cell(
                    config, "encoder.rnn", f"{path}/forward_layer_{layer}", layer, reading
                )
                backward = f"{path}/backward_layer_{layer}"
                yield from self._cell(config, "encoder.rnn", backward, layer, reading, REVERSE)
            else:
                yield from self._cell(config, "encoder.rnn", path, layer, reading)
            reading = Reading(("hidden",), (output_dim(config),))

    def _decoder_cells(self) -> Iterator[Entry]:
        config, attention = self.decoder, self.decoder.attention
        names, widths = ["embedding"], [embedding_dim(config)]
        if config.context == "every_step" or (attention and attention.query == "previous"):
            names.append("context")
            widths.append(output_dim(self.encoder))
        elif attention and attention.input_feeding:
            names.append("feed")
            widths.append(config.hidden_dim)
        reading = Reading(tuple(names), tuple(widths))
        for layer in range(config.num_layers):
            yield from self._cell(config, "decoder.rnn", f"decoder/layer_{layer}", layer, reading)
            reading = Reading(("hidden",), (config.hidden_dim,))

    def _cell(
        self,
        config: RecurrentEncoderConfig | RecurrentDecoderConfig,
        role: str,
        path: str,
        layer: int,
        reading: Reading,
        end: str = "",
    ) -> Iterator[Entry]:
        """Yields the entries of one layer in one direction."""
        biases = ["bias_ih" + end, "bias_hh" + end] if config.use_bias else []
        module = self._module(role, "weight_ih" + end, "weight_hh" + end, *biases)
        if module is None:
            return
        path = f"{path}/{_CELL_NAMES[config.cell]}"
        gates, units = GATE_ORDER[config.cell], config.hidden_dim
        rows = len(gates) * units
        order = self._order(role, module, reading) if layer == 0 else ()
        for variable, part, width, transform in (
            ("kernel", "weight_ih", reading.width, Matrix(gates, reading.widths, order)),
            ("recurrent_kernel", "weight_hh", units, Matrix(gates)),
        ):
            name = (module.tensor(part + end, layer),)
            yield Entry((f"{path}/{variable}",), name, ((rows, width),), transform)
        if biases:
            kind = StackedBiases if config.cell == "gru" else SummedBiases
            names = tuple(module.tensor(part, layer) for part in biases)
            yield Entry((f"{path}/bias",), names, ((rows,),) * 2, kind(gates))

    def _bridge(self) -> Iterator[Entry]:
        bridge, decoder = self.architecture.bridge, self.decoder
        assert bridge is not None
        if bridge.type != "dense":
            return
        states = 2 if self.encoder.cell == "lstm" else 1
        layers = {"own": 1, "top": 1, "all": self.encoder.num_layers}[bridge.reads]
        kinds = 1 if bridge.reads == "own" else states
        reading = Reading(("hidden",), (output_dim(self.encoder) * layers * kinds,))
        roles = ["bridge.hidden", *(["bridge.cell"] if decoder.cell == "lstm" else [])]
        one = bridge.shared or decoder.num_layers == 1
        for role in roles:
            module = self._modules.get(role)
            if not one and module and LAYER not in module.tensors.get("weight", LAYER):
                self._problems.append(
                    f"modules.{role}: {module.tensors['weight']} is one module for all layers, but "
                    "each has its own here (bridge.reads: own with shared: true has one); write "
                    f"{LAYER} where the number of a layer stands"
                )
        for layer in range(1 if one else decoder.num_layers):
            for state, role in enumerate(roles):
                place = f"state_{state}" if bridge.shared else f"layer_{layer}_state_{state}"
                path = f"decoder/{place}"
                yield from self._linear(role, path, reading, decoder.hidden_dim, layer=layer)

    def _attention(self) -> Iterator[Entry]:
        config = self.decoder.attention
        if config is None or config.score == "dot":
            return
        query, values = self.decoder.hidden_dim, output_dim(self.encoder)
        units = config.units or query
        path = "decoder/attention"
        if config.score == "general":
            reading = Reading(("keys",), (values,))
            yield from self._linear("attention.keys", f"{path}/key", reading, query, bias=False)
            # A bias of the keys adds as much to every score of a query.
            yield from self._without_effect("attention.keys", (query,))
            return
        biased = config.score == "additive"
        if "attention.joint" in self._modules:
            yield from self._joint(Reading(("query", "keys"), (query, values)), units, biased)
        else:
            reading = Reading(("query",), (query,))
            yield from self._linear("attention.query", f"{path}/query", reading, units, bias=False)
            reading = Reading(("keys",), (values,))
            yield from self._linear("attention.keys", f"{path}/key", reading, units, bias=False)
            if biased:
                yield from self._attention_biases(units)
        yield from self._score(f"{path}/score", units)

    def _score(self, path: str, units: int) -> Iterator[Entry]:
        role = "attention.score"
        module = self._modules.get(role)
        if module is not None and VECTOR in module.tensors:
            self._used.add(role)
            yield Entry((f"{path}/kernel",), (module.tensor(VECTOR),), ((units,),), Column())
            return
        yield from self._linear(role, path, Reading(("hidden",), (units,)), 1, bias=False)
        yield from self._without_effect(role, (1,))

    def _joint(self, reading: Reading, units: int, biased: bool) -> Iterator[Entry]:
        role, path = "attention.joint", "decoder/attention"
        module = self._module(role, "weight", *(["bias"] if biased else []))
        if module is None:
            return
        order = self._order(role, module, reading)
        yield Entry(
            (f"{path}/query/kernel", f"{path}/key/kernel"),
            (module.tensor("weight"),),
            ((units, reading.width),),
            JointMatrix(reading.widths, order or (0, 1)),
        )
        if biased:
            yield Entry((f"{path}/key/bias",), (module.tensor("bias"),), ((units,),), Copies())

    def _attention_biases(self, units: int) -> Iterator[Entry]:
        """Yields the bias of the hidden layer that compares query and keys: of either, or both."""
        roles = ("attention.keys", "attention.query")
        found = [self._modules[role] for role in roles if role in self._modules]
        names = tuple(module.tensor("bias") for module in found if "bias" in module.tensors)
        if not names:
            self._problems.append(
                "modules.attention.keys: it has no bias, which score: additive has; use concat"
            )
            return
        transform = SummedBiases() if len(names) == 2 else Copies()
        yield Entry(("decoder/attention/key/bias",), names, ((units,),) * len(names), transform)

    def _without_effect(self, role: str, shape: Shape) -> Iterator[Entry]:
        """Yields the entry of a bias that softmax takes away, where the module has one."""
        module = self._modules.get(role)
        if module is not None and "bias" in module.tensors:
            yield Entry((), (module.tensor("bias"),), (shape,), WithoutEffect(shape))

    def _outputs(self) -> Iterator[Entry]:
        config, output = self.decoder, self.architecture.output
        reading = self._side_by_side()
        if config.readout_kind == "dense":
            yield from self._linear(
                "decoder.readout", "decoder/readout", reading, config.hidden_dim
            )
            reading = Reading(("hidden",), (readout_dim(self.architecture),))
        size = self.architecture.target_vocab_size
        if not output.tie_embeddings:
            yield from self._linear("decoder.output", "logits/dense", reading, size, bias=False)
        if output.bias:
            module = self._module("decoder.output", "bias")
            if module is not None:
                yield Entry(("logits/bias",), (module.tensor("bias"),), ((size,),), Copies())

    def _side_by_side(self) -> Reading:
        """Returns what the readout, or the output projection, reads."""
        config, attention = self.decoder, self.decoder.attention
        hidden, token, memory = config.hidden_dim, embedding_dim(config), output_dim(self.encoder)
        if config.readout_kind == "hidden":
            return Reading(("hidden",), (hidden,))
        if config.context == "every_step":
            return Reading(("hidden", "embedding", "context"), (hidden, token, memory))
        if attention and attention.query == "previous":
            return Reading(("hidden", "context", "embedding"), (hidden, memory, token))
        return Reading(("hidden", "context"), (hidden, memory))
