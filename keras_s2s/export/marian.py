"""Exports a model in Marian's own files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_s2s.checkpoints.marian.writer import MODEL, write_marian_folder
from keras_s2s.config import PresetConfig
from keras_s2s.export.replaced_directory import replaced_directory
from keras_s2s.text.preprocessor import Preprocessor


def export_marian(
    directory: str | Path,
    *,
    variables: Sequence[Any],
    config: PresetConfig,
    preprocessor: Preprocessor | None,
    overwrite: bool = False,
    **_: Any,
) -> Path:
    """Writes a folder that Marian runs: `marian-decoder -c model.npz.decoder.yml`.

    It holds `model.npz`, the same as `model.bin` (float32), the vocabularies, and
    `model.npz.decoder.yml` with them and the defaults of the search. A model that came from such
    files is written with its own settings and identical tensors.

    Args:
        directory: folder to write; made if missing.
        variables: every variable of the network.
        config: of the model.
        preprocessor: its vocabularies are written; None writes none.
        overwrite: replace an export that is there already.

    Raises:
        ExportError: a folder that is in the way.
        CheckpointError: a model or a tokenizer that Marian does not have; the message says which
            key of the architecture.
    """
    directory = Path(directory)
    with replaced_directory(directory, marker=MODEL, overwrite=overwrite) as folder:
        write_marian_folder(folder, config, variables, preprocessor)
    return directory
