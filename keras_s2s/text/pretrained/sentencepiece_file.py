"""Tokenizers that run a SentencePiece model file as it is: those of KerasHub's folders."""

from __future__ import annotations

import functools
from typing import Literal

from keras_s2s.config import SamplingConfig
from keras_s2s.text.pretrained.base import PretrainedTokenizer
from keras_s2s.text.pretrained.sentencepiece_model import load_processor, sampling_method_of
from keras_s2s.text.pretrained.tokenizer_files import T5_MODEL, TokenizerFiles
from keras_s2s.text.seeded_sentencepiece import drawn_with_seed, sampling_options
from keras_s2s.text.stable_prefix import HALF


class SentencePieceFileTokenizer(PretrainedTokenizer):
    """A tokenizer whose ids and texts are those of the SentencePiece library itself.

    Other than in transformers, no text gives the id of a control piece such as `</s>`, and decoding
    writes an unknown id as ` ⁇ `.

    Args:
        files: with a `spiece.model`.
        class_name: the class of transformers that reads these files.
        size: ids of the model, which may have more than there are pieces.

    Raises:
        FileNotFoundError: the file is missing.
        ConfigError: it is not a SentencePiece model.
    """

    kind = "sentencepiece_file"

    def __init__(self, files: TokenizerFiles, class_name: str, size: int | None = None) -> None:
        super().__init__(files, class_name, size)
        self.processor = load_processor(files, T5_MODEL, class_name)
        self._pieces = self.processor.get_piece_size()

    @property
    def model_bytes(self) -> bytes:
        """Content of the model file."""
        return self.files.require(T5_MODEL, self.class_name)

    @property
    def known(self) -> int:
        """Number of pieces."""
        return self._pieces

    @property
    def plain_size(self) -> int:
        """Number of pieces."""
        return self._pieces

    @property
    def template(self) -> tuple[list[int], list[int]]:
        """No id before a text, and EOS after it where the model has one."""
        return [], [] if self.eos_id is None else [self.eos_id]

    def named_token(self, name: str) -> str | None:
        """Returns the piece that the model has for `eos_token` and its like, or `None`."""
        ids = {
            "pad_token": self.processor.pad_id,
            "unk_token": self.processor.unk_id,
            "bos_token": self.processor.bos_id,
            "eos_token": self.processor.eos_id,
        }
        i = ids[name]() if name in ids else -1
        return self.processor.id_to_piece(i) if i >= 0 else None

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a piece (`▁` for the space), or `None`."""
        i = self.processor.piece_to_id(token)
        # Unknown pieces get the unknown id.
        return i if self.processor.id_to_piece(i) == token else None

    def _encode(self, text: str) -> list[int]:
        return self.processor.encode(text, out_type=int)

    def _encode_batch(self, texts: list[str]) -> list[list[int]]:
        return self.processor.encode(texts, out_type=int) if texts else []

    @functools.cached_property
    def sampling_method(self) -> Literal["alpha", "dropout"] | None:
        """As the model file says: unigram or BPE."""
        return sampling_method_of(self.model_bytes)

    def _sample_batch(self, texts: list[str], config: SamplingConfig, seed: int) -> list[list[int]]:
        options = sampling_options(config)
        encode = self.processor.encode
        return drawn_with_seed(
            seed, lambda: [encode(text, out_type=int, **options) for text in texts]
        )

    def _decode(self, ids: list[int]) -> str:
        ids = [i for i in ids if i < self._pieces]
        return self.processor.decode(ids) if ids else ""

    def _settled(self, ids: list[int]) -> str:
        return self._decode(ids).rstrip(HALF)

    def _token(self, i: int) -> str:
        # Models round their vocabularies up; such an id has no token.
        return self.processor.id_to_piece(i) if i < self._pieces else f"<id {i}>"
