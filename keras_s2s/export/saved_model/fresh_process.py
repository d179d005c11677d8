"""Runs a SavedModel in a process of its own, with TensorFlow and tensorflow-text alone.

A program: it imports neither Keras nor this package, as no server does. It reads a request as JSON
from standard input, `{"directory": str, "text": bool, "calls": [{"signature": str, "inputs": {name:
nested list}}]}`, and writes the answer as JSON to the file that is named on the command line:
`{"tensorflow": version, "tensorflow_text": version or null, "calls": [{name: nested list}]}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main(answer_file: str) -> None:
    """Answers the request on standard input."""
    request = json.load(sys.stdin)
    import tensorflow as tf

    version = None
    if request["text"]:
        import tensorflow_text

        version = tensorflow_text.__version__
    signatures = tf.saved_model.load(request["directory"]).signatures
    answers = []
    for call in request["calls"]:
        function = signatures[call["signature"]]
        specs = function.structured_input_signature[1]
        inputs = {
            name: tf.constant(value, specs[name].dtype) for name, value in call["inputs"].items()
        }
        answers.append({name: _listed(value) for name, value in function(**inputs).items()})
    answer = {"tensorflow": tf.__version__, "tensorflow_text": version, "calls": answers}
    with open(answer_file, "w", encoding="utf-8") as file:
        json.dump(answer, file)


def _listed(tensor: Any) -> Any:
    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(each) for each in value]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    return plain(tensor.numpy().tolist())


if __name__ == "__main__":
    main(sys.argv[1])
