"""Settings of frontends, and of parts that are registered outside the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, SerializeAsAny, Tag

from keras_s2s.config.parts.embedding import EmbeddingConfig
from keras_s2s.config.strict import Positive, Strict


class RegisteredPart(Strict):
    """Base class of the settings of a part of your own; see `keras_s2s.register_encoder`.

    A subclass narrows `type` to a `Literal` with the name that configurations give it.

    Example:
        >>> from typing import Literal
        >>> class FramesConfig(RegisteredPart):
        ...     type: Literal["frames"]
        ...     feature_dim: int
    """

    type: str


class RegisteredSide(RegisteredPart):
    """Base of the settings of an encoder or decoder of your own.

    Attributes:
        hidden_dim: width of its outputs.
        embedding: what is done with token vectors before it reads them.
    """

    hidden_dim: Positive
    embedding: EmbeddingConfig = EmbeddingConfig()

    @property
    def output_dim(self) -> int:
        """Width of an encoder's outputs."""
        return self.hidden_dim

    @property
    def readout_dim(self) -> int:
        """Width of what a decoder gives to the output projection."""
        return self.hidden_dim

    @property
    def least_count(self) -> int:
        """A lower bound of the number of its weights, by which networks that are larger than the
        memory are refused before they are made.
        """
        return 0


PartKind = Literal["frontend", "encoder", "decoder"]

#: The tag of registered parts in unions, where those of the package have their types.
TAG = "registered"

#: For each kind of part: the settings of those registered outside the package, by type.
REGISTERED: dict[PartKind, dict[str, type[RegisteredPart]]] = {
    "frontend": {},
    "encoder": {},
    "decoder": {},
}

#: The types that the package has itself.
OWN: dict[PartKind, tuple[str, ...]] = {
    "frontend": ("tokens", "features"),
    "encoder": ("recurrent", "transformer"),
    "decoder": ("recurrent", "transformer", "ssru"),
}


def register_part(kind: PartKind, config: type[RegisteredPart]) -> str:
    """Registers the settings of a part that the package does not have, so that configurations can
    name it.

    Args:
        kind: of the part.
        config: its settings.

    Returns:
        the type by which configurations name it.

    Raises:
        ValueError: `type` is no `Literal` of one name, or the name of another part.
    """
    names: tuple[Any, ...] = getattr(config.model_fields["type"].annotation, "__args__", ())
    name = names[0] if len(names) == 1 else None
    if not isinstance(name, str):
        raise ValueError(
            f"{config.__name__}.type must be a Literal of one name, e.g. "
            f'type: Literal["{config.__name__.lower()}"]'
        )
    known = REGISTERED[kind].get(name)
    # A notebook's cell that is run again defines its classes again.
    same = known is not None and (known.__module__, known.__qualname__) == (
        config.__module__,
        config.__qualname__,
    )
    if name in (*OWN[kind], TAG) or (known is not None and not same):
        raise ValueError(f"another {kind} is registered as {name!r}; choose another type")
    REGISTERED[kind][name] = config
    return name


def registered(kind: PartKind) -> Any:
    """Returns the pydantic validator of registered parts, a member of a union told apart by
    `type`.
    """

    def read(value: Any) -> Any:
        if isinstance(value, Mapping):
            return REGISTERED[kind][value["type"]].model_validate(value)
        return value

    return BeforeValidator(read)


def tag_of(kind: PartKind) -> Discriminator:
    """Chooses the member of a union by the `type` of a part."""

    def tag(value: Any) -> str | None:
        name = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
        if not isinstance(name, str) or name == TAG:
            return None
        return TAG if name in REGISTERED[kind] else name

    return Discriminator(tag)


class TokensConfig(Strict):
    """Settings of a frontend for token ids, which a table turns into vectors."""

    type: Literal["tokens"] = "tokens"


class FeaturesConfig(Strict):
    """Settings of a frontend for feature vectors: frames of speech, or patches of a picture."""

    type: Literal["features"]
    feature_dim: Positive = Field(description="Numbers in a feature vector.")


FrontendConfig = Annotated[
    Annotated[TokensConfig, Tag("tokens")]
    | Annotated[FeaturesConfig, Tag("features")]
    | Annotated[SerializeAsAny[RegisteredPart], registered("frontend"), Tag(TAG)],
    tag_of("frontend"),
]
