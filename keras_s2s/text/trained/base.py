"""Base class of the tokenizers that this package trains."""

from __future__ import annotations

from keras_s2s.text.tokenizer import Tokenizer


class TrainedTokenizer(Tokenizer):
    """Base class of tokenizers trained here; no text produces a sentinel or the mask token.

    Decoding leaves them out, as it does padding, BOS and EOS.
    """

    @property
    def extra_ids(self) -> tuple[int, ...]:
        """Ids of the tokens of pre-training: sentinels and the mask token."""
        return self.sentinel_ids if self.mask_id is None else (*self.sentinel_ids, self.mask_id)

    def _silent_ids(self) -> frozenset[int]:
        return super()._silent_ids().union(self.extra_ids)
