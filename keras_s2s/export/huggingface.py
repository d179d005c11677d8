"""Exports a model as a Hugging Face folder: configuration, weights and tokenizer files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_s2s.checkpoints.huggingface.pair_writer import is_pair
from keras_s2s.checkpoints.huggingface.reader import CONFIG_FILE
from keras_s2s.checkpoints.huggingface.writer import SHARD_BYTES, write_huggingface_folder
from keras_s2s.config import PresetConfig
from keras_s2s.export.errors import ExportError
from keras_s2s.export.replaced_directory import replaced_directory
from keras_s2s.text.huggingface_writer import files_with_class, write_pretrained_tokenizers
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.pretrained.base import PretrainedTokenizer
from keras_s2s.text.pretrained.token_list import TokenListTokenizer


def export_huggingface(
    directory: str | Path,
    *,
    variables: Sequence[Any],
    config: PresetConfig,
    preprocessor: Preprocessor | None,
    overwrite: bool = False,
    max_shard_bytes: int = SHARD_BYTES,
    **_: Any,
) -> Path:
    """Writes a folder that transformers and `from_preset` load.

    Args:
        directory: folder to write; made if missing.
        variables: every variable of the network.
        config: of the model; its generation defaults are written too.
        preprocessor: its tokenizers' files are written; None writes none.
        overwrite: replace an export that is there already.
        max_shard_bytes: most bytes of tensors in one file; more are written as several, with
            an index.

    Raises:
        ExportError: a folder that is in the way.
        ConfigError: a tokenizer that transformers has no form for.
        CheckpointError: transformers has no model with this architecture.

    Example:
        >>> model = Seq2SeqLM.from_preset("opus-mt-en-de/")
        >>> model.export("exported/opus", format="huggingface")
        PosixPath('exported/opus')
    """
    directory = Path(directory)
    with replaced_directory(directory, marker=CONFIG_FILE, overwrite=overwrite) as folder:
        write_huggingface_folder(folder, config, variables, shard_bytes=max_shard_bytes)
        if preprocessor is not None and not _spells_ids(preprocessor):
            _write_tokenizers(folder, config, preprocessor)
    return directory


def _write_tokenizers(folder: Path, config: PresetConfig, preprocessor: Preprocessor) -> None:
    """Writes the tokenizers; those of two halves that differ each into a folder of its own.

    The encoder's is written beside `config.json`, too: from a folder without tokenizer files
    AutoTokenizer makes one that knows no word.
    """
    if not is_pair(config) or preprocessor.joint:
        write_pretrained_tokenizers(folder, preprocessor)
        return
    for side, tokenizer in (("encoder", preprocessor.source), ("decoder", preprocessor.target)):
        if not isinstance(tokenizer, PretrainedTokenizer):
            raise ExportError(
                f"the {side}'s {tokenizer.kind} tokenizer was not read from a Hugging Face folder; "
                "two tokenizers are written as they were read. Keep this model as a folder of this "
                "package (model.save_to_preset), or export it as tf_saved_model"
            )
        (folder / side).mkdir()
        for name, content in files_with_class(tokenizer).items():
            (folder / side / name).write_bytes(content)
            if side == "encoder":
                (folder / name).write_bytes(content)


def _spells_ids(preprocessor: Preprocessor) -> bool:
    """Returns whether tokens are ids in decimal, as in a CTranslate2 folder of a model without
    tokenizer.
    """
    return all(
        isinstance(side, TokenListTokenizer)
        and all(side.id_to_token(i) == str(i) for i in range(side.vocabulary_size))
        for side in (preprocessor.source, preprocessor.target)
    )
