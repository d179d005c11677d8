"""Opens the weights of a Hugging Face folder in any file format, by PyTorch's names.

    model.safetensors, pytorch_model.bin, tf_model.h5, flax_model.msgpack

each whole, or in shards that an index lists. Opening reads names and shapes; values are read one
tensor at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path, PureWindowsPath
from typing import NamedTuple, Self

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.foreign_names import Stored, torch_names, without_scope
from keras_s2s.checkpoints.files.h5_file import H5File
from keras_s2s.checkpoints.files.msgpack_file import MsgpackFile
from keras_s2s.checkpoints.files.safetensors_file import SafetensorsFile
from keras_s2s.checkpoints.files.tensor_file import TensorFile, TensorSpec, broken, refuse_pointer
from keras_s2s.checkpoints.files.torch_file import TorchFile, torch_is_installed


class WeightFormat(NamedTuple):
    """A file format of weights.

    Attributes:
        file: the name of a whole checkpoint; one in shards has `INDEX_SUFFIX` behind it.
        reader: opens one file.
    """

    file: str
    reader: Callable[[Path], TensorFile]

    @property
    def index_file(self) -> str:
        """The name of the index of a checkpoint in shards."""
        return self.file + INDEX_SUFFIX


INDEX_SUFFIX = ".index.json"

#: The formats, in order of preference.
WEIGHT_FORMATS = (
    WeightFormat("model.safetensors", SafetensorsFile),
    WeightFormat("pytorch_model.bin", TorchFile),
    WeightFormat("tf_model.h5", H5File),
    WeightFormat("flax_model.msgpack", MsgpackFile),
)

# Weights of other formats that such folders may hold, and what to do about them.
_OTHERS = {
    ".gguf": "GGUF files are for llama.cpp; take the checkpoint that they were made from",
    ".onnx": "ONNX files cannot be trained; take the checkpoint that they were made from",
    ".ckpt": "TensorFlow 1 and Lightning checkpoints are not read; convert them with the library "
    "that wrote them",
    ".pt": "a file called .pt may hold anything; save the model with save_pretrained (the "
    "state dict of a recurrent model needs a torch_rnn.yaml beside it)",
    ".ot": "rust_model.ot is for rust-bert; take the model.safetensors of the same checkpoint",
}


def find_weights(names: Collection[str]) -> str | None:
    """Returns the weight file, or index, that `open_weights` takes among the files of a folder.

    PyTorch's own comes last where PyTorch is not installed.
    """
    order = sorted(
        WEIGHT_FORMATS, key=lambda form: form.reader is TorchFile and not torch_is_installed()
    )
    candidates = [name for form in order for name in (form.file, form.index_file)]
    return next((name for name in candidates if name in names), None)


class WeightFiles:
    """The open weights of a checkpoint; a context manager.

    Args:
        path: the file, or the index.
        files: the open files; closed with this.

    Attributes:
        path: the file, or the index, for messages.
        specs: shape and type of every tensor, by PyTorch's name and in PyTorch's layout.

    Raises:
        CheckpointError: two tensors have the same name.

    Example:
        with open_weights(folder) as weights:
            for name, spec in weights.specs.items():
                values = weights.read(name)
    """

    def __init__(self, path: Path, files: Iterable[TensorFile]) -> None:
        self.path = path
        self.specs: Mapping[str, TensorSpec]
        self._files = ExitStack()
        self._stored: dict[str, tuple[TensorFile, Stored]] = {}
        opened = list(files)
        for file in opened:
            self._files.callback(file.close)
        try:
            holders = _holders(opened)
            specs = {name: file.specs[name] for name, file in holders.items()}
            for name, stored in torch_names(opened[0].layout if opened else "torch", specs):
                if name in self._stored:
                    _, other = self._stored[name]
                    raise broken(
                        path,
                        f"the tensors {other.name} and {stored.name} both stand for {name}",
                        "save the checkpoint anew with the library that wrote it",
                    )
                self._stored[name] = (holders[stored.name], stored)
        except BaseException:
            self.close()
            raise
        self.specs = {name: stored.spec for name, (_, stored) in self._stored.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files."""
        self._files.close()

    def file_of(self, name: str) -> Path:
        """Returns the file (or shard) that holds a tensor, for messages."""
        return self._stored[name][0].path

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor in PyTorch's layout; its strides may be in any order.

        Raises:
            KeyError: `specs` has no such tensor.
            CheckpointError: the file was damaged after it was opened.
        """
        file, stored = self._stored[name]
        array = file.read(stored.name)
        if stored.axes is not None:
            array = array.transpose(stored.axes)
        return array.reshape(stored.spec.shape)


def _holders(files: Iterable[TensorFile]) -> dict[str, TensorFile]:
    """Returns the file of each tensor, by the names in the files."""
    holders: dict[str, TensorFile] = {}
    for file in files:
        for name in file.specs:
            if name in holders:
                raise broken(
                    file.path,
                    f"the tensor {name} is in {holders[name].path.name} as well",
                    "remove shards that are left over from another checkpoint, or fetch all again",
                )
            holders[name] = file
    return holders


def open_weights(folder: str | Path) -> WeightFiles:
    """Opens the weights of a Hugging Face folder.

    Of several formats the first of `WEIGHT_FORMATS` is taken, one that can be read here.

    Raises:
        CheckpointError: there are none, they are damaged, or they cannot be read here.
    """
    folder = Path(folder)
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    chosen = find_weights(names)
    if chosen is None:
        raise _no_weights(folder, names)
    path = folder / chosen
    form = next(form for form in WEIGHT_FORMATS if chosen in (form.file, form.index_file))
    refuse_pointer(path)
    if chosen == form.file:
        return WeightFiles(path, [form.reader(path)])
    return _open_shards(path, form.reader)


def _no_weights(folder: Path, names: list[str]) -> CheckpointError:
    if not folder.is_dir():
        return CheckpointError(f"{folder}: there is no such folder")
    wanted = [name for form in WEIGHT_FORMATS for name in (form.file, form.index_file)]
    advice = [text for suffix, text in _OTHERS.items() if any(n.endswith(suffix) for n in names)]
    if "model.bin" in names:
        advice.append("model.bin is CTranslate2's file, which needs its vocabularies beside it")
    if "adapter_config.json" in names:
        advice.append("this is a LoRA adapter: merge it into its base model and save that")
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return CheckpointError(
        f"{folder}: a Hugging Face folder, but no weights here. Looked for {', '.join(wanted)}; "
        + (f"the folder has {shown}" if names else "the folder is empty")
        + "".join(f"; {text}" for text in advice)
    )


# --------------------------------------------------------------------------------------
# Shards
# --------------------------------------------------------------------------------------


def _open_shards(index: Path, reader: Callable[[Path], TensorFile]) -> WeightFiles:
    """Opens all files that an index names, and checks that they hold the tensors it lists."""
    weight_map = read_index(index)
    names = sorted(set(weight_map.values()))
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise CheckpointError(
            f"{index}: of its {len(names)} files {', '.join(missing[:3])}{more} "
            f"{'is' if len(missing) == 1 else 'are'} missing in the folder; fetch the checkpoint "
            "again, whole"
        )
    with ExitStack() as opened:
        files: dict[str, TensorFile] = {}
        for name in names:
            refuse_pointer(index.parent / name)
            files[name] = reader(index.parent / name)
            opened.callback(files[name].close)
        _check_layouts(index, files)
        for tensor, name in weight_map.items():
            file = files[name]
            # The index calls a variable of TensorFlow by its full name.
            known = tensor in file.specs or (
                file.layout == "tensorflow" and without_scope(tensor) in file.specs
            )
            if not known:
                raise broken(
                    file.path,
                    f"lacks the tensor {tensor}, which {index.name} says is in it",
                    "fetch this file and the index again: they are of different checkpoints",
                )
        # WeightFiles closes them from here on, also where it fails.
        opened.pop_all()
    return WeightFiles(index, files.values())


def _check_layouts(index: Path, files: Mapping[str, TensorFile]) -> None:
    layouts = {file.layout: name for name, file in files.items()}
    if len(layouts) > 1:
        found = " and ".join(f"{name} ({layout})" for layout, name in layouts.items())
        raise broken(index, f"its files are by different libraries: {found}")


def read_index(index: Path) -> dict[str, str]:
    """Reads the table of an index: in which file each tensor is.

    Raises:
        CheckpointError: it is no index, or a file's name is more than a name.
    """
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise broken(index, f"not JSON ({error})") from None
    except (KeyError, TypeError):
        raise broken(index, "has no weight_map, the table of tensors and their files") from None
    if not isinstance(weight_map, dict) or not weight_map:
        raise broken(index, "its weight_map is not a table of tensors and their files")
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or not is_plain_name(name):
            raise CheckpointError(
                f"{index}: the tensor {tensor} is said to be in {name!r}, which is not the name "
                "of a file in this folder; nothing outside of it is read. Fetch the checkpoint "
                "from where you trust it"
            )
    return weight_map


def is_plain_name(name: str) -> bool:
    """Returns whether a name is a file name without a path, on every system."""
    # Windows' separators and drives are a superset of the others'.
    return name not in ("", ".", "..") and "\0" not in name and PureWindowsPath(name).name == name


__all__ = [
    "INDEX_SUFFIX",
    "WEIGHT_FORMATS",
    "TensorSpec",
    "WeightFiles",
    "WeightFormat",
    "find_weights",
    "open_weights",
    "read_index",
]
