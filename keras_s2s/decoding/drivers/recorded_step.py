"""Records the operations of a decoding step on PyTorch, to be repeated without the Python code that
led to them.

What is recorded is a list of tensor operations for trees of given shapes, with the number of the
step as a tensor. Operations on constants alone are computed once, so that none copies anything from
the host: a CUDA graph may not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from keras_s2s.decoding.loop import Loop
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.kernels.prepared_weights import PreparedWeights
from keras_s2s.layers.kernels.readable_values import recording
from keras_s2s.typing import Tensor, Tree


class RecordingError(ValueError):
    """Raised where a step does what cannot be repeated from a list of operations."""


class RecordedStep:
    """The operations of a step.

    Args:
        loop: the decoding loop.
        prepared: kernels; what they have prepared becomes a part of the recording.
        fixed, changing, candidates: trees of the shapes for which it is recorded.
        variables: every variable of the network; they are read when the step is run.

    Attributes:
        constant, changing: the leaves of `(fixed, candidates)` and of `changing` that were given.

    Raises:
        RecordingError: a rule or strategy reads values of tensors in Python.
    """

    def __init__(
        self,
        loop: Loop,
        prepared: PreparedWeights,
        fixed: Tree,
        changing: Tree,
        candidates: Tree,
        variables: Iterable[Any],
    ) -> None:
        import torch
        from torch.fx.experimental.proxy_tensor import make_fx

        self._structure = changing
        constant = (fixed, candidates)
        inputs, states = keras.tree.flatten(constant), keras.tree.flatten(changing)
        count = len(inputs)

        def step(index: Tensor, *leaves: Tensor) -> list[Tensor]:
            fixed, candidates = keras.tree.pack_sequence_as(constant, leaves[:count])
            before = keras.tree.pack_sequence_as(changing, leaves[count:])
            after = loop.advance(fixed, before, index, candidates)
            # Mappings have the order of their entries, which a step may change.
            in_order = keras.tree.map_structure(lambda _, new: new, before, after)
            return [*keras.tree.flatten(in_order), loop.finished(after)]

        def copies() -> list[Tensor]:
            return [leaf.clone() for leaf in (*inputs, *states)]

        index = torch.zeros((), dtype=torch.int32, device=states[0].device)
        with recording(), kernels.use(prepared):
            step(index, *copies())  # what is prepared when it is first needed is no part of it
            prepared.keep_used()
            with _no_values():
                self.module = make_fx(step)(index, *copies())
        fold_constants(self.module, [variable.value for variable in variables])

    def __call__(
        self, index: Tensor, constant: Sequence[Tensor], changing: Sequence[Tensor]
    ) -> Any:
        """Takes a step; caches among `changing` are changed in place.

        Args:
            index: its number, int32 `[]`.
            constant: the leaves of `(fixed, candidates)`.
            changing: those of the changing tree.

        Returns:
            the leaves of the changing tree after it, and which sources are done, bool `[B]`.
        """
        *after, finished = self.module(index, *constant, *changing)
        return after, finished

    def tree(self, leaves: Sequence[Tensor]) -> Tree:
        """Returns leaves of the changing tree as a tree."""
        return keras.tree.pack_sequence_as(self._structure, leaves)


def fold_constants(module: Any, variables: Sequence[Any]) -> None:
    """Replaces the operations of a recording that read constants alone by their results.

    Args:
        module: a `torch.fx.GraphModule`, changed in place.
        variables: tensors that are no constants, whatever else shares their memory.
    """
    import torch

    kept = {tensor.untyped_storage().data_ptr() for tensor in variables}
    changed = _changed_in_place(module.graph)
    known: dict[Any, Any] = {}
    for node in list(module.graph.nodes):
        if node.op == "get_attr":
            value = getattr(module, node.target)
            if isinstance(value, torch.Tensor) and _is_constant(value, kept):
                known[node] = value
        elif (
            node.op == "call_function"
            and node not in changed
            and _is_pure(node.target)
            and all(source in known for source in node.all_input_nodes)
        ):
            arguments = torch.fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
            known[node] = node.target(*arguments[0], **arguments[1])
    for number, (node, value) in enumerate(known.items()):
        needed = any(user not in known for user in node.users)
        if node.op == "call_function" and needed and isinstance(value, torch.Tensor):
            name = f"_folded_{number}"
            module.register_buffer(name, value, persistent=False)
            with module.graph.inserting_before(node):
                node.replace_all_uses_with(module.graph.get_attr(name))
    module.graph.eliminate_dead_code()
    module.recompile()


def _changed_in_place(graph: Any) -> set[Any]:
    """Returns the results that later operations change, and those of which these are views."""
    found: set[Any] = set()
    for node in reversed(graph.nodes):
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            continue
        for value, argument in zip(node.args, schema.arguments, strict=False):
            alias = argument.alias_info
            if alias is not None and (alias.is_write or node in found):
                found.add(value)
    return found


def _is_constant(value: Any, variables: set[int]) -> bool:
    import torch

    if value.layout is not torch.strided or value.is_mkldnn:
        return False  # packed weights
    return value.untyped_storage().data_ptr() not in variables


def _is_pure(operation: Any) -> bool:
    """Returns whether an operation does nothing but compute its result."""
    import torch

    if not isinstance(operation, torch._ops.OpOverload):
        return operation.__module__ == "_operator"
    random = torch.Tag.nondeterministic_seeded in operation.tags
    return not operation._schema.is_mutable and not random


def _no_values() -> Any:
    """Returns a context in which Python cannot read values of tensors: what it makes of them would
    become a part of the recording.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    tensor = torch.Tensor
    readers = {tensor.numpy, tensor.tolist, tensor.item, tensor.__bool__, tensor.__int__}
    readers |= {tensor.__float__, tensor.__index__, tensor.__array__}

    class NoValues(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if function in readers:
                raise RecordingError(
                    f"a step that reads values of tensors in Python (Tensor.{function.__name__}) "
                    "cannot be recorded, since they differ at the next one: leave cuda_graphs out, "
                    "or write the rule or strategy with keras.ops alone"
                )
            return function(*args, **(kwargs or {}))

    return NoValues()
