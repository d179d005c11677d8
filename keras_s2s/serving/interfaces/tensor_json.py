"""TensorFlow Serving's JSON of tensors: rows (`instances`) and columns (`inputs`)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from keras_s2s.config.nearest import did_you_mean
from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.models.served_model import Row, Signature, TensorInfo

#: Fields of a request; `parameters` is an addition.
FIELDS = ("signature_name", "instances", "inputs", "parameters")


def read_rows(body: Mapping[str, Any], signature: Signature) -> list[Row]:
    """Returns the rows of a request.

    Args:
        body: with `instances` (a value or an object for each row) or `inputs` (a list, or an
            object with a list for each input).
        signature: whose inputs they are.

    Raises:
        RequestError: 400: neither or both, inputs that are missing or unknown, values of another
            type, or columns of different lengths.

    Example:
        >>> from keras_s2s.serving.models.served_model import TensorInfo
        >>> signature = Signature({"text": TensorInfo("string", (None,))}, {})
        >>> read_rows({"instances": ["a", "b"]}, signature)
        [{'text': 'a'}, {'text': 'b'}]
    """
    if "instances" in body and "inputs" in body:
        raise RequestError(400, "Not more than one of 'inputs' or 'instances' keys is allowed")
    if "instances" in body:
        rows = _of_instances(body["instances"], signature)
    elif "inputs" in body:
        rows = _of_inputs(body["inputs"], signature)
    else:
        raise RequestError(400, "Missing 'inputs' or 'instances' key")
    return rows


def check_fields(body: Mapping[str, Any]) -> None:
    """Raises an error for a field that requests do not have.

    Raises:
        RequestError: 400, with the nearest one.
    """
    for name in body:
        if name not in FIELDS:
            hint = did_you_mean(name, FIELDS) or f"expected {', '.join(FIELDS)}"
            raise RequestError(400, f"field {name!r} is unknown; {hint}")


def _only(signature: Signature) -> str | None:
    """Returns the input that may stand without its name; None where there are several."""
    required = [name for name, info in signature.inputs.items() if info.required]
    return required[0] if len(required) == 1 else None


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and set(value) != {"b64"}


def _of_instances(instances: Any, signature: Signature) -> list[Row]:
    if not isinstance(instances, list):
        raise RequestError(
            400, f"'instances' is a JSON {_type(instances)}; expected a list of rows"
        )
    only = _only(signature)
    rows: list[Row] = []
    for i, instance in enumerate(instances):
        where = f"Failed to process element: {i} of 'instances' list."
        if not _is_named(instance):
            if only is None:
                raise RequestError(
                    400,
                    f"{where} Error: Invalid argument: expected an object with the inputs "
                    f"{_names(signature)}",
                )
            instance = {only: instance}
        rows.append(_row(instance, signature, where))
    return rows


def _of_inputs(inputs: Any, signature: Signature) -> list[Row]:
    if not _is_named(inputs):
        only = _only(signature)
        if only is None:
            raise RequestError(
                400, f"'inputs' must be an object with the inputs {_names(signature)}"
            )
        inputs = {only: inputs}
    for name, column in inputs.items():
        if not isinstance(column, list):
            raise RequestError(
                400, f"input {name!r} is a JSON {_type(column)}; expected a list with all rows"
            )
    lengths = {name: len(column) for name, column in inputs.items()}
    if len(set(lengths.values())) > 1:
        raise RequestError(400, f"inputs have different numbers of rows: {lengths}")
    count = next(iter(lengths.values()), 0)
    if not count:
        _check_names(inputs, signature, "'inputs':")
    return [
        _row(
            {name: column[i] for name, column in inputs.items()},
            signature,
            f"Failed to process row {i} of 'inputs'.",
        )
        for i in range(count)
    ]


def _row(values: Mapping[str, Any], signature: Signature, where: str) -> Row:
    _check_names(values, signature, where)
    return {
        name: _value(value, signature.inputs[name], f"{where} Input {name!r}")
        for name, value in values.items()
        if value is not None or signature.inputs[name].required
    }


def _check_names(values: Mapping[str, Any], signature: Signature, where: str) -> None:
    for name in values:
        if name not in signature.inputs:
            hint = did_you_mean(name, signature.inputs) or f"expected {_names(signature)}"
            raise RequestError(400, f"{where} Input {name!r} is unknown; {hint}")
    for name, info in signature.inputs.items():
        if info.required and name not in values:
            raise RequestError(400, f"{where} Missing input {name!r}")


def _value(value: Any, info: TensorInfo, where: str) -> Any:
    """Returns a value of a row, after checking its type and depth."""
    return _nested(value, info, len(info.shape) - 1, where)


def _types(dtype: str) -> tuple[type, ...]:
    """Returns the types that JSON values of a tensor have."""
    if dtype == "string":
        return (str,)
    if dtype == "bool":
        return (bool,)
    return (int, float) if "float" in dtype else (int,)


def _nested(value: Any, info: TensorInfo, axes: int, where: str) -> Any:
    if axes > 0:
        if not isinstance(value, list):
            raise RequestError(
                400, f"{where}: JSON {_type(value)} is not of expected type: list of {info.dtype}"
            )
        return [_nested(each, info, axes - 1, where) for each in value]
    if info.dtype == "string" and isinstance(value, dict) and set(value) == {"b64"}:
        return _binary(value["b64"], where)
    types = _types(info.dtype)
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise RequestError(
            400,
            f"{where}: JSON Value: {str(value)[:80]!r} Type: {_type(value)} is not of expected "
            f"type: {info.dtype}",
        )
    if isinstance(value, int) and types == (int,):
        _check_range(value, info.dtype, where)
    return value


def _check_range(value: int, dtype: str, where: str) -> None:
    bits = int(dtype.lstrip("uint") or 32)
    low, high = (0, 2**bits) if dtype[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if not low <= value < high:
        raise RequestError(400, f"{where}: {str(value)[:80]} does not fit into {dtype}")


def _binary(value: Any, where: str) -> str:
    """Returns the text of `{"b64": ...}`."""
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, TypeError, ValueError) as error:
        raise RequestError(400, f"{where}: b64 is no base64 of UTF-8 text: {error}") from None


def _names(signature: Signature) -> str:
    return ", ".join(signature.inputs)


def _type(value: Any) -> str:
    if value is None:
        return "Null"
    names = {bool: "Boolean", str: "String", dict: "Object", list: "Array"}
    return names.get(type(value), "Number")


# --------------------------------------------------------------------------------------
# Replies
# --------------------------------------------------------------------------------------


def reply(columns: Mapping[str, Sequence[Any]], *, by_rows: bool) -> dict[str, Any]:
    """Returns the reply to a request.

    Args:
        columns: values of each output, one for each row.
        by_rows: the request had `instances`; otherwise it had `inputs`.

    Example:
        >>> reply({"text": ["a"], "scores": [-1.0]}, by_rows=True)
        {'predictions': [{'text': 'a', 'scores': -1.0}]}
    """
    single = next(iter(columns.values())) if len(columns) == 1 else None
    if not by_rows:
        return {"outputs": list(single) if single is not None else dict(columns)}
    if single is not None:
        return {"predictions": list(single)}
    return {
        "predictions": [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
    }


def signature_json(signatures: Mapping[str, Signature]) -> dict[str, Any]:
    """Returns the signatures of a model as TensorFlow Serving's metadata have them."""

    def tensors(infos: Mapping[str, TensorInfo], prefix: str) -> dict[str, Any]:
        return {
            name: {
                "dtype": f"DT_{_DTYPES.get(info.dtype, info.dtype.upper())}",
                "tensor_shape": {
                    "dim": [
                        {"size": str(-1 if size is None else size), "name": ""}
                        for size in info.shape
                    ],
                    "unknown_rank": False,
                },
                "name": f"{prefix}_{name}:0",
            }
            for name, info in infos.items()
        }

    return {
        name: {
            "inputs": tensors(signature.inputs, name),
            "outputs": tensors(signature.outputs, "StatefulPartitionedCall"),
            "method_name": "tensorflow/serving/predict",
        }
        for name, signature in signatures.items()
    }


_DTYPES = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "HALF"}
