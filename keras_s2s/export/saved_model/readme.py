"""Text of the README that is written beside a SavedModel.

The ops of SentencePiece and of Unicode normalisation are those of tensorflow-text. Where Python has
not imported it, `tf.saved_model.load` fails with "Op type not registered", without a remedy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from keras_s2s.export.in_graph.registry import IN_GRAPH_TOKENIZERS
from keras_s2s.export.saved_model.graph_model import OPTIONAL
from keras_s2s.layers.contracts import SOURCE_MASK, SourceInput
from keras_s2s.layers.frontends import TOKEN_IDS
from keras_s2s.text.preprocessor import Preprocessor

README_FILE = "README.md"


def needs_tensorflow_text(preprocessor: Preprocessor | None) -> bool:
    """Returns whether the exported tokenizers use ops of tensorflow-text."""
    if preprocessor is None:
        return False
    return any(
        IN_GRAPH_TOKENIZERS[tokenizer.kind].needs_tensorflow_text(tokenizer)
        for tokenizer in (preprocessor.source, preprocessor.target)
    )


def loading_lines(
    preprocessor: Preprocessor | None,
    source: SourceInput = TOKEN_IDS,
    *,
    folder: str = "FOLDER",
    inputs: Sequence[str] = (),
) -> list[str]:
    """Returns Python code that loads the model and calls it.

    Args:
        preprocessor: text <-> ids; None for a model from ids to ids.
        source: the input that holds sources.
        folder: where the model lies.
        inputs: names of the inputs of its default signature.

    Example:
        >>> loading_lines(None)[0]
        'import tensorflow as tf'
    """
    lines = ["import tensorflow as tf"]
    if needs_tensorflow_text(preprocessor):
        lines.append("import tensorflow_text  # before loading: it has the ops of the tokenizer")
    more = "".join(f", {name}=tf.constant([{value!r}])" for name, value in _values(inputs).items())
    lines += [
        f"model = tf.saved_model.load({folder!r})",
        'answer = model.signatures["serving_default"]',
    ]
    if preprocessor is None or source.name != TOKEN_IDS.name:
        made = f"tf.zeros({[1, 3, *source.shape]})" if source.shape else "tf.constant([[5, 6, 7]])"
        lines += [
            f"source = {made}",
            "mask = tf.ones(source.shape[:2], tf.bool)",
            f"answer({source.name}=source, {SOURCE_MASK}=mask{more})",
        ]
    else:
        lines.append(f'answer(text=tf.constant(["..."]){more})["text"]')
    return lines


def _values(inputs: Sequence[str]) -> dict[str, Any]:
    """Returns values of the inputs beside those of the source: of languages the default."""
    return {name: value for name, value in {**OPTIONAL, "seeds": 1}.items() if name in inputs}


def readme(
    preprocessor: Preprocessor | None, source: SourceInput, *, inputs: Sequence[str] = ()
) -> str:
    """Returns the text of the file beside `saved_model.pb`; arguments as in `loading_lines`."""
    code = "\n".join(loading_lines(preprocessor, source, inputs=inputs))
    text = f"# A SavedModel of keras_s2s\n\n```python\n{code}\n```\n"
    if needs_tensorflow_text(preprocessor):
        text += (
            "\n`pip install tensorflow-text`, of the version of TensorFlow. Without it, loading "
            'fails with "Op type not registered". TensorFlow Serving has these ops built in.\n'
        )
    row: dict[str, Any]
    if "text" in inputs:
        row = {"text": "..."}
    elif source.shape:
        row = {source.name: "[[...], ...]", SOURCE_MASK: [True]}
    else:
        row = {source.name: [5, 6, 7], SOURCE_MASK: [True] * 3}
    body = json.dumps({"instances": [{**row, **_values(inputs)}]})
    text += (
        "\nTensorFlow Serving, where it serves the folder of this version as the model `NAME`:\n\n"
        f"```bash\ncurl http://localhost:8501/v1/models/NAME:predict -d \\\n  '{body}'\n```\n"
    )
    return text + "\n`assets.extra/keras_s2s.json` says how it generates.\n"


def note(folder: str, preprocessor: Preprocessor | None) -> str | None:
    """Returns a message for the user who exported a model; None where none is needed."""
    if not needs_tensorflow_text(preprocessor):
        return None
    return (
        f"{folder}: in Python, `import tensorflow_text` before tf.saved_model.load "
        f"({README_FILE} there has an example)"
    )
