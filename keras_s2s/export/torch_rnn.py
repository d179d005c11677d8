"""Exports a recurrent model as the state dict of a model from PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_s2s.checkpoints.torch_rnn.description import FILE
from keras_s2s.checkpoints.torch_rnn.writer import write_torch_rnn_folder
from keras_s2s.config import PresetConfig
from keras_s2s.export.replaced_directory import replaced_directory
from keras_s2s.text.preprocessor import Preprocessor


def export_torch_rnn(
    directory: str | Path,
    *,
    variables: Sequence[Any],
    config: PresetConfig,
    preprocessor: Preprocessor | None,
    overwrite: bool = False,
    **_: Any,
) -> Path:
    """Writes a folder whose state dict modules of PyTorch load with `strict=True`.

    It holds `model.safetensors`, with the names that the model came with (or the usual ones), for
    `module.load_state_dict(safetensors.torch.load_file(FILE))`; `torch_rnn.yaml`, with which
    `from_preset` reads the folder; and the tokenizer's files.

    Args:
        directory: folder to write; made if missing.
        variables: every variable of the network.
        config: of the model.
        preprocessor: its tokenizers' files are written; None writes none.
        overwrite: replace an export that is there already.

    Raises:
        ExportError: a folder that is in the way.
        CheckpointError: a network with parts that no such module has.

    Example:
        >>> model = Seq2SeqLM.from_preset("lstm_seq2seq", load_weights=False)
        >>> model.export("exported/lstm", format="torch_rnn")
        PosixPath('exported/lstm')
    """
    directory = Path(directory)
    with replaced_directory(directory, marker=FILE, overwrite=overwrite) as folder:
        write_torch_rnn_folder(folder, config, variables)
        if preprocessor is not None:
            preprocessor.save(folder)
    return directory
