"""ROUGE as the package rouge-score computes it, with a tokenizer for each language.

rouge-score's own tokenizer keeps a-z and 0-9 and drops every other letter: Korean, Chinese or Hindi
texts would all score 0, and a German word with an umlaut would be two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from keras_s2s.text_metrics.bleu_tokenizer import make_tokenizer, tokenizer_for
from keras_s2s.text_metrics.target_language import segmentation

#: The values that the metric `rouge` consists of.
ROUGE = ("rouge1", "rouge2", "rougeL")

# Without a named language, so few letters beyond a-z are those of borrowed words in English.
_BORROWED = 0.01

# Between the letters of one word in Persian and in the languages of India.
_JOINERS = "\u200c\u200d"


class Words:
    """Splits a text into lowercase words as Unicode defines them: letters with their marks, and
    digits.

    Equal to rouge-score's own tokenizer on ASCII.

    Example:
        >>> Words().tokenize("Läuft's? हिन्दी 1,5")
        ['läuft', 's', 'हिन्दी', '1', '5']
    """

    signature = "words"

    def tokenize(self, text: str) -> list[str]:
        """Returns the words of a text."""
        text = unicodedata.normalize("NFC", text).lower()
        kept = (c if c in _JOINERS or _of_a_word(c) else " " for c in text)
        # A joiner or a mark alone is no word.
        return [word for word in "".join(kept).split() if any(map(str.isalnum, word))]


class Segmented:
    """Splits a text into lowercase words as one of sacreBLEU's tokenizers does, without
    punctuation.

    Args:
        name: of the tokenizer.
    """

    def __init__(self, name: str) -> None:
        self._split: Callable[[str], str] = make_tokenizer(name)
        self.signature = self._split.signature()

    def tokenize(self, text: str) -> list[str]:
        """Returns the words of a text."""
        tokens = self._split(unicodedata.normalize("NFC", text)).lower().split()
        return [token for token in tokens if any(map(_of_a_word, token))]


def check_rouge() -> None:
    """Raises an error where the package rouge-score is not installed.

    Raises:
        ImportError: rouge-score is not installed.
    """
    try:
        import rouge_score.rouge_scorer  # noqa: F401
    except ImportError:
        raise ImportError(
            "the metric rouge is measured by rouge-score, which is not installed: "
            "pip install rouge-score"
        ) from None


def rouge_tokenizer(
    tgt_lang: str | Sequence[str | None] | None, references: Sequence[str]
) -> tuple[Any, str]:
    """Returns the tokenizer for a language, and the reason for it as a phrase.

    - English: rouge-score's own, so that figures are those of other programs.
    - Chinese, Japanese and Korean: that of BLEU (characters where MeCab is not installed).
    - scripts without spaces between words: characters.
    - others: words, by Unicode.

    Args:
        tgt_lang: language of the references, or one for each; None where it is not known: then
            the script of the references decides.
        references: the texts.
    """
    way, why = segmentation(tgt_lang, references)
    if way != "words":
        name, note = tokenizer_for(way)
        return Segmented(name), why + note
    named = [tgt_lang] if isinstance(tgt_lang, str) else [code for code in tgt_lang or () if code]
    if named:
        english = all(re.split("[_-]", code.lower())[0] in ("en", "eng") for code in named)
        why = f"the target language is {', '.join(dict.fromkeys(named))}"
    else:
        letters = [c for text in references[:2000] for c in text if c.isalpha()]
        foreign = sum(not c.isascii() for c in letters)
        english = foreign < _BORROWED * max(1, len(letters))
        why = f"{'nearly all' if english else 'not all'} letters of the references are a to z"
    if not english:
        return Words(), why
    from rouge_score.tokenizers import DefaultTokenizer

    tokenizer = DefaultTokenizer(use_stemmer=False)
    tokenizer.signature = "rouge-score"
    return tokenizer, why


def rouge_scores(
    hypotheses: Sequence[str], references: Sequence[str], tokenizer: Any
) -> dict[str, float]:
    """Returns ROUGE-1, ROUGE-2 and ROUGE-L: F-measures from 0 to 100, averaged over the texts.

    Args:
        hypotheses: generated texts.
        references: the texts they should be.
        tokenizer: what `rouge_tokenizer` returned.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGE), tokenizer=tokenizer)
    rows = [scorer.score(r, h) for h, r in zip(hypotheses, references, strict=True)]
    return {name: 100.0 * sum(row[name].fmeasure for row in rows) / len(rows) for name in ROUGE}


def rouge_signature(tokenizer: Any) -> str:
    """Returns the settings of a ROUGE value, in the form of sacreBLEU's signatures."""
    version = metadata.version("rouge-score")
    return f"nrefs:1|case:lc|stem:no|tok:{tokenizer.signature}|version:{version}"


def _of_a_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"
