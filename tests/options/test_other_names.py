"""Names that people write from transformers: each is an option, or is answered in words."""

from __future__ import annotations

import inspect

import pytest

from keras_s2s.options.generation import OPTIONS
from keras_s2s.options.other_names import OTHER_NAMES
from keras_s2s.samplers.strategy_choice import STRATEGY_OPTIONS, resolve_sampler

#: Not written by a person.
INTERNAL = {"self", "kwargs", "_from_model_config", "transformers_version"}


def test_every_name_of_transformers_is_known_or_answered() -> None:
    import transformers

    import keras_s2s as s2s

    names = {
        *inspect.signature(transformers.GenerationMixin.generate).parameters,
        *transformers.GenerationConfig().to_dict(),
    } - INTERNAL
    assert len(names) > 60
    ours = {*inspect.signature(s2s.Seq2SeqLM.generate).parameters, *OPTIONS}
    assert names - ours - OTHER_NAMES.keys() == set()
    assert not ours & OTHER_NAMES.keys()


def test_the_answer_names_what_exists() -> None:
    for name, answer in OTHER_NAMES.items():
        assert name not in STRATEGY_OPTIONS
        assert answer and answer[0].islower() and not answer.endswith(".")
    assert "processors=" in OTHER_NAMES["logits_processor"]
    with pytest.raises(ValueError, match=r"no option pad_token_id; special ids are those of"):
        _ask("pad_token_id")
    with pytest.raises(ValueError, match=r"no option num_beam; did you mean 'num_beams'"):
        _ask("num_beam")


def _ask(name: str) -> None:
    from keras_s2s.config import GenerationConfig

    resolve_sampler(None, {name: 1}, GenerationConfig())
