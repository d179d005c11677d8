"""Runs SavedModels through TensorFlow's C API alone, as a C++ model server does.

A program of its own: it reads requests as JSON from standard input and writes answers as JSON
to standard output. Python's `tensorflow` is never imported; only the shared libraries inside its
wheel, and those of tensorflow-text, are loaded.

Request: `{"models": [{"directory": str, "calls": [{"signature": str, "inputs": {name: nested
list}}], "threads": int, "rounds": int}]}`. A text may be `{"b64": str}`, bytes of any kind. Each of
the threads makes the calls as often as there are rounds. Answer: `{"stock_ops": [str], "text_ops":
[str], "imported": [str], "models": [{"ops": {op: count}, "calls": [{"outputs": {name: nested list}}
or {"error": str}], "different": int, "resident": [int]}]}`: how many calls of further rounds and
threads had other outputs than the first, and kilobytes of memory after each round.
"""

from __future__ import annotations

import base64
import ctypes
import importlib.util
import json
import resource
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

STRING = 7  # TF_STRING
NUMBERS = {1: np.float32, 3: np.int32, 9: np.int64, 10: np.bool_}
STRING_SIZE = 24  # sizeof(TF_TString)


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protocol-buffer message."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, varint()
        else:
            size = {1: 8, 5: 4}[kind] if kind != 2 else varint()
            yield number, message[at : at + size]
            at += size


def every(message: bytes, *path: int) -> Iterator[Any]:
    """Values of the fields at `path` inside a message, at every level."""
    for number, value in fields(message):
        if number == path[0]:
            if len(path) == 1:
                yield value
            else:
                yield from every(value, *path[1:])


def signatures(meta_graph: bytes) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Signature -> (inputs, outputs), each name -> (tensor name, data type)."""

    def tensors(signature: bytes, field: int) -> dict[str, Any]:
        found = {}
        for entry in every(signature, field):
            parts = dict(fields(entry))
            info = dict(fields(parts[2]))
            found[parts[1].decode()] = (info[1].decode(), info.get(2, 0))
        return found

    result = {}
    for entry in every(meta_graph, 5):
        parts = dict(fields(entry))
        result[parts[1].decode()] = (tensors(parts[2], 1), tensors(parts[2], 2))
    return result


def op_counts(meta_graph: bytes) -> Counter[str]:
    """Ops of the graph and of every function in its library."""
    counts = Counter(op.decode() for op in every(meta_graph, 2, 1, 2))
    counts.update(op.decode() for op in every(meta_graph, 2, 2, 1, 3, 2))
    return counts


class Buffer(ctypes.Structure):
    """TF_Buffer."""

    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("free", ctypes.c_void_p))

    def content(self) -> bytes:
        return ctypes.string_at(self.data, self.length)


class Output(ctypes.Structure):
    """TF_Output."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class CApi:
    """The functions of TensorFlow's C API that running a SavedModel takes."""

    def __init__(self) -> None:
        folder = package_folder("tensorflow")
        libraries = [
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
            for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
        ]
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        returns: dict[str, Any] = {
            "TF_NewStatus": pointer,
            "TF_GetCode": ctypes.c_int,
            "TF_Message": ctypes.c_char_p,
            "TF_LoadLibrary": pointer,
            "TF_GetAllOpList": ctypes.POINTER(Buffer),
            "TF_NewGraph": pointer,
            "TF_NewSessionOptions": pointer,
            "TF_NewBuffer": ctypes.POINTER(Buffer),
            "TF_LoadSessionFromSavedModel": pointer,
            "TF_GraphOperationByName": pointer,
            "TF_AllocateTensor": pointer,
            "TF_TensorData": pointer,
            "TF_TensorType": ctypes.c_int,
            "TF_NumDims": ctypes.c_int,
            "TF_Dim": ctypes.c_int64,
            "TF_DeleteTensor": None,
            "TF_DeleteStatus": None,
            "TF_SessionRun": None,
            "TF_StringInit": None,
            "TF_StringCopy": None,
            "TF_StringGetDataPointer": pointer,
            "TF_StringGetSize": size,
        }
        for name, result in returns.items():
            function = next(getattr(lib, name) for lib in libraries[::-1] if hasattr(lib, name))
            function.restype = result
            setattr(self, name[3:], function)
        self.status = pointer(self.NewStatus())

    def check(self, status: Any = None) -> None:
        status = status or self.status
        if self.GetCode(status):
            raise RuntimeError(self.Message(status).decode())

    def load_library(self, path: Path) -> None:
        self.LoadLibrary(str(path).encode(), self.status)
        self.check()

    def op_names(self) -> list[str]:
        listed = self.GetAllOpList().contents.content()
        return sorted(name.decode() for name in every(listed, 1, 1))

    def to_tensor(self, value: Any, kind: int) -> Any:
        array = np.array(value, object if kind == STRING else NUMBERS[kind])
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        if kind != STRING:
            tensor = ctypes.c_void_p(self.AllocateTensor(kind, shape, array.ndim, array.nbytes))
            ctypes.memmove(self.TensorData(tensor), array.tobytes(), array.nbytes)
            return tensor
        size = array.size * STRING_SIZE
        tensor = ctypes.c_void_p(
            self.AllocateTensor(kind, shape, array.ndim, ctypes.c_size_t(size))
        )
        for i, text in enumerate(array.ravel()):
            place = ctypes.c_void_p(self.TensorData(tensor) + i * STRING_SIZE)
            content = base64.b64decode(text["b64"]) if isinstance(text, dict) else text.encode()
            self.StringInit(place)
            self.StringCopy(place, content, ctypes.c_size_t(len(content)))
        return tensor

    def from_tensor(self, tensor: Any) -> Any:
        kind = self.TensorType(tensor)
        shape = [self.Dim(tensor, axis) for axis in range(self.NumDims(tensor))]
        count = int(np.prod(shape, dtype=np.int64))
        start = self.TensorData(tensor)
        if kind != STRING:
            size = count * np.dtype(NUMBERS[kind]).itemsize
            content = ctypes.string_at(start, size) if size else b""
            return np.frombuffer(content, NUMBERS[kind]).reshape(shape).tolist()
        texts = np.empty(count, object)
        for i in range(count):
            place = ctypes.c_void_p(start + i * STRING_SIZE)
            size = self.StringGetSize(place)
            texts[i] = ctypes.string_at(self.StringGetDataPointer(place), size).decode()
        return texts.reshape(shape).tolist()


class SavedModel:
    """A SavedModel in a session of the C API."""

    def __init__(self, api: CApi, directory: str) -> None:
        self.api = api
        self.graph = ctypes.c_void_p(api.NewGraph())
        meta = api.NewBuffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        options = ctypes.c_void_p(api.NewSessionOptions())
        session = api.LoadSessionFromSavedModel(
            options, None, directory.encode(), tags, 1, self.graph, meta, api.status
        )
        api.check()
        self.session = ctypes.c_void_p(session)
        self.meta_graph = meta.contents.content()
        self.signatures = signatures(self.meta_graph)

    def output(self, tensor_name: str) -> Output:
        name, index = tensor_name.rsplit(":", 1)
        operation = self.api.GraphOperationByName(self.graph, name.encode())
        if not operation:
            raise RuntimeError(f"the graph has no operation {name}")
        return Output(operation, int(index))

    def run(self, signature: str, values: dict[str, Any]) -> dict[str, Any]:
        inputs, outputs = self.signatures[signature]
        if not set(values) <= set(inputs):
            raise RuntimeError(f"{signature} takes {sorted(inputs)}, not {sorted(values)}")
        # What is optional may be left out: its placeholder has a default.
        inputs = {name: inputs[name] for name in values}
        feeds = (Output * len(inputs))(*[self.output(name) for name, _ in inputs.values()])
        fetches = (Output * len(outputs))(*[self.output(name) for name, _ in outputs.values()])
        tensors = [self.api.to_tensor(values[name], kind) for name, (_, kind) in inputs.items()]
        given = (ctypes.c_void_p * len(inputs))(*[tensor.value for tensor in tensors])
        results = (ctypes.c_void_p * len(outputs))()
        # Of this call alone: others run at the same time.
        status = ctypes.c_void_p(self.api.NewStatus())
        try:
            self.api.SessionRun(
                *(self.session, None, feeds, given, len(inputs), fetches, results, len(outputs)),
                *(None, 0, None, status),
            )
            self.api.check(status)
        finally:
            for tensor in tensors:
                self.api.DeleteTensor(tensor)
            self.api.DeleteStatus(status)
        answer = {}
        for name, result in zip(outputs, results, strict=True):
            answer[name] = self.api.from_tensor(ctypes.c_void_p(result))
            self.api.DeleteTensor(ctypes.c_void_p(result))
        return answer


def package_folder(name: str) -> Path:
    """Where a package is installed, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{name} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def made(model: SavedModel, call: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"outputs": model.run(call["signature"], call["inputs"])}
    except RuntimeError as error:
        return {"error": str(error)}


def repeated(
    model: SavedModel, asked: dict[str, Any], expected: list[dict[str, Any]]
) -> dict[str, Any]:
    """Makes the calls again, in several threads at once."""
    different, resident = [], []

    def run(first: int) -> None:
        # Not all threads make the same call at the same time.
        for i in range(len(expected)):
            place = (i + first) % len(expected)
            different.append(made(model, asked["calls"][place]) != expected[place])

    for _ in range(asked["rounds"]):
        threads = [
            threading.Thread(target=run, args=[i * 7]) for i in range(asked.get("threads", 1))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident.append(pages * resource.getpagesize() // 1024)
    return {"different": sum(different), "calls_made": len(different), "resident": resident}


def main() -> None:
    request = json.load(sys.stdin)
    api = CApi()
    stock = api.op_names()
    libraries = sorted((package_folder("tensorflow_text") / "python" / "ops").glob("*.so"))
    if not libraries:
        raise RuntimeError("tensorflow-text has no libraries of ops")
    for library in libraries:
        api.load_library(library)
    answer: dict[str, Any] = {
        "stock_ops": stock,
        "text_ops": sorted(set(api.op_names()) - set(stock)),
        "models": [],
    }
    for asked in request["models"]:
        model = SavedModel(api, asked["directory"])
        calls = [made(model, call) for call in asked["calls"]]
        answered = {"ops": op_counts(model.meta_graph), "calls": calls}
        if "rounds" in asked:
            answered |= repeated(model, asked, calls)
        answer["models"].append(answered)
    answer["imported"] = sorted(
        name for name in ("tensorflow", "tensorflow_text", "keras") if name in sys.modules
    )
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
