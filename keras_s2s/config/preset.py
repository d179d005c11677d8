"""Configuration of presets, the entries of the zoo."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from keras_s2s.config.architecture import ArchitectureConfig
from keras_s2s.config.generation import GenerationConfig
from keras_s2s.config.ids import SpecialIds
from keras_s2s.config.strict import Positive, Strict
from keras_s2s.config.text import TextConfig


class OriginConfig(Strict):
    """Settings of a folder of another format that have no key of their own here.

    They are kept so that a folder written back in that format has them again.
    """

    format: Literal["huggingface", "ctranslate2", "torch_rnn", "marian"]
    config: dict[str, Any] = Field(
        default_factory=dict,
        description="Of config.json; of a recurrent model from PyTorch, its modules; of Marian's "
        "files, special:model.yml.",
    )
    generation: dict[str, Any] = Field(
        default_factory=dict, description="Of generation_config.json."
    )
    tables: tuple[str, ...] = Field(
        (), description="Names under which tables of tokens and positions were stored."
    )


class AdapterConfig(Strict):
    """A LoRA adapter of a dense layer: `alpha / rank * A B` is added to its kernel [Hu 2021].

    Example:
        >>> AdapterConfig(rank=8, alpha=16)
    """

    rank: Positive = Field(description="Columns of A and rows of B.")
    alpha: Annotated[float, Field(gt=0)]


class PresetConfig(Strict):
    """A preset: architecture, special ids and generation defaults of a model."""

    description: str
    paper: str | None = Field(None, description="Reference of the architecture.")
    license: str | None = Field(None, description="Of the public checkpoint, an SPDX name.")
    family: str | None = Field(None, description="The zoo's family that it is built on.")
    source: str | None = Field(
        None, description="Where trained weights are: hf://organisation/name."
    )
    origin: OriginConfig | None = None
    architecture: ArchitectureConfig
    special_ids: SpecialIds
    text: TextConfig | None = Field(None, description="Tokenizers a recipe trains by default.")
    generation: GenerationConfig = GenerationConfig()
    adapters: dict[str, AdapterConfig] | None = Field(
        None, description="LoRA adapters, by the paths of their layers."
    )
    parameters: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None, description="Exact parameter count, checked when the model is built by a test."
    )

    @model_validator(mode="after")
    def _ids_exist(self) -> PresetConfig:
        sizes = {
            "source": self.architecture.source_vocab_size,
            "target": self.architecture.target_vocab_size,
        }
        for side, size in sizes.items():
            for name, i in getattr(self.special_ids, side):
                if i is not None and size is not None and i >= size:
                    raise ValueError(
                        f"special_ids.{side}.{name} is {i}, but architecture.{side}_vocab_size "
                        f"is {size}: ids go from 0 to {size - 1}"
                    )
        return self


class HalfConfig(Strict):
    """One side of an encoder-decoder in the zoo: where its checkpoint is, and its sizes.

    Example:
        >>> HalfConfig(
        ...     description="BERT.", source="hf://google-bert/bert-base-uncased",
        ...     config={"model_type": "bert", "vocab_size": 30522})
    """

    description: str
    license: str | None = Field(None, description="Of the checkpoint, an SPDX name.")
    source: str = Field(description="Where trained weights are: hf://organisation/name.")
    config: dict[str, Any] = Field(description="What its config.json states.")


class PointerConfig(Strict):
    """A preset that says where a checkpoint is, whose own configuration gives the sizes.

    Example:
        >>> PointerConfig(description="Mine.", family="marian", source="hf://me/opus-mt-mine")
    """

    description: str
    paper: str | None = Field(None, description="Reference of the architecture.")
    license: str | None = Field(None, description="Of the checkpoint, an SPDX name.")
    family: str = Field(description="The zoo's family that it is built on.")
    source: str = Field(description="Where trained weights are: hf://organisation/name.")
    text: TextConfig | None = Field(None, description="Tokenizers a recipe trains by default.")
