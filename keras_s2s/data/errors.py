"""Errors about training data."""

from __future__ import annotations


class DataError(ValueError):
    """Raised for data that cannot be used; the message names the place, what was expected and a
    remedy.
    """
