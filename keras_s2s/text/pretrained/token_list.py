"""A tokenizer made of a given list of tokens, for text that is split at spaces or characters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, get_args

from keras_s2s.config import ConfigError
from keras_s2s.text.special_tokens import UNKNOWN_SURFACE
from keras_s2s.text.tokenizer import Tokenizer

Split = Literal["space", "character"]

#: The names of special ids in the settings.
_SPECIAL = ("pad", "unk", "bos", "eos")
#: What cuts tokens apart. Others, such as the no-break space, may be part of a token.
GAP = r"[ \t\r\n]+"
#: The token for a space in vocabularies of characters without the space itself.
SPACE_MARK = "▁"


class TokenListTokenizer(Tokenizer):
    """A tokenizer whose tokens are a given list.

    With `split="space"` a text consists of tokens with spaces between them, as a tokenizer outside
    of the model made them (`▁Hello ▁world </s>`); a special token in the text is that token. With
    `split="character"` each character is a token.

    Args:
        tokens: in id order. Where one occurs twice, text gets the first id.
        split: where a text is cut.
        special_ids: `unk`, and any of `pad`, `bos`, `eos`.

    Raises:
        ConfigError: `special_ids` lie outside the list, or there is no `unk`.

    Example:
        >>> tokens = ["<unk>", "</s>", "a", "b"]
        >>> tokenizer = TokenListTokenizer(tokens, "space", {"unk": 0, "eos": 1})
        >>> tokenizer.encode("b a c </s>")
        [3, 2, 0, 1]
    """

    kind = "token_list"

    def __init__(
        self, tokens: Sequence[str], split: Split, special_ids: Mapping[str, int | None]
    ) -> None:
        if split not in get_args(Split):
            raise ConfigError(f"split is {split!r}, expected 'space' or 'character'")
        self.tokens = tuple(tokens)
        self.split = split
        self.special_ids = {name: special_ids.get(name) for name in _SPECIAL}
        for name, i in self.special_ids.items():
            if i is not None and not 0 <= i < len(self.tokens):
                raise ConfigError(f"{name} is {i}, outside the list of {len(self.tokens)} tokens")
        if self.special_ids["unk"] is None:
            raise ConfigError("a list of tokens needs an unk, the id of text outside of it")
        self.ids: dict[str, int] = {}
        for i, token in enumerate(self.tokens):
            self.ids.setdefault(token, i)
        self.marks_spaces = split == "character" and " " not in self.ids and SPACE_MARK in self.ids

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ones included."""
        return len(self.tokens)

    def token_to_id(self, token: str) -> int | None:
        """Returns the first id of a token, or `None`."""
        return self.ids.get(token)

    @property
    def pad_id(self) -> int | None:
        return self.special_ids["pad"]

    @property
    def unk_id(self) -> int | None:
        return self.special_ids["unk"]

    @property
    def bos_id(self) -> int | None:
        return self.special_ids["bos"]

    @property
    def eos_id(self) -> int | None:
        return self.special_ids["eos"]

    def _encode(self, text: str) -> list[int]:
        if self.marks_spaces:
            text = text.replace(" ", SPACE_MARK)
        parts = list(text) if self.split == "character" else filter(None, re.split(GAP, text))
        unk = self.special_ids["unk"]
        assert unk is not None
        return [self.ids.get(part, unk) for part in parts]

    def _decode(self, ids: list[int]) -> str:
        unk = self.special_ids["unk"]
        parts = [UNKNOWN_SURFACE if i == unk else self.tokens[i] for i in ids]
        text = (" " if self.split == "space" else "").join(parts)
        return text.replace(SPACE_MARK, " ") if self.marks_spaces else text

    def _settled(self, ids: list[int]) -> str:
        return self._decode(ids)

    def _token(self, i: int) -> str:
        return self.tokens[i]

    def _settings(self) -> dict[str, Any]:
        return {"split": self.split, "special_ids": self.special_ids}

    def _files(self) -> dict[str, bytes]:
        return {"vocabulary.json": (json.dumps(self.tokens, ensure_ascii=False, indent=0)).encode()}

    @classmethod
    def _restore(cls, settings: dict[str, Any], files: dict[str, bytes]) -> Self:
        tokens = json.loads(files["vocabulary.json"])
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ConfigError("the vocabulary file does not hold a JSON list of tokens")
        return cls(tokens, settings["split"], settings["special_ids"])
