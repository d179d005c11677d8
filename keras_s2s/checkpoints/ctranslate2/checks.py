"""Raises errors for CTranslate2 models that cannot be represented here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_s2s.checkpoints.ctranslate2.architecture import stored_name
from keras_s2s.checkpoints.ctranslate2.model_file import CTranslate2File
from keras_s2s.checkpoints.ctranslate2.variables import (
    Entry,
)
from keras_s2s.checkpoints.errors import CheckpointError

#: Settings that do not change what these models generate, by the last part of their name.
_WITHOUT_EFFECT = {
    "alignment_layer",
    "alignment_heads",
    "embeddings_merge",
    "alibi_use_positive_positions",
    "scale_alibi",
}


#: Settings that are read, or have the one value that our layers have.
SETTINGS = {"num_heads", "pre_norm", "activation", "scale_embeddings", "scale_outputs"}


_NEUTRAL = {
    "alibi": 0,
    "multi_query": 0,
    "multi_query_attention": 0,
    "sliding_window": 0,
    "final_logit_softcapping": 0,
    "layer_norm_use_residual": 0,
    "layer_scalar": 1,
}


#: Part of a name -> description, for computations that this package does not have.
_FOREIGN = {
    "relative_position_": "relative positions as vectors [Shaw 2018]",
    "relative_asymmetric_position_": "relative positions as vectors",
    "rotary_": "rotary positions",
    "alibi": "positions as linear biases (ALiBi)",
    "num_heads_kv": "keys and values shared between heads",
    "multi_query": "keys and values shared between heads",
    "sliding_window": "attention within a window",
    "q_norm": "normalised queries and keys",
    "k_norm": "normalised queries and keys",
    "v_norm": "normalised values",
    "project_": "projections before and after the decoder",
    "input_layer_norm": "blocks with normalisation before and after each sub-layer",
    "post_attention_layer_norm": "blocks with normalisation before and after each sub-layer",
    "feedforward_layer_norm": "blocks with normalisation before and after each sub-layer",
    "shared_layer_norm": "parallel residual blocks",
    "memory_kv": "attention to source and target at once",
    "merged_encoder_attention": "attention to source and target at once",
    "final_logit_softcapping": "bounded logits",
    "layer_scalar": "scaled layers",
    "layer_norm_use_residual": "normalisation by 1 + gamma",
    "weight_zero": "weights in 4 bits (AWQ)",
    "embeddings_1": "source factors",
}


def check_vocabulary(
    folder: Path, file: CTranslate2File, side: str, tokens: list[str], rows: int
) -> None:
    if len(tokens) != rows:
        raise CheckpointError(
            f"{folder}: the {side} vocabulary has {len(tokens)} tokens (the unknown one "
            f"included), but {file.path.name} {rows} {side} embeddings; the files do not belong "
            "together"
        )


def check_variables(
    file: CTranslate2File, table: list[Entry], architecture: Mapping[str, Any]
) -> None:
    """Raises an error for variables that are missing, wrong in shape, or unknown."""
    names = {entry.name: stored_name(file, entry.name) for entry in table}
    problems = []
    for entry in table:
        name = names[entry.name]
        if name not in file:
            if not entry.optional:
                problems.append(f"missing: {name}")
            continue
        variable = file.variable(name)
        if variable.shape != entry.shape:
            problems.append(
                f"wrong shape: {name} at byte {variable.offset} is {variable.shape}, expected "
                f"{entry.shape}"
            )
        elif variable.dtype == "int8" and f"{variable.name}_scale" not in file:
            problems.append(f"missing: {variable.name}_scale")
    known = set(names.values())
    known |= {f"{name}_scale" for name in known}
    for side in ("encoder", "decoder"):
        # A table that was recognised, and is computed here.
        if architecture[side]["embedding"]["positions"] != "learned":
            known.add(f"{side}/position_encodings/encodings")
    for name in (*file.variables, *file.aliases):
        if name not in known and (problem := _foreign(file, name, architecture)):
            problems.append(problem)
    if problems:
        shown = problems[:20] + (["..."] if len(problems) > 20 else [])
        raise CheckpointError(
            f"{file.path}: {len(problems)} variables do not fit\n"
            + "\n".join(f"  {line}" for line in shown)
        )


def _foreign(file: CTranslate2File, name: str, architecture: Mapping[str, Any]) -> str | None:
    """Returns what is wrong with a variable that no entry of the table names."""
    last = name.rpartition("/")[2]
    if last in _WITHOUT_EFFECT | SETTINGS:
        return None
    if last in _NEUTRAL and file.scalar(name) == _NEUTRAL[last]:
        return None
    if last == "num_heads_kv":
        side = name.partition("/")[0]
        if file.scalar(name) == architecture[side]["num_heads"]:
            return None
    place = f"{name} at byte {file.variable(name).offset}"
    for part, what in _FOREIGN.items():
        if part in name:
            return f"not supported: {place}: {what}"
    return f"unknown: {place}"
