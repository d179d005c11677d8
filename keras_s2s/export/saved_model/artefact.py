"""Exports a model as a TensorFlow SavedModel: generation loop, and tokenizers where it has them.

The decoding loop is that of `decoding/loop.py`, traced with unknown batch and length; the
tokenizers are those of `in_graph/registry.py`. There are no XLA ops in the graph, so that
any TensorFlow runtime with tensorflow-text's ops runs it, TensorFlow Serving for one.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_s2s.config import PresetConfig, SpecialIds
from keras_s2s.export.errors import ExportError
from keras_s2s.export.in_graph.languages import InGraphLanguages
from keras_s2s.export.in_graph.preprocessor import InGraphPreprocessor, check_preprocessor
from keras_s2s.export.replaced_directory import replaced_directory
from keras_s2s.export.saved_model.certificate import Verification, write_certificate
from keras_s2s.export.saved_model.document_signatures import document_signatures
from keras_s2s.export.saved_model.generate_signatures import generate_signatures
from keras_s2s.export.saved_model.graph_model import OPTIONAL, GraphModel
from keras_s2s.export.saved_model.readme import (
    README_FILE,
    needs_tensorflow_text,
    note,
    readme,
)
from keras_s2s.export.saved_model.required_ops import required_ops
from keras_s2s.export.saved_model.score_signatures import score_signatures
from keras_s2s.export.saved_model.second_process_request import ExportRequest
from keras_s2s.network import Network
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.sampler import Sampler
from keras_s2s.text.preprocessor import Preprocessor

MARKER = "saved_model.pb"
#: Description of the graph; the format reserves `assets.extra` for additional files.
DESCRIPTION = Path("assets.extra") / "keras_s2s.json"


def export_saved_model(
    directory: str | Path,
    *,
    network: Network,
    variables: Sequence[Any],
    config: PresetConfig,
    preprocessor: Preprocessor | None,
    sampler: Sampler,
    plan: Plan,
    version: int | None = None,
    overwrite: bool = False,
    text: bool = True,
    truncate: bool = False,
    cross_attention: bool = False,
    xla: bool = False,
    verification: Verification | None = None,
) -> Path:
    """Writes a SavedModel.

    Signatures (batch and lengths are unknown to the graph, so that any size runs):

    - `serving_default`: texts to the best texts; `generate`: to all hypotheses; `ids` and
      `generate_ids`: the same two from ids (`generate_signatures.py`).
    - `score`, `score_ids`: the log-probability of given targets, as `model.score`
      (`score_signatures.py`).
    - `source_lengths`: how many ids texts have, for whole documents (`document_signatures.py`).

    A row that cannot be used, for instance one that is too long, has its reason in the output
    `error`, and the others have their results.

    Under JAX and PyTorch, and where TensorFlow has a GPU, the model is rebuilt and written by a
    second process that runs TensorFlow on the CPU.

    Args:
        directory: folder to write; made if missing.
        network: the network.
        variables: every variable of the network.
        config: the configuration the network was built from, and its special ids.
        preprocessor: text <-> ids; None exports from ids to ids.
        sampler: the strategy.
        plan: special ids, number of steps and rules.
        version: write `directory/<version>`, the layout TensorFlow Serving looks for.
        overwrite: replace a SavedModel that is there already.
        text: with the tokenizers; False exports from ids to ids, for servers without
            tensorflow-text.
        truncate: cut sources and targets that are too long, as `overlong="truncate"` does.
        cross_attention: `generate` and `generate_ids` return the attention of the results to
            their sources, too.
        xla: let XLA compile the search, in the server, for each shape that comes: numbers of rows
            and lengths are rounded up to few values. Faster once compiled, which takes seconds;
            the server's TensorFlow must have XLA.
        verification: what the SavedModel is compared with before it is put in its place
            (`certificate.py`); None compares nothing.

    Returns:
        the folder that holds `saved_model.pb`.

    Raises:
        ExportError: a tokenizer without a twin, a folder that is in the way, attention of a
            decoder that has none, ops that no server has, a failed second process, or results
            other than the model's. Nothing is written.
        ImportError: TensorFlow is not installed.
    """
    target = _target(Path(directory), version)
    if not text:
        preprocessor = None
    if preprocessor is not None:
        check_preprocessor(preprocessor)
    if any(getattr(rule, "on_host", False) for rule in plan.processors):
        raise ExportError(
            "prefix_allowed_tokens_fn, regex, json_schema and grammar call Python at every step, "
            "which an exported graph cannot; serve the model itself (keras-s2s serve), or write "
            "the rule as a LogitsProcessor with keras.ops and pass it as processors=[...]"
        )
    if sampler.reads_phrases:
        raise ExportError(
            f"{type(sampler).__name__} looks for what each call asks for (force_words, "
            "force_words_ids, glossary), which an exported graph has no inputs for; export another "
            "search, or serve the model itself: keras-s2s serve"
        )
    if sampler.drafts:
        raise ExportError(
            f"{type(sampler).__name__} is not built into exported graphs; export sampler='greedy', "
            "which finds the same results, or serve the model itself: keras-s2s serve"
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            "exporting a SavedModel needs TensorFlow, whichever backend runs: "
            'pip install "keras-s2s[tensorflow]"'
        )
    request = ExportRequest(
        sampler, plan, truncate=truncate, cross_attention=cross_attention, xla=xla
    )
    with replaced_directory(target, marker=MARKER, overwrite=overwrite) as beside:
        if _writes_here(request):
            write_saved_model(
                beside,
                network=network,
                variables=variables,
                special_ids=config.special_ids,
                preprocessor=preprocessor,
                request=request,
            )
        else:
            from keras_s2s.export.saved_model.second_process import export_in_second_process

            policy = network.encoder.dtype_policy.name
            export_in_second_process(beside, variables, config, preprocessor, request, policy)
        write_certificate(beside, verification, needs_text=needs_tensorflow_text(preprocessor))
    if line := note(str(target), preprocessor):
        print(line, file=sys.stderr)
    return target


def _writes_here(request: ExportRequest) -> bool:
    """Returns whether this process can write the graph: it runs TensorFlow, and on the CPU, since
    with a GPU Keras' recurrent layers are traced as kernels that no CPU has.

    A sampler or rule that only this process knows leaves no choice.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return True
    try:
        request.to_json()
    except ExportError:
        return True
    return False


def _target(directory: Path, version: int | None) -> Path:
    if version is None:
        return directory
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise ExportError(
            f"version={version!r} must be a whole number of at least 0: TensorFlow Serving "
            "serves the highest one it finds"
        )
    return directory / str(version)


def write_saved_model(
    directory: Path,
    *,
    network: Network,
    variables: Sequence[Any],
    special_ids: SpecialIds,
    preprocessor: Preprocessor | None,
    request: ExportRequest,
) -> None:
    """Traces the signatures and saves them into `directory`; for the TensorFlow backend."""
    import tensorflow as tf

    text = None if preprocessor is None else InGraphPreprocessor(preprocessor)
    languages = InGraphLanguages(special_ids) if text is None else text.languages
    model = GraphModel(network, special_ids, text, languages, request)
    signatures = generate_signatures(model) | score_signatures(model) | document_signatures(model)
    module = tf.Module(name="keras_s2s")
    module.weights = [variable.value for variable in variables]
    module.tables = languages.resources if text is None else text.resources
    tf.saved_model.save(module, str(directory), signatures=signatures)
    inputs = {
        name: [spec.name for spec in signature.input_signature]
        for name, signature in signatures.items()
    }
    longest = network.max_source_length
    _describe(directory, special_ids, preprocessor, request, inputs, longest)
    lines = readme(preprocessor, network.frontend.input, inputs=inputs["serving_default"])
    (directory / README_FILE).write_text(lines, encoding="utf-8")


def _describe(
    directory: Path,
    special_ids: SpecialIds,
    preprocessor: Preprocessor | None,
    request: ExportRequest,
    inputs: Mapping[str, Sequence[str]],
    max_source_length: int | None,
) -> None:
    """Writes files that describe the SavedModel, for people and for servers."""
    import tensorflow as tf

    try:
        generation: dict[str, Any] = request.to_json()
    except ExportError:
        generation = {"sampler": {"name": type(request.sampler).__name__}}
    description = {
        "generation": generation,
        "max_length": request.plan.steps + 1,
        "max_source_length": max_source_length,
        "signatures": inputs,
        "optional_inputs": OPTIONAL,
        "required_ops": required_ops(directory)._asdict(),
        "end_ids": list(request.plan.ends),
        "stop_strings": [] if request.plan.stops is None else list(request.plan.stops.strings),
        "special_ids": special_ids.model_dump(mode="json"),
        "tokenizers": None
        if preprocessor is None
        else {"source": preprocessor.source.kind, "target": preprocessor.target.kind},
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
    path = directory / DESCRIPTION
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
