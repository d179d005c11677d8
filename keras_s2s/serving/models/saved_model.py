"""Serves a TensorFlow SavedModel, as `model.export` writes it."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_s2s.config import LanguagesConfig, SpecialIds
from keras_s2s.decoding.seeds import row_seeds
from keras_s2s.export.saved_model.artefact import DESCRIPTION, MARKER
from keras_s2s.export.saved_model.document_signatures import ALIGNMENT, SOURCE_LENGTHS
from keras_s2s.export.saved_model.graph_model import ERROR, TARGET_IDS, TARGET_MASK
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.models.languages import ModelLanguages
from keras_s2s.serving.models.served_model import (
    DEFAULT_SIGNATURE,
    GENERATE,
    LENGTHS_OF,
    OFFERS,
    Prepared,
    Row,
    ServedModel,
    Signature,
    TensorInfo,
    without_padding,
)

if TYPE_CHECKING:
    from keras_s2s.documents.sentence_model import SentenceModel

#: Inputs with rows of any length, and their masks.
MASKS = {
    "encoder_token_ids": SOURCE_MASK,
    "encoder_features": SOURCE_MASK,
    TARGET_IDS: TARGET_MASK,
}
#: The input of a graph that draws.
SEEDS = "seeds"


def newest_version(folder: Path) -> tuple[Path, int] | None:
    """Returns the SavedModel in a folder, and its version; None where there is none.

    Args:
        folder: `<DIR>` with `<DIR>/<version>/saved_model.pb`, of which the highest version is
            taken, or the folder of `saved_model.pb` itself.

    Example:
        >>> newest_version(Path("."))
    """
    if (folder / MARKER).is_file():
        return folder, int(folder.name) if folder.name.isdigit() else 1
    if not folder.is_dir():
        return None
    versions = [
        int(path.name)
        for path in folder.iterdir()
        if path.name.isdigit() and (path / MARKER).is_file()
    ]
    return (folder / str(max(versions)), max(versions)) if versions else None


@dataclass(frozen=True)
class GraphCall:
    """What rows must have in common to run together: a signature, and shapes of its inputs."""

    signature: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    #: Set where a signature does not batch: a number that no other request has.
    alone: int = 0


class SavedModel(ServedModel):
    """A SavedModel behind the server. TensorFlow runs it, whichever backend Keras has.

    The search and its options are those of the export, so that requests have no parameters.

    Args:
        name: in addresses.
        folder: the folder of `saved_model.pb`.
        version: in addresses.
        languages: declared for its texts.

    Raises:
        ImportError: TensorFlow or tensorflow-text is not installed.
        ValueError: the folder has no signatures.
    """

    def __init__(
        self, name: str, folder: Path, version: int = 1, languages: ModelLanguages | None = None
    ) -> None:
        try:
            import tensorflow as tf
            import tensorflow_text  # noqa: F401  (registers the ops of tokenizers)
        except ImportError as error:
            raise ImportError(
                f"serving the SavedModel {folder} needs TensorFlow and tensorflow-text "
                f'({error}): pip install "keras-s2s[tensorflow]"'
            ) from None
        self.name, self.version, self.languages = name, version, languages
        # Its functions need it.
        self._loaded = tf.saved_model.load(str(folder))
        self._functions = dict(self._loaded.signatures)
        if not self._functions:
            raise ValueError(f"{folder} has no signatures to serve")
        description = folder / DESCRIPTION
        # Another exporter's rows cannot be put together again after they were divided.
        self.divides = description.is_file()
        #: Values of the inputs that a request may leave out.
        self._defaults: Mapping[str, Any] = {}
        if self.divides:
            described = json.loads(description.read_text("utf-8"))
            self._special_ids = SpecialIds.model_validate(described["special_ids"])
            self.pad = self._special_ids.target.pad
            self.ends = described.get("end_ids", [self._special_ids.target.eos])
            self.stops = described.get("stop_strings", ())
            self._longest: int | None = described.get("max_source_length")
            self._defaults = described.get("optional_inputs", {})
        optional = {*self._defaults, *(MASKS.values() if self.divides else ())}
        self._signatures = {k: _signature(f, optional) for k, f in self._functions.items()}
        self._requests = 0

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._signatures

    def prepare(
        self, signature: str, rows: Sequence[Row], parameters: Mapping[str, Any]
    ) -> Prepared:
        if parameters:
            raise RequestError(
                400,
                "parameters: the search of a SavedModel is fixed when it is exported; leave "
                f"{', '.join(parameters)} out, or serve the model's own folder",
            )
        inputs = self._signatures[signature].inputs
        if self.divides:
            rows = _padded(rows, inputs)
        arrays = [
            {
                name: self._array(name, info, row.get(name, self._defaults.get(name)), i)
                for name, info in inputs.items()
            }
            for i, row in enumerate(rows)
        ]
        shapes = {name: {array[name].shape for array in arrays} for name in inputs}
        for name, found in shapes.items():
            if len(found) > 1:
                raise RequestError(
                    400, f"rows of {name} have different shapes: {sorted(found)}; pad them"
                )
        key = tuple((name, next(iter(found), ())) for name, found in shapes.items())
        if not self._signatures[signature].batches:
            self._requests += 1
            return Prepared(GraphCall(signature, key, self._requests), arrays)
        return Prepared(GraphCall(signature, key), arrays)

    def _array(self, name: str, info: TensorInfo, value: Any, number: int) -> np.ndarray:
        if info.dtype == "string":
            return np.asarray(_encoded(value), object)
        try:
            array = np.asarray(value, info.dtype)
        except (ValueError, TypeError, OverflowError) as error:
            raise RequestError(400, f"{name} of row {number} is no {info.dtype}: {error}") from None
        if array.ndim != len(info.shape) - 1:
            raise RequestError(
                400, f"{name} of row {number} has {array.ndim} axes, expected {len(info.shape) - 1}"
            )
        return array

    @property
    def obstacles(self) -> Mapping[str, str]:
        if not self._reads_texts:
            why = f"The signature {DEFAULT_SIGNATURE} of model {self.name} does not read a text."
            return dict.fromkeys(OFFERS, why)
        own = f"Model {self.name} is a SavedModel"
        found = {
            "several": f"{own}, whose search was fixed when it was exported.",
            "stream": f"{own}, which gives its text at the end only.",
            "attention": f"{own}, which does not return its attention; serve the model's own "
            "folder to see it.",
        }
        if not self.reads_documents:
            found["documents"] = (
                f"{own} without the signature {SOURCE_LENGTHS}, which documents need; export it "
                "again, or serve the model's own folder."
            )
        return found

    @property
    def _reads_texts(self) -> bool:
        signature = self._signatures.get(DEFAULT_SIGNATURE)
        return (
            signature is not None
            and set(signature.inputs) - {SEEDS, "src_lang", "tgt_lang"} == {"text"}
            and "text" in signature.outputs
        )

    @property
    def languages_config(self) -> LanguagesConfig | None:
        """The languages that texts of the model have; None where it has none."""
        return self._special_ids.languages if self.divides and self._reads_texts else None

    @property
    def reads_documents(self) -> bool:
        return self._reads_texts and SOURCE_LENGTHS in self._signatures

    def sentence_model(self, source: str | None, target: str | None) -> SentenceModel:
        if not self.reads_documents:
            return super().sentence_model(source, target)
        from keras_s2s.serving.models.saved_sentences import SavedSentenceModel

        return SavedSentenceModel.of(
            self._call,
            source,
            target,
            special_ids=self._special_ids,
            limit=self._longest,
            aligns=ALIGNMENT in self._signatures,
        )

    def _call(self, signature: str, rows: Sequence[Row]) -> Sequence[Row | Exception]:
        """Returns the outputs of each row of a call that is made at once, beside the queue."""
        prepared = self.prepare(signature, rows, {})
        assert isinstance(prepared.key, GraphCall)
        return self.run(prepared.key, prepared.rows)

    def translate(
        self,
        texts: Sequence[str],
        source: str | None,
        target: str | None,
        alternatives: int,
    ) -> Prepared:
        if not self._reads_texts:
            return super().translate(texts, source, target, alternatives)
        # Of an older export, the default signature returned all results.
        name = GENERATE if GENERATE in self._signatures else DEFAULT_SIGNATURE
        signature = self._signatures[name]
        languages = {
            key: code
            for key, code in (("src_lang", source), ("tgt_lang", target))
            if key in signature.inputs and code is not None
        }
        rows: list[Row] = [{"text": text, **languages} for text in texts]
        if SEEDS in signature.inputs:
            draw = np.random.default_rng()
            for row in rows:
                row[SEEDS] = int(draw.integers(2**31))
        return self.prepare(name, rows, {})

    def run(
        self, key: GraphCall, rows: Sequence[dict[str, np.ndarray]]
    ) -> Sequence[Row | Exception]:
        import tensorflow as tf

        signature = self._signatures[key.signature]
        columns = {
            name: tf.constant(np.stack([row[name] for row in rows]).tolist(), dtype=info.dtype)
            if info.dtype == "string"
            else tf.constant(np.stack([row[name] for row in rows]))
            for name, info in signature.inputs.items()
        }
        if SEEDS in columns:
            # The graph takes the numbers that draws begin with; `generate` makes them of seeds.
            columns[SEEDS] = tf.constant(row_seeds(columns[SEEDS].numpy(), len(rows)))
        try:
            outputs = self._functions[key.signature](**columns)
        except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError) as error:
            raise ValueError(_first_line(error.message)) from None
        arrays = {name: value.numpy() for name, value in outputs.items()}
        errors = arrays.pop(ERROR).tolist() if self.divides and ERROR in arrays else None
        results: list[Row | Exception] = []
        for i in range(len(rows)):
            if errors is not None and errors[i]:
                results.append(ValueError(_decoded(errors[i])))
                continue
            row: Row = {name: _decoded(array[i]) for name, array in arrays.items()}
            for name, of_lengths in LENGTHS_OF.items():
                if name in row and of_lengths in row:
                    row[name] = without_padding(row[name], row[of_lengths])
            results.append(row)
        return results


def _padded(rows: Sequence[Row], inputs: Mapping[str, TensorInfo]) -> list[Row]:
    """Returns rows of one length, with masks where they have none: all that is given is real."""
    padded = [dict(row) for row in rows]
    for name, mask_name in MASKS.items():
        if name not in inputs:
            continue
        longest = max((len(row[name]) for row in padded), default=0)
        for i, row in enumerate(padded):
            values, mask = row[name], row.get(mask_name)
            if mask is None:
                mask = [True] * len(values)
            elif len(mask) != len(values):
                raise RequestError(
                    400,
                    f"{mask_name} of row {i} has {len(mask)} values for {len(values)} of {name}",
                )
            width = inputs[name].shape[-1] if len(inputs[name].shape) == 3 else None
            filling = 0 if width is None else [0.0] * width
            more = longest - len(values)
            row[name], row[mask_name] = [*values, *[filling] * more], [*mask, *[False] * more]
    return padded


def _signature(function: Any, optional: Container[str]) -> Signature:
    inputs = {
        k: _info(spec, required=k not in optional)
        for k, spec in function.structured_input_signature[1].items()
    }
    outputs = {k: _info(spec) for k, spec in function.structured_outputs.items()}
    # What a row gets must not depend on what else is in its batch: only `token_ids` is cut.
    batches = all(info.shape and info.shape[0] is None for info in inputs.values()) and all(
        info.shape
        and info.shape[0] is None
        and (None not in info.shape[1:] or LENGTHS_OF.get(name) in outputs)
        for name, info in outputs.items()
    )
    return Signature(inputs, outputs, batches)


def _info(spec: Any, *, required: bool = True) -> TensorInfo:
    shape = () if spec.shape.rank is None else tuple(spec.shape.as_list())
    return TensorInfo(spec.dtype.name, shape, required)


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(each) for each in value]
    return value.encode("utf-8") if isinstance(value, str) else value


def _decoded(value: Any) -> Any:
    """Returns strings of a row as text; arrays of numbers stay as they are."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [_decoded(each) for each in value.tolist()]
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    return value


def _first_line(message: str) -> str:
    """Returns what a graph says of its input, without the trace of its ops."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("assertion failed: ")]
    return told[0].removeprefix("assertion failed: ") if told else (lines or ["invalid input"])[0]
