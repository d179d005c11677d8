"""Base class of the tokenizers that use Hugging Face's `tokenizers` library."""

from __future__ import annotations

from typing import Any, Self

from keras_s2s.config import ConfigError
from keras_s2s.text.trained.base import TrainedTokenizer


class HuggingFaceTokenizer(TrainedTokenizer):
    """A tokenizer that runs a pipeline of the `tokenizers` library: normaliser, pre-tokeniser,
    model.

    Its JSON (a `tokenizer.json`) is self-contained.  Special tokens are entries of the
    vocabulary, but not "added tokens", which the library would look for in the text.

    Args:
        json: content of a `tokenizer.json`.

    Raises:
        ConfigError: the library cannot read it.
    """

    def __init__(self, json: str) -> None:
        import tokenizers

        try:
            self.pipeline = tokenizers.Tokenizer.from_str(json)
        except Exception as error:  # the library raises bare Exception
            raise ConfigError(f"not a tokenizer.json ({error})") from None
        # The preprocessor adds BOS and EOS; a template here would add them again.
        self.pipeline.no_padding()
        self.pipeline.no_truncation()

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ones included."""
        return self.pipeline.get_vocab_size()

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a vocabulary entry or special token, or `None`."""
        return self.pipeline.token_to_id(token)

    def _encode(self, text: str) -> list[int]:
        return self.pipeline.encode(text, add_special_tokens=False).ids

    def _encode_batch(self, texts: list[str]) -> list[list[int]]:
        encodings = self.pipeline.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def _token(self, i: int) -> str:
        token = self.pipeline.id_to_token(i)
        if token is None:
            raise ConfigError(f"the {self.kind} vocabulary has no entry for id {i}")
        return token

    def _settings(self) -> dict[str, Any]:
        return {}

    def _files(self) -> dict[str, bytes]:
        return {"tokenizer.json": self.pipeline.to_str().encode()}

    @classmethod
    def _restore(cls, settings: dict[str, Any], files: dict[str, bytes]) -> Self:
        return cls(files["tokenizer.json"].decode("utf-8"))
