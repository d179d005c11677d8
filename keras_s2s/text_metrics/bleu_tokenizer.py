"""Chooses the tokenizer of sacreBLEU that BLEU is measured with."""

from __future__ import annotations

import logging
import typing
from pathlib import Path
from typing import Any

from keras_s2s.config import BleuTokenizer
from keras_s2s.text_metrics.target_language import Segmentation

logger = logging.getLogger(__name__)

BLEU_TOKENIZERS: tuple[str, ...] = typing.get_args(BleuTokenizer)

_OF_SEGMENTATION: dict[Segmentation, str] = {
    "zh": "zh",
    "ja": "ja-mecab",
    "ko": "ko-mecab",
    "characters": "char",
    "words": "13a",
}
_EXTRA = {"ja-mecab": "ja", "ko-mecab": "ko"}


def tokenizer_for(way: Segmentation) -> tuple[str, str]:
    """Returns the name of the usual BLEU tokenizer of a segmentation, and a note where it is
    absent.

    Japanese and Korean need MeCab; without it they are measured by characters, and the note, else
    empty, says so.
    """
    name = _OF_SEGMENTATION[way]
    try:
        make_tokenizer(name)
    except ImportError as error:
        return "char", f"; {error}"
    return name, ""


def make_tokenizer(name: str) -> Any:
    """Makes one of sacreBLEU's tokenizers, without downloading anything.

    Args:
        name: out of `BLEU_TOKENIZERS`.

    Raises:
        ValueError: there is no such tokenizer, or it needs a file that sacreBLEU has not
            downloaded here before.
        ImportError: it needs a package that is not installed.

    Example:
        >>> make_tokenizer("zh")("你好 world")
        '你 好 world'
    """
    from sacrebleu.metrics import bleu

    if name not in BLEU_TOKENIZERS or name not in bleu.BLEU.TOKENIZERS:
        raise ValueError(
            f"bleu_tokenize is {name!r}; sacreBLEU's tokenizers are {', '.join(BLEU_TOKENIZERS)}"
        )
    _check_file(name)
    try:
        return bleu._get_tokenizer(name)()
    except (RuntimeError, AssertionError, OSError) as error:
        if name in _EXTRA:
            raise ImportError(
                f"{name} needs MeCab and its dictionary, which are not installed, or not as "
                f"sacreBLEU needs them ({_first_line(error)}): "
                f"pip install 'sacrebleu[{_EXTRA[name]}]'"
            ) from None
        raise ValueError(
            f"bleu_tokenize {name!r} cannot be used: {_first_line(error)}; its file in "
            "sacreBLEU's cache may be damaged: remove it and fetch it again"
        ) from None


def _check_file(name: str) -> None:
    """Raises an error for a tokenizer whose SentencePiece model is not in sacreBLEU's cache."""
    from sacrebleu.tokenizers import tokenizer_spm

    if name not in tokenizer_spm.SPM_MODELS:
        return
    url = tokenizer_spm.SPM_MODELS[name]["url"]
    path = Path(tokenizer_spm.SACREBLEU_DIR, "models", url.rsplit("/", 1)[-1])
    if not path.is_file() or not path.stat().st_size:
        raise ValueError(
            f"bleu_tokenize {name!r} needs {path}, which is not there, and nothing is downloaded "
            f"while measuring; fetch {url} to that place, or set the environment variable "
            "SACREBLEU to the folder that has models/ with it"
        )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
