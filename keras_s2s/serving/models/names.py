"""Names of models, as they stand in addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What a name may be, so that addresses can be read.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_names(names: Sequence[str]) -> None:
    """Raises an error for names of models that addresses cannot have.

    Raises:
        ValueError: there are none, one is not valid, or one is there twice.
    """
    if not names:
        raise ValueError("there are no models to serve")
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(
                f"model name {name!r}: expected letters, digits, '.', '_' and '-'; give one with "
                "NAME=PATH"
            )
        if names.count(name) > 1:
            raise ValueError(
                f"two models are named {name!r}; give them different names with NAME=PATH"
            )
