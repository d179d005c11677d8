"""Both sides of a text pair to ids, and generated ids to text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from keras_s2s.config import (
    ConfigError,
    SourceIds,
    SpecialIds,
    TargetIds,
    TextConfig,
    TokenizerConfig,
    TokenizerKind,
    read_config,
)
from keras_s2s.text.registry import load_tokenizer
from keras_s2s.text.tokenizer import Tokenizer, check_texts, description_path
from keras_s2s.text.training import train_tokenizer

FOLDER = "tokenizer"


class Preprocessor:
    """Source and target tokenizer, and the special ids around what they encode.

    Args:
        source: tokenizer of the encoder's side.
        target: tokenizer of the decoder's side; the same object for a joint vocabulary.
        special_ids: where sequences begin and end.

    Raises:
        ConfigError: a special id lies outside its vocabulary, or differs from the tokenizer's.

    Example:
        >>> preprocessor = Preprocessor.train([("hello", "hallo")], "character")
        >>> preprocessor.decode_target(preprocessor.encode_target(["hallo"]))
        ['hallo']
    """

    def __init__(self, source: Tokenizer, target: Tokenizer, special_ids: SpecialIds) -> None:
        _check_side("source", special_ids.source, source)
        _check_side("target", special_ids.target, target)
        self.source = source
        self.target = target
        self.special_ids = special_ids

    @classmethod
    def train(
        cls,
        pairs: Iterable[tuple[str, str]],
        config: TextConfig | TokenizerKind,
        *,
        vocab_size: int | None = None,
        joint: bool | None = None,
    ) -> Preprocessor:
        """Train the tokenizers of both sides; decoding starts with the target's BOS.

        Args:
            pairs: source and target texts; read once.
            config: the text configuration, or just a kind of tokenizer for both sides.
            vocab_size: upper bound of each vocabulary; overrides the configuration's.
            joint: one tokenizer for both sides; overrides the configuration's.

        Raises:
            ConfigError: the configuration cannot be used, or there is no text.
            TypeError, ValueError: an element of `pairs` is not a pair of texts; the message
                has its number.
        """
        config = _text_config(config, vocab_size, joint)
        sources: list[str] = []
        targets: list[str] = []
        for number, pair in enumerate(pairs):
            if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
                raise ValueError(
                    f"pair {number} is {str(pair)[:80]!r}, expected a source and a target text"
                )
            try:
                check_texts(pair)
            except (TypeError, ValueError) as error:
                raise type(error)(f"pair {number}: {error}") from None
            sources.append(pair[0])
            targets.append(pair[1])
        if config.joint:
            source = target = train_tokenizer(sources + targets, config.source)
        else:
            source = _train_side("source", sources, config.source)
            target = _train_side("target", targets, config.target or config.source)
        source_eos = source.eos_id if config.source_eos else None
        special_ids = SpecialIds.model_validate(
            {
                "source": {"pad": source.pad_id, "eos": source_eos, "unk": source.unk_id},
                "target": {
                    "decoder_start": target.bos_id,
                    "eos": target.eos_id,
                    "pad": target.pad_id,
                    "unk": target.unk_id,
                },
            }
        )
        return cls(source, target, special_ids)

    @property
    def joint(self) -> bool:
        """Whether both sides share one tokenizer."""
        return self.source is self.target

    def encodes_like(self, other: Preprocessor) -> bool:
        """Whether both have the same special ids and the same tokens, id by id."""
        if self is other:
            return True
        return self.special_ids == other.special_ids and all(
            mine.vocabulary_size == theirs.vocabulary_size
            and all(
                mine.id_to_token(i) == theirs.id_to_token(i) for i in range(mine.vocabulary_size)
            )
            for mine, theirs in ((self.source, other.source), (self.target, other.target))
        )

    # ----------------------------------------------------------------------------------
    # Text -> ids
    # ----------------------------------------------------------------------------------

    def encode_source(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of source texts, with BOS and EOS where the special ids set them."""
        ids = self.special_ids.source
        return _surround(self.source.encode_batch(texts), ids.bos, ids.eos)

    def encode_target(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of target texts as the labels need them: BOS where set, and EOS.

        There is no decoder start among them: labels are shifted once, where batches are made.
        """
        ids = self.special_ids.target
        return _surround(self.target.encode_batch(texts), ids.bos, ids.eos)

    def encode_target_prefix(self, text: str) -> list[int]:
        """Ids that a target beginning with `text` begins with: BOS where set, and no EOS."""
        return _surround(self.target.encode_batch([text]), self.special_ids.target.bos, None)[0]

    # ----------------------------------------------------------------------------------
    # Ids -> text
    # ----------------------------------------------------------------------------------

    def decode_target(self, ids: Iterable[Iterable[int]]) -> list[str]:
        """Text of each row of target ids, up to its EOS.

        Args:
            ids: integers `[B, T]`, an array or lists of any lengths; with or without the
                decoder start in front, padded or not.
        """
        special = self.special_ids.target
        dropped = {special.pad, special.bos, special.decoder_start}
        texts = []
        for row in _rows(ids):
            # The decoder start may be the EOS id, which would end the text before it began.
            if row and row[0] == special.decoder_start:
                row = row[1:]
            texts.append(self.target.decode(_content(row, special.eos, dropped)))
        return texts

    def decode_source(self, ids: Iterable[Iterable[int]]) -> list[str]:
        """Text of each row of source ids `[B, S]`, up to its EOS, without padding."""
        special = self.special_ids.source
        texts = []
        for row in _rows(ids):
            if row and row[0] == special.bos:
                row = row[1:]
            texts.append(self.source.decode(_content(row, special.eos, {special.pad})))
        return texts

    def source_tokens(self, ids: Iterable[int]) -> list[str]:
        """A printable piece per id of one source `[S]`, special ones included."""
        return [self.source.printable(i) for i in _row(ids)]

    def target_tokens(self, ids: Iterable[int]) -> list[str]:
        """A printable piece per id of one target `[T]`, special ones included."""
        return [self.target.printable(i) for i in _row(ids)]

    # ----------------------------------------------------------------------------------
    # Files
    # ----------------------------------------------------------------------------------

    def save(self, directory: str | Path) -> list[Path]:
        """Write `tokenizer/source.*` and, unless joint, `tokenizer/target.*` into a folder.

        The special ids belong to the configuration that is saved beside them.

        Returns:
            The files written.
        """
        folder = Path(directory) / FOLDER
        if self.joint:
            written = self.source.save(folder, "source")
            # A target left by an earlier saving would make this one look separate.
            for stale in folder.glob("target.*"):
                stale.unlink()
            return written
        return [*self.source.save(folder, "source"), *self.target.save(folder, "target")]

    @classmethod
    def load(cls, directory: str | Path, special_ids: SpecialIds) -> Preprocessor:
        """Read what `save` wrote; without `tokenizer/target.json` the tokenizer is joint.

        Raises:
            FileNotFoundError: a tokenizer file is missing.
            ConfigError: a file is not what it should be, or contradicts `special_ids`.
        """
        folder = Path(directory) / FOLDER
        source = load_tokenizer(folder, "source")
        separate = description_path(folder, "target").exists()
        target = load_tokenizer(folder, "target") if separate else source
        return cls(source, target, special_ids)


def _train_side(side: str, texts: list[str], config: TokenizerConfig) -> Tokenizer:
    try:
        return train_tokenizer(texts, config)
    except ConfigError as error:
        raise ConfigError(f"{side}: {error}") from None


def _text_config(
    config: TextConfig | TokenizerKind, vocab_size: int | None, joint: bool | None
) -> TextConfig:
    data: dict[str, Any]
    if isinstance(config, TextConfig):
        data = config.model_dump(exclude_unset=True)
    elif isinstance(config, str):
        data = {"source": {"kind": config}}
    else:
        raise TypeError(
            f"config is a {type(config).__name__}, expected a TextConfig or a kind of tokenizer"
        )
    if vocab_size is not None:
        for side in ("source", "target"):
            if data.get(side) is not None:
                data[side] = {**data[side], "vocab_size": vocab_size}
    if joint is not None:
        data["joint"] = joint
    return read_config(TextConfig, data, source="Preprocessor.train")


def _check_side(side: str, special: SourceIds | TargetIds, tokenizer: Tokenizer) -> None:
    own = {
        "pad": tokenizer.pad_id,
        "unk": tokenizer.unk_id,
        "bos": tokenizer.bos_id,
        "eos": tokenizer.eos_id,
    }
    for name, i in special:
        if i is None:
            continue
        size = tokenizer.vocabulary_size
        if i >= size:
            raise ConfigError(
                f"special_ids.{side}.{name} is {i}, outside the {side} tokenizer's vocabulary "
                f"of {size} ids (0 to {size - 1}); tokenizer and special ids belong to "
                "different models"
            )
        known = own.get(name)
        if known is not None and known != i:
            raise ConfigError(
                f"special_ids.{side}.{name} is {i} ({tokenizer.id_to_token(i)!r}), but the "
                f"{side} tokenizer's is {known} ({tokenizer.id_to_token(known)!r}); "
                "tokenizer and special ids belong to different models"
            )


def _surround(rows: list[list[int]], bos: int | None, eos: int | None) -> list[list[int]]:
    before = [] if bos is None else [bos]
    after = [] if eos is None else [eos]
    return [before + row + after for row in rows]


def _content(row: list[int], eos: int | None, dropped: set[int | None]) -> list[int]:
    """The ids before the first EOS, without those that are dropped wherever they stand."""
    if eos is not None and eos in row:
        row = row[: row.index(eos)]
    return [i for i in row if i not in dropped]


def _row(ids: Any) -> list[int]:
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    row = list(ids)
    if row and hasattr(row[0], "__len__") and not isinstance(row[0], str):
        raise TypeError("expected the ids of one text, got several rows; pass one row")
    return row


def _rows(ids: Any) -> list[list[int]]:
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    rows = []
    for row in ids:
        if hasattr(row, "tolist"):
            row = row.tolist()
        if not hasattr(row, "__iter__") or isinstance(row, str):
            raise TypeError(
                f"expected rows of ids [batch, length], got {row!r} as a row; "
                "wrap the ids of a single text in a list"
            )
        rows.append(list(row))
    return rows
