"""Character tokenizer: a token for each Unicode code point."""

from __future__ import annotations

from collections.abc import Iterable

from keras_s2s.text.trained.vocabulary_tokenizer import VocabularyTokenizer


class CharacterTokenizer(VocabularyTokenizer):
    """A tokenizer whose tokens are Unicode code points; lossless for known characters, apart from
    the normalisation.

    Args:
        vocabulary: the known characters.
        normalizer: applied before splitting.
    """

    kind = "character"

    @staticmethod
    def split(text: str) -> Iterable[str]:
        # Special tokens are longer than a character, so no text can reach their ids.
        return text

    @staticmethod
    def join(tokens: Iterable[str]) -> str:
        return "".join(tokens)
