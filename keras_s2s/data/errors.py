"""The error that bad training data raises."""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be used; the message names the place, what was expected and a remedy."""
