"""The tokenizer of BERT-generation: SentencePiece's own ids, and nothing around a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keras_s2s.text.pretrained.added_tokens import AddedTokens, PythonTokenizer
from keras_s2s.text.pretrained.sentencepiece_model import load_processor
from keras_s2s.text.pretrained.tokenizer_files import T5_MODEL, TokenizerFiles


class BertGenerationTokenizer(PythonTokenizer):
    """The tokenizer of BERT-generation's encoders and decoders.

    Args:
        files: `spiece.model`.
        class_name: `BertGenerationTokenizer`.
        size: ids of the model.

    Raises:
        FileNotFoundError: a file is missing.
        ConfigError: a file cannot be read.
    """

    kind = "bert_generation"

    def __init__(
        self,
        files: TokenizerFiles,
        class_name: str = "BertGenerationTokenizer",
        size: int | None = None,
    ) -> None:
        super().__init__(files, class_name, size)
        declared = files.declared()
        self.processor = load_processor(files, T5_MODEL, class_name)
        pieces = range(self.processor.get_piece_size())
        self.added = AddedTokens(
            {self.processor.id_to_piece(i): i for i in pieces},
            declared,
            named={
                "bos_token": "<s>",
                "eos_token": "</s>",
                "unk_token": "<unk>",
                "pad_token": "<pad>",
                "sep_token": "<::::>",
            },
            extra=declared.extra or list(declared.additional or ()),
        )

    @property
    def model_bytes(self) -> bytes:
        """Content of the SentencePiece model file."""
        return self.files.require(T5_MODEL, self.class_name)

    @property
    def known_tokens(self) -> set[str]:
        """The tokens that are no pieces of the model."""
        return set(self.added.ids)

    @property
    def template(self) -> tuple[list[int], list[int]]:
        """No ids around a text."""
        return [], []

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a piece or a special token, or `None`."""
        if token in self.added.ids:
            return self.added.ids[token]
        i = self.processor.piece_to_id(token)
        return i if self.processor.id_to_piece(i) == token else None

    def _plain_ids(self) -> Iterable[int]:
        return range(self.processor.get_piece_size())

    def _pieces(self, text: str, **drawing: Any) -> list[str]:
        return self.processor.encode(text, out_type=str, **drawing)

    def _piece_id(self, piece: str) -> int:
        return self.processor.piece_to_id(piece)

    def _piece(self, i: int) -> str | None:
        return self.processor.id_to_piece(i) if i < self.processor.get_piece_size() else None

    def _join(self, tokens: list[str]) -> str:
        return "".join(tokens).replace("▁", " ").strip()
