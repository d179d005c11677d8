"""Runs the decoding loop on JAX, as compiled programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_s2s.decoding.drivers.driver import Segment, to_numpy
from keras_s2s.decoding.drivers.few_sizes import FewSizes
from keras_s2s.decoding.drivers.program_cache import keep_programs
from keras_s2s.decoding.loop import Loop
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.kernels.transposed_table import TransposedTable
from keras_s2s.samplers.sampler import Result
from keras_s2s.typing import Tensor, Tree

#: XLA's level of optimisation for programs that do little but move numbers about: they run as fast
#: as with all, and compile faster.
FEW_OPTIMISATIONS = 1


def jax_compiled(
    function: Callable[..., Any],
    variables: list[Any],
    static: tuple[str, ...] = (),
    donated: tuple[int, ...] = (),
    only_moves: bool = False,
) -> Callable[..., Tree]:
    """Returns `function` under `jax.jit`; the values of variables are read at each call.

    Args:
        static: keyword arguments that are constants of the program.
        donated: arguments whose memory the result may use; they are invalid afterwards.
        only_moves: whether it does little but move numbers about.
    """
    import jax

    keep_programs()

    def stateless(weights: list[Any], *arguments: Any, **constants: Any) -> Tree:
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            return function(*arguments, **constants)

    places = tuple(1 + place for place in donated)
    options: dict[str, Any] = {}
    if only_moves and jax.default_backend() == "cpu":
        options["xla_backend_optimization_level"] = FEW_OPTIMISATIONS
    compiled = jax.jit(
        stateless, static_argnames=static, donate_argnums=places, compiler_options=options
    )

    def run(*arguments: Any, **constants: Any) -> Tree:
        return compiled([v.value for v in variables], *arguments, **constants)

    run.programs = compiled._cache_size  # type: ignore[attr-defined]
    return run


class JaxDriver(FewSizes):
    """The driver of JAX: compiled programs, one for each size of the trees, with weights as
    arguments.
    """

    prepared: TransposedTable

    def __init__(self, loop: Loop, variables: list[Any], prepared: TransposedTable) -> None:
        super().__init__(loop, variables, prepared)
        constant = {"grow": ("capacity",), "start": ("capacity",), "candidates": ("size",)}
        self._sizes: set[Any] = set()
        self._programs: dict[str, Any] = {
            name: jax_compiled(
                function,
                variables,
                constant.get(name, ()),
                (1,) if name == "segment" else (),
                name in ("select", "join", "grow", "finish"),
            )
            for name, function in (
                ("start", loop.start),
                ("candidates", loop.candidates),
                ("segment", self._segment),
                ("select", loop.select),
                ("join", loop.join),
                ("grow", loop.grow),
                ("finish", loop.finish),
            )
        }

    @property
    def compilations(self) -> int:
        return sum(program.programs() for program in self._programs.values())

    def _candidates(self, fixed: Tree, size: int) -> Tree:
        return self._run("candidates", fixed, size=size)

    def _segment(
        self, fixed: Tree, changing: Tree, begin: Any, end: Any, candidates: Tree, table: Any
    ) -> Tree:
        with kernels.use(self.prepared.holding(table)):
            return self._steps(fixed, changing, begin, end, candidates)

    def _steps(self, fixed: Tree, changing: Tree, begin: Any, end: Any, candidates: Tree) -> Tree:
        import jax

        def unfinished(carry: Tree) -> Tensor:
            index, changing = carry
            return (index < end) & ~self.loop.rests(changing)

        def body(carry: Tree) -> Tree:
            index, changing = carry
            return index + 1, self.loop.advance(fixed, changing, index, candidates)

        index, changing = jax.lax.while_loop(unfinished, body, (begin, changing))
        return changing, index, self.loop.finished(changing), self.loop.finite(changing)

    def _run(self, name: str, *arguments: Any, **constants: int) -> Any:
        """Runs a program; says so first where there is none for such sizes yet."""
        import jax

        shapes = tuple(np.shape(leaf) for leaf in jax.tree.leaves(arguments))
        sizes = name, shapes, *constants.items()
        if sizes not in self._sizes:
            self._sizes.add(sizes)
            self.on_compile(f"compiling program {self.compilations + 1} ({name})")
        return self._programs[name](*arguments, **constants)

    def start(self, inputs: Mapping[str, np.ndarray], capacity: int) -> tuple[Tree, Tree]:
        return self._run("start", dict(inputs), capacity=capacity)

    def segment(
        self, fixed: Tree, changing: Tree, begin: int, end: int, candidates: Tree = ()
    ) -> Segment:
        limits = np.int32(begin), np.int32(end)
        table = None if candidates else self.prepared.tensor
        changing, index, finished, finite = self._run(
            "segment", fixed, changing, *limits, candidates, table
        )
        return Segment(changing, int(index), np.asarray(finished), np.asarray(finite))

    def select(self, fixed: Tree, changing: Tree, rows: np.ndarray) -> tuple[Tree, Tree]:
        return self._run("select", fixed, changing, rows)

    def join(self, first: Tree, second: Tree, rows: np.ndarray) -> tuple[Tree, Tree]:
        return self._run("join", first, second, rows)

    def grow(self, fixed: Tree, changing: Tree, capacity: int) -> Tree:
        return self._run("grow", fixed, changing, capacity=capacity)

    def finish(self, changing: Tree) -> Result:
        return to_numpy(self._run("finish", changing))
