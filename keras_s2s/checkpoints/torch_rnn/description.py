"""`torch_rnn.yaml`, which lies beside a state dict and says what its tensors do not tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from keras_s2s.catalog.strict_yaml import read_yaml
from keras_s2s.config import SourceIds, Strict, TargetIds, read_config

#: The file that makes a folder one of this kind.
FILE = "torch_rnn.yaml"

#: Places in a network that a module of PyTorch can have.
Role = Literal[
    "encoder.embedding",
    "encoder.rnn",
    "bridge.hidden",
    "bridge.cell",
    "decoder.embedding",
    "decoder.rnn",
    "attention.joint",
    "attention.query",
    "attention.keys",
    "attention.score",
    "decoder.readout",
    "decoder.output",
]

#: Vectors that a module may read side by side.
Part = Literal["embedding", "context", "feed", "hidden", "query", "keys"]


class ModuleConfig(Strict):
    """Names of a module's tensors.

    Example:
        >>> ModuleConfig(name="decoder.rnn", inputs=("context", "embedding"))
    """

    name: str | None = Field(
        None,
        description="Of the module in the state dict; {layer} stands for 0, 1, ... where each "
        "layer is a module.",
    )
    tensors: dict[str, str] = Field(
        default_factory=dict,
        description="Names of single tensors, where they are not those that PyTorch gives: weight, "
        "bias; weight_ih, weight_hh, bias_ih, bias_hh, and these with _reverse; "
        "vector, where attention.score is an nn.Parameter.",
    )
    inputs: tuple[Part, ...] = Field(
        (), description="What a module reads side by side, in the order of its columns."
    )

    @model_validator(mode="after")
    def _named_once(self) -> ModuleConfig:
        if (self.name is None) == (not self.tensors):
            raise ValueError("give the name of a module, or its tensors")
        return self


class TorchRNNConfig(Strict):
    """What a user says about a state dict.

    Example:
        >>> ids = {"source": {"pad": 0}, "target": {"decoder_start": 1, "eos": 2, "pad": 0}}
        >>> TorchRNNConfig(weights="seq2seq.pt", special_ids=ids)
    """

    description: str = "A recurrent encoder-decoder from PyTorch."
    weights: str | dict[str, str] | None = Field(
        None,
        description="The file of the state dict; or several, each with the prefix of its names: "
        "{encoder: encoder.pt, decoder: decoder.pt}. By default the only one in the folder.",
    )
    state_dict: str | None = Field(
        None, description="Where a file holds more than a state dict: the key that it has there."
    )
    prefix: str = Field("", description="Before all names, such as `module.` of DataParallel.")
    modules: dict[Role, ModuleConfig] = Field(
        default_factory=dict, description="Modules whose names are not the usual ones, by role."
    )
    architecture: dict[str, Any] = Field(
        default_factory=dict, description="Settings that shapes do not tell, as in presets."
    )
    special_ids: dict[str, Any] = Field(default_factory=dict, description="As in presets.")
    generation: dict[str, Any] = Field(default_factory=dict, description="As in presets.")

    @field_validator("modules", mode="before")
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: {"name": v} if isinstance(v, str) else v for k, v in value.items()}


def is_torch_rnn_folder(path: str | Path) -> bool:
    """Returns whether `path` is a folder with a `torch_rnn.yaml`."""
    return (Path(path) / FILE).is_file()


def read_description(folder: str | Path) -> TorchRNNConfig:
    """Reads the `torch_rnn.yaml` of a folder.

    Raises:
        ConfigError: keys or values that are not valid.
    """
    path = Path(folder) / FILE
    return read_config(TorchRNNConfig, read_yaml(path) or {}, origin=str(path))


def _mapping(value: Any) -> dict[str, Any]:
    """Returns a mapping, or an empty one for what is none: that is refused later."""
    return value if isinstance(value, dict) else {}


def missing_ids(special_ids: dict[str, Any]) -> list[str]:
    """Returns the special ids that every model has, and that are not stated."""
    return [
        f"special_ids.{side}.{name}: {field.description}"
        for side, cls in (("source", SourceIds), ("target", TargetIds))
        for name, field in cls.model_fields.items()
        if field.is_required() and name not in _mapping(special_ids.get(side))
    ]
