"""Special tokens of the vocabularies that this package trains, and their order.

A trained tokenizer puts them first, so that their position in `SPECIAL_TOKENS` is their id; where
sentinels and the mask token for pre-training are, depends on its kind. Other code reads a
tokenizer's `pad_id`, `unk_id`, `bos_id` and `eos_id`, since other vocabularies have other ids.
"""

from __future__ import annotations

PAD_TOKEN = "<pad>"
UNK_TOKEN = "<unk>"
BOS_TOKEN = "<s>"
EOS_TOKEN = "</s>"

SPECIAL_TOKENS: tuple[str, ...] = (PAD_TOKEN, UNK_TOKEN, BOS_TOKEN, EOS_TOKEN)

# Of text infilling; spelled as in BART.
MASK_TOKEN = "<mask>"


def sentinel_token(number: int) -> str:
    """Returns a sentinel of span corruption, counted from 0; spelled as in Hugging Face's T5."""
    return f"<extra_id_{number}>"


def extra_tokens(sentinels: int, mask: bool) -> tuple[str, ...]:
    """Returns the tokens for pre-training that a configuration asks for."""
    return (*map(sentinel_token, range(sentinels)), *((MASK_TOKEN,) if mask else ()))


# What decoding shows for the unknown id; the same character as SentencePiece's own choice.
UNKNOWN_SURFACE = "\u2047"
