"""Runs a function in a thread that ends with it.

PyTorch computes with OpenMP, which gives each thread that computes helpers of its own and keeps
them until that thread ends. Where there are more of them than cores, those that wait are put to
sleep at once, and every operation waits for them to wake: a search over one text took 1.6 times as
long in a process whose main thread had loaded the model. So whoever computes beside a model's
batches (loading, a stream) does it in a thread that ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

ResultT = TypeVar("ResultT")


def start_thread(function: Callable[[], ResultT], name: str) -> Future[ResultT]:
    """Starts a thread that runs `function`; returns its result to come.

    The thread does not keep the process from ending.
    """
    future: Future[ResultT] = Future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def in_own_thread(function: Callable[[], ResultT], name: str) -> ResultT:
    """Returns the result of `function`, which runs in a thread of its own.

    Example:
        >>> in_own_thread(lambda: threading.current_thread().name, "loading")
        'loading'
    """
    return start_thread(function, name).result()
