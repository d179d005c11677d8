"""Gradient checkpointing: a block's inner values are computed again in the backward pass.

Of each block only the inputs are kept for the backward pass, which takes the memory of one block
instead of all, and the time of another forward pass [Chen 2016, arXiv:1604.06174].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_s2s.typing import Tensor

#: Attribute of a stack.
FLAG = "gradient_checkpointing"


def recomputed(
    function: Callable[..., Tensor],
    tensors: Sequence[Tensor | None],
    layer: keras.layers.Layer,
    draws: Callable[[keras.layers.Layer], int],
) -> Tensor:
    """Computes `function(*tensors)`; the backward pass computes it again.

    The second pass has to drop what the first one dropped. Keras' generators of seeds move on with
    each draw, and on JAX what is drawn within a recomputed function must not leave it: so the
    seeds are taken outside, and go into the function as its inputs.

    Args:
        function: of the tensors; it uses the weights of `layer` alone, and returns one tensor.
        tensors: all tensors that gradients flow to, but for weights; None stays None.
        layer: a built layer.
        draws: sub-layer -> how often `function` draws from its generator.

    Returns:
        the function's value.
    """
    generators: dict[int, tuple[Any, int]] = {}
    for part in layer._flatten_layers():
        generator = getattr(part, "seed_generator", None)
        if generator is not None:
            generators[id(generator)] = (generator, draws(part))
    states, seeds = [], []
    for generator, count in generators.values():
        states.append(generator.state)
        seeds.append(generator.next())
        for _ in range(count - 1):
            generator.next()
    # A scope hides the one around it, which on JAX holds the weights of the step.
    weights = layer.variables if keras.backend.backend() == "jax" else []
    known = {id(state) for state in states}
    others = [(weight, weight.value) for weight in weights if id(weight) not in known]
    given = [index for index, tensor in enumerate(tensors) if tensor is not None]

    def run(*values: Tensor) -> Tensor:
        arguments = list(tensors)
        for index, value in zip(given, values, strict=False):
            arguments[index] = value
        drawn = list(zip(states, values[len(given) :], strict=True))
        with keras.StatelessScope(state_mapping=[*others, *drawn]):
            return function(*arguments)

    return keras.remat(run)(*[tensors[index] for index in given], *seeds)


def checkpoint_gradients(network: Any, wanted: bool) -> None:
    """Turns checkpointing on or off in the stacks of a network.

    Raises:
        ValueError: it is wanted, but no side of the network is a Transformer.
    """
    sides = [side for side in (network.encoder, network.decoder) if hasattr(side, FLAG)]
    if wanted and not sides:
        raise ValueError(
            "gradient_checkpointing=True: the blocks of a Transformer are computed again, but "
            f"encoder and decoder of this model are {type(network.encoder).__name__} and "
            f"{type(network.decoder).__name__}; leave it out"
        )
    for side in sides:
        setattr(side, FLAG, bool(wanted))


def checkpoints_gradients(network: Any) -> bool:
    """Returns whether checkpointing is on."""
    return any(getattr(side, FLAG, False) for side in (network.encoder, network.decoder))
