"""Whether a model is run by its `__call__`, as layers rely on.

Around a call Keras says once, for all layers within it, whether they train, and in which type they
compute. A step of Keras on JAX runs `call` of a model without it. A token table under a mixed
policy is then rounded before its rows are taken, so that the gradients of a frequent id, thousands
of small numbers, are added up in half precision, where most of them are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ENTERED: ContextVar[bool] = ContextVar("entered", default=False)


def is_entered() -> bool:
    """Returns whether a `__call__` is running in this thread."""
    return _ENTERED.get()


@contextmanager
def entered() -> Iterator[None]:
    """Marks the `__call__` of a model."""
    token = _ENTERED.set(True)
    try:
        yield
    finally:
        _ENTERED.reset(token)
