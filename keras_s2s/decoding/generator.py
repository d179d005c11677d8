"""Generates target ids for sources: batches, padding, seeds, and the compiled loops.

It works on a network and on ids, without text or the public model.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_s2s.config import SpecialIds
from keras_s2s.decoding.compute_types import check_available, check_layers
from keras_s2s.decoding.cuda_graphs import check_cuda_graphs
from keras_s2s.decoding.diagnosis import (
    NonFiniteError,
    NonFiniteLogits,
    check_not_empty,
    while_generating,
    while_scoring,
)
from keras_s2s.decoding.drivers.driver import Driver
from keras_s2s.decoding.drivers.driver_choice import make_driver, make_kernels
from keras_s2s.decoding.forced_scoring import make_forced
from keras_s2s.decoding.job import Job
from keras_s2s.decoding.padded_inputs import PaddedInputs
from keras_s2s.decoding.progress import progress_bar, show_note
from keras_s2s.decoding.schedule import decode
from keras_s2s.decoding.segments import FILLER, Finished, gathered, partial_results
from keras_s2s.fair_lock import FairLock
from keras_s2s.layers.kernels.operations import Kernels
from keras_s2s.network import Network
from keras_s2s.samplers.output import GenerationOutput
from keras_s2s.samplers.phrases import Constraints
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.sampler import Sampler

#: Pairs of a strategy and rules whose programs are kept; of more, the one used longest ago is
#: dropped.
KEPT_DRIVERS = 16


def _in_turn(method: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a method of `Generator` hold its lock while it runs."""

    @functools.wraps(method)
    def alone(self: Generator, *args: Any, **kwargs: Any) -> Any:
        with self._turn():
            return method(self, *args, **kwargs)

    return alone


class NoAttentionError(ValueError):
    """Raised where attention is asked of a decoder that has none."""


class Generator:
    """Runs samplers over a network, and keeps compiled programs for later calls.

    The weights are read at each call, so that training in between has its effect and compiles
    nothing. Where layers have changed (LoRA, quantisation, another precision), programs are
    compiled again.

    Args:
        network: the network.
        owner: the Keras layer that holds all layers of the network, a model for example.
        special_ids: PAD of both sides and the decoder start.
        lock: a lock that code which changes the weights holds, too. One thread generates or
            scores at a time; a stream holds it only while it takes steps.
    """

    def __init__(
        self,
        network: Network,
        owner: keras.Layer,
        special_ids: SpecialIds,
        lock: FairLock | None = None,
    ) -> None:
        self.network = network
        self.owner = owner
        self.special_ids = special_ids
        self._lock = lock or FairLock()
        self._gone = 0  # programs of what is no longer kept
        self._compute_type: str | None = None
        self._cuda_graphs = False
        self._forget()

    def _forget(self) -> None:
        self._variables: list[Any] = []
        self._computation: Any = None
        self._drivers: dict[Any, Driver] = {}
        self._forced: dict[bool, Any] = {}
        self._prepared: Kernels | None = None

    def __repr__(self) -> str:
        """Returns network, backend and numbers of programs in a line."""
        return (
            f"Generator({self.network!r}, backend={keras.backend.backend()}, "
            f"kept={len(self._drivers)} of {KEPT_DRIVERS}, compilations={self.compilations})"
        )

    @property
    def compute_type(self) -> str | None:
        """How matrix products are computed: "int8", "bfloat16", or None for the weights' own type.

        Raises:
            ValueError: set to what backend, processor or model do not have.
        """
        return self._compute_type

    @compute_type.setter
    def compute_type(self, compute_type: str | None) -> None:
        check_available(compute_type)
        check_layers(compute_type, self.owner._flatten_layers())
        with self._lock:
            self._gone = self.compilations
            self._forget()
            self._compute_type = compute_type

    @property
    def cuda_graphs(self) -> bool:
        """Whether steps are run as CUDA graphs.

        Raises:
            ValueError: set to True on another backend than PyTorch, or not on an NVIDIA GPU.
        """
        return self._cuda_graphs

    @cuda_graphs.setter
    def cuda_graphs(self, cuda_graphs: bool) -> None:
        check_cuda_graphs(cuda_graphs, self.owner.weights)
        with self._lock:
            self._gone = self.compilations
            self._forget()
            self._cuda_graphs = cuda_graphs

    @property
    def compilations(self) -> int:
        """Programs compiled (JAX) or graphs traced (TensorFlow) so far, or steps recorded for
        CUDA graphs (PyTorch)."""
        parts = [*self._drivers.values(), *self._forced.values()]
        return self._gone + sum(part.compilations for part in parts)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Holds the lock, with the newest weights in the variables."""
        with self._lock:
            if keras.backend.backend() == "jax" and isinstance(self.owner, keras.Model):
                # While it trains, JAX keeps them elsewhere.
                self.owner.jax_state_sync()
            yield

    @_in_turn
    def generate(
        self,
        sources: Sequence[Sequence[int]],
        sampler: Sampler,
        plan: Plan,
        *,
        seed: int | Sequence[int] | None = None,
        prefixes: Sequence[Sequence[int]] | None = None,
        limits: Sequence[int] | None = None,
        seeds: np.ndarray | None = None,
        places: Sequence[int] | None = None,
        constraints: Sequence[Constraints] | None = None,
        candidates: Sequence[np.ndarray] | None = None,
        batch_size: int = 32,
        want_attention: bool = False,
    ) -> GenerationOutput:
        """Generates target ids for sources.

        Args:
            sources: ids of each source, special ids included, or an array where sources are no ids;
                none may be empty.
            sampler: the strategy.
            plan: special ids, number of steps and rules.
            seed: for samplers that draw: one for all sources, or one for each; None is random.
            prefixes: ids that each source's sequences begin with; they may be empty.
            limits: most ids of each source's sequences, its prefix counted; None takes the plan's
                number of steps for all.
            seeds: what `row_seeds` made, in place of `seed`.
            places: numbers of the sources among the caller's, for rules that use them; None
                means 0, 1, ...
            constraints: what each source's results must have; for samplers that read phrases.
            candidates: the ids that each source's results may have; None allows all.
            batch_size: sources decoded at a time (see `decoding/schedule.py`). Sources are sorted
                by length first, and results are in the order given; they do not depend on the
                batch size.
            want_attention: also compute the attention of the hypotheses to their sources.
        """
        given = (seed, prefixes, limits, seeds, places, constraints, candidates)
        job = Job.of(sources, sampler, plan, *given)
        count = len(sources)
        order = sorted(range(count), key=lambda i: len(sources[i]))
        chunks = [order[begin : begin + batch_size] for begin in range(0, count, batch_size)]

        def batches() -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
            for chunk in chunks:
                inputs = job.inputs(self._padded, chunk)
                fillers = [FILLER] * (len(inputs["places"]) - len(chunk))
                yield np.asarray([*chunk, *fillers]), inputs

        parts: list[Finished] = []
        if count:  # without sources nothing is compiled
            self._refresh()
            driver = self._driver(job)
            steps = max(job.limits) + sampler.lookahead + sampler.drafts
            with progress_bar("generate", count * sampler.copies, count > batch_size) as progress:
                driver.on_compile = functools.partial(show_note, progress)
                try:
                    for part in decode(driver, batches(), steps):
                        parts.append(part)
                        progress.set_postfix_str("", refresh=False)
                        progress.update(int((part.places != FILLER).sum()))
                except NonFiniteLogits as found:
                    raise self._non_finite(driver, found, job) from None
        ids, lengths, scores, log_probs = gathered(parts, count, sampler, plan.pad)
        check_not_empty(lengths, places)
        attentions = None
        if want_attention:
            attentions = self._attention(sources, ids, lengths, plan.decoder_start, batch_size)
        if sampler.num_return_sequences == 1:
            ids, lengths, scores, log_probs = (
                ids[:, 0],
                lengths[:, 0],
                scores[:, 0],
                log_probs[:, 0],
            )
            attentions = None if attentions is None else attentions[:, 0]
        return GenerationOutput(ids, lengths, scores, log_probs, attentions=attentions)

    def stream(
        self,
        sources: Sequence[Sequence[int]],
        sampler: Sampler,
        plan: Plan,
        *,
        seed: int | Sequence[int] | None = None,
        prefixes: Sequence[Sequence[int]] | None = None,
        limits: Sequence[int] | None = None,
        seeds: np.ndarray | None = None,
        places: Sequence[int] | None = None,
        constraints: Sequence[Constraints] | None = None,
        candidates: Sequence[np.ndarray] | None = None,
        stride: int = 1,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields ids as they are generated, all sources in one batch.

        Args:
            sources, sampler, plan, seed, prefixes, limits, seeds, places, constraints, candidates:
                as in `generate`; the sampler says which ids are final (`Sampler.streams`).
            stride: steps between two results.

        Yields:
            `(ids int32 [B, T], lengths int32 [B])`, T growing.
        """
        given = (seed, prefixes, limits, seeds, places, constraints, candidates)
        job = Job.of(sources, sampler, plan, *given)
        inputs = job.inputs(self._padded, range(len(sources)))
        with self._turn():
            self._refresh()
            driver = self._driver(job)
            results = partial_results(driver, inputs, stride)
        while True:
            with self._turn():
                try:
                    result = next(results, None)
                except NonFiniteLogits as found:
                    raise self._non_finite(driver, found, job) from None
            if result is None:
                return
            ids, lengths, done = [part[: len(sources)] for part in result]
            # Beams that agree on nothing yet are not empty.
            check_not_empty(np.where(done, lengths, 1)[:, None], places)
            yield ids, lengths

    @_in_turn
    def score(
        self,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        *,
        starts: Sequence[int] | None = None,
        batch_size: int = 32,
        want_attention: bool = False,
    ) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
        """Returns the log-probability of each target id, given its source and history.

        Args:
            sources: ids of each source, or an array where sources are no ids.
            targets: ids of each target, as labels (no decoder start).
            starts: the decoder start of each target; by default the model's own.

        Returns:
            for each pair a float32 array `[T]`, and, if asked for, one `[T, S]` of attention.

        Raises:
            ValueError: a source or target is longer than the positions for it.
        """
        for side, rows in (("source", sources), ("target", targets)):
            limit = getattr(self.network, f"max_{side}_length")
            for i, row in enumerate(rows):
                if limit is not None and len(row) > limit:
                    raise ValueError(
                        f"{side} {i} has {len(row)} positions, but the model has {limit}; "
                        "shorten it, or pass overlong='truncate' to cut what is too long"
                    )
        self._refresh()
        run = self._forced.get(want_attention)
        if run is None:
            # In the weights' own type they are Keras' own, which training uses, too.
            kernels = None if self.compute_type is None else self._prepared
            run = make_forced(self.network, self._variables, want_attention, kernels)
            self._forced[want_attention] = run
        count = len(sources)
        log_probs: list[Any] = [None] * count
        attention: list[Any] = [None] * count
        starts = starts or [self.special_ids.target.decoder_start] * count
        order = sorted(range(count), key=lambda i: (len(sources[i]), len(targets[i])))
        for begin in range(0, count, batch_size):
            chunk = order[begin : begin + batch_size]
            inputs = self._padded.sources([sources[i] for i in chunk])
            begun = [starts[i] for i in chunk]
            inputs.update(self._padded.targets([targets[i] for i in chunk], begun, inputs))
            out = run(inputs)
            for i, finite in zip(chunk, out["finite"], strict=False):
                if not finite:
                    alone = self._padded.sources([sources[i]])
                    alone.update(self._padded.targets([targets[i]], [starts[i]], alone))
                    raise while_scoring(
                        self.network, alone, self._variables, self._compute_dtype, f"pair {i}"
                    )
            if want_attention and "attention" not in out:
                raise NoAttentionError(
                    "this model's decoder has no attention to show: it reads its source as a "
                    "fixed vector only"
                )
            for at, i in enumerate(chunk):
                log_probs[i] = out["log_probs"][at, : len(targets[i])]
                if want_attention:
                    width = self.network.frontend.vector_count(len(sources[i]))
                    attention[i] = out["attention"][at, : len(targets[i]), :width]
        return log_probs, attention if want_attention else None

    # ------------------------------------------------------------------ inside

    def _refresh(self) -> None:
        """Discards programs if layers or variables have changed since the last call."""
        computation = [
            (id(layer), layer.dtype_policy.name, getattr(layer, "lora_enabled", False))
            for layer in self.owner._flatten_layers()
        ]
        variables = self.owner.weights
        # The variables that are compared with are alive: no other can have their ids.
        same = list(map(id, variables)) == list(map(id, self._variables))
        if not same or computation != self._computation or self._prepared is None:
            check_layers(self.compute_type, self.owner._flatten_layers())
            self._gone = self.compilations
            self._forget()
            self._variables, self._computation = variables, computation
            self._prepared = make_kernels(self.network, self.compute_type, variables)
        self._prepared.refresh()

    def _non_finite(self, driver: Driver, found: NonFiniteLogits, job: Job) -> NonFiniteError:
        """Returns the error about logits that are not finite, with the cause for the first
        source.
        """
        first = found.places[0]
        more = f" (and {len(found.places) - 1} more)" if len(found.places) > 1 else ""
        return while_generating(
            driver.loop,
            job.inputs(self._padded, [first]),
            found.step,
            self._variables,
            self._compute_dtype,
            f"source {first if job.places is None else job.places[first]}{more}",
        )

    @property
    def _compute_dtype(self) -> str:
        return str(self.network.encoder.compute_dtype)

    def _driver(self, job: Job) -> Driver:
        key = (job.sampler.key(), job.plan)
        driver = self._drivers.pop(key, None)
        if driver is None:
            # Programs read each source's own limit.
            driver = make_driver(
                self.network,
                job.sampler,
                replace(job.plan, steps=0),
                self._variables,
                self._prepared,
                records=self._cuda_graphs,
            )
        self._drivers[key] = driver  # as the newest
        while len(self._drivers) > KEPT_DRIVERS:
            oldest = next(iter(self._drivers))
            self._gone += self._drivers.pop(oldest).compilations
        return driver

    @property
    def _padded(self) -> PaddedInputs:
        few_sizes = self._cuda_graphs or keras.backend.backend() == "jax"
        return PaddedInputs(self.network, self.special_ids, few_sizes)

    def _attention(
        self, sources: Any, ids: Any, lengths: Any, start: int, batch_size: int
    ) -> np.ndarray:
        """Returns the attention of hypotheses, from a teacher-forced pass over them: `[B, N, T,
        S]`.
        """
        count, n, longest = ids.shape
        count_of = self.network.frontend.vector_count
        widest = max((count_of(len(source)) for source in sources), default=0)
        result = np.zeros((count, n, longest, widest), np.float32)
        if not count:
            return result
        # Rules can leave fewer hypotheses than were asked for; an empty place has no attention.
        flat = [(b, i) for b in range(count) for i in range(n) if lengths[b, i]]
        _, attention = self.score(
            [sources[b] for b, _ in flat],
            [ids[b, i, : lengths[b, i]].tolist() for b, i in flat],
            starts=[start] * len(flat),
            batch_size=batch_size,
            want_attention=True,
        )
        assert attention is not None
        for (b, i), part in zip(flat, attention, strict=True):
            result[b, i, : part.shape[0], : part.shape[1]] = part
        return result
