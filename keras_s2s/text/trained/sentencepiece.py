"""SentencePiece tokenizers: unigram and BPE models [Kudo 2018, Sennrich 2016]."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from typing import Any, Literal, Self

from keras_s2s.config import ConfigError, SamplingConfig
from keras_s2s.text.seeded_sentencepiece import drawn_with_seed, sampling_options
from keras_s2s.text.special_tokens import BOS_TOKEN, EOS_TOKEN, PAD_TOKEN, SPECIAL_TOKENS, UNK_TOKEN
from keras_s2s.text.stable_prefix import HALF
from keras_s2s.text.trained.base import TrainedTokenizer

logger = logging.getLogger(__name__)

# The trainer leaves out sentences with this character, its own mark for the unknown.
RESERVED_CHARACTER = "\u2585"


class SentencePieceTokenizer(TrainedTokenizer):
    """A tokenizer that runs a SentencePiece model, with the normalisation and special ids inside
    it.

    The rule `nmt_nfkc` also collapses white space and removes control characters; with
    the rule `identity` and byte fallback a text comes back exactly, but for U+2581 (▁),
    which SentencePiece uses for the space.

    Args:
        model_bytes: content of a `.model` file.

    Raises:
        ConfigError: the bytes are not a SentencePiece model.
    """

    _model_type: str

    def __init__(self, model_bytes: bytes) -> None:
        import sentencepiece

        self.model_bytes = model_bytes
        try:
            self.processor = sentencepiece.SentencePieceProcessor(model_proto=model_bytes)
            size = self.processor.get_piece_size()
        except RuntimeError as error:
            raise ConfigError(f"not a SentencePiece model ({error})") from None
        if not size:
            raise ConfigError("not a SentencePiece model (it holds no pieces)")

    @classmethod
    def train(
        cls,
        texts: list[str],
        *,
        vocab_size: int,
        rule: str = "nmt_nfkc",
        character_coverage: float = 1.0,
        byte_fallback: bool = True,
        extra: Sequence[str] = (),
    ) -> Self:
        """Trains on a list of texts; the `extra` tokens, which no text produces, come after `</s>`.

        The same texts give the same bytes: one thread, and every sentence is used, so that
        the trainer never draws at random.  Where the texts support fewer than `vocab_size`
        pieces, the model has fewer.

        Raises:
            ConfigError: `vocab_size` does not hold the characters (and bytes) needed, or the
                texts hold nothing to learn from.
        """
        import sentencepiece

        reserved = sum(RESERVED_CHARACTER in text for text in texts)
        if reserved:
            logger.warning(
                "%d of %d texts hold U+2585, which SentencePiece reserves; it does not learn "
                "from them",
                reserved,
                len(texts),
            )
        ids = {token: i for i, token in enumerate(SPECIAL_TOKENS)}
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type=cls._model_type,
                # With room for the special ids, the library says what else is missing.
                vocab_size=max(vocab_size, len(SPECIAL_TOKENS) + len(extra)),
                hard_vocab_limit=False,
                character_coverage=character_coverage,
                byte_fallback=byte_fallback,
                normalization_rule_name=rule,
                remove_extra_whitespaces=rule != "identity",
                # Longer sentences would be dropped silently.
                max_sentence_length=max(4192, *(len(text.encode()) for text in texts)),
                pad_id=ids[PAD_TOKEN],
                unk_id=ids[UNK_TOKEN],
                bos_id=ids[BOS_TOKEN],
                eos_id=ids[EOS_TOKEN],
                pad_piece=PAD_TOKEN,
                unk_piece=UNK_TOKEN,
                bos_piece=BOS_TOKEN,
                eos_piece=EOS_TOKEN,
                # Control symbols are never found in text.
                control_symbols=list(extra),
                num_threads=1,
                # Beyond the highest level: errors arrive as exceptions.
                minloglevel=4,
            )
        except RuntimeError as error:
            raise _explain(error, vocab_size, byte_fallback) from None
        return cls(model.getvalue())

    @property
    def vocabulary_size(self) -> int:
        """Number of pieces, control pieces and bytes included."""
        return self.processor.get_piece_size()

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a piece (`▁` for the space), or `None`."""
        i = self.processor.piece_to_id(token)
        # Unknown pieces get the unknown id.
        return i if self.processor.id_to_piece(i) == token else None

    @property
    def pad_id(self) -> int | None:
        """Id of the padding piece; `None` where the model has none."""
        return _optional(self.processor.pad_id())

    @property
    def unk_id(self) -> int | None:
        """Id of the unknown piece; every model has one."""
        return _optional(self.processor.unk_id())

    @property
    def bos_id(self) -> int | None:
        """Id of the beginning of a sentence; `None` where the model has none."""
        return _optional(self.processor.bos_id())

    @property
    def eos_id(self) -> int | None:
        """Id of the end of a sentence; `None` where the model has none."""
        return _optional(self.processor.eos_id())

    def _encode(self, text: str) -> list[int]:
        return self.processor.encode(text, out_type=int)

    def _encode_batch(self, texts: list[str]) -> list[list[int]]:
        return self.processor.encode(texts, out_type=int) if texts else []

    @property
    def sampling_method(self) -> Literal["alpha", "dropout"]:
        """`"alpha"` for a unigram model, `"dropout"` for a BPE model."""
        return "alpha" if self._model_type == "unigram" else "dropout"

    def _sample_batch(self, texts: list[str], config: SamplingConfig, seed: int) -> list[list[int]]:
        options = sampling_options(config)
        encode = self.processor.encode
        return drawn_with_seed(
            seed, lambda: [encode(text, out_type=int, **options) for text in texts]
        )

    def _decode(self, ids: list[int]) -> str:
        return self.processor.decode(ids) if ids else ""

    def _settled(self, ids: list[int]) -> str:
        return self._decode(ids).rstrip(HALF)

    def _token(self, i: int) -> str:
        return self.processor.id_to_piece(i)

    def _settings(self) -> dict[str, Any]:
        return {}

    def _files(self) -> dict[str, bytes]:
        return {"model": self.model_bytes}

    @classmethod
    def _restore(cls, settings: dict[str, Any], files: dict[str, bytes]) -> Self:
        return cls(files["model"])


class SentencePieceUnigramTokenizer(SentencePieceTokenizer):
    """A SentencePiece tokenizer with a unigram language model over pieces [Kudo 2018]."""

    kind = "sentencepiece_unigram"
    _model_type = "unigram"


class SentencePieceBPETokenizer(SentencePieceTokenizer):
    """A SentencePiece tokenizer that merges characters by BPE [Sennrich 2016]."""

    kind = "sentencepiece_bpe"
    _model_type = "bpe"


def _optional(i: int) -> int | None:
    return i if i >= 0 else None


def _explain(error: RuntimeError, vocab_size: int, byte_fallback: bool) -> ConfigError:
    message = str(error)
    needed = re.search(r"smaller than required_chars\. \d+ vs (\d+)", message)
    if needed:
        bytes_too, remedy = "", ""
        if byte_fallback:
            bytes_too, remedy = ", bytes", ", or set byte_fallback: false (256 ids less)"
        return ConfigError(
            f"vocab_size {vocab_size} does not hold the {needed[1]} special tokens{bytes_too} and "
            f"characters of this text; set it to {needed[1]} or more, or lower "
            f"character_coverage{remedy}"
        )
    if "sentences_.empty()" in message or "all_chars_count" in message:
        return ConfigError(
            "SentencePiece found no text to learn from: every text is blank after normalisation "
            "or holds the reserved character U+2585"
        )
    return ConfigError(f"SentencePiece could not be trained: {message}")
