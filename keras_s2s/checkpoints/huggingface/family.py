"""A family's tables: how Hugging Face writes its configuration, and how it names its tensors.

They are data, the `huggingface:` part of `zoo/families/<name>.yaml`; these classes define its keys.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import Field, field_validator

from keras_s2s import catalog
from keras_s2s.catalog.folders import TABLES
from keras_s2s.config import ConfigError, Strict, read_config


class ConfigRule(Strict):
    """The setting that a key of `config.json` is translated to.

    Example:
        >>> ConfigRule(to="shared.hidden_dim", default=512)
    """

    to: tuple[str, ...] = Field(
        description="Our keys below `architecture`, or below `special_ids` where they begin so; "
        "`shared.` stands for encoder and decoder, and ` + 1` at the end for one more than theirs."
    )
    default: Any = Field(None, description="What the key is where a folder does not set it.")
    default_of: str | None = Field(None, description="Another key of theirs to take then.")
    times: int = Field(1, description="What `default_of` is multiplied with.")
    counts_offset: bool = Field(
        False,
        description="Their value counts the rows before the first position, too "
        "(`embedding.position_offset`).",
    )
    also: str | None = Field(
        None, description="Another name of the key, which transformers lets override it."
    )
    values: dict[str, Any] | None = Field(
        None,
        description="Their value -> ours; a list has one for each key of `to`. Of several that "
        "mean the same the first is written.",
    )

    @field_validator("to", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class DerivedKey(Strict):
    """A key that folders hold although another one implies it, and that wins in transformers.

    Example:
        >>> DerivedKey(of="feed_forward_proj", values={"gated-gelu": ["gelu_new"]})
    """

    of: str
    values: dict[str, tuple[Any, ...]] = Field(
        description="Value of the other key -> what this one may be."
    )


class TokenTables(Strict):
    """Names of the token tables; which of them a folder holds shows which are tied."""

    shared: str
    encoder: str
    decoder: str
    output: str
    tie: str | None = Field(None, description="The key that says whether the output is tied.")
    share: str | None = Field(None, description="The key that says whether both sides share one.")
    own_output: str | None = Field(
        None, description="The key that, where false, says that an output table is stored."
    )
    all_where_untied: bool = Field(
        False, description="transformers ties all of them or none: untied, each is stored."
    )


class TensorGroup(Strict):
    """A group of layers and the modules of transformers that hold their weights.

    `{side}` and other names in braces match one part of a path, the same here and there.
    """

    when: dict[str, Any] = Field(
        default_factory=dict, description="Keys of the architecture that must have these values."
    )
    linear: dict[str, str] = Field(
        default_factory=dict, description="Dense: kernel (transposed) and bias."
    )
    norm: dict[str, str] = Field(default_factory=dict, description="Scale and offset.")
    table: dict[str, str] = Field(default_factory=dict, description="Rows of embeddings.")
    row: dict[str, str] = Field(
        default_factory=dict, description="A vector that is stored as a matrix of one row."
    )
    vector: dict[str, str] = Field(default_factory=dict, description="A bias by itself.")
    conv1d: dict[str, str] = Field(
        default_factory=dict,
        description="Dense: kernel as it is here, and bias; `[k/n]` at the end of their name: part "
        "k of n layers whose outputs are in one.",
    )


class InitialWeights(Strict):
    """How transformers draws weights that a checkpoint does not have."""

    std: str = Field(description="The key with the standard deviation of matrices.")
    default: float = Field(description="What it is where a folder does not set it.")
    depth_scaled: tuple[str, ...] = Field(
        (), description="Patterns of our layers whose deviation is divided by sqrt(2 * layers)."
    )


class FamilyTables(Strict):
    """All tables that translate between a family and Hugging Face's folders."""

    model_type: str
    model_class: str | None = Field(
        None, description="What config.json calls the architecture; a half has none."
    )
    half: bool = Field(
        False, description="The family is one side of an encoder-decoder, and has no other."
    )
    halves: dict[Literal["encoder", "decoder"], str | None] = Field(
        default_factory=dict,
        description="Classes of single sides, by which an encoder-decoder of halves is written.",
    )
    projects_embeddings: Literal["never", "always", "where_widths_differ"] = Field(
        "never", description="Whether embeddings are projected to the width of the stack."
    )
    initial: InitialWeights | None = None
    also_named: dict[str, str | None] = Field(
        default_factory=dict, description="Another name of a tensor, where the first is missing."
    )
    prefix: str = Field("", description="Of tensor names; a folder of the bare model lacks it.")
    config: dict[str, ConfigRule]
    derived: dict[str, DerivedKey] = Field(
        default_factory=dict, description="Keys that another key implies, as they are checked."
    )
    unread: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys that nothing here reads: `any` where no value of theirs changes a "
        "number, else the value, or the list of values, that the blocks here have. Other values, "
        "and keys that are not listed, are reported. Keys of every family are in "
        "`zoo/huggingface.yaml`.",
    )
    constants: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys without a counterpart here, as they are written for a model that did "
        "not come from such a folder.",
    )
    generation: dict[str, Any] = Field(
        default_factory=dict, description="Generation keys that config.json has by default."
    )
    token_tables: TokenTables
    tensors: dict[str, TensorGroup]
    ignored: tuple[str, ...] = Field(
        (), description="Patterns (*, ?) of tensors that nothing needs; reported as unused."
    )
    sinusoids: dict[str, str] = Field(
        default_factory=dict,
        description="Tables of sinusoidal positions that are stored although they are computed: "
        "name -> the side, encoder or decoder. Their rows are max_position_embeddings. A table "
        "that holds something else is taken as learned, as transformers takes it.",
    )
    computed: dict[str, str] = Field(
        default_factory=dict,
        description="The same where transformers does not read them: a table that holds "
        "something else is refused.",
    )
    optional: tuple[str, ...] = Field(
        (), description="Tensors that are zero where a folder does not hold them."
    )


@cache
def unread_keys() -> dict[str, Any]:
    """Returns the keys that all configurations of transformers may have and that are not used."""
    return dict(catalog.read_yaml(catalog.zoo_folder() / "huggingface.yaml")["unread"])


@cache
def family_tables(family: str) -> FamilyTables | None:
    """Returns the tables of a family of the zoo; None where it has none.

    Raises:
        ConfigError: no such family, or tables that are not valid.
    """
    tables = catalog.load_tables(family)
    if not tables:
        return None
    tables["config"] = {key: rule for key, rule in tables["config"].items() if rule is not None}
    tables = _with_prefix(tables, tables.get("prefix", ""))
    return read_config(FamilyTables, tables, origin=f"families/{family}: huggingface")


def _with_prefix(value: Any, prefix: str) -> Any:
    """Returns tables with the family's prefix in the place of `{prefix}`."""
    if isinstance(value, dict):
        parts = {key: _with_prefix(part, prefix) for key, part in value.items()}
        return {_with_prefix(key, prefix): part for key, part in parts.items()}
    if isinstance(value, list):
        return [_with_prefix(part, prefix) for part in value]
    return value.replace("{prefix}", prefix) if isinstance(value, str) else value


def family_of(model_type: Any, *, half: bool = False) -> str | None:
    """Returns the zoo's family for a `model_type` of `config.json`; None where it has none.

    Args:
        half: also look among families that are one side of an encoder-decoder.
    """
    if not isinstance(model_type, str):
        return None
    # The file usually has this name: then the others need not be read.
    likely = model_type.replace("-", "_")
    if likely in catalog.list_families():
        tables = family_tables(likely)
        if tables is not None and tables.model_type == model_type and half >= tables.half:
            return likely
    found = families_by_model_type().get(model_type)
    return half_families_by_model_type().get(model_type) if found is None and half else found


def families_by_model_type() -> dict[str, str]:
    """Returns the zoo's families of whole models by the `model_type` of their `config.json`.

    A family that has the `model_type` of its base (ByT5 has that of T5) is not among them: its
    folders are read as those of its base.

    Raises:
        ConfigError: two families state the same one.
    """
    return _by_model_type(half=False)


def half_families_by_model_type() -> dict[str, str]:
    """Returns the zoo's families that are one side of a model, by their `model_type`.

    Raises:
        ConfigError: two families state the same one.
    """
    return _by_model_type(half=True)


@cache
def _by_model_type(*, half: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for family in catalog.list_families():
        own = catalog.read_yaml(catalog.zoo_folder() / "families" / f"{family}.yaml")
        tables = own.get(TABLES) or {}
        model_type = tables.get("model_type")
        if model_type is None or tables.get("half", False) is not half:
            continue
        if model_type in found:
            raise ConfigError(
                f"families/{family}: huggingface.model_type: {model_type} is that of "
                f"families/{found[model_type]}, too; a folder could be either"
            )
        found[model_type] = family
    return found
