"""Segmentations that the SentencePiece library draws, by a seed.

The library draws from a generator of each thread, which takes its seed when the thread first draws,
from a number of the whole process. So each call draws in a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from keras_s2s.config import SamplingConfig

T = TypeVar("T")

# The seed belongs to the process, so that one call at a time may draw.
_ONE_AT_A_TIME = threading.Lock()


def drawn_with_seed(seed: int, draw: Callable[[], T]) -> T:
    """Returns what `draw` returns, called where SentencePiece's generator starts from a seed.

    Args:
        seed: 0 to 2^31 - 1.
        draw: uses the library in the thread that calls it, and in no other.
    """
    import sentencepiece

    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(draw())
        except BaseException as error:
            errors.append(error)

    with _ONE_AT_A_TIME:
        sentencepiece.set_random_generator_seed(seed)
        thread = threading.Thread(target=run, name="sentencepiece-sampling")
        thread.start()
        thread.join()
    if errors:
        raise errors[0]
    return results[0]


def sampling_options(config: SamplingConfig) -> dict[str, Any]:
    """Returns the arguments of `SentencePieceProcessor.encode` that draw as a configuration says.

    The library calls the dropout of a BPE model alpha, too.
    """
    alpha = config.alpha if config.dropout is None else config.dropout
    return {"enable_sampling": True, "alpha": alpha, "nbest_size": config.nbest_size}
