"""Finds out which modules of a state dict have which role in a network."""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from keras_s2s import catalog
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.torch_rnn.description import FILE, ModuleConfig, Role
from keras_s2s.config.nearest import did_you_mean

ROLES: tuple[Role, ...] = typing.get_args(Role)

#: Tensors of a recurrent layer. Those of the other direction end in `REVERSE`.
RNN_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
REVERSE = "_reverse"
LINEAR_PARTS = ("weight", "bias")
#: A parameter in the place of a linear layer that has one output.
VECTOR = "vector"

#: In a name: the number of a layer.
LAYER = "{layer}"


@dataclass(frozen=True)
class Module:
    """A module of PyTorch, by the names of its tensors.

    Attributes:
        tensors: the name of each tensor that there is, by its part; `{layer}` in it stands for the
            number of a layer.
        inputs: what it reads side by side; empty where it reads one vector.
        name: of the module; None where its tensors are named one by one.
    """

    tensors: Mapping[str, str]
    inputs: tuple[str, ...] = ()
    name: str | None = None

    def tensor(self, part: str, layer: int = 0) -> str:
        """Returns the name of a tensor."""
        return self.tensors[part].replace(LAYER, str(layer))

    def described(self) -> dict[str, Any]:
        """Returns the fields of a `ModuleConfig` that name this module."""
        names = {"name": self.name} if self.name is not None else {"tensors": dict(self.tensors)}
        return {**names, **({"inputs": list(self.inputs)} if self.inputs else {})}


Modules = Mapping[str, Module]


@dataclass(frozen=True)
class Found:
    """The modules of a state dict, and roles that more than one could have.

    Attributes:
        modules: by role; roles that nothing has are left out.
        problems: what is wrong with names, a line each.
    """

    modules: dict[str, Module] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def find_modules(
    named: Mapping[Role, ModuleConfig], present: Collection[str], prefix: str = ""
) -> Found:
    """Finds the module of every role.

    Args:
        named: modules that the user named.
        present: names of the tensors.
        prefix: before every name.
    """
    found, taken = Found(), {entry.name for entry in named.values()}
    for role in ROLES:
        if role in named:
            module = _as_named(role, named[role], present, prefix)
            if module is None:
                found.problems.append(_not_there(role, named[role], present, prefix))
            else:
                found.modules[role] = module
            continue
        usual = [name for name in usual_names(role) if name not in taken]
        matches = [
            module
            for name in usual
            if (module := _with_name(role, name, ModuleConfig(name=name), present, prefix))
        ]
        if len(matches) > 1:
            names = " and ".join(str(module.name) for module in matches)
            found.problems.append(
                f"modules.{role}: {names} could both be meant; say which, or give the other its "
                "role"
            )
        elif matches:
            found.modules[role] = matches[0]
    return found


def _as_named(
    role: Role, entry: ModuleConfig, present: Collection[str], prefix: str
) -> Module | None:
    if entry.name is not None:
        return _with_name(role, entry.name, entry, present, prefix)
    tensors = {part: prefix + name for part, name in entry.tensors.items()}
    unknown = [part for part in tensors if part not in _parts(role)]
    if unknown:
        raise CheckpointError(
            f"{FILE}: modules.{role}.tensors.{unknown[0]}: no such tensor of a module; expected "
            + ", ".join(_parts(role))
        )
    there = all(name.replace(LAYER, "0") in present for name in tensors.values())
    return Module(tensors, entry.inputs) if there else None


def _with_name(
    role: Role, name: str, entry: ModuleConfig, present: Collection[str], prefix: str
) -> Module | None:
    """Returns the module of a name; None where it is not there."""
    for form in forms(role, prefix + name):
        tensors = {
            part: tensor for part, tensor in form.items() if tensor.replace(LAYER, "0") in present
        }
        if tensors:
            return Module(tensors, entry.inputs, prefix + name)
    return None


def forms(role: str, name: str) -> Iterator[dict[str, str]]:
    """Yields the names that the tensors of a module may have.

    Layers of nn.GRU and the like are numbered (`weight_ih_l0`); those of nn.GRUCell are not, and a
    stack may be a module for each layer.
    """
    if not role.endswith(".rnn"):
        yield {part: f"{name}.{part}" for part in LINEAR_PARTS}
        if role == "attention.score":
            yield {VECTOR: name}
        return
    number = "0" if LAYER in name else LAYER
    yield {
        part + end: f"{name}.{part}_l{number}{end}" for end in ("", REVERSE) for part in RNN_PARTS
    }
    yield {part: f"{name}.{part}" for part in RNN_PARTS}


def _parts(role: Role) -> list[str]:
    return list(dict.fromkeys(part for form in forms(role, "") for part in form))


def _not_there(role: Role, entry: ModuleConfig, present: Collection[str], prefix: str) -> str:
    if entry.name is None:
        absent = [
            prefix + name
            for name in entry.tensors.values()
            if (prefix + name).replace(LAYER, "0") not in present
        ]
        hint = did_you_mean(absent[0], sorted(present)) or "the weights have no such tensor"
        return f"modules.{role}.tensors: {absent[0]}: {hint}"
    names = module_names(present)
    hint = did_you_mean(prefix + entry.name, names) or f"they have {', '.join(names)}"
    return f"modules.{role}: {prefix + entry.name}: the weights have no such module; {hint}"


def module_names(present: Collection[str]) -> list[str]:
    """Returns the names of the modules that tensors belong to."""
    return list(dict.fromkeys(name.rpartition(".")[0] for name in present if "." in name))


@cache
def _usual() -> Mapping[str, Any]:
    return catalog.read_yaml(catalog.zoo_folder() / "torch_rnn.yaml")


def usual_names(role: str) -> list[str]:
    """Returns the names that modules of a role usually have, of `zoo/torch_rnn.yaml`."""
    halves = _usual()["halves"]
    names: list[str] = []
    for pattern in _usual()["modules"][role]:
        half = next((half for half in halves if f"{{{half}}}" in pattern), None)
        if half is None:
            names.append(pattern)
        else:
            names += [pattern.replace(f"{{{half}}}", name) for name in halves[half]]
    return names
