"""From options to rules: which, in what order, and equal ones for equal options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_s2s.samplers import (
    AllowedTokens,
    BadWords,
    BeginSuppress,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    ExponentialDecayLengthPenalty,
    ForcedBos,
    ForcedEos,
    MinLength,
    MinLengthRatio,
    MinNewTokens,
    NoRepeatNgram,
    Renormalize,
    RepetitionPenalty,
    Suppress,
)
from keras_s2s.samplers.rules import RULES, make_rules


def allowed(row: int, ids: np.ndarray) -> list[int]:
    return [row]


OPTIONS: dict[str, Any] = {
    "renormalize_logits": True,
    "begin_suppress_tokens": [np.int64(4)],
    "suppress_tokens": (5, 6),
    "forced_eos_token_id": 0,
    "forced_bos_token_id": np.int32(7),
    "prefix_allowed_tokens_fn": allowed,
    "min_new_tokens": 2,
    "min_length": 3,
    "min_length_ratio": 0.5,
    "bad_words_ids": [[1], (2, 3)],
    "encoder_no_repeat_ngram_size": 4,
    "no_repeat_ngram_size": 3,
    "repetition_penalty": 2,
    "encoder_repetition_penalty": 1.5,
    "exponential_decay_length_penalty": [3, np.float32(1.5)],
}
#: In transformers' order, which is not that of the options.
EXPECTED = (
    EncoderRepetitionPenalty(1.5),
    RepetitionPenalty(2.0),
    NoRepeatNgram(3),
    EncoderNoRepeatNgram(4),
    BadWords(((1,), (2, 3))),
    MinNewTokens(2),  # in place of the other's
    MinLengthRatio(0.5),
    AllowedTokens(allowed),
    ForcedBos(7),
    ForcedEos(0),
    ExponentialDecayLengthPenalty((3, 1.5)),
    Suppress((5, 6)),
    BeginSuppress((4,)),
    Renormalize(),
)


def test_every_option_becomes_its_rule_in_order():
    assert set(OPTIONS) == set(RULES)
    rules = make_rules(OPTIONS, vocabulary=8)
    assert rules == EXPECTED
    # Compiled loops are kept by their rules.
    assert hash(rules) == hash(make_rules(dict(reversed(OPTIONS.items())), vocabulary=8))
    for name, value in OPTIONS.items():
        (rule,) = make_rules({name: value}, vocabulary=8)
        assert rule in EXPECTED or rule == MinLength(3)


def test_min_new_tokens_takes_the_place_of_min_length():
    both = {"min_length": 5, "min_new_tokens": 2}
    assert make_rules(both, vocabulary=8) == (MinNewTokens(2),)
    assert make_rules({**both, "min_new_tokens": 0}, vocabulary=8) == (MinLength(5),)


def test_numbers_of_numpy_are_numbers():
    options = {
        "min_length": np.int64(5),
        "no_repeat_ngram_size": np.int32(2),
        "repetition_penalty": np.float32(1.5),
    }
    found = make_rules(options, vocabulary=8)
    assert found == (RepetitionPenalty(1.5), NoRepeatNgram(2), MinLength(5))


def test_neutral_values_ask_for_nothing():
    neutral = {
        "encoder_repetition_penalty": 1.0,
        "repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
        "encoder_no_repeat_ngram_size": 0,
        "bad_words_ids": [],
        "min_length": 0,
        "min_new_tokens": 0,
        "suppress_tokens": [],
        "begin_suppress_tokens": (),
        "renormalize_logits": False,
    }
    assert make_rules(neutral, vocabulary=8) == ()
    assert make_rules(dict.fromkeys(RULES), vocabulary=8) == ()


def test_rules_of_the_callers_own_come_last():
    own = (MinLength(9), lambda scores, step, plan: scores)
    assert make_rules({"suppress_tokens": [1]}, vocabulary=8, own=own) == (Suppress((1,)), *own)
    # But what they leave over is normalised after them.
    options = {"renormalize_logits": True, "suppress_tokens": [1]}
    assert make_rules(options, vocabulary=8, own=own) == (Suppress((1,)), *own, Renormalize())
    with pytest.raises(TypeError, match="LogitsProcessor objects, not str"):
        make_rules({}, vocabulary=8, own=["min_length"])


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("forced_bos_token_id", lambda token: token),
        ("forced_eos_token_id", lambda token: token),
        ("suppress_tokens", lambda token: [3, token]),
        ("begin_suppress_tokens", lambda token: [token]),
        ("bad_words_ids", lambda token: [[3], [3, token]]),
    ],
)
def test_ids_lie_in_the_vocabulary(name, of):
    assert len(make_rules({name: of(7)}, vocabulary=8)) == 1
    for wrong in (8, -1, 1.5, "1", True):
        with pytest.raises(ValueError, match=name):
            make_rules({name: of(wrong)}, vocabulary=8)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Suppress((3, 99)), "suppress_tokens.*99"),
        (BeginSuppress((-1,)), "begin_suppress_tokens.*-1"),
        (BadWords(((1,), (2, 12))), "bad_words_ids.*12"),
        (ForcedBos(12), "forced_bos_token_id.*12"),
        (ForcedEos(-3), "forced_eos_token_id.*-3"),
    ],
)
def test_ids_of_rules_of_ones_own_are_checked(rule: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_rules({}, vocabulary=12, own=[rule])
    assert make_rules({}, vocabulary=100, own=[Suppress(()), Suppress((3, 99))])
