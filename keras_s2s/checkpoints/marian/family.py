"""A family's tables for Marian's own files: its settings, and the names of its tensors.

They are data, the `marian:` part of `zoo/families/<name>.yaml`; these classes define its keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import Field

from keras_s2s import catalog
from keras_s2s.catalog.folders import MARIAN_TABLES
from keras_s2s.config import Strict, read_config


class SettingRule(Strict):
    """Where a key of Marian's settings goes."""

    to: tuple[str, ...] = Field(description="Keys of the architecture.")
    values: dict[str, Any] | None = Field(
        None, description="Marian's value -> ours; None takes them as they are."
    )
    absent: Any = Field(None, description="Marian's value for: not set.")


class MarianTables(Strict):
    """All tables that translate a model of Marian into a family."""

    chosen_by: dict[str, Any] = Field(
        description="Keys of the settings that have these values (or one of a list)."
    )
    settings: dict[str, SettingRule]
    read: tuple[str, ...] = Field(description="Keys that are read elsewhere.")
    unread: dict[str, Literal["any"] | list[Any]] = Field(
        description="Keys that nothing here needs, with the values that change nothing."
    )
    tensors: dict[str, str | list[str]] = Field(
        description="Paths of variables here -> names of tensors; `^T` is transposed there."
    )
    defaults: dict[str, Any] = Field(
        description="Settings of a model that was not Marian's, beside those of the architecture."
    )
    weights: dict[str, str] = Field(
        default_factory=dict, description="Names of weights that `{w}` stands for: here -> there."
    )
    ignored: tuple[str, ...] = Field(description="Patterns (*, ?) of tensors without weights.")


@cache
def marian_tables(family: str) -> MarianTables | None:
    """Returns the tables of a family of the zoo; None where it has none.

    Raises:
        ConfigError: no such family, or tables that are not valid.
    """
    tables = catalog.load_tables(family, MARIAN_TABLES)
    if not tables:
        return None
    tables["unread"] = {k: v for k, v in tables["unread"].items() if v is not None}
    return read_config(MarianTables, tables, origin=f"families/{family}: {MARIAN_TABLES}")


@cache
def marian_families() -> dict[str, MarianTables]:
    """Returns the tables of all families of the zoo that have some for Marian's files."""
    found = {}
    for family in catalog.list_families():
        own = catalog.read_yaml(catalog.zoo_folder() / "families" / f"{family}.yaml")
        tables = marian_tables(family) if MARIAN_TABLES in own else None
        if tables is not None:
            found[family] = tables
    return found


def is_chosen(tables: MarianTables, settings: Mapping[str, Any]) -> bool:
    """Returns whether settings are those of a model of this family."""
    for key, value in tables.chosen_by.items():
        allowed = value if isinstance(value, list) else [value]
        if key == "transformer-decoder-autoreg":
            # Files from before the SSRU have self-attention, and no such key.
            found = settings.get(key, "self-attention")
        else:
            found = settings.get(key)
        if found not in allowed:
            return False
    return True
