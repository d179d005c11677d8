"""Exports a network as a CTranslate2 folder, for that engine to run: tokens in, tokens out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_s2s.checkpoints.ctranslate2.model_file import FILE_NAME
from keras_s2s.checkpoints.ctranslate2.writer import write_ctranslate2_folder
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.config import PresetConfig
from keras_s2s.export.errors import ExportError
from keras_s2s.export.replaced_directory import replaced_directory
from keras_s2s.text.preprocessor import Preprocessor


def export_ctranslate2(
    directory: str | Path,
    *,
    variables: Sequence[Any],
    config: PresetConfig,
    preprocessor: Preprocessor | None,
    overwrite: bool = False,
    quantization: str | None = None,
    **_: Any,
) -> Path:
    """Writes a folder that `ctranslate2.Translator` loads.

    The search is chosen by CTranslate2's caller at each call; the folder does not store it.

    Args:
        directory: folder to write; made if missing.
        variables: every variable of the network.
        config: the configuration the network was built from, and its special ids.
        preprocessor: its tokens become the vocabularies; None makes them of the ids in decimal.
        overwrite: replace an export that is there already.
        quantization: None keeps float32; else int8, int8_float32, int8_float16, int8_bfloat16,
            int16, float16, bfloat16 or float32.

    Returns:
        the folder that holds `model.bin`.

    Raises:
        ExportError: a model that CTranslate2 cannot run, an unknown quantization, or a
            folder that is in the way. Nothing is written.
        ImportError: ctranslate2 is not installed.

    Example:
        >>> import ctranslate2
        >>> model.export("exported/en-de", format="ctranslate2", quantization="int8")
        PosixPath('exported/en-de')
        >>> translator = ctranslate2.Translator("exported/en-de")
    """
    target = Path(directory)
    with replaced_directory(target, marker=FILE_NAME, overwrite=overwrite) as beside:
        try:
            write_ctranslate2_folder(beside, variables, config, preprocessor, quantization)
        except (CheckpointError, ValueError) as error:
            raise ExportError(str(error)) from None
    return target
