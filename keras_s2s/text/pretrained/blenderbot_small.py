"""Blenderbot-small's tokenizer: byte-pair merges inside lowercased words, `@@` between pieces."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable
from typing import Any

from keras_s2s.text.pretrained.added_tokens import AddedTokens, PythonTokenizer
from keras_s2s.text.pretrained.base import tokens_by_id
from keras_s2s.text.pretrained.tokenizer_files import MERGES, VOCAB, TokenizerFiles

CONTINUED = "@@"
WORD_END = "</w>"

# White space as Unicode has it; Python's own counts four separators among the controls, too.
_SPACE = r"[^\S\x1c-\x1f]"
_NOT_SPACE = r"\S|[\x1c-\x1f]"


class BlenderbotSmallTokenizer(PythonTokenizer):
    """The tokenizer of Blenderbot-small (90M); it puts no special ids around a text.

    Args:
        files: `vocab.json` and `merges.txt`.
        class_name: `BlenderbotSmallTokenizer`.
        size: ids of the model.

    Raises:
        FileNotFoundError: a file is missing.
        ConfigError: a file cannot be read.
    """

    kind = "blenderbot_small"

    def __init__(
        self,
        files: TokenizerFiles,
        class_name: str = "BlenderbotSmallTokenizer",
        size: int | None = None,
    ) -> None:
        super().__init__(files, class_name, size)
        declared = files.declared()
        self.vocabulary = files.vocabulary(VOCAB, class_name)
        names = {
            "bos_token": "__start__",
            "eos_token": "__end__",
            "unk_token": "__unk__",
            "pad_token": "__null__",
        }
        extra = declared.extra or declared.additional or ()
        self.added = AddedTokens(self.vocabulary, declared, named=names, extra=extra)
        self._unk = self._unknown_id(self.vocabulary, VOCAB)
        self._tokens = tokens_by_id(self.vocabulary)
        # The first line is the version; what follows the last line end is no merge.
        lines = files.require(MERGES, class_name).decode("utf-8").split("\n")[1:-1]
        self.ranks = {tuple(line.split()): rank for rank, line in enumerate(lines)}
        self._split_word = functools.lru_cache(maxsize=20_000)(self._merged)

    @property
    def template(self) -> tuple[list[int], list[int]]:
        """Special ids before and after a text: none."""
        return [], []

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a piece or special token, or `None`."""
        return self.added.ids.get(token, self.vocabulary.get(token))

    @property
    def known_tokens(self) -> set[str]:
        """The tokens of the vocabulary, and those that were added."""
        return {*self.vocabulary, *self.added.ids}

    def _plain_ids(self) -> Iterable[int]:
        return self._tokens

    def _pieces(self, text: str, **drawing: Any) -> list[str]:
        pieces: list[str] = []
        for word in re.findall(f"(?:{_NOT_SPACE})+\\n?", text):
            word = re.sub(r"([.,!?()])", r" \1", word)
            word = re.sub(r"(')", r" \1 ", word)
            word = re.sub(f"{_SPACE}{{2,}}", " ", word).replace("\n", " __newln__")
            for part in filter(None, word.split(" ")):
                pieces += self._split_word(part)
        return pieces

    def _merged(self, word: str) -> tuple[str, ...]:
        """Returns the pieces of a word: the best-ranked pair is merged until none is left."""
        word = word.lower()
        symbols = [*word[:-1], word[-1] + WORD_END]
        if len(symbols) == 1:
            return (word,)
        while len(symbols) > 1:
            pairs = list(itertools.pairwise(symbols))
            first, second = min(pairs, key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if (first, second) not in self.ranks:
                break
            merged: list[str] = []
            i = 0
            while i < len(symbols):
                if symbols[i : i + 2] == [first, second]:
                    merged.append(first + second)
                    i += 2
                else:
                    merged.append(symbols[i])
                    i += 1
            symbols = merged
        joined = f"{CONTINUED} ".join(symbols)[: -len(WORD_END)]
        return tuple(joined.split(" "))

    def _piece_id(self, piece: str) -> int:
        return self.vocabulary.get(piece.lower(), self._unk)

    def _piece(self, i: int) -> str | None:
        return self._tokens.get(i, self.added.named["unk_token"])

    def _join(self, tokens: list[str]) -> str:
        return " ".join(tokens).replace(f"{CONTINUED} ", "").strip()

    def _settled_join(self, tokens: list[str]) -> str:
        # The mark that a word goes on vanishes with the next piece.
        return self._join(tokens).removesuffix(CONTINUED)
