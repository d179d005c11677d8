"""What a server asks of a model: its signatures, and a function that computes rows."""

from __future__ import annotations

import abc
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.models.languages import ModelLanguages

if TYPE_CHECKING:
    from keras_s2s.documents.sentence_model import SentenceModel

#: Signature that is used where a request names none: of the best results.
DEFAULT_SIGNATURE = "serving_default"
#: Signature of all results of each row.
GENERATE = "generate"

#: Outputs with a value for each id of a target: the output that holds their lengths.
LENGTHS_OF = {"token_ids": "lengths", "token_log_probs": "target_lengths"}

#: Values of a row, by the names of inputs or outputs.
Row = dict[str, Any]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Attributes:
        dtype: "string", "int32", "float32", "bool", ...
        shape: with the batch axis; None for an axis of any length.
        required: a request must have it.
    """

    dtype: str
    shape: tuple[int | None, ...]
    required: bool = True


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a function of a model.

    Attributes:
        inputs: by name.
        outputs: by name.
        batches: rows of several requests may be computed together.
    """

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    batches: bool = True


#: What the page offers for a model, and a model may be unable to do.
OFFERS = ("text", "several", "stream", "attention", "documents")


@dataclass(frozen=True)
class Prepared:
    """Rows of a request, ready for `ServedModel.run`.

    Attributes:
        key: only rows with equal keys are computed together.
        rows: of the request.
    """

    key: Hashable
    rows: list[Any]


class ServedModel(abc.ABC):
    """A model behind the server.

    Attributes:
        name: in addresses.
        version: in addresses; TensorFlow Serving numbers the versions of a model.
        languages: the languages of its texts; None where it has none and none were declared.
        ends: ids with which a finished result ends; empty where they are not known.
        stops: strings that end one, too.
        divides: a request may be divided among batches.
        pad: fills up `token_ids` of a request.
    """

    name: str
    version: int = 1
    languages: ModelLanguages | None = None
    divides: bool = True
    pad: int = 0
    ends: Collection[int] = ()
    stops: Collection[str] = ()

    @property
    @abc.abstractmethod
    def signatures(self) -> Mapping[str, Signature]:
        """The functions of the model, by name."""

    @abc.abstractmethod
    def prepare(
        self, signature: str, rows: Sequence[Row], parameters: Mapping[str, Any]
    ) -> Prepared:
        """Checks the rows of a request.

        Args:
            signature: one of `signatures`.
            rows: values of its inputs.
            parameters: generation options of the request.

        Raises:
            RequestError: 400: a value that the model does not take.
        """

    @abc.abstractmethod
    def run(self, key: Any, rows: Sequence[Any]) -> Sequence[Row | Exception]:
        """Computes a batch; returns the outputs of each row, or what is wrong with it.

        Args:
            key: of a `Prepared`.
            rows: of one or several with this key.

        Raises:
            ValueError: a row that the model cannot use.
        """

    @property
    def obstacles(self) -> Mapping[str, str]:
        """Why the model cannot do what the page offers, in words, by some of `OFFERS`.

        What is not among them it can do: read a `text`, give `several` results as asked, `stream`,
        show its `attention`, and read `documents`.
        """
        return dict.fromkeys(OFFERS, f"Model {self.name} does not read texts.")

    @property
    def draft_parameters(self) -> Mapping[str, Any]:
        """Options with which `stream` shows a text even where the model's own do not stream."""
        return {}

    def stream(self, rows: Sequence[Row], parameters: Mapping[str, Any]) -> Iterator[list[str]]:
        """Yields the new text of each row, as it is generated.

        Raises:
            RequestError: 400: the model cannot be streamed.
            ValueError: a row or an option that it cannot use.
        """
        why = f" {self.obstacles['stream']}" if "stream" in self.obstacles else ""
        raise RequestError(400, f"model {self.name} cannot be streamed.{why}")

    def translate(
        self,
        texts: Sequence[str],
        source: str | None,
        target: str | None,
        alternatives: int,
    ) -> Prepared:
        """Prepares texts of LibreTranslate's interface.

        Args:
            texts: none of them blank.
            source, target: the model's own codes; None where it has none.
            alternatives: further results wanted for each text.

        Raises:
            RequestError: 400: the model does not do this.
        """
        raise RequestError(400, f"model {self.name} does not read texts")

    @property
    def reads_documents(self) -> bool:
        """Whether `sentence_model` returns one."""
        return False

    def sentence_model(self, source: str | None, target: str | None) -> SentenceModel:
        """Returns what documents are read with; their parts are generated by `translate`.

        Args:
            source: the source language, which need not be one of the model; None if unknown.
            target: the model's own code of the target language; None where it has none.

        Raises:
            RequestError: 400: the model does not read documents.
        """
        raise RequestError(400, f"model {self.name} does not read documents")

    def attend(
        self, text: str, target: str | Sequence[int], source_lang: str | None, lang: str | None
    ) -> Prepared:
        """Prepares a source and a target whose attention is wanted.

        The result of the row is an `AttendedPieces`, under the name `pieces`.

        Args:
            text: the source.
            target: a text, or ids that the model has generated.
            source_lang, lang: the model's own codes of both; None where it has none.

        Raises:
            RequestError: 400: the model does not do this.
        """
        raise RequestError(400, f"model {self.name} does not show its attention")

    def column(self, name: str, values: Sequence[Any]) -> list[Any]:
        """Returns the values of an output for a request, as JSON has them.

        Ids and their log-probabilities are padded to the longest row of the request, however its
        rows were batched.

        Args:
            name: of the output.
            values: a value for each row of the request.
        """
        if name in LENGTHS_OF and values and isinstance(values[0], np.ndarray):
            longest = max(value.shape[-1] for value in values)
            pad = self.pad if name == "token_ids" else 0
            values = [
                np.pad(
                    value,
                    [(0, 0)] * (value.ndim - 1) + [(0, longest - value.shape[-1])],
                    constant_values=pad,
                )
                for value in values
            ]
        return [value.tolist() if hasattr(value, "tolist") else value for value in values]


def count_results(row: Row) -> int:
    """Returns how many results of a text there are, from the outputs of its row.

    A search may find fewer than were asked for; the places after them are empty.

    Example:
        >>> count_results({"text": ["a", ""], "lengths": np.array([2, 0])})
        1
    """
    if isinstance(row["text"], str):
        return 1
    lengths = np.ravel(row.get("lengths", ()))
    # A SavedModel of another program may have no lengths, or something else by their name.
    several = len(row["text"])
    return max(1, int(np.count_nonzero(lengths))) if lengths.size == several else several


def without_padding(values: np.ndarray, lengths: Any) -> np.ndarray:
    """Returns the values of one row without the padding that other rows of its batch made.

    Args:
        values: `[T]` or `[N, T]`.
        lengths: int32, a number or `[N]`.

    Example:
        >>> without_padding(np.array([5, 6, 2, 0, 0]), 3)
        array([5, 6, 2])
    """
    return values[..., : int(np.max(lengths, initial=0))]
