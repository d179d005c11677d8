"""Settings of an architecture that are written once for encoder and decoder, under `shared:`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_s2s.config.errors import KeyPath
from keras_s2s.config.merging import merge

_SIDES = ("encoder", "decoder")


def spread_shared(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Copies the settings under `shared:` to encoder and decoder, whose own keys win.

    Raises:
        ValueError: what is shared, or a side, is not a mapping.
    """
    spread = dict(architecture)
    if "shared" not in spread:
        return spread
    shared = spread.pop("shared")
    for key, value in (("shared", shared), *((side, spread.get(side)) for side in _SIDES)):
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f"{key}: expected a mapping of keys, got {value!r}")
    for side in _SIDES:
        spread[side] = merge(shared or {}, spread.get(side) or {})
    return spread


def shared_keys(architecture: Any, above: KeyPath = ()) -> dict[KeyPath, KeyPath]:
    """Returns where each key that `spread_shared` copies was written.

    Args:
        architecture: settings with or without `shared`, not yet spread.
        above: the path of the architecture itself, put before every path.

    Example:
        >>> shared_keys({"shared": {"dropout": 0.1}, "encoder": {"dropout": 0.2}})
        {('decoder', 'dropout'): ('shared', 'dropout')}
    """
    if not isinstance(architecture, Mapping) or not isinstance(architecture.get("shared"), Mapping):
        return {}
    found: dict[KeyPath, KeyPath] = {}

    def visit(shared: Mapping[Any, Any], own: Any, side: KeyPath, written: KeyPath) -> None:
        own = own if isinstance(own, Mapping) else {}
        for key, value in shared.items():
            if key not in own:
                found[*side, key] = (*written, key)
            if isinstance(value, Mapping):
                visit(value, own.get(key), (*side, key), (*written, key))

    for side in _SIDES:
        visit(architecture["shared"], architecture.get(side), (*above, side), (*above, "shared"))
    return found
