"""A family's tables for KerasHub: how its classes are configured, and how they name their weights.

They are data, the `keras_hub:` part of `zoo/families/<name>.yaml`; these classes define its keys.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import Field

from keras_s2s import catalog
from keras_s2s.catalog.folders import KERAS_HUB_TABLES
from keras_s2s.checkpoints.huggingface.family import ConfigRule
from keras_s2s.config import Strict, read_config


class LayerGroup(Strict):
    """A group of layers here, and the layers of KerasHub that hold their weights.

    Names in braces match one part of a path, the same here and there. Keras numbers the layers of
    a class: `[{i}]` stands for nothing at the first and for `_1`, `_2`, ... behind it, and
    `[encoder.num_layers + {i}]` counts on from a setting of the architecture.
    """

    when: dict[str, Any] = Field(
        default_factory=dict, description="Keys of the architecture that must have these values."
    )
    dense: dict[str, str] = Field(default_factory=dict, description="Kernel and bias.")
    to_heads: dict[str, str] = Field(
        default_factory=dict, description="Kernel [D, H, d] and bias [H, d], kept flat here."
    )
    from_heads: dict[str, str] = Field(
        default_factory=dict, description="Kernel [H, d, D], kept as a matrix here, and bias."
    )
    norm: dict[str, str] = Field(default_factory=dict, description="Scale and offset.")
    table: dict[str, str] = Field(default_factory=dict, description="Rows of embeddings.")
    positions: dict[str, str] = Field(
        default_factory=dict,
        description="Rows of positions, without those before `position_offset` that are unused.",
    )


class Roles(Strict):
    """The special ids of both sides, as names of the tokenizer's tokens: pad, bos, eos."""

    source: dict[str, str]
    target: dict[str, str]


class TokenizerRule(Strict):
    """A tokenizer class of KerasHub, and the class of transformers that reads the same files."""

    class_name: str
    read_as: str
    kind: Literal["huggingface_pipeline", "sentencepiece_file"] = Field(
        "huggingface_pipeline", description="The kind of tokenizer that reads the files."
    )
    files: dict[str, str] = Field(description="Files there -> what transformers calls them.")
    options: dict[str, str] = Field(
        default_factory=dict, description="Options there -> those of `tokenizer_config.json`."
    )
    fixed: dict[str, Any] = Field(
        default_factory=dict, description="Options of `tokenizer_config.json` as they always are."
    )


class KerasHubTables(Strict):
    """All tables that translate a backbone of KerasHub into a family."""

    class_name: str = Field(description="The backbone.")
    tasks: tuple[str, ...] = Field((), description="Task classes that are read as this model.")
    config: dict[str, ConfigRule]
    token_table: str = Field(description="The layer with the token table.")
    layers: dict[str, LayerGroup]
    ignored: tuple[str, ...] = Field(
        (), description="Patterns (*, ?) of tensors that nothing needs; reported as unused."
    )
    zero: tuple[str, ...] = Field(
        (), description="Variables here without a counterpart there; they are zero."
    )
    roles: Roles
    ids: dict[str, int] = Field(description="The special ids where there is no tokenizer.")
    tokenizer: TokenizerRule


@cache
def kerashub_tables(family: str) -> KerasHubTables | None:
    """Returns the tables of a family of the zoo; None where it has none.

    Raises:
        ConfigError: no such family, or tables that are not valid.
    """
    tables = catalog.load_tables(family, KERAS_HUB_TABLES)
    if not tables:
        return None
    tables["config"] = {key: rule for key, rule in tables["config"].items() if rule is not None}
    return read_config(KerasHubTables, tables, origin=f"families/{family}: {KERAS_HUB_TABLES}")


@cache
def families_by_class() -> dict[str, str]:
    """Returns the zoo's families by the name of KerasHub's backbone."""
    found: dict[str, str] = {}
    for family in catalog.list_families():
        own = catalog.read_yaml(catalog.zoo_folder() / "families" / f"{family}.yaml")
        name = (own.get(KERAS_HUB_TABLES) or {}).get("class_name")
        if name is not None:
            found[name] = family
    return found
