"""Byte-level BPE tokenizer, as in GPT-2 and BART [Radford 2019]."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Literal, Self

from keras_s2s.config import ConfigError, SamplingConfig
from keras_s2s.text.bpe_dropout import BpeDropout
from keras_s2s.text.special_tokens import SPECIAL_TOKENS, UNKNOWN_SURFACE
from keras_s2s.text.stable_prefix import HALF
from keras_s2s.text.trained.normalization import Form, huggingface_normalizers
from keras_s2s.text.trained.tokenizers_library import HuggingFaceTokenizer
from keras_s2s.text.visible import make_visible

# 256 bytes and the special tokens: nothing is ever unknown.
MINIMUM_VOCABULARY = 256 + len(SPECIAL_TOKENS)


class ByteLevelBPETokenizer(HuggingFaceTokenizer):
    """A tokenizer that merges bytes by BPE; every text can be encoded and comes back, normalised.

    A word's leading space belongs to its token.  Bytes that are not UTF-8 decode to U+FFFD.
    """

    kind = "byte_level_bpe"

    def __init__(self, json: str) -> None:
        super().__init__(json)
        byte_of = {character: byte for byte, character in enumerate(byte_characters())}
        self._bytes: list[bytes] = []
        for i in range(self.vocabulary_size):
            token = self._token(i)
            if i == self.unk_id:
                self._bytes.append(UNKNOWN_SURFACE.encode())
            elif all(c in byte_of for c in token):
                self._bytes.append(bytes(byte_of[c] for c in token))
            else:
                self._bytes.append(token.encode())

    @classmethod
    def train(
        cls,
        texts: list[str],
        *,
        vocab_size: int,
        form: Form = "none",
        lowercase: bool = False,
        extra: Sequence[str] = (),
    ) -> Self:
        """Trains on a list of texts; the same texts give the same merges.

        No text gives the `extra` tokens.

        Raises:
            ConfigError: `vocab_size` is smaller than the 256 bytes and the special tokens.
        """
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        needed = MINIMUM_VOCABULARY + len(extra)
        if vocab_size < needed:
            raise ConfigError(
                f"vocab_size {vocab_size} does not hold the 256 bytes and "
                f"{needed - 256} special tokens; set it to {needed} or more"
            )
        steps = huggingface_normalizers(form)
        if lowercase:
            steps += [normalizers.Lowercase(), *huggingface_normalizers(form)]
        pipeline = Tokenizer(models.BPE())
        if steps:
            pipeline.normalizer = normalizers.Sequence(steps)
        pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        pipeline.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=[*SPECIAL_TOKENS, *extra],
            initial_alphabet=sorted(byte_characters()),
            show_progress=False,
        )
        pipeline.train_from_iterator(iter(texts), trainer)
        # The trainer registers special tokens as added tokens, which would be found in text.
        description = json.loads(pipeline.to_str())
        description["added_tokens"] = []
        return cls(json.dumps(description))

    def printable(self, i: int) -> str:
        """Returns the token's text, or its bytes as `<0xE2>` where they are not whole
        characters.
        """
        token = self.id_to_token(i)
        if token in SPECIAL_TOKENS:
            return token
        content = self._bytes[i]
        try:
            return make_visible(content.decode("utf-8"))
        except UnicodeDecodeError:
            return "".join(f"<0x{byte:02X}>" for byte in content)

    @property
    def sampling_method(self) -> Literal["dropout"]:
        """BPE dropout."""
        return "dropout"

    @functools.cached_property
    def _sampler(self) -> BpeDropout:
        return BpeDropout(self.pipeline)

    def _sample_batch(self, texts: list[str], config: SamplingConfig, seed: int) -> list[list[int]]:
        assert config.dropout is not None
        return self._sampler.encode_batch(texts, config.dropout, seed)

    def _decode(self, ids: list[int]) -> str:
        return b"".join([self._bytes[i] for i in ids]).decode("utf-8", errors="replace")

    def _settled(self, ids: list[int]) -> str:
        return self._decode(ids).rstrip(HALF)


def byte_characters() -> list[str]:
    """Returns the printable characters that represent the 256 bytes in the vocabulary, in byte
    order.

    Printable Latin-1 bytes are represented by themselves, the others by characters from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    substitutes = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(substitutes)) for byte in range(256)]
