"""Base class of the tokenizers of Hugging Face folders."""

from __future__ import annotations

import abc
import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from keras_s2s.config import ConfigError, SamplingConfig
from keras_s2s.text.pretrained.tokenizer_files import TOKENIZER_JSON, TokenizerFiles
from keras_s2s.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


class PretrainedTokenizer(Tokenizer):
    """A tokenizer made from the files of a Hugging Face folder, which it keeps unchanged.

    Unlike the tokenizers that this package trains, it produces special ids from text, as
    transformers does: a text that spells `</s>` or `<extra_id_0>` is encoded as that token's id.
    Decoding leaves out every special token, the unknown one too, as transformers does.

    Args:
        files: the tokenizer files.
        class_name: the class that transformers would choose for them.
        size: number of ids of the model, which often has more than its tokenizer; `None` is the
            tokenizer's.
    """

    def __init__(self, files: TokenizerFiles, class_name: str, size: int | None = None) -> None:
        self.files = files
        self.class_name = class_name
        self.size = size

    # ----------------------------------------------------------------------------------
    # What a subclass implements
    # ----------------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def known(self) -> int:
        """Number of ids up to the last one that has a token, gaps included."""

    @property
    @abc.abstractmethod
    def plain_size(self) -> int:
        """One more than the greatest id that text without special tokens can give."""

    @abc.abstractmethod
    def named_token(self, name: str) -> str | None:
        """Returns the text of the special token that the files call `name`, e.g. `eos_token`."""

    @property
    @abc.abstractmethod
    def template(self) -> tuple[list[int], list[int]]:
        """Special ids before and after a text, language codes left out."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for users who load these files; usually empty."""
        return ()

    # ----------------------------------------------------------------------------------
    # Text to ids
    # ----------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """Encodes one text as ids, those of special tokens that it spells included.

        Raises:
            TypeError: `text` is not a str.
            ValueError: `text` holds a lone surrogate, or a token that the model has no id for.
        """
        ids = super().encode(text)
        self._check_model_has([ids])
        return ids

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Encodes many texts: the ids that `encode` gives for each, faster where the kind allows
        it.

        Raises:
            TypeError: `texts` is a single str, or one of them is not a str.
            ValueError: one of them holds a lone surrogate, or a token that the model has no
                id for.
        """
        rows = super().encode_batch(texts)
        self._check_model_has(rows)
        return rows

    def sample_batch(
        self, texts: Sequence[str], config: SamplingConfig, seed: int
    ) -> list[list[int]]:
        """Encodes texts as ids of segmentations that are drawn at random (see `Tokenizer`).

        Raises:
            ConfigError: this kind does not draw so.
            TypeError, ValueError: as `encode_batch`.
        """
        rows = super().sample_batch(texts, config, seed)
        self._check_model_has(rows)
        return rows

    @functools.cached_property
    def truncation_side(self) -> Literal["right", "left"]:
        """The end of a text that is cut off: as the files say, by default the right one.

        Raises:
            ConfigError: the files name another.
        """
        side = self.files.config().get("truncation_side")
        if side is None and TOKENIZER_JSON in self.files:
            stored = self.files.json(TOKENIZER_JSON).get("truncation")
            # Older files cut, and have no direction: the library reads that as the right end.
            found = stored.get("direction") if isinstance(stored, Mapping) else None
            side = None if found is None else str(found).lower()
        if side not in (None, "right", "left"):
            raise ConfigError(
                f"{self.files.origin}: truncation_side is {side!r}; expected 'right' or 'left'"
            )
        return "left" if side == "left" else "right"

    def check_size(self) -> None:
        """Checks that the model has every id that the tokenizer gives.

        Special tokens beyond the model's ids are logged, since a text need not have them.

        Raises:
            ConfigError: plain text can give ids that the model does not have.
        """
        if self.size is None or self.known <= self.size:
            return
        if self.plain_size > self.size:
            last = self.plain_size - 1
            raise ConfigError(
                f"{self.files.origin}: its tokenizer gives ids up to {last} "
                f"({self._token(last)!r}), but the model's vocabulary has {self.size} (0 to "
                f"{self.size - 1}); tokenizer files and weights belong to different models"
            )
        logger.warning(
            "%s: special tokens of the tokenizer have ids from %d (%r) on, which the model does "
            "not have; a text with one of them is refused",
            self.files.origin,
            self.size,
            self._token(self.size),
        )

    def _check_model_has(self, rows: list[list[int]]) -> None:
        if self.size is None or self.known <= self.size:
            return
        for number, row in enumerate(rows):
            if row and max(row) >= self.size:
                raise ValueError(
                    f"text {number} holds the special token {self._token(max(row))!r}, whose id "
                    f"{max(row)} the model does not have (0 to {self.size - 1}); remove it"
                )

    # ----------------------------------------------------------------------------------
    # Vocabulary
    # ----------------------------------------------------------------------------------

    @property
    def vocabulary_size(self) -> int:
        """Number of ids of the model, those without a token included."""
        return max(self.known, self.size or 0)

    def _named_id(self, name: str) -> int | None:
        token = self.named_token(name)
        return None if token is None else self.token_to_id(token)

    @property
    def pad_id(self) -> int | None:
        """Id of `pad_token`; `None` where there is none."""
        return self._named_id("pad_token")

    @property
    def unk_id(self) -> int | None:
        """Id of `unk_token`; `None` where there is none."""
        return self._named_id("unk_token")

    @property
    def bos_id(self) -> int | None:
        """Id of `bos_token`; `None` where there is none."""
        return self._named_id("bos_token")

    @property
    def eos_id(self) -> int | None:
        """Id of `eos_token`; `None` where there is none."""
        return self._named_id("eos_token")

    @property
    def cls_id(self) -> int | None:
        """Id of `cls_token`; `None` where there is none."""
        return self._named_id("cls_token")

    @property
    def sep_id(self) -> int | None:
        """Id of `sep_token`; `None` where there is none."""
        return self._named_id("sep_token")

    @property
    def mask_id(self) -> int | None:
        """Id of `mask_token`; `None` where there is none."""
        return self._named_id("mask_token")

    # ----------------------------------------------------------------------------------
    # Files
    # ----------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        return {"class": self.class_name, "size": self.size}

    def _files(self) -> dict[str, bytes]:
        return dict(self.files.contents)

    @classmethod
    def _restore(cls, settings: dict[str, Any], files: dict[str, bytes]) -> Self:
        unknown = set(settings) - {"class", "size", "side"}
        if unknown:
            raise ConfigError(f"settings: unknown key {sorted(unknown)[0]!r}")
        size = settings.get("size")
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise ConfigError(f"settings: size is {size!r}, expected a whole number above 0")
        if not isinstance(settings.get("class"), str):
            raise ConfigError(f"settings: class is {settings.get('class')!r}, expected a name")
        options = {"side": settings["side"]} if "side" in settings else {}
        kept = TokenizerFiles(files, "the saved tokenizer")
        return cls(kept, settings["class"], size, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        # The libraries' objects cannot be copied; a copy is made from the files.
        return type(self)._restore, (self._settings(), self._files())


def tokens_by_id(ids: Mapping[str, int]) -> dict[int, str]:
    """Returns a vocabulary as a mapping from id to token."""
    return {i: token for token, i in ids.items()}


def tidy_spaces(text: str) -> str:
    """Removes the spaces before English punctuation and clitics.

    It is what `clean_up_tokenization_spaces: true` in a `tokenizer_config.json` asks for.

    Example:
        >>> tidy_spaces("do n't , she 's here .")
        "don't, she's here."
    """
    for spaced in SPACED:
        text = text.replace(spaced, spaced.strip())
    return text


#: What `tidy_spaces` looks for, in order; it is replaced by itself without the spaces.
SPACED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


def encoded_size(tokenizer: Tokenizer) -> int:
    """Returns one more than the greatest id that encoding gives.

    Tokens that were added to a tokenizer alone have ids that its model does not have; texts with
    one of them are refused.
    """
    size = tokenizer.vocabulary_size
    if isinstance(tokenizer, PretrainedTokenizer) and tokenizer.size is not None:
        return min(size, tokenizer.size)
    return size
