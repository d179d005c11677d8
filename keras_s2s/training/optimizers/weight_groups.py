"""Groups of weights by name: parts of a network, and patterns of the paths of its variables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from keras_s2s.config.nearest import close_words, either

#: What stands between `encoder` or `decoder` and the rest in the path of a variable.
_CROSS_ATTENTION = ("cross_attention", "cross_attention_norm", "attention")

#: Name of a part -> what it holds.
PARTS = {
    "encoder": "encoder and what only it reads: its token table, positions and their norm",
    "decoder": "decoder, what only it reads, and the projection to logits",
    "embeddings": "token tables (with a projection that is tied to one), positions, their norms",
    "cross_attention": "attention of the decoder to the source, with its norms, and a projection "
    "of the encoder's width to the decoder's",
    "all_but_cross_attention": "everything else",
    "new": "weights that no checkpoint filled, as the load report lists them",
}


class WeightGroups:
    """Finds the weights of a network by the name of a part, or by a pattern of their paths.

    Args:
        network: a `network.Network` that is built.
        weights: its variables.
        new: paths of weights that loading left at random.

    Example:
        >>> groups = WeightGroups(model.network, model.weights)
        >>> [weight.path for weight in groups.find("decoder/layer_0/cross_attention/query")]
        ['decoder/layer_0/cross_attention/query/kernel', ...]
    """

    def __init__(self, network: Any, weights: Sequence[Any], new: Sequence[str] = ()) -> None:
        self.weights = list(weights)
        self._new = frozenset(new)
        source = _paths(vars(network.frontend).values()) | _paths([network.encoder])
        target = _paths([network.target_table, network.target_embedding, network.decoder])
        embeddings = _paths(
            [*vars(network.frontend).values(), network.target_table, network.target_embedding]
        )
        every = {weight.path for weight in self.weights}
        cross = {path for path in every if _is_cross_attention(path)}
        self._parts: dict[str, set[str]] = {
            "encoder": source - target,
            "decoder": every - source,
            "embeddings": embeddings,
            "cross_attention": cross,
            "all_but_cross_attention": every - cross if cross else set(),
            "new": {path for path in every if path in self._new},
        }

    def find(self, name: str) -> list[Any]:
        """Returns the weights that a name means, in the order of the network.

        Args:
            name: a key of `PARTS`; or the path of a weight, of a layer or of several, with `*` and
                `?` as in file names.

        Raises:
            ValueError: no weight has such a path, or the network lacks the part; names the nearest.
        """
        if not isinstance(name, str):
            raise ValueError(f"{name!r} is not the name of a part, or a pattern of paths")
        if name in self._parts:
            found = [weight for weight in self.weights if weight.path in self._parts[name]]
            if not found:
                raise ValueError(f"{name!r}: {self._lacks(name)}")
            return found
        found = [
            weight
            for weight in self.weights
            if fnmatchcase(weight.path, name) or fnmatchcase(weight.path, f"{name}/*")
        ]
        if not found:
            raise ValueError(self._unknown(name))
        return found

    def find_all(self, names: str | Iterable[str]) -> list[Any]:
        """Returns the weights that any of several names means; each once."""
        names = [names] if isinstance(names, str) else list(names)
        found = {id(weight) for name in names for weight in self.find(name)}
        return [weight for weight in self.weights if id(weight) in found]

    def _lacks(self, name: str) -> str:
        if name == "new":
            return (
                "no weight of this model is new: its load report lists none as fresh. Weights are "
                "new where a checkpoint lacked them"
            )
        if "cross_attention" in name:
            return "the decoder of this model has no attention to the source"
        return "this model has no weights of its own there; they are shared with the other side"

    def _unknown(self, name: str) -> str:
        paths = [weight.path for weight in self.weights]
        layers = dict.fromkeys(path.rpartition("/")[0] for path in paths)
        near = close_words(name, [*PARTS, *layers, *paths], n=3)
        hint = f"the nearest are {either(near)}" if near else f"paths are such as {paths[0]!r}"
        return (
            f"{name!r} is no part of the model ({', '.join(PARTS)}), and no path of a weight "
            f"matches it; {hint}"
        )


def _paths(layers: Iterable[Any]) -> set[str]:
    return {weight.path for layer in layers for weight in getattr(layer, "weights", ())}


def _is_cross_attention(path: str) -> bool:
    side, _, rest = path.partition("/")
    if side == "memory_projection":
        return True  # between encoder and decoder, for nothing else
    return side == "decoder" and any(part in _CROSS_ATTENTION for part in rest.split("/"))


def described(weights: Sequence[Any], among: Sequence[Any]) -> str:
    """Returns which of all weights these are, by the longest paths that hold no others.

    Args:
        weights: some weights.
        among: all weights of the network.

    Example:
        >>> described(model.weight_groups.find("encoder"), model.weights)
        'encoder'
    """
    mine = {weight.path for weight in weights}
    others = {weight.path for weight in among} - mine
    shown: dict[str, None] = {}
    for path in (weight.path for weight in weights):
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            prefix = "/".join(parts[:length])
            if not any(other == prefix or other.startswith(f"{prefix}/") for other in others):
                shown[prefix] = None
                break
    names = list(shown)
    more = f" and {len(names) - 6} more" if len(names) > 7 else ""
    return ", ".join(names[:6] if more else names) + more
