"""Reads the tokenizer of a KerasHub folder: its assets, as the class of transformers reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.kerashub.family import TokenizerRule
from keras_s2s.checkpoints.kerashub.serialized import read_serialized
from keras_s2s.text.pretrained.base import PretrainedTokenizer
from keras_s2s.text.pretrained.tokenizer_files import TOKENIZER_CONFIG, TokenizerFiles
from keras_s2s.text.registry import PRETRAINED_TOKENIZERS

TOKENIZER = "tokenizer.json"
ASSETS = "assets/tokenizer"


def read_tokenizer(folder: Path, rule: TokenizerRule, size: int) -> PretrainedTokenizer | None:
    """Reads the tokenizer of a folder; None where it has none.

    Args:
        folder: the folder.
        rule: of the family.
        size: ids of the model.

    Raises:
        CheckpointError: a tokenizer of another class, or a file that is missing.
        ConfigError: a file that cannot be read.
    """
    path = folder / TOKENIZER
    if not path.is_file():
        return None
    name, options = read_serialized(path)
    if name != rule.class_name:
        raise CheckpointError(
            f"{path}: class_name is {name}; the tokenizer of this model is a {rule.class_name}. "
            "Pass preprocessor= to from_preset, or remove the file to work on ids"
        )
    contents = {}
    for theirs, ours in rule.files.items():
        asset = folder / ASSETS / theirs
        if not asset.is_file():
            raise CheckpointError(f"{asset} is missing; a {name} needs it: save the folder again")
        contents[ours] = asset.read_bytes()
    contents[TOKENIZER_CONFIG] = json.dumps(_options(rule, options)).encode()
    tokenizer = PRETRAINED_TOKENIZERS[rule.kind](
        TokenizerFiles(contents, str(folder)), rule.read_as, size
    )
    tokenizer.check_size()
    return tokenizer


def _options(rule: TokenizerRule, options: Mapping[str, Any]) -> dict[str, Any]:
    read = {ours: options[theirs] for theirs, ours in rule.options.items() if theirs in options}
    return {"tokenizer_class": rule.read_as, **rule.fixed, **read}
