"""Writes SavedModels in a second process, which runs TensorFlow on the CPU.

The network's weights, configuration and tokenizers are saved as a preset folder; a second
process (`python -m keras_s2s.export`) reads it under the TensorFlow backend and exports.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_s2s.checkpoints.preset_folder import save_preset
from keras_s2s.config import REGISTERED, ArchitectureConfig, PresetConfig
from keras_s2s.export.errors import ExportError
from keras_s2s.export.saved_model.child_process import run_python
from keras_s2s.export.saved_model.second_process_request import ExportRequest
from keras_s2s.text.preprocessor import Preprocessor

REQUEST_FILE = "export.json"


def export_in_second_process(
    directory: Path,
    variables: Sequence[Any],
    config: PresetConfig,
    preprocessor: Preprocessor | None,
    request: ExportRequest,
    dtype_policy: str,
) -> None:
    """Writes a SavedModel into `directory` from a process that runs TensorFlow on the CPU.

    Args:
        directory: an empty folder.
        variables: every variable of the network.
        config: the configuration it was built from.
        preprocessor: text <-> ids, or None.
        request: how the exported model generates.
        dtype_policy: name of the Keras dtype policy the network was built under.

    Raises:
        ExportError: the process failed; the message ends with what it said.
    """
    asked = {
        **request.to_json(),
        "dtype_policy": dtype_policy,
        "modules": _own_modules(config.architecture),
    }
    with tempfile.TemporaryDirectory(prefix="keras_s2s-export-") as folder:
        save_preset(folder, config, variables, preprocessor)
        (Path(folder) / REQUEST_FILE).write_text(json.dumps(asked), encoding="utf-8")
        run_python(
            ["-m", "keras_s2s.export", folder, str(directory.resolve())],
            _environment(),
            "the second process, which exports under the TensorFlow backend,",
        )


def _own_modules(architecture: ArchitectureConfig) -> list[str]:
    """Modules that register the parts of an architecture which the package does not have.

    Raises:
        ExportError: a part was defined where no other process can import it.
    """
    modules = []
    for kind, registered in REGISTERED.items():
        part = registered.get(getattr(architecture, kind).type)
        if part is None:
            continue
        if part.__module__ == "__main__" or part.__module__ not in sys.modules:
            raise ExportError(
                f"the {kind} {part.__name__} is defined in {part.__module__}, which the process "
                "that runs TensorFlow cannot import; define and register it in a module (a file "
                "of its own), or export under KERAS_BACKEND=tensorflow"
            )
        modules.append(part.__module__)
    return modules


def _environment() -> dict[str, str]:
    # A package that runs from a checkout must be found from any working directory, and so must
    # modules that this process could import.
    package_parent = str(Path(__file__).resolve().parents[3])
    paths = [package_parent, *filter(None, [os.environ.get("PYTHONPATH"), *sys.path])]
    return {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "PYTHONPATH": os.pathsep.join(paths),
    }
