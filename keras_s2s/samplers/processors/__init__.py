"""Logits processors: rules on the next id of a sequence.

Each rule means what the option of its name means in transformers' generation configuration.
Sequences include the decoder start; `scores` are logits for greedy search and sampling,
log-probabilities for beam search.

    base.py             `LogitsProcessor`, the base class
    operations.py       what rules are made of: `forbid`, `forbid_ids`, `is_token`, `occur`
    repetition.py       repeated ids and n-grams
    suppression.py      ids and words that may not occur
    lengths.py          shortest results, and EOS
    forced_ids.py       the first and the last id
    allowed_tokens.py   a function of the caller's
    renormalize.py      probabilities again, after the other rules

`samplers/rules.py` makes the rules that the options of a call ask for (`options/generation.py` says
which), and `process` in `samplers/processing.py` applies them. The rule of a grammar is in
`samplers/grammar.py`. A rule of your own: CONTRIBUTING.md.
"""

from keras_s2s.samplers.processors.allowed_tokens import (
    AllowedTokens,
)
from keras_s2s.samplers.processors.base import (
    FORBIDDEN,
    LogitsProcessor,
)
from keras_s2s.samplers.processors.forced_ids import (
    ForcedBos,
    ForcedEos,
)
from keras_s2s.samplers.processors.lengths import (
    LARGEST_EXPONENT,
    ROUNDING,
    ExponentialDecayLengthPenalty,
    MinLength,
    MinLengthRatio,
    MinNewTokens,
)
from keras_s2s.samplers.processors.operations import (
    forbid,
    forbid_ids,
    is_token,
    nowhere,
    occur,
    occurrences,
)
from keras_s2s.samplers.processors.renormalize import (
    Renormalize,
)
from keras_s2s.samplers.processors.repetition import (
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    NoRepeatNgram,
    RepetitionPenalty,
)
from keras_s2s.samplers.processors.suppression import (
    BadWords,
    BeginSuppress,
    Suppress,
)

__all__ = [
    "FORBIDDEN",
    "LARGEST_EXPONENT",
    "ROUNDING",
    "AllowedTokens",
    "BadWords",
    "BeginSuppress",
    "EncoderNoRepeatNgram",
    "EncoderRepetitionPenalty",
    "ExponentialDecayLengthPenalty",
    "ForcedBos",
    "ForcedEos",
    "LogitsProcessor",
    "MinLength",
    "MinLengthRatio",
    "MinNewTokens",
    "NoRepeatNgram",
    "Renormalize",
    "RepetitionPenalty",
    "Suppress",
    "forbid",
    "forbid_ids",
    "is_token",
    "nowhere",
    "occur",
    "occurrences",
]
