"""What several commands take: the model to answer with, the file to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_model(model: str, **options: Any) -> Any:
    """The model in a folder, or of a zoo entry that points to one.

    Args:
        model: as the user wrote it.
        **options: of `from_preset`.

    Raises:
        ValueError: the name is that of an architecture, which has no trained weights, or
            nothing has that name; the message says what to do.
    """
    from keras_s2s import catalog
    from keras_s2s.checkpoints.preset_folder import is_preset_folder
    from keras_s2s.model import Seq2SeqLM

    is_entry = model in catalog.list_presets() or model.endswith((".yaml", ".yml"))
    if is_entry and not is_preset_folder(model):
        # A file that is missing or broken is an error of its own.
        if catalog.load_entry(model).source is not None:
            return Seq2SeqLM.from_preset(model, **options)
        raise ValueError(
            f"{model} describes an architecture and has no trained weights; train it first: "
            f"keras-s2s train RECIPE --set model={model} --out FOLDER, with a recipe of your "
            f"own or one of {', '.join(catalog.list_recipes())}; then give that FOLDER"
        )
    return Seq2SeqLM.from_preset(model, **options)


def check_output(path: Path | None) -> None:
    """Refuse a file that cannot be written, before any work is done for it.

    Raises:
        ValueError: its folder does not exist, or it is a folder itself.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise ValueError(f"--output {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise ValueError(f"--output {path}: that is a folder; give the path of a file")
