"""Trims the tokenizers that this package trains, and lists of tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from keras_s2s.text.pretrained.token_list import TokenListTokenizer
from keras_s2s.text.special_tokens import SPECIAL_TOKENS
from keras_s2s.text.trained.sentencepiece import SentencePieceTokenizer
from keras_s2s.text.trained.tokenizers_library import HuggingFaceTokenizer
from keras_s2s.text.trained.vocabulary import Vocabulary
from keras_s2s.text.trained.vocabulary_tokenizer import VocabularyTokenizer
from keras_s2s.text.trimming.pipeline_rewriting import PipelinePieces
from keras_s2s.text.trimming.trimmer import ModelFile, NewIds, Side, Trimmer, inverse, special_ids


class VocabularyTrimmer(Trimmer[VocabularyTokenizer]):
    """Trims a vocabulary of characters or words."""

    @property
    def always(self) -> frozenset[int]:
        return frozenset(special_ids(self.tokenizer)).union(
            self.tokenizer.extra_ids, range(len(SPECIAL_TOKENS))
        )

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        return set(ids)

    def characters(self, ids: Iterable[int]) -> set[int]:
        return set()  # a token is not split further

    def trimmed(self, new_ids: NewIds) -> VocabularyTokenizer:
        old = self.tokenizer.vocabulary.tokens
        tokens = [old[i] for i in inverse(self.renumbering(new_ids))]
        vocabulary = Vocabulary(tokens[len(SPECIAL_TOKENS) :])
        return type(self.tokenizer)(vocabulary, self.tokenizer.normalizer)


class TrainedSentencePieceTrimmer(Trimmer[SentencePieceTokenizer]):
    """Trims a SentencePiece model whose pieces are numbered as ids."""

    def __init__(self, tokenizer: SentencePieceTokenizer, side: Side) -> None:
        super().__init__(tokenizer, side)
        self.file = ModelFile(tokenizer.model_bytes, lambda number, _: number)

    @property
    def always(self) -> frozenset[int]:
        return frozenset(self.file.always)

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        return self.file.with_parts(ids)

    def characters(self, ids: Iterable[int]) -> set[int]:
        return self.file.characters(ids)

    def trimmed(self, new_ids: NewIds) -> SentencePieceTokenizer:
        return type(self.tokenizer)(self.file.written(self.renumbering(new_ids)))


class TrainedPipelineTrimmer(Trimmer[HuggingFaceTokenizer]):
    """Trims a `tokenizer.json` without added tokens: WordPiece and byte-level BPE."""

    def __init__(self, tokenizer: HuggingFaceTokenizer, side: Side) -> None:
        super().__init__(tokenizer, side)
        self.pieces = PipelinePieces(json.loads(tokenizer.pipeline.to_str()), tokenizer.kind)

    @property
    def always(self) -> frozenset[int]:
        special = special_ids(self.tokenizer).union(self.tokenizer.extra_ids)
        return self.pieces.always.union(special)

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        return self.pieces.with_parts(ids)

    def characters(self, ids: Iterable[int]) -> set[int]:
        return self.pieces.characters(ids)

    def trimmed(self, new_ids: NewIds) -> HuggingFaceTokenizer:
        data = self.pieces.rewritten(self.renumbering(new_ids))
        return type(self.tokenizer)(json.dumps(data, ensure_ascii=False))


class TokenListTrimmer(Trimmer[TokenListTokenizer]):
    """Trims a list of tokens that another program splits texts into."""

    @property
    def always(self) -> frozenset[int]:
        return frozenset(special_ids(self.tokenizer))

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        return set(ids)

    def characters(self, ids: Iterable[int]) -> set[int]:
        return set()  # a token is not split further

    def trimmed(self, new_ids: NewIds) -> TokenListTokenizer:
        mine = self.renumbering(new_ids)
        tokenizer = self.tokenizer
        special: dict[str, Any] = {
            name: None if i is None else mine[i] for name, i in tokenizer.special_ids.items()
        }
        tokens = [tokenizer.tokens[i] for i in inverse(mine)]
        return TokenListTokenizer(tokens, tokenizer.split, special)
