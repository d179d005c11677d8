"""Base class of the tokenizers that split texts at special tokens in Python, in TensorFlow ops."""

from __future__ import annotations

import abc
from typing import Any

from keras_s2s.export.in_graph.base import InGraphTokenizer
from keras_s2s.export.in_graph.special_tokens import Found, SpecialTokens, check_single_word
from keras_s2s.export.in_graph.tables import without
from keras_s2s.export.in_graph.text_ops import tidy_spaces
from keras_s2s.text.pretrained.added_tokens import PythonTokenizer


class InGraphPythonTokenizer(InGraphTokenizer):
    """Base class of the twins of `PythonTokenizer`s.

    A subclass implements `_encode_text` and `_join`.

    Attributes:
        tokens: the token of each id; "" for one that is left out.
    """

    def __init__(self, tokenizer: PythonTokenizer) -> None:
        super().__init__(tokenizer)
        added = tokenizer.added
        found = []
        for content in added.searched:
            token = added.by_id.get(added.ids.get(content, -1))
            # Texts are split at some that are no tokens.
            i = tokenizer.token_id(content) if added.is_token(content) else -1
            strips = (False, False) if token is None else (token.lstrip, token.rstrip)
            found.append(Found(content, i, *strips))
        self._special = SpecialTokens(found, python=True)
        self.resources = [*self._special.resources]
        tokens = [tokenizer.content_token(i) for i in range(tokenizer.vocabulary_size)]
        self._kept = [token is not None for token in tokens]
        self.tokens = [token or "" for token in tokens]
        self._tidy = tokenizer.tidies

    @staticmethod
    def check(tokenizer: PythonTokenizer) -> None:
        for token in tokenizer.added.by_id.values():
            if token.content in tokenizer.added.searched:
                check_single_word(tokenizer.kind, token.content, token.single_word)

    @staticmethod
    def needs_tensorflow_text(tokenizer: PythonTokenizer) -> bool:
        return False

    def encode(self, texts: Any) -> Any:
        return self._special.encode(texts, self._encode_text)

    def decode(self, ids: Any) -> Any:
        texts = self._join(without(ids, self._kept))
        return tidy_spaces(texts) if self._tidy else texts

    @abc.abstractmethod
    def _encode_text(self, texts: Any, begins: Any) -> Any:
        """Encodes string `[P]`, parts between special tokens, as ragged int32 `[P, L]`."""

    @abc.abstractmethod
    def _join(self, ids: Any) -> Any:
        """Decodes ragged int32 `ids [B, L]`, none of them special, to string `[B]`."""
