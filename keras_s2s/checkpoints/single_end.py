"""Checks models for formats whose files name one id that ends results."""

from __future__ import annotations

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.config import PresetConfig


def check_single_end(config: PresetConfig, engine: str) -> None:
    """Raises an error for a model whose results end with other ids than its EOS.

    Args:
        config: of the model.
        engine: whose files are written.

    Raises:
        CheckpointError: `generation.eos_token_id` names other ids.
    """
    eos, ends = config.special_ids.target.eos, config.generation.eos_token_id
    if ends not in (None, eos, [eos]):
        raise CheckpointError(
            f"generation.eos_token_id is {ends}, but files of {engine} name one id that ends "
            f"results, here {eos}; load it with generation={{...}} without eos_token_id, "
            "and give the others to the engine at each call, where it takes them (CTranslate2: "
            "end_token)"
        )
