"""The second process of an export: rebuilds a network and writes its SavedModel.

PRESET_FOLDER is what `second_process` prepared, DIRECTORY an empty folder.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import keras

from keras_s2s.builder import build_network, functional_graph
from keras_s2s.checkpoints.preset_folder import load_config, load_preprocessor, load_weights
from keras_s2s.export.saved_model.artefact import write_saved_model
from keras_s2s.export.saved_model.second_process import REQUEST_FILE
from keras_s2s.export.saved_model.second_process_request import ExportRequest


def main(folder: str, directory: str) -> None:
    """Rebuilds the network from `folder` and writes the SavedModel into `directory`."""
    asked = json.loads((Path(folder) / REQUEST_FILE).read_text(encoding="utf-8"))
    keras.config.set_dtype_policy(asked.pop("dtype_policy"))
    for module in asked.pop("modules"):  # they register parts of their own
        importlib.import_module(module)
    config = load_config(folder)
    network = build_network(config.architecture)
    inputs, logits = functional_graph(network)
    model = keras.Model(inputs, logits)
    load_weights(folder, model.weights)
    preprocessor = load_preprocessor(folder, config)
    vocabulary = config.architecture.target_vocab_size
    write_saved_model(
        Path(directory),
        network=network,
        variables=model.weights,
        special_ids=config.special_ids,
        preprocessor=preprocessor,
        request=ExportRequest.from_json(asked, preprocessor, vocabulary),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
