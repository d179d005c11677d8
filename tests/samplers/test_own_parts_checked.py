"""What rules and strategies of one's own return is checked, as is what they may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from keras import ops
from small_models import make_model, shrunken_preset, slow_where_compiled, source_mapping

from keras_s2s import samplers

SOURCES = [[5, 6, 7, 3], [8, 3]]


@pytest.fixture(scope="module")
def model() -> Any:
    return make_model(shrunken_preset("gru_bahdanau"), scale=2.0)


def generate(model: Any, **options: Any) -> Any:
    return model.generate(source_mapping(SOURCES), max_length=5, **options)


class Second(samplers.Greedy):
    """Chooses the second-likeliest id, allowed or not."""

    def choose(self, scores: Any, index: Any, sources: Any) -> Any:
        return ops.cast(ops.top_k(scores, 2)[1][:, 1], "int32")


class TwoIds(samplers.Greedy):
    """Returns two ids for each row."""

    def choose(self, scores: Any, index: Any, sources: Any) -> Any:
        return ops.cast(ops.top_k(scores, 2)[1], "int32")


@dataclass(frozen=True)
class Cut(samplers.LogitsProcessor):
    """Loses most ids."""

    def __call__(self, scores: Any, step: Any, plan: Any) -> Any:
        return scores[:, :3]


@dataclass(frozen=True)
class Nothing(samplers.LogitsProcessor):
    """Returns no scores."""

    def __call__(self, scores: Any, step: Any, plan: Any) -> Any:
        return None


def test_a_strategy_that_leaves_the_prefix_is_an_error(model: Any) -> None:
    prefix = [[5]] * len(SOURCES)
    assert (generate(model, decoder_prefix=prefix)[:, 0] == 5).all()
    assert np.asarray(generate(model, sampler=Second())).shape[0] == len(SOURCES)
    with pytest.raises(ValueError, match="must not choose an id whose score is FORBIDDEN"):
        generate(model, sampler=Second(), decoder_prefix=prefix)


@slow_where_compiled
def test_ids_of_another_shape_are_refused(model: Any) -> None:
    with pytest.raises(ValueError, match=r"TwoIds\.choose returned ids of the shape .*, 2\)"):
        generate(model, sampler=TwoIds())


@slow_where_compiled
@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"do_sample": True}])
def test_scores_of_other_ids_are_refused(model: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"the rule Cut returned scores of the shape .*, 3"):
        generate(model, processors=[Cut()], **options)
    with pytest.raises(ValueError, match="the rule Nothing returned NoneType"):
        generate(model, processors=[Nothing()], **options)


def test_a_class_is_no_rule(model: Any) -> None:
    with pytest.raises(TypeError, match=r"not the class Cut; pass processors=\[Cut\(\.\.\.\)\]"):
        generate(model, processors=[Cut])
