"""Writes a model as a Hugging Face folder that transformers loads."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_s2s import catalog
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.config_file import single_ids
from keras_s2s.checkpoints.huggingface.config_table import read_keys, write_keys
from keras_s2s.checkpoints.huggingface.family import (
    FamilyTables,
    families_by_model_type,
    family_tables,
)
from keras_s2s.checkpoints.huggingface.generation_table import write_generation
from keras_s2s.checkpoints.huggingface.key_table import Tables, entries
from keras_s2s.checkpoints.huggingface.pair_writer import describe_pair, is_pair, pair_tensors
from keras_s2s.checkpoints.huggingface.reader import CONFIG_FILE, GENERATION_FILE
from keras_s2s.checkpoints.huggingface.token_tables import stored_names
from keras_s2s.checkpoints.huggingface.transforms import Transform
from keras_s2s.checkpoints.preset_folder import named_weights
from keras_s2s.checkpoints.sinusoid_tables import sines_before_cosines
from keras_s2s.config import (
    ArchitectureConfig,
    ConfigError,
    PresetConfig,
    TokensConfig,
    TransformerConfig,
    embedding_dim,
    merge,
    read_config,
    spread_shared,
)

WEIGHTS_FILE = "model.safetensors"

#: Tables of learned positions -> side.
POSITION_TABLES = {
    "source_embedding/positions/embeddings": "encoder",
    "target_embedding/positions/embeddings": "decoder",
}

#: Bytes of tensors in one file; what is larger is written as several, with an index.
SHARD_BYTES = 5 * 2**30


def write_huggingface_folder(
    folder: Path,
    config: PresetConfig,
    variables: Sequence[Any],
    *,
    shard_bytes: int = SHARD_BYTES,
) -> list[Path]:
    """Writes `config.json`, `generation_config.json` and the weights; not the tokenizer.

    Args:
        folder: an empty folder.
        config: of the model.
        variables: every variable of its network.

    Raises:
        CheckpointError: no family of the zoo can say what this architecture is; the message
            names what stands in the way of the nearest one.
    """
    pair = tables = None
    if is_pair(config):
        pair, written = describe_pair(config)
    else:
        family, written = describe(config)
        tables = family_tables(family)
    dtypes = {variable.dtype for variable in variables}
    # A float16 model has some weights in float32, as transformers itself keeps some.
    narrow = "float16" if "float16" in dtypes else "float32"
    written["dtype"] = dtypes.pop() if len(dtypes) == 1 else narrow
    written.pop("torch_dtype", None)
    write_json(folder / CONFIG_FILE, written)
    write_json(folder / GENERATION_FILE, _generation(config, written))
    if pair is not None:
        found = pair_tensors(pair, config, variables)
        tensors = {name: Tensor(*tensor) for name, tensor in found.items()}
    else:
        assert tables is not None
        tensors = _tensors(family, tables, config, variables) | _sinusoids(tables, config, written)
    files = _write_tensors(folder, tensors, shard_bytes)
    return [folder / CONFIG_FILE, folder / GENERATION_FILE, *files]


def describe(config: PresetConfig) -> tuple[str, dict[str, Any]]:
    """Returns the family that can represent this architecture, and its `config.json`.

    The family that the model came from is tried first, then every other.

    Raises:
        CheckpointError: none has; the message says what the nearest family differs in.
    """
    for side in ("encoder", "decoder", "frontend"):
        part = getattr(config.architecture, side)
        if not isinstance(part, TransformerConfig | TokensConfig):
            raise CheckpointError(
                f"architecture.{side}.type is {part.type}, but transformers has no encoder-decoder "
                "that is not a Transformer; keep this model as a folder of this package "
                "(model.save_to_preset, keras-s2s convert --to keras_s2s), or export it as "
                "tf_saved_model"
            )
    families = sorted(families_by_model_type().values())
    if config.family is not None and family_tables(config.family) is not None:
        families = [config.family, *(name for name in families if name != config.family)]
    nearest: list[str] = []
    for family in families:
        written, misfits = _described_as(family, config)
        if not misfits:
            return family, written
        if not nearest or len(misfits) < len(nearest):
            nearest = [f"{family}: {misfit}" for misfit in misfits]
    raise CheckpointError(
        "no model type of transformers that is known here has this architecture; keep the model as "
        "a folder of this package (model.save_to_preset), or export it as tf_saved_model. What "
        "differs from the nearest:\n" + "\n".join(f"  {line}" for line in nearest[:10])
    )


def _described_as(family: str, config: PresetConfig) -> tuple[dict[str, Any], list[str]]:
    """Returns the `config.json` of a family, and the settings that it cannot represent."""
    tables = family_tables(family)
    assert tables is not None
    origin = config.origin
    known = origin.config if origin and origin.format == "huggingface" else None
    if known is not None and known.get("model_type") != tables.model_type:
        known = None
    settings = {
        "architecture": config.architecture.model_dump(),
        "special_ids": config.special_ids.model_dump(),
    }
    keys = write_keys(tables.config, settings, known and single_ids(known))
    written = {**(tables.constants if known is None else {}), **(known or {})}
    for key in tables.config:
        if key in keys and not _lists(known, key, keys[key]):
            written[key] = keys[key]
    rows = {
        part.embedding.max_positions
        for side in tables.sinusoids.values()
        if _is_learned(part := getattr(config.architecture, side))
    }
    if len(rows) == 1:
        written["max_position_embeddings"] = rows.pop()
    written["model_type"] = tables.model_type
    written["architectures"] = [tables.model_class]  # that with an output projection
    for flag, state in (
        (tables.token_tables.tie, config.architecture.output.tie_embeddings),
        (tables.token_tables.share, config.architecture.share_embeddings),
    ):
        # Only tables that are stored once have to be declared as shared or tied.
        if flag is not None and (known is None or (state and written.get(flag) is False)):
            written[flag] = state
    return written, _misfits(family, tables, written, config)


def _lists(known: Mapping[str, Any] | None, key: str, value: Any) -> bool:
    """Returns whether `key` of the original configuration is a list that begins with `value`."""
    before = (known or {}).get(key)
    return isinstance(before, list) and bool(before) and before[0] == value


def _is_learned(part: Any) -> bool:
    """Returns whether positions are learned without an offset, so that they can be stored where a
    family keeps its sinusoids.
    """
    return part.embedding.positions == "learned" and part.embedding.position_offset == 0


def _misfits(
    family: str, tables: FamilyTables, written: Mapping[str, Any], config: PresetConfig
) -> list[str]:
    """Returns the settings that reading `written` would not give back."""
    try:
        again = read_keys(tables.config, single_ids(written), CONFIG_FILE)
        data = merge(catalog.load_family(family)["architecture"], again["architecture"])
        data = spread_shared(data)
        mine = config.architecture.model_dump()
        data["share_embeddings"] = mine["share_embeddings"]
        data["output"]["tie_embeddings"] = mine["output"]["tie_embeddings"]
        # Folders do not say whether it is trained, and results do not depend on it.
        data["output"]["train_bias"] = mine["output"]["train_bias"]
        for side in tables.sinusoids.values():
            embedding = mine[side]["embedding"]
            rows = embedding["max_positions"]
            if _is_learned(getattr(config.architecture, side)) and rows == written.get(
                "max_position_embeddings"
            ):
                # Reading finds these in the table that is stored with the weights.
                same = ("positions", "max_positions", "sinusoids")
                data[side]["embedding"] |= {key: embedding[key] for key in same}
        for side in ("encoder", "decoder"):
            if (
                mine[side]["embedding"]["positions"]
                == data[side]["embedding"]["positions"]
                == "learned"
            ):
                # Rows before the first position are never read: they are left out, or added.
                offset = mine[side]["embedding"]["position_offset"]
                data[side]["embedding"]["position_offset"] = offset
        theirs = read_config(ArchitectureConfig, data, origin=family)
    except CheckpointError as error:
        return [str(error)]
    except ConfigError as error:
        return [f"architecture.{line.strip()}" for line in str(error).splitlines()[1:]]
    return list(_differences(_resolved(config.architecture), _resolved(theirs), ""))


def _resolved(architecture: ArchitectureConfig) -> dict[str, Any]:
    """Returns all settings, defaults included."""
    data = architecture.model_dump()
    for side in ("encoder", "decoder"):
        part: Any = getattr(architecture, side)
        data[side]["embedding"]["dim"] = embedding_dim(part)
        if isinstance(part, TransformerConfig):
            data[side]["final_norm"] = part.has_final_norm
            data[side]["head_dim"] = part.head_dim or part.hidden_dim // part.num_heads
    return data


def _differences(mine: Any, theirs: Any, path: str) -> Iterator[str]:
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for key in {**mine, **theirs}:
            yield from _differences(mine.get(key), theirs.get(key), f"{path}.{key}".lstrip("."))
    elif mine != theirs:
        yield f"architecture.{path} is {mine!r}, there it is {theirs!r}"


def _generation(config: PresetConfig, written: Mapping[str, Any]) -> dict[str, Any]:
    target = config.special_ids.target
    known = config.origin.generation if config.origin else None
    ids = {
        "pad_token_id": target.pad,
        "eos_token_id": target.eos,
        "decoder_start_token_id": target.decoder_start,
        "forced_bos_token_id": target.forced_bos,
        "forced_eos_token_id": target.forced_eos,
    }
    if target.bos is not None:
        ids["bos_token_id"] = target.bos
    if known:  # what config.json has already is not added to a file that lacked it
        ids = {
            key: value for key, value in ids.items() if key in known or written.get(key) != value
        }
    return write_generation(config.generation, ids, known or None)


class Tensor(NamedTuple):
    """A tensor to write: name, shape, type and a function that makes its values.

    Attributes:
        nbytes: its size in the file.
        array: returns its values.
    """

    nbytes: int
    array: Callable[[], np.ndarray]


def _of_variable(variable: Any, transform: Transform) -> Tensor:
    width = {"float64": 8, "float32": 4}.get(variable.dtype, 2)
    return Tensor(
        math.prod(variable.shape) * width,
        lambda: transform.write(ops.convert_to_numpy(variable.value)),
    )


def _offset(family: str, side: str) -> int:
    """Returns the first row that a family's learned positions are read from."""
    part = spread_shared(catalog.load_family(family)["architecture"])[side]
    return (
        0
        if part["embedding"]["positions"] != "learned"
        else part["embedding"].get("position_offset", 0)
    )


def _with_rows(tensor: Tensor, rows: int, more: int) -> Tensor:
    """Returns a table with `more` rows of zeros before it, or without its first `-more` rows."""
    if not more:
        return tensor

    def array() -> np.ndarray:
        table = tensor.array()
        return np.pad(table, [(more, 0), (0, 0)]) if more > 0 else table[-more:]

    return Tensor(tensor.nbytes // rows * (rows + more), array)


def _tensors(
    family: str, tables: FamilyTables, config: PresetConfig, variables: Sequence[Any]
) -> dict[str, Tensor]:
    """Returns every tensor to write, by name."""
    named = named_weights(variables)
    architecture = config.architecture
    mine = Tables("source", "target", "output")
    rows = entries(tables, named, architecture.model_dump(), mine)
    written = {row.theirs: _of_variable(named[row.ours], row.transform) for row in rows}
    for row in rows:
        if row.ours in POSITION_TABLES:
            part: Any = getattr(architecture, POSITION_TABLES[row.ours])
            more = _offset(family, POSITION_TABLES[row.ours]) - part.embedding.position_offset
            rows_here = named[row.ours].shape[0]
            written[row.theirs] = _with_rows(written[row.theirs], rows_here, more)
    found = {kind: written.pop(kind) for kind in mine if kind in written}
    # Where both sides share a table it is the source's; a tied output is the decoder's.
    found.setdefault("target", found["source"])
    found.setdefault("output", found["target"])
    before = config.origin.tables if config.origin else ()
    names = stored_names(
        tables.token_tables,
        architecture.share_embeddings,
        architecture.output.tie_embeddings,
        before,
    )
    return {**{name: found[kind] for name, kind in names.items()}, **written}


def _sinusoids(
    tables: FamilyTables, config: PresetConfig, written: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Returns tables of computed positions, where the model's first folder held them."""
    if config.origin is None or config.origin.format != "huggingface":
        wanted = list(tables.sinusoids)
    else:
        wanted = [name for name in tables.sinusoids if name in config.origin.tables]
    found: dict[str, Tensor] = {}
    for name in wanted:
        side: Any = getattr(config.architecture, tables.sinusoids[name])
        if _is_learned(side):
            continue  # a variable
        fallback = tables.constants["max_position_embeddings"]
        rows, dim = written.get("max_position_embeddings", fallback), side.hidden_dim
        found[name] = Tensor(rows * dim * 4, functools.partial(sines_before_cosines, rows, dim))
    return found


def _write_tensors(folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int) -> list[Path]:
    from safetensors.numpy import save_file

    shards: list[list[str]] = [[]]
    size = 0
    sizes = {name: tensor.nbytes for name, tensor in tensors.items()}
    for name, count in sizes.items():
        if size + count > shard_bytes and shards[-1]:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += count
    files: list[Path] = []
    index: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = WEIGHTS_FILE
        if len(shards) > 1:
            file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        arrays = {name: np.ascontiguousarray(tensors[name].array()) for name in names}
        save_file(arrays, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(names, file)
        files.append(folder / file)
    if len(shards) > 1:
        path = folder / f"{WEIGHTS_FILE}.index.json"
        write_json(path, {"metadata": {"total_size": sum(sizes.values())}, "weight_map": index})
        files.append(path)
    return files


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes a JSON object as transformers writes its files."""
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
