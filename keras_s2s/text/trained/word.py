"""Word tokenizer: a token for each word or punctuation mark."""

from __future__ import annotations

from collections.abc import Iterable

from keras_s2s.text.trained.vocabulary_tokenizer import VocabularyTokenizer
from keras_s2s.text.trained.word_pattern import compiled_token_pattern

# Marks a token that follows its predecessor without white space, as OpenNMT's tokenizer
# does: detokenisation is then exact in every language and needs no rules.
JOINER = "\uffed"


class WordTokenizer(VocabularyTokenizer):
    """A tokenizer whose tokens are words, numbers, symbols and punctuation marks.

    Text is split at white space, then by `word_pattern.token_pattern`.  A token that
    directly follows another begins with `￭`, so that decoding gives the text back, apart
    from the normalisation, unknown words, and white space, which becomes single spaces.

    Args:
        vocabulary: the known tokens.
        normalizer: applied before splitting.

    Example:
        >>> split_words("Hello, world!")
        ['Hello', '￭,', 'world', '￭!']
    """

    kind = "word"

    @staticmethod
    def split(text: str) -> list[str]:
        # The pattern splits at `<` and `>`, so no text can reach a special token's id.
        return split_words(text)

    @staticmethod
    def join(tokens: Iterable[str]) -> str:
        return join_words(tokens)


def split_words(text: str) -> list[str]:
    """Splits a text into tokens; those without white space before them are marked by `￭`."""
    tokens: list[str] = []
    end = -1
    for match in compiled_token_pattern().finditer(text):
        token = match.group()
        tokens.append(JOINER + token if match.start() == end else token)
        end = match.end()
    return tokens


def join_words(tokens: Iterable[str]) -> str:
    """Joins tokens that `split_words` made, with single spaces."""
    parts: list[str] = []
    for token in tokens:
        # A lone mark is the character itself, from the text.
        if token.startswith(JOINER) and len(token) > len(JOINER):
            parts.append(token[len(JOINER) :])
        else:
            parts.append(f" {token}" if parts else token)
    return "".join(parts)
