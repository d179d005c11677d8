"""Unicode normalisation and lowercasing, applied to text before it is split into tokens.

`nfc` composes (conjoining jamo become Hangul syllables, `e` + U+0301 becomes one code
point) and keeps what the text means; `nfkc` also folds compatibility forms (full-width
letters, ligatures).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

from keras_s2s.config import ConfigError, TokenizerConfig

Form = Literal["none", "nfc", "nfkc"]

DEFAULT_FORMS: dict[str, Form] = {
    "character": "nfc",
    "word": "nfc",
    "byte": "none",
    "sentencepiece_unigram": "nfkc",
    "sentencepiece_bpe": "nfkc",
    "wordpiece": "nfc",
    "byte_level_bpe": "none",
}


@dataclass(frozen=True)
class Normalizer:
    r"""Brings text into a Unicode normal form, then lowercases it.

    Example:
        >>> Normalizer("nfkc", lowercase=True)("\uff26ine \ufb01sh")
        'fine fish'
    """

    form: Form = "none"
    lowercase: bool = False

    def __post_init__(self) -> None:
        if self.form not in ("none", "nfc", "nfkc"):
            raise ConfigError(f"normalization is {self.form!r}; expected none, nfc or nfkc")
        if not isinstance(self.lowercase, bool):
            raise ConfigError(f"lowercase is {self.lowercase!r}; expected true or false")

    def __call__(self, text: str) -> str:
        """Returns the normalised text."""
        text = self._compose(text)
        if self.lowercase:
            # Lowercasing can leave a sequence that composes (and a form must be its own
            # normal form, or a second pass would change the tokens).
            text = self._compose(text.lower())
        return text

    def _compose(self, text: str) -> str:
        if self.form == "none":
            return text
        return unicodedata.normalize("NFC" if self.form == "nfc" else "NFKC", text)


def resolve_form(config: TokenizerConfig) -> Form:
    """Returns the normal form that a configuration asks for, or the default of its kind."""
    return config.normalization or DEFAULT_FORMS[config.kind]


def sentencepiece_rule(form: Form, lowercase: bool) -> str:
    """Returns the name of the SentencePiece normalisation rule, which its model file then contains.

    Lowercasing there ignores context: a final sigma becomes U+03C3, as in `tokenizers`,
    where Python's `str.lower` (and TensorFlow's) writes U+03C2.

    Raises:
        ConfigError: SentencePiece has no rule for the combination.
    """
    rules = {
        ("none", False): "identity",
        ("nfkc", False): "nmt_nfkc",
        ("nfkc", True): "nmt_nfkc_cf",
    }
    if (form, lowercase) not in rules:
        raise ConfigError(
            f"SentencePiece has no rule for normalization: {form} with lowercase: "
            f"{str(lowercase).lower()}; it supports normalization: none (lowercase: false) and "
            "normalization: nfkc (lowercase: true or false)"
        )
    return rules[form, lowercase]


def huggingface_normalizers(form: Form) -> list[Any]:
    """Returns the `tokenizers` normalisers of a form (none for `none`)."""
    from tokenizers import normalizers

    steps: dict[Form, list[Any]] = {
        "none": [],
        "nfc": [normalizers.NFC()],
        "nfkc": [normalizers.NFKC()],
    }
    return steps[form]
