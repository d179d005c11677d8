"""WordPiece tokenizer, with BERT's splitting of text into words [Schuster 2012, Devlin 2019]."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Self

from keras_s2s.config import ConfigError
from keras_s2s.text.special_tokens import SPECIAL_TOKENS, UNK_TOKEN, UNKNOWN_SURFACE
from keras_s2s.text.stable_prefix import settled_spaces
from keras_s2s.text.trained.normalization import Form, huggingface_normalizers
from keras_s2s.text.trained.tokenizers_library import HuggingFaceTokenizer
from keras_s2s.text.trained.word_pattern import HAN

CONTINUATION = "##"

# Neither a space nor ASCII punctuation.
_LETTER = r"[^ !-/:-@\[-`{-~]"

# Spaces that splitting put in and writing does not have: pattern, replacement, and how
# often it runs (twice where matches overlap, since none of the patterns looks around).
_DETOKENIZATION = (
    (f"([{HAN}]) ([{HAN}])", r"\1\2", 2),
    (r" ([,.!?;:%)\]}»…。，、！？：；）」』】》]+)", r"\1", 2),
    (r"([。，、！？：；）」』】》]) ", r"\1", 1),
    (r"([(\[{«¿¡（「『【《]) ", r"\1", 2),
    (r"([0-9])([.,:]) ([0-9])", r"\1\2\3", 2),
    (f"({_LETTER}) ([-'’/]) ({_LETTER})", r"\1\2\3", 2),
)


class WordPieceTokenizer(HuggingFaceTokenizer):
    """A tokenizer that splits each word into the longest known pieces.

    A word with an unknown character is the unknown token. Words are split at white space and
    punctuation; each Han character is a word. The places of spaces are not kept: decoding restores
    them by rules of English writing.
    """

    kind = "wordpiece"

    @classmethod
    def train(
        cls,
        texts: list[str],
        *,
        vocab_size: int,
        form: Form = "nfc",
        lowercase: bool = False,
        extra: Sequence[str] = (),
    ) -> Self:
        """Trains on a list of texts; the same texts give the same pieces.

        No text gives the `extra` tokens.

        Raises:
            ConfigError: `vocab_size` does not hold the special tokens and the characters.
        """
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        pipeline = Tokenizer(models.WordPiece({}, unk_token=UNK_TOKEN))
        steps = huggingface_normalizers(form)
        bert = normalizers.BertNormalizer(
            # Cleaning would remove the zero-width joiners of emoji and Persian words.
            clean_text=False,
            handle_chinese_chars=True,
            strip_accents=False,
            lowercase=lowercase,
        )
        pipeline.normalizer = normalizers.Sequence(
            [*steps, bert, *(huggingface_normalizers(form) if lowercase else ())]
        )
        pipeline.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        pipeline.decoder = decoders.WordPiece(prefix=CONTINUATION, cleanup=False)

        alphabet = _alphabet(pipeline, texts)
        if not alphabet:
            raise ConfigError("WordPiece found no words to learn from: every text is blank")
        special = [*SPECIAL_TOKENS, *extra]
        needed = len(special) + len(alphabet)
        if vocab_size < needed:
            raise ConfigError(
                f"vocab_size {vocab_size} does not hold the {needed} special tokens and "
                f"characters (at the beginning and inside of words) of this text; set it to "
                f"{needed} or more"
            )
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            # The trainer numbers characters inside words in the order of a randomly seeded
            # hash table, and breaks ties between merges by these numbers; handing them over
            # as special tokens fixes their order, and with it the result.
            special_tokens=[*special, *alphabet],
            continuing_subword_prefix=CONTINUATION,
            show_progress=False,
        )
        pipeline.train_from_iterator(iter(texts), trainer)
        description = json.loads(pipeline.to_str())
        # The trainer registers special tokens as added tokens, which would be found in text.
        description["added_tokens"] = []
        return cls(json.dumps(description))

    def _decode(self, ids: list[int]) -> str:
        return detokenize(self._joined(ids))

    def _settled(self, ids: list[int]) -> str:
        return settled_spaces(self._joined(ids), detokenize)

    def _joined(self, ids: list[int]) -> str:
        """Returns words and punctuation marks joined by spaces."""
        unk = self.unk_id
        parts: list[str] = []
        for i in ids:
            token = UNKNOWN_SURFACE if i == unk else self._token(i)
            if token.startswith(CONTINUATION) and len(token) > len(CONTINUATION):
                parts.append(token[len(CONTINUATION) :])
            else:
                parts.append(f" {token}" if parts else token)
        return "".join(parts)


def detokenize(text: str) -> str:
    """Removes the spaces that splitting at punctuation inserted.

    Example:
        >>> detokenize("Well , it ' s 10 : 30 ( 3 . 5 % ) .")
        "Well, it's 10:30 (3.5%)."
    """
    for pattern, replacement in detokenization_rules():
        text = re.sub(pattern, replacement, text)
    return text


def detokenization_rules() -> list[tuple[str, str]]:
    """Returns the patterns and replacements of `detokenize`, in order; valid for `re` and for
    RE2.
    """
    return [
        (pattern, replacement)
        for pattern, replacement, times in _DETOKENIZATION
        for _ in range(times)
    ]


def _alphabet(pipeline: Any, texts: Iterable[str]) -> list[str]:
    """Returns every character that begins a word, then every one inside a word, sorted."""
    words: set[str] = set()
    for text in texts:
        normalized = pipeline.normalizer.normalize_str(text)
        words.update(word for word, _ in pipeline.pre_tokenizer.pre_tokenize_str(normalized))
    initial = {word[0] for word in words}
    inside = {CONTINUATION + character for word in words for character in word[1:]}
    return [*sorted(initial), *sorted(inside)]
