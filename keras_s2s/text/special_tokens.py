"""The special tokens of every vocabulary this package trains, and their order.

A trained tokenizer puts them first, so their position in `SPECIAL_TOKENS` is their id.
Everything else asks a tokenizer's `pad_id`, `unk_id`, `bos_id` and `eos_id`, because a
vocabulary that was trained elsewhere has them elsewhere.
"""

from __future__ import annotations

PAD_TOKEN = "<pad>"
UNK_TOKEN = "<unk>"
BOS_TOKEN = "<s>"
EOS_TOKEN = "</s>"

SPECIAL_TOKENS: tuple[str, ...] = (PAD_TOKEN, UNK_TOKEN, BOS_TOKEN, EOS_TOKEN)

# What decoding shows for the unknown id; the same character as SentencePiece's own choice.
UNKNOWN_SURFACE = "\u2047"
