"""Base class and field types of every configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from keras_s2s.options.kinds import LARGEST


class Strict(BaseModel):
    """Base class of every configuration: unknown keys are errors, and values cannot be changed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


# Strict, and no bool for a float: otherwise `true` would be 1, and "no" a flag that is set.
Number = Annotated[float, BeforeValidator(_no_flag)]
Flag = Annotated[bool, Field(strict=True)]
Rate = Annotated[Number, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1, le=LARGEST, strict=True)]
Count = Annotated[int, Field(ge=0, le=LARGEST, strict=True)]
TokenId = Count
#: The deepest published Transformer has 500 layers a side [Wang 2022]; a typing error may ask for
#: millions.
Depth = Annotated[int, Field(ge=1, le=1024, strict=True)]
