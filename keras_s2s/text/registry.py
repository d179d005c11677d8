"""Every kind of tokenizer by name, and reading one from a folder."""

from __future__ import annotations

from pathlib import Path

from keras_s2s.config import ConfigError
from keras_s2s.text.byte import ByteTokenizer
from keras_s2s.text.byte_level_bpe import ByteLevelBPETokenizer
from keras_s2s.text.character import CharacterTokenizer
from keras_s2s.text.sentencepiece import SentencePieceBPETokenizer, SentencePieceUnigramTokenizer
from keras_s2s.text.tokenizer import Tokenizer, description_path, read_description
from keras_s2s.text.word import WordTokenizer
from keras_s2s.text.wordpiece import WordPieceTokenizer

TOKENIZERS: dict[str, type[Tokenizer]] = {
    "character": CharacterTokenizer,
    "word": WordTokenizer,
    "byte": ByteTokenizer,
    "sentencepiece_unigram": SentencePieceUnigramTokenizer,
    "sentencepiece_bpe": SentencePieceBPETokenizer,
    "wordpiece": WordPieceTokenizer,
    "byte_level_bpe": ByteLevelBPETokenizer,
}


def load_tokenizer(directory: str | Path, prefix: str) -> Tokenizer:
    """Read a tokenizer that `Tokenizer.save` wrote, whatever its kind.

    Raises:
        FileNotFoundError: a file is missing.
        ConfigError: a file is not what it should be; the message names it.

    Example:
        >>> tokenizer.save("runs/dates/tokenizer", "source")
        >>> load_tokenizer("runs/dates/tokenizer", "source").kind
        'character'
    """
    kind = read_description(directory, prefix)["kind"]
    if kind not in TOKENIZERS:
        raise ConfigError(
            f"{description_path(Path(directory), prefix)}: unknown kind {kind!r}; known kinds: "
            f"{', '.join(TOKENIZERS)}"
        )
    return TOKENIZERS[kind].load(directory, prefix)
