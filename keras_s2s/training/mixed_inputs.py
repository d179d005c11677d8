"""Mixes true decoder inputs with what the model would choose itself.

The choices are ids, and no gradient flows through them. So a training step with a mixture is one
with teacher forcing on other decoder inputs, which are computed here before it, with the weights of
the step and without dropout, as in generation:

    true inputs      START  T1     T2     T3
    kept             yes    no     yes    no
    mixed inputs     START  C1     T2     C3      C1: chosen after START; C3: after START C1 T2
                                                  (two passes: C3 after START T1 T2)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from keras import ops

from keras_s2s.config import SpecialIds
from keras_s2s.layers.repeat import repeat
from keras_s2s.layers.state import State
from keras_s2s.network import Network
from keras_s2s.samplers.random_numbers import draw, seed_of, uniform
from keras_s2s.typing import Tensor, Tree

#: From logits `[R, V]` and numbers in [0, 1) `[R]` to ids int32 `[R]`.
Choice = Callable[[Tensor, Tensor], Tensor]


def likeliest(logits: Tensor, numbers: Tensor) -> Tensor:
    """Returns the ids with the largest logits; `numbers` are not needed."""
    return ops.cast(ops.argmax(logits, axis=-1), "int32")


def drawn(logits: Tensor, numbers: Tensor) -> Tensor:
    """Draws ids from the softmax of the logits."""
    return ops.cast(draw(logits, numbers), "int32")


CHOICES: dict[str, Choice] = {"argmax": likeliest, "draw": drawn}


def draw_numbers(ids: Tensor, mask: Tensor, seed: int, step: Tensor) -> tuple[Tensor, Tensor]:
    """Draws two numbers in [0, 1) for each decoder input: whether it is kept, and what is chosen.

    They depend on the seed, the optimiser's step, the row's number and its ids, and the position,
    and on nothing else: not on padding, other rows, or the backend.

    Args:
        ids: decoder inputs, int32 `[B, T]`.
        mask: bool `[B, T]`, True at real ones.
        seed: an int.
        step: of the optimiser, a scalar; the same for micro-batches whose gradients are
            accumulated, which their ids tell apart.

    Returns:
        two float32 `[B, T]`.
    """
    rows, length = ops.shape(ids)
    places = ops.arange(length, dtype="int32")[None]
    numbers = ops.arange(rows, dtype="int32")
    # 16 bits of each id, so that the sum of a row fits an int32 on every backend.
    told = ops.cast(uniform(ids, places) * 65536.0, "int32")
    content = ops.cast(ops.sum(ops.where(mask, told, 0), axis=1), "int32")
    seeds = seed_of(seed_of(seed_of(ops.full_like(numbers, seed), step), numbers), content)[:, None]
    return uniform(seeds, 2 * places), uniform(seeds, 2 * places + 1)


def kept_inputs(
    ids: Tensor, mask: Tensor, coins: Tensor, share: Tensor, special_ids: SpecialIds
) -> Tensor:
    """Returns which decoder inputs stay true: bool `[B, T]`.

    Those whose coin lies below `share`; the decoder start; an id that generation is forced to begin
    with (`forced_bos`, the target's language); padding.

    Args:
        ids, mask: as of `draw_numbers`.
        coins: float32 `[B, T]` in [0, 1).
        share: of true inputs, a scalar.
        special_ids: of the model.
    """
    places = ops.arange(ops.shape(ids)[1], dtype="int32")[None]
    kept = ops.logical_or(coins < ops.cast(share, "float32"), places == 0)
    target, languages = special_ids.target, special_ids.languages
    forced = set() if target.forced_bos is None else {target.forced_bos}
    if languages is not None and languages.target == "forced_bos":
        forced |= set(languages.codes.values())
    for each in sorted(forced):
        kept = ops.logical_or(kept, ops.logical_and(places == 1, ids == each))
    return ops.logical_or(kept, ops.logical_not(mask))


def step_by_step(
    network: Network, inputs: Mapping[str, Tensor], kept: Tensor, choose: Choice, numbers: Tensor
) -> Tensor:
    """Mixes the inputs one step after the other [Bengio 2015]: a choice depends on those before it.

    Args:
        network: the network.
        inputs: of the model, tensors.
        kept: bool `[B, T]`, where inputs stay true.
        choose: one of `CHOICES`.
        numbers: float32 `[B, T]` in [0, 1), for the choice that is read at a position.

    Returns:
        decoder inputs int32 `[B, T]`.
    """
    ids = ops.cast(inputs["decoder_token_ids"], "int32")
    length = ops.shape(ids)[1]
    places = ops.arange(length, dtype="int32")[None]
    source, beam = network.init_state(network.encode(inputs), length)

    def advance(index: Tensor, carry: tuple[Tensor, Tree]) -> tuple[Tensor, Tree]:
        ids, beam = carry
        found = network.step(ops.take(ids, index, axis=1), State(source, beam), index)
        chosen = choose(found.logits, ops.take(numbers, index + 1, axis=1))
        here = ops.logical_and(places == index + 1, ops.logical_not(kept))
        return ops.where(here, chosen[:, None], ids), found.state.beam

    return repeat(advance, (ids, beam), length - 1)[0]


def two_pass(
    network: Network, inputs: Mapping[str, Tensor], kept: Tensor, choose: Choice, numbers: Tensor
) -> Tensor:
    """Mixes the inputs of all positions at once, with what the model chooses after the true inputs
    [Mihaylova and Martins 2019]; arguments and result as of `step_by_step`.
    """
    ids = ops.cast(inputs["decoder_token_ids"], "int32")
    logits = network.logits(inputs)[:, :-1]
    flat = ops.reshape(logits, (-1, logits.shape[-1]))
    chosen = choose(flat, ops.reshape(numbers[:, 1:], (-1,)))
    chosen = ops.concatenate([ids[:, :1], ops.reshape(chosen, ops.shape(ids[:, 1:]))], axis=1)
    return ops.where(kept, ids, chosen)


METHODS = {"step_by_step": step_by_step, "two_pass": two_pass}
