"""Random sampling, from the whole distribution or from its likeliest ids."""

from __future__ import annotations

from keras import ops

from keras_s2s.options.generation import DEFAULTS, checked
from keras_s2s.options.strategies import STRATEGIES
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.gather import gather
from keras_s2s.samplers.random_numbers import draw, uniform
from keras_s2s.samplers.strategies.greedy import Greedy
from keras_s2s.samplers.warper import LogitsWarper, WarpsLogits
from keras_s2s.typing import Tensor


class Random(WarpsLogits, Greedy):
    """Random sampling: draws the next id from the model's distribution.

    Every row has a seed of its own, and the draw of a step is a function of that seed and the
    step alone: a row gets the same draws alone, in any batch, and on any backend. The first of
    several sequences of a source is the one that would be drawn alone.

    The options are transformers' and are applied in its order, after the rules of the plan; but
    nothing is dropped by default, where transformers starts from `top_k=50`.

    Args:
        temperature: divides the logits; below 1 sharpens, above 1 flattens.
        top_k: draw from the k likeliest ids only [Fan 2018]; None or 0 draws from all.
        top_p: draw from the likeliest ids that together have this probability [Holtzman 2020].
        min_p: leave out ids less likely than this share of the likeliest one's probability
            [Nguyen 2024].
        typical_p: draw from the most typical ids that together have this probability [Meister
            2023].
        epsilon_cutoff, eta_cutoff: leave out ids less likely than this; `eta_cutoff` lowers it
            where the distribution is flat [Hewitt 2022].
        num_return_sequences: sequences drawn for each source, in the order drawn.

    Raises:
        ValueError: for a value outside its range.

    Example:
        >>> model.generate("ein Hund", sampler=Random(temperature=0.7, top_p=0.9), seed=1)
    """

    def __init__(
        self,
        *,
        temperature: float = DEFAULTS.temperature,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        typical_p: float | None = None,
        epsilon_cutoff: float | None = None,
        eta_cutoff: float | None = None,
        num_return_sequences: int = DEFAULTS.num_return_sequences,
    ) -> None:
        self._warp_with(
            LogitsWarper(temperature, top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff)
        )
        self.num_return_sequences = checked("num_return_sequences", num_return_sequences)

    @property
    def draws(self) -> bool:
        return True

    @property
    def copies(self) -> int:
        # Draws are independent: they are rows without a shared cache, and each is removed
        # when it is done.
        return self.num_return_sequences

    def choose(self, scores: Tensor, index: Tensor, sources: Sources) -> Tensor:
        scores, ids = self.warper()(scores)
        rank = draw(scores, uniform(sources.seeds, index))
        if ids is None:
            return ops.cast(rank, "int32")
        return gather(ids, ops.cast(rank, "int32")[:, None])[:, 0]


class TopK(Random):
    """Top-k sampling: draws from the `top_k` likeliest ids [Fan 2018], with the other options of
    `Random`.
    """

    def __init__(
        self,
        top_k: int = STRATEGIES["top_k"].defaults["top_k"],
        *,
        temperature: float = DEFAULTS.temperature,
        top_p: float | None = None,
        min_p: float | None = None,
        typical_p: float | None = None,
        epsilon_cutoff: float | None = None,
        eta_cutoff: float | None = None,
        num_return_sequences: int = DEFAULTS.num_return_sequences,
    ) -> None:
        super().__init__(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            typical_p=typical_p,
            epsilon_cutoff=epsilon_cutoff,
            eta_cutoff=eta_cutoff,
            num_return_sequences=num_return_sequences,
        )


class TopP(Random):
    """Top-p sampling: draws from the likeliest ids that together have probability `top_p` [Holtzman
    2020].

    The other options are `Random`'s.
    """

    def __init__(
        self,
        top_p: float = STRATEGIES["top_p"].defaults["top_p"],
        *,
        temperature: float = DEFAULTS.temperature,
        top_k: int | None = None,
        min_p: float | None = None,
        typical_p: float | None = None,
        epsilon_cutoff: float | None = None,
        eta_cutoff: float | None = None,
        num_return_sequences: int = DEFAULTS.num_return_sequences,
    ) -> None:
        super().__init__(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            typical_p=typical_p,
            epsilon_cutoff=epsilon_cutoff,
            eta_cutoff=eta_cutoff,
            num_return_sequences=num_return_sequences,
        )
