"""Base class of the tokenizers that transformers implements in Python, as this package does.

Special tokens are cut out of the text first; the parts between them are split by a subclass. The
order in which tokens get ids, and to which part white space next to them belongs, are those of
transformers 5.
"""

from __future__ import annotations

import abc
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from keras_s2s.config import ConfigError, SamplingConfig
from keras_s2s.text.pretrained.base import PretrainedTokenizer, tidy_spaces
from keras_s2s.text.pretrained.sentencepiece_model import sampling_method_of
from keras_s2s.text.pretrained.tokenizer_files import (
    NAMED,
    Added,
    Declared,
    TokenizerFiles,
    TokenName,
)
from keras_s2s.text.seeded_sentencepiece import drawn_with_seed, sampling_options
from keras_s2s.text.stable_prefix import HALF, settled_spaces


class AddedTokens:
    """The special tokens of a vocabulary, which are found in text.

    Args:
        vocabulary: the tokens that have an id already.
        declared: what the files declare.
        named: defaults of the named tokens.
        extra: further special tokens.
        fixed: tokens by id that a class has by default; the declared ones replace them.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        declared: Declared,
        *,
        named: Mapping[str, TokenName],
        extra: Iterable[TokenName] = (),
        fixed: Mapping[int, Added] | None = None,
    ) -> None:
        every = {**named, **declared.named}
        order = [
            *(key for key in NAMED if key in every),
            *(key for key in every if key not in NAMED),
        ]
        self.named = {key: str(every[key]) for key in order}
        self.special = list(dict.fromkeys([*self.named.values(), *map(str, extra)]))
        self.by_id: dict[int, Added] = {**(fixed or {}), **declared.added}
        self.ids: dict[str, int] = {token.content: i for i, token in self.by_id.items()}
        known = {**vocabulary, **self.ids}
        for token in self.special:
            if token in self.ids or not token:
                continue
            i = known.setdefault(token, len(known))
            self.ids[token] = i
            self.by_id[i] = Added(token, normalized=False, special=True)
        self._whole = bool(declared.options.get("split_special_tokens", False))
        self.refresh(self.ids)

    def refresh(self, tokens: Iterable[str]) -> None:
        """Looks for `tokens` in texts from now on, the longest first where several begin."""
        found = sorted({token for token in tokens if token}, key=len, reverse=True)
        #: What is looked for.
        self.searched = () if self._whole else tuple(found)
        self._pattern = re.compile("|".join(map(re.escape, found))) if found else None

    def is_token(self, part: str) -> bool:
        """Returns whether a text that was looked for and found is a token, and not split on."""
        return part in self.ids or part in self.special

    def split(self, text: str) -> list[tuple[str, bool]]:
        """Splits a text into special tokens and the parts between them."""
        if self._whole or self._pattern is None:
            return [(text, False)] if text else []
        parts: list[str] = []
        end = 0
        for match in self._pattern.finditer(text):
            parts += [text[end : match.start()], match.group()]
            end = match.end()
        parts = [part for part in [*parts, text[end:]] if part]
        for i, part in enumerate(parts):
            if part not in self.ids:
                continue
            token = self.by_id.get(self.ids[part])
            if token is None:
                continue
            left = parts[i - 1] if i > 0 else None
            right = parts[i + 1] if i + 1 < len(parts) else None
            if token.rstrip and right:
                parts[i + 1] = right.lstrip()
            if token.lstrip and left:
                parts[i - 1] = left.rstrip()
            if token.single_word:
                if left and left[-1] != " ":
                    parts[i - 1] += part
                    parts[i] = ""
                elif right and right[0] != " ":
                    parts[i + 1] = part + parts[i + 1]
                    parts[i] = ""
        special = set(self.special)
        return [(part, part in self.ids or part in special) for part in parts if part]


class PythonTokenizer(PretrainedTokenizer):
    """Base class of tokenizers that split the text between special tokens by a rule of their own.

    A subclass sets `added` and implements `_pieces`, `_piece_id`, `_piece` and `_join`.
    """

    added: AddedTokens

    def __init__(self, files: TokenizerFiles, class_name: str, size: int | None = None) -> None:
        super().__init__(files, class_name, size)
        #: Whether decoded texts lose the spaces before English punctuation.
        self.tidies = bool(files.config().get("clean_up_tokenization_spaces", False))

    @property
    def template(self) -> tuple[list[int], list[int]]:
        """No ids before a text, and EOS after it."""
        eos = self.eos_id
        return [], [] if eos is None else [eos]

    def _unknown_id(self, vocabulary: Mapping[str, int], file: str) -> int:
        """Returns the id of the unknown token.

        Raises:
            ConfigError: `vocabulary`, which `file` holds, lacks it.
        """
        unknown = self.added.named["unk_token"]
        if unknown not in vocabulary:
            raise ConfigError(
                f"{self.files.origin}/{file}: the unknown token {unknown!r} is missing"
            )
        return vocabulary[unknown]

    # ----------------------------------------------------------------------------------
    # What a subclass implements
    # ----------------------------------------------------------------------------------

    @abc.abstractmethod
    def _pieces(self, text: str, **drawing: Any) -> list[str]:
        """Splits text without special tokens into tokens.

        Args:
            text: the text.
            **drawing: arguments of SentencePiece's `encode` that draw a segmentation; given only
                to kinds with a `sampling_method`.
        """

    @abc.abstractmethod
    def _piece_id(self, piece: str) -> int:
        """Returns the id of a token that was not added."""

    @abc.abstractmethod
    def _piece(self, i: int) -> str | None:
        """Returns the token of an id that was not added; `None` where the id is unused."""

    @abc.abstractmethod
    def _join(self, tokens: list[str]) -> str:
        """Joins tokens to a text."""

    def _settled_join(self, tokens: list[str]) -> str:
        """Returns the beginning of the text of tokens that no further tokens change."""
        return self._join(tokens).rstrip(HALF)

    # ----------------------------------------------------------------------------------

    @property
    def known(self) -> int:
        """One more than the greatest id that has a token."""
        return max(self._end, 1 + max(self.added.by_id, default=-1))

    @property
    def plain_size(self) -> int:
        """One more than the greatest id of the vocabulary that is not a special token's."""
        return 1 + max(set(self._plain_ids()).difference(self._special), default=-1)

    @property
    def _end(self) -> int:
        """One more than the greatest id that was not added."""
        return 1 + max(self._plain_ids(), default=-1)

    @abc.abstractmethod
    def _plain_ids(self) -> Iterable[int]:
        """Returns the ids of the vocabulary before tokens were added."""

    def named_token(self, name: str) -> str | None:
        """Returns the text of `eos_token` or another named token, or `None`."""
        return self.added.named.get(name)

    def _encode(self, text: str, **drawing: Any) -> list[int]:
        ids: list[int] = []
        for part, found in self.added.split(text):
            ids += map(self.token_id, [part] if found else self._pieces(part, **drawing))
        return ids

    @functools.cached_property
    def sampling_method(self) -> Literal["alpha", "dropout"] | None:
        """As the SentencePiece model says: unigram or BPE; None for kinds without one."""
        content = getattr(self, "model_bytes", None)
        return None if content is None else sampling_method_of(content)

    def _sample_batch(self, texts: list[str], config: SamplingConfig, seed: int) -> list[list[int]]:
        drawing = sampling_options(config)
        return drawn_with_seed(seed, lambda: [self._encode(text, **drawing) for text in texts])

    def token_id(self, token: str) -> int:
        """Returns the id that encoding gives to a token, be it known or not."""
        added = self.added.ids.get(token)
        return self._piece_id(token) if added is None else added

    def content_token(self, i: int) -> str | None:
        """Returns the token of an id that decoding writes; `None` for one that it leaves out."""
        return None if i in self._special else self._token_or_none(i)

    def _decode(self, ids: list[int]) -> str:
        text = self._join(self._tokens_of(ids))
        return tidy_spaces(text) if self.tidies else text

    def _settled(self, ids: list[int]) -> str:
        text = self._settled_join(self._tokens_of(ids))
        return settled_spaces(text, tidy_spaces) if self.tidies else text

    def _tokens_of(self, ids: list[int]) -> list[str]:
        tokens = map(self.content_token, ids)
        return [token for token in tokens if token is not None]

    @functools.cached_property
    def _special(self) -> frozenset[int]:
        return frozenset(map(self.token_id, self.added.special))

    def _token_or_none(self, i: int) -> str | None:
        token = self.added.by_id.get(i)
        return self._piece(i) if token is None else token.content

    def _token(self, i: int) -> str:
        token = self._token_or_none(i)
        return f"<id {i}>" if token is None else token
