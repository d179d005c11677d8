"""The arguments with which results are chosen among several, for the commands that generate."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from keras_s2s.reranking import RankedTexts

#: Samples of each source where nobody says how many: the default of `minimum_bayes_risk`.
NUM_SAMPLES = 32

RERANK, MODEL_WEIGHT, NUM = "--rerank", "--model-weight", "--num-samples"
RISK = "--minimum-bayes-risk"

RerankOption = Annotated[
    str | None,
    typer.Option(
        RERANK,
        metavar="MODULE:FUNCTION",
        help="Generate several texts and take the best by a function of Python, which is called "
        "with two lists, sources and candidates, and returns a number for each pair.",
    ),
]
ModelWeightOption = Annotated[
    float | None,
    typer.Option(
        MODEL_WEIGHT,
        help=f"With {RERANK}: the model's own scores are multiplied by this and added; default 0.",
    ),
]
MinimumBayesRiskOption = Annotated[
    str | None,
    typer.Option(
        RISK,
        metavar="UTILITY",
        help="Take the text that is most like samples of the model, by chrf, bleu, rouge, "
        "exact_match, or MODULE:FUNCTION, which is called with candidates and samples.",
    ),
]
NumSamplesOption = Annotated[
    int | None,
    typer.Option(NUM, min=1, help=f"With {RISK}: samples of each source; default {NUM_SAMPLES}."),
]


@dataclass(frozen=True)
class Ranking:
    """How a command chooses results among several.

    Attributes:
        rerank, model_weight, minimum_bayes_risk, num_samples: as the user wrote them.
    """

    rerank: str | None
    model_weight: float | None
    minimum_bayes_risk: str | None
    num_samples: int | None

    @classmethod
    def read(cls, *written: Any, options: Mapping[str, Any]) -> Ranking | None:
        """Returns what the arguments ask for, checked before a backend is imported; None where they
        ask for nothing.

        Args:
            *written: the values of `RerankOption`, `ModelWeightOption`, `MinimumBayesRiskOption`
                and `NumSamplesOption`.
            options: of `generate`.

        Raises:
            ValueError: arguments that exclude each other, or without what they belong to; a utility
                that has no such name.
        """
        ranking = cls(*written)
        risk = ranking.minimum_bayes_risk
        if ranking.rerank is not None and risk is not None:
            raise ValueError(f"{RERANK} and {RISK} both choose the result; give one of them")
        if ranking.model_weight is not None and ranking.rerank is None:
            raise ValueError(f"{MODEL_WEIGHT} is for {RERANK} MODULE:FUNCTION")
        if ranking.num_samples is not None and risk is None:
            raise ValueError(f"{NUM} is for {RISK} UTILITY")
        if ranking.rerank is not None:
            _parts(RERANK, ranking.rerank)
        elif risk is None:
            return None
        elif ":" in risk:
            _parts(RISK, risk)
        else:
            from keras_s2s.reranking.utilities import utility_of

            try:
                utility_of(risk)
            except ValueError as error:
                says = str(error).replace("a function of pairs", "MODULE:FUNCTION")
                raise ValueError(f"{RISK}: {says}") from None
        if risk is not None and options.get("num_return_sequences") is not None:
            raise ValueError(f"--num-return-sequences: {RISK} has {NUM} in its place")
        return ranking

    def function(self) -> Callable[..., RankedTexts]:
        """Returns `rerank` or `minimum_bayes_risk` with what was written: a function of a model,
        texts and options of `generate`.

        Raises:
            ValueError: there is no such module, or no such function in it.
        """
        from keras_s2s import reranking

        choose: Any
        if self.rerank is not None:
            choose, arguments = reranking.rerank, self.facts
            arguments["function"] = load_function(RERANK, arguments.pop("rerank"))
        else:
            choose, arguments = reranking.minimum_bayes_risk, self.facts
            utility = arguments.pop("minimum_bayes_risk")
            arguments["utility"] = load_function(RISK, utility) if ":" in utility else utility
        return functools.partial(choose, return_output=True, **arguments)

    @property
    def facts(self) -> dict[str, Any]:
        """What a measured value depends on, for reports."""
        if self.rerank is not None:
            return {"rerank": self.rerank, "model_weight": self.model_weight or 0.0}
        samples = self.num_samples or NUM_SAMPLES
        return {"minimum_bayes_risk": self.minimum_bayes_risk, "num_samples": samples}


def load_function(flag: str, written: str) -> Callable[..., Any]:
    """Returns a function of a module in the current folder, or of one that is installed.

    The module is imported, which runs it: a command line may name one, a request never.

    Args:
        flag: that it was written for.
        written: `MODULE:FUNCTION`.

    Raises:
        ValueError: there is none.
    """
    name, path = _parts(flag, written)
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # as for `python -m`
    try:
        found: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # one that the module itself imports
        raise ValueError(
            f"{flag} {written}: there is no module {error.name} in {here}, nor is one installed"
        ) from None
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ValueError(f"{flag} {written}: the module {name} has no function {path}")
    function: Callable[..., Any] = found
    return function


def _parts(flag: str, written: str) -> tuple[str, str]:
    module, _, function = written.partition(":")
    if not all(part.isidentifier() for text in (module, function) for part in text.split(".")):
        raise ValueError(
            f"{flag} {written}: expected MODULE:FUNCTION, such as scores:length for the function "
            "length in scores.py"
        )
    return module, function
