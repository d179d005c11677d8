"""Recurrent encoder-decoders as courses write them in PyTorch: the references of the parity tests.

Each computes logits `[T, V]` of one source and target, without padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}


class Container(nn.Module):
    """A module whose children are called as the keywords say."""

    def __init__(self, **children: nn.Module) -> None:
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)


class Reference(nn.Module):
    """A model of two halves, `encoder` and `decoder` or what `halves` says."""

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        halves: tuple[str, str] = ("encoder", "decoder"),
    ) -> None:
        super().__init__()
        self.add_module(halves[0], encoder)
        self.add_module(halves[1], decoder)
        self.parts = lambda: (getattr(self, halves[0]), getattr(self, halves[1]))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape) * 0.5)

    def encode(self, source: list[int]) -> tuple[Any, Any]:
        """`(outputs [S, D], state)`."""
        raise NotImplementedError

    def step(self, token: int, memory: Any, state: Any) -> tuple[Any, Any]:
        """`(logits [V], state)`."""
        raise NotImplementedError

    @torch.no_grad()
    def logits(self, source: list[int], target: list[int]) -> Any:
        memory, state = self.encode(source)
        rows = []
        for token in target:
            row, state = self.step(token, memory, state)
            rows.append(row)
        return torch.stack(rows).numpy()

    @torch.no_grad()
    def greedy(self, source: list[int], start: int, eos: int, limit: int) -> list[int]:
        memory, state = self.encode(source)
        ids = [start]
        while len(ids) < limit and (ids[-1] != eos or len(ids) == 1):
            row, state = self.step(ids[-1], memory, state)
            ids.append(int(row.argmax()))
        return ids[1:]


def run(rnn: nn.Module, vectors: Any, state: Any = None) -> tuple[Any, Any]:
    """Runs a layer over `[T, D]`."""
    outputs, state = rnn(vectors, state)
    return outputs, state


class Plain(Reference):
    """The last state of the encoder starts the decoder; nothing else of the source reaches it."""

    def __init__(
        self,
        cell: str = "gru",
        layers: int = 1,
        *,
        names: tuple[str, str, str] = ("embedding", "rnn", "fc_out"),
        halves: tuple[str, str] = ("encoder", "decoder"),
        bias: bool = True,
        relu: bool = False,
        **options: Any,
    ) -> None:
        embedding, rnn, output = names
        made = [CELLS[cell](width, 7, num_layers=layers, bias=bias, **options) for width in (5, 6)]
        encoder = Container(**{embedding: nn.Embedding(11, 5), rnn: made[0]})
        decoder = Container(
            **{embedding: nn.Embedding(13, 6), rnn: made[1], output: nn.Linear(7, 13, bias=bias)}
        )
        self.names, self.relu = names, relu
        super().__init__(encoder, decoder, halves)

    def encode(self, source):
        embedding, rnn, _ = (getattr(self.parts()[0], name, None) for name in self.names)
        return run(rnn, embedding(torch.tensor(source)))

    def step(self, token, memory, state):
        embedding, rnn, output = (getattr(self.parts()[1], name) for name in self.names)
        vector = embedding(torch.tensor([token]))
        hidden, state = run(rnn, torch.relu(vector) if self.relu else vector, state)
        return output(hidden)[0], state


class BothWays(Reference):
    """A bidirectional encoder, whose last states, side by side, start a decoder twice as wide."""

    def __init__(self, cell: str, layers: int) -> None:
        encoder = Container(
            embedding=nn.Embedding(11, 5), rnn=CELLS[cell](5, 4, layers, bidirectional=True)
        )
        decoder = Container(
            embedding=nn.Embedding(13, 6), rnn=CELLS[cell](6, 8, layers), fc=nn.Linear(8, 13)
        )
        super().__init__(encoder, decoder)

    def encode(self, source):
        outputs, state = run(self.encoder.rnn, self.encoder.embedding(torch.tensor(source)))
        return outputs, joined(state)

    def step(self, token, memory, state):
        hidden, state = run(self.decoder.rnn, self.decoder.embedding(torch.tensor([token])), state)
        return self.decoder.fc(hidden)[0], state


def joined(state: Any) -> Any:
    """Both directions of each layer side by side: `[2 L, D]` to `[L, 2 D]`."""
    if isinstance(state, tuple):
        return tuple(joined(part) for part in state)
    return torch.cat([state[0::2], state[1::2]], dim=1)


class Projected(BothWays):
    """The same, projected by one linear layer for all layers' hidden states and one for cells."""

    def __init__(self, cell: str, layers: int, activation: str) -> None:
        super().__init__(cell, layers)
        self.encoder.fc_hidden = nn.Linear(8, 8)
        self.encoder.fc_cell = nn.Linear(8, 8) if cell == "lstm" else nn.Identity()
        self.activation = getattr(torch, activation, lambda x: x)

    def encode(self, source):
        outputs, state = super().encode(source)
        if isinstance(state, tuple):
            state = tuple(
                self.activation(layer(part))
                for layer, part in zip(
                    (self.encoder.fc_hidden, self.encoder.fc_cell), state, strict=True
                )
            )
        else:
            state = self.activation(self.encoder.fc_hidden(state))
        return outputs, state


class Attends(Reference):
    """Bahdanau's model as the tutorial writes it: one linear layer over query and keys, `v`, and an
    output layer over hidden vector, context and embedding.

    `order` says in which order the last two are read by the cell; with `vector`, `v` is an
    nn.Parameter.
    """

    def __init__(
        self, order: str = "embedding context", layers: int = 1, vector: bool = False
    ) -> None:
        encoder = Container(
            embedding=nn.Embedding(11, 5),
            rnn=nn.GRU(5, 4, layers, bidirectional=True),
            fc=nn.Linear(8, 7),
        )
        decoder = Container(
            attention=Container(attn=nn.Linear(8 + 7, 3), v=nn.Linear(3, 1, bias=False)),
            embedding=nn.Embedding(13, 6),
            rnn=nn.GRU(6 + 8, 7),
            fc_out=nn.Linear(7 + 8 + 6, 13),
        )
        self.order = order
        if vector:
            del decoder.attention.v
            decoder.attention.v = nn.Parameter(torch.zeros(3))
        super().__init__(encoder, decoder)

    def encode(self, source):
        outputs, state = run(self.encoder.rnn, self.encoder.embedding(torch.tensor(source)))
        return outputs, torch.tanh(self.encoder.fc(torch.cat([state[-2], state[-1]])))[None]

    def step(self, token, memory, state):
        attention = self.decoder.attention
        queries = state[-1].expand(len(memory), -1)
        energy = torch.tanh(attention.attn(torch.cat([queries, memory], dim=1)))
        is_vector = isinstance(attention.v, nn.Parameter)
        scores = energy @ attention.v if is_vector else attention.v(energy)[:, 0]
        weights = torch.softmax(scores, dim=0)
        vectors = {
            "context": weights @ memory,
            "embedding": self.decoder.embedding(torch.tensor(token)),
        }
        inputs = torch.cat([vectors[name] for name in self.order.split()])
        hidden, state = run(self.decoder.rnn, inputs[None], state)
        read = [hidden[0], vectors["context"], vectors["embedding"]]
        return self.decoder.fc_out(torch.cat(read)), state


class Tutorial(Reference):
    """The attention decoder of PyTorch's own tutorial: `Wa`, `Ua`, `Va`, each with a bias, and an
    output layer over the hidden vector alone.
    """

    def __init__(self) -> None:
        encoder = Container(embedding=nn.Embedding(11, 7), gru=nn.GRU(7, 7))
        decoder = Container(
            embedding=nn.Embedding(13, 7),
            attention=Container(Wa=nn.Linear(7, 7), Ua=nn.Linear(7, 7), Va=nn.Linear(7, 1)),
            gru=nn.GRU(14, 7),
            out=nn.Linear(7, 13),
        )
        super().__init__(encoder, decoder)

    def encode(self, source):
        return run(self.encoder.gru, self.encoder.embedding(torch.tensor(source)))

    def step(self, token, memory, state):
        attention = self.decoder.attention
        energy = attention.Va(torch.tanh(attention.Wa(state[-1]) + attention.Ua(memory)))[:, 0]
        context = torch.softmax(energy, dim=0) @ memory
        vector = self.decoder.embedding(torch.tensor(token))
        hidden, state = run(self.decoder.gru, torch.cat([vector, context])[None], state)
        return self.decoder.out(hidden)[0], state


class EveryStep(Reference):
    """Cho's model as the tutorial writes it: the last state enters every step and the output."""

    def __init__(self) -> None:
        encoder = Container(embedding=nn.Embedding(11, 5), rnn=nn.GRU(5, 7))
        decoder = Container(
            embedding=nn.Embedding(13, 6), rnn=nn.GRU(6 + 7, 7), fc_out=nn.Linear(6 + 14, 13)
        )
        super().__init__(encoder, decoder)

    def encode(self, source):
        _, state = run(self.encoder.rnn, self.encoder.embedding(torch.tensor(source)))
        return state[0], state

    def step(self, token, memory, state):
        vector = self.decoder.embedding(torch.tensor(token))
        hidden, state = run(self.decoder.rnn, torch.cat([vector, memory])[None], state)
        return self.decoder.fc_out(torch.cat([vector, hidden[0], memory])), state


class Luong(Reference):
    """Bilinear attention after two LSTM layers, with a bias that changes nothing, and `concat`."""

    def __init__(self, feeds: bool = False) -> None:
        encoder = Container(embedding=nn.Embedding(11, 5), lstm=nn.LSTM(5, 7, 2))
        decoder = Container(
            embedding=nn.Embedding(13, 6),
            lstm=nn.LSTM(6 + (7 if feeds else 0), 7, 2),
            attn=nn.Linear(7, 7),
            concat=nn.Linear(14, 7),
            out=nn.Linear(7, 13),
        )
        self.feeds = feeds
        super().__init__(encoder, decoder)

    def encode(self, source):
        outputs, state = run(self.encoder.lstm, self.encoder.embedding(torch.tensor(source)))
        return outputs, (torch.zeros(7), state)

    def step(self, token, memory, state):
        feed, state = state
        vector = self.decoder.embedding(torch.tensor(token))
        inputs = torch.cat([feed, vector]) if self.feeds else vector
        hidden, state = run(self.decoder.lstm, inputs[None], state)
        context = torch.softmax(self.decoder.attn(memory) @ hidden[0], dim=0) @ memory
        readout = torch.tanh(self.decoder.concat(torch.cat([hidden[0], context])))
        return self.decoder.out(readout), (readout, state)


class Cells(Reference):
    """nn.LSTMCell, a module for each layer."""

    def __init__(self) -> None:
        encoder = Container(embedding=nn.Embedding(11, 5), rnn=nn.LSTM(5, 7, 2))
        decoder = Container(
            embedding=nn.Embedding(13, 6),
            cells=nn.ModuleList([nn.LSTMCell(6, 7), nn.LSTMCell(7, 7)]),
            linear=nn.Linear(7, 13),
        )
        super().__init__(encoder, decoder)

    def encode(self, source):
        outputs, (h, c) = run(self.encoder.rnn, self.encoder.embedding(torch.tensor(source)))
        return outputs, [(h[i], c[i]) for i in range(2)]

    def step(self, token, memory, state):
        x, states = self.decoder.embedding(torch.tensor(token)), []
        for cell, before in zip(self.decoder.cells, state, strict=True):
            states.append(cell(x[None], tuple(part[None] for part in before)))
            x = states[-1][0][0]
        return self.decoder.linear(x), [tuple(part[0] for part in pair) for pair in states]
