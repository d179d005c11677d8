"""What makes two runs the same: recipe, data, tokenizer, backend and precision.

A run goes on from the checkpoint of another process only where these are the same.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_s2s.config import ConfigError, RecipeConfig
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.training.training_state import as_array

#: Keys of a recipe that change no number of a run.
_FREE_KEYS = (
    ("data", "dir"),
    ("training", "checkpoints"),
    ("training", "log_steps"),
    ("training", "tensorboard"),
    ("distillation", "teacher"),  # what it generates is data
    ("distillation", "pairs"),
    ("distillation", "batch_size"),
    ("description",),
)


def recipe_facts(recipe: RecipeConfig) -> dict[str, Any]:
    """Returns the keys of a recipe that numbers depend on, with defaults, as JSON values.

    The folder of the data is left out: what counts is what the files hold.
    """
    facts: dict[str, Any] = recipe.model_dump(mode="json")
    for *parents, key in _FREE_KEYS:
        place = facts
        for parent in parents:
            place = place.get(parent) or {}
        place.pop(key, None)
    return facts


def environment_facts() -> dict[str, Any]:
    """Returns backend and precision of this process."""
    return {"backend": keras.backend.backend(), "dtype": keras.config.dtype_policy().name}


def data_fingerprint(splits: Mapping[str, Iterable[Any]]) -> dict[str, str]:
    """Returns a checksum of the examples of each split, in their order.

    Args:
        splits: name -> pairs `(source, target)`, or texts.
    """
    return {name: texts_fingerprint(examples) for name, examples in splits.items()}


def texts_fingerprint(examples: Iterable[Any]) -> str:
    """Returns a checksum of texts, or of tuples of texts, in their order."""
    digest = hashlib.sha256()
    for example in examples:
        for text in (example,) if isinstance(example, str) else example:
            content = text.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
    return digest.hexdigest()[:16]


def tokenizer_fingerprint(preprocessor: Preprocessor) -> str:
    """Returns a checksum of the files of the tokenizers, and of the special ids."""
    digest = hashlib.sha256(preprocessor.special_ids.model_dump_json().encode())
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(preprocessor.save(folder)):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def weights_fingerprint(model: Any) -> str:
    """Returns a checksum of the weights of a model, with their paths, types and shapes."""
    digest = hashlib.sha256()
    for weight in model.weights:
        array = as_array(weight)
        digest.update(f"{weight.path} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def check_same_run(then: Mapping[str, Any], now: Mapping[str, Any], directory: Path) -> None:
    """Raises an error where a run in a folder was another one.

    Args:
        then: facts that the folder's run was started with; those that `now` lacks are not compared.
        now: the same facts of this run.
        directory: the run's folder.

    Raises:
        ConfigError: some differ; names all keys that do, with both values.
    """
    found = [line for key in now for line in differences(f"{key}", then.get(key), now[key])]
    if found:
        raise ConfigError(
            f"{directory} holds a run that cannot be resumed, because it was started otherwise: "
            f"{'; '.join(found)}. Use the same, choose another folder with --out, or start anew "
            "with --overwrite"
        )


def differences(key: str, then: Any, now: Any) -> list[str]:
    """Returns a line for each key below `key` whose values differ.

    Example:
        >>> differences("data", {"train": "a", "test": "b"}, {"train": "a", "test": "c"})
        ["data.test was 'b', but is 'c'"]
    """
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys([*then, *now])
        return [
            line
            for name in keys
            for line in differences(
                name if key == "recipe" else f"{key}.{name}", then.get(name), now.get(name)
            )
        ]
    return [] if then == now else [f"{key} was {then!r}, but is {now!r}"]
