"""Checks batches against the ids and lengths that a model can take.

A backend would report such batches late or not at all: an id outside a table is a NaN on JAX and
"index out of range in self" on PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_s2s.config import ArchitectureConfig, SpecialIds
from keras_s2s.data.checks.shifted_labels import check_teacher_forcing
from keras_s2s.data.errors import DataError
from keras_s2s.layers.contracts import SOURCE_MASK, Frontend, SourceInput
from keras_s2s.layers.frontends import TOKEN_IDS

#: Labels that are left out, as Hugging Face's collators write them.
IGNORED_LABEL = -100

_INPUTS = {
    "encoder_padding_mask": "True where a position of the source is real",
    "decoder_token_ids": "decoder inputs",
    "decoder_padding_mask": "True where a target position is real",
}


@dataclass(frozen=True)
class ModelLimits:
    """Vocabulary sizes and maximum lengths of a model.

    Attributes:
        source_vocabulary, target_vocabulary: ids lie below these; the source's is None where it
            is no ids.
        source_positions, target_positions: longest rows, where learned positions set a limit.
        source_input: the input that holds sources.
    """

    source_vocabulary: int | None
    target_vocabulary: int
    source_positions: int | None = None
    target_positions: int | None = None
    source_input: SourceInput = TOKEN_IDS

    @classmethod
    def of(cls, architecture: ArchitectureConfig, frontend: Frontend | None = None) -> ModelLimits:
        """Returns the limits of an architecture.

        Args:
            architecture: of the model.
            frontend: of its network; None is for sources of token ids.
        """
        return cls(
            architecture.source_vocab_size,
            architecture.target_vocab_size,
            architecture.encoder.embedding.max_positions
            if frontend is None
            else frontend.max_length,
            architecture.decoder.embedding.max_positions,
            TOKEN_IDS if frontend is None else frontend.input,
        )

    @property
    def _names(self) -> tuple[str, ...]:
        """The model's inputs."""
        return (self.source_input.name, SOURCE_MASK, "decoder_token_ids", "decoder_padding_mask")

    def check_lengths(self, side: str, lengths: Any, where: str, remedy: str) -> None:
        """Raises an error for rows that are longer than the model's positions.

        Args:
            side: "source" or "target".
            lengths: ids of each row, int `[N]`.
            where: beginning of the message.
            remedy: end of the message.

        Raises:
            DataError: with the number of such rows, the first and the longest of them.
        """
        limit = self.source_positions if side == "source" else self.target_positions
        unit = "vectors" if side == "source" and self.source_vocabulary is None else "ids"
        lengths = np.asarray(lengths)
        if limit is None or not (long := np.flatnonzero(lengths > limit)).size:
            return
        raise DataError(
            f"{where}: {side} {long[0]} (counted from 0) has {lengths[long[0]]} {unit}, but the "
            f"model has positions for {limit}; {long.size} of {len(lengths)} are too long, and the "
            f"longest has {lengths.max()}. {remedy}"
        )

    def check_batch(
        self,
        batch: Any,
        where: str,
        special_ids: SpecialIds | None = None,
        *,
        is_whole: bool = False,
    ) -> None:
        """Raises an error for a batch, or whole arrays, that the model cannot be trained on.

        Args:
            batch: `(x, y)` or `(x, y, sample_weight)`: arrays or tensors of any backend.
            where: begins the message: the argument, or which batch it is.
            special_ids: also check that labels are one position ahead of decoder inputs.
            is_whole: `batch` is all data there is, so that some label must count.

        Raises:
            DataError: inputs that are missing, arrays whose shapes do not go together, ids that
                are no whole numbers or outside the vocabulary, rows longer than the model's
                positions, weights of another shape or negative, or whole data without a label that
                counts.
        """
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            raise DataError(
                f"{where}: expected (x, y) or (x, y, sample_weight), got {type(batch).__name__}"
                + (f" of {len(batch)}" if isinstance(batch, tuple | list) else "")
            )
        x, y = batch[:2]
        arrays = self.check_ids(x, where)
        if y is None:
            raise DataError(f"{where}: there are no labels; expected y, int [batch, target]")
        labels, mask = _array(y), arrays["decoder_padding_mask"] > 0
        if labels.shape != mask.shape:
            raise DataError(
                f"{where}: the labels have the shape {labels.shape}, decoder_token_ids "
                f"{mask.shape}; expected the same"
            )
        _check_ids(labels, f"{where}: labels", self.target_vocabulary, ignored=IGNORED_LABEL)
        weights = _token_weights(batch[2] if len(batch) == 3 else None, mask, where)
        counted = (weights > 0) & (labels != IGNORED_LABEL)
        if is_whole and not counted.any():
            raise DataError(
                f"{where}: no label counts, so that the loss would be 0: each is {IGNORED_LABEL}, "
                "has weight 0, or is padding; look at labels, sample_weight and "
                "decoder_padding_mask"
            )
        if special_ids is not None:
            check_teacher_forcing(
                arrays["decoder_token_ids"], labels, counted.astype("float32"), special_ids
            )

    def check_ids(self, x: Any, where: str) -> dict[str, np.ndarray]:
        """Raises an error for inputs, without labels, that the model cannot read.

        Args:
            x: a mapping of arrays or tensors of any backend, `[B, S]` and `[B, T]`.
            where: begins the message.

        Returns:
            the inputs as NumPy arrays.

        Raises:
            DataError: as `check_batch` does.
        """
        check_inputs(x, where, self._names)
        arrays = {name: _array(x[name]) for name in self._names}
        source, target = self._names[:2], self._names[2:]
        for (name, mask_name), vocabulary, positions in (
            (source, self.source_vocabulary, self.source_positions),
            (target, self.target_vocabulary, self.target_positions),
        ):
            ids, mask = arrays[name], arrays[mask_name]
            if vocabulary is None:
                _check_features(ids, f"{where}: {name}", self.source_input.shape)
            else:
                _check_ids(ids, f"{where}: {name}", vocabulary)
            if mask.shape != ids.shape[:2]:
                raise DataError(
                    f"{where}: {mask_name} has the shape {mask.shape}, {name} {ids.shape}; "
                    "expected the same"
                )
            if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
                raise DataError(
                    f"{where}: {mask_name} holds {mask[~np.isin(mask, (0, 1))][0]}; expected "
                    "True (1) where a position is real and False (0) where it is padding"
                )
            if positions is not None and ids.shape[1] > positions:
                raise DataError(
                    f"{where}: {name} has {ids.shape[1]} positions a row, padding included, but "
                    f"the model has positions for {positions}; shorten the rows"
                )
        return arrays


def described(source: SourceInput) -> str:
    """Returns a description of an input: `encoder_features, float32 [batch, length, 80]`."""
    shape = ", ".join(["batch", "length", *map(str, source.shape)])
    return f"{source.name}, {source.dtype} [{shape}]"


def check_inputs(x: Any, where: str, names: Sequence[str]) -> None:
    """Raises an error for inputs that are not a mapping with all of `names`.

    Raises:
        DataError: with what is missing, and what it is.
    """
    if not isinstance(x, Mapping):
        raise DataError(
            f"{where}: expected a mapping with {', '.join(names)}, got {type(x).__name__}"
        )
    missing = [name for name in names if name not in x or x[name] is None]
    if missing:
        raise DataError(
            f"{where}: the inputs lack "
            + ", ".join(f"{name} ({_INPUTS.get(name, 'the sources')})" for name in missing)
            + ", [batch, length]. Padding is known by masks alone, as its id may be that of a "
            "token; data.Batches makes all of them"
        )


def _array(values: Any) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values
    import keras

    return np.asarray(keras.ops.convert_to_numpy(values))


def _check_ids(ids: np.ndarray, what: str, vocabulary: int, ignored: int | None = None) -> None:
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise DataError(
            f"{what}: shape {ids.shape} and dtype {ids.dtype}; expected ids, whole numbers "
            "[batch, length]"
        )
    wrong = (ids < 0) | (ids >= vocabulary)
    if ignored is not None:
        wrong &= ids != ignored
    if wrong.any():
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise DataError(
            f"{what}: row {row} holds the id {ids[row][wrong[row]][0]}, but the vocabulary has "
            f"ids 0 to {vocabulary - 1}"
            + ("" if ignored is None else f" (and {ignored} leaves a label out)")
        )


def _check_features(values: np.ndarray, what: str, shape: tuple[int, ...]) -> None:
    if values.shape[2:] != tuple(shape) or values.ndim < 2 or values.dtype.kind not in "fiu":
        raise DataError(
            f"{what}: shape {values.shape} and dtype {values.dtype}; expected numbers "
            f"[{', '.join(['batch', 'length', *map(str, shape)])}]"
        )
    if not np.isfinite(values).all():
        raise DataError(f"{what} holds numbers that are not finite (NaN or infinite)")


def _token_weights(weights: Any, mask: np.ndarray, where: str) -> np.ndarray:
    """Returns the weights of tokens `[B, T]`, from those of tokens or of rows."""
    if weights is None:
        return mask.astype("float32")
    given = _array(weights)
    rows, width = mask.shape
    if given.shape not in ((rows,), (rows, 1), (rows, width)):
        raise DataError(
            f"{where}: sample_weight has the shape {given.shape}; expected ({rows},) or "
            f"({rows}, 1), a weight for each row, or ({rows}, {width}), one for each token"
        )
    if given.dtype.kind not in "fiub" or not np.isfinite(given).all() or (given < 0).any():
        raise DataError(f"{where}: sample_weight must hold numbers of 0 or more")
    found = mask * given.reshape(rows, -1).astype("float32")
    return np.asarray(found)
