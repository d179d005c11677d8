"""Exports a model as a TensorFlow SavedModel: generation loop, and tokenizers where it has them.

The decoding loop is that of `decoding/loop.py`, traced with unknown batch and length; the
tokenizers are those of `in_graph_tokenizers.py`. There are no XLA ops in the graph, so that
any TensorFlow runtime with tensorflow-text's ops runs it, TensorFlow Serving for one.

Letters: B sources, S source ids, N hypotheses of a source, T generated ids.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras

from keras_s2s.config import PresetConfig, SpecialIds
from keras_s2s.decoding.loop import Loop
from keras_s2s.decoding.tensorflow_driver import source_specs, tensorflow_graph
from keras_s2s.export.checked_rows import checked_rows
from keras_s2s.export.errors import ExportError
from keras_s2s.export.in_graph_preprocessor import InGraphPreprocessor, check_preprocessor
from keras_s2s.export.replaced_directory import replaced_directory
from keras_s2s.export.saved_model_readme import README_FILE, note, readme
from keras_s2s.export.score_signatures import score_signatures
from keras_s2s.export.second_process_request import ExportRequest
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.network import Network
from keras_s2s.samplers.processors import AllowedTokens
from keras_s2s.samplers.sampler import Plan, Sampler
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
) -> Path:
    """Writes a SavedModel.

    Signatures (batch and lengths are unknown to the graph, so that any size runs):

    - `serving_default`: `text`, string `[B]`; returns `text`, string `[B]`, and the outputs of
      `ids`. Where sources are no texts it takes the inputs of `ids`. Without a preprocessor it is
      the same as `ids`.
    - `ids`: the inputs of the frontend, for token ids `encoder_token_ids`, int32 `[B, S]`, for
      feature vectors `encoder_features`, float32 `[B, S, F]`, and `encoder_padding_mask`, bool
      `[B, S]` (True = real); returns `token_ids`, int32 `[B, T]`, `lengths`, int32 `[B]`, and
      `scores`, float32 `[B]`.

    - `score`, `score_ids`: the log-probability of given targets, as `model.score`
      (`score_signatures.py`).

    Where the sampler returns N > 1 hypotheses, every output of the first two has an axis N after
    the batch. A sampler that draws adds an input `seeds`, int32 `[B]`, to both: the result of a
    row depends on its own seed alone.

    Under JAX and PyTorch the model is rebuilt and written by a second process that runs
    TensorFlow on the CPU.

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

    Returns:
        the folder that holds `saved_model.pb`.

    Raises:
        ExportError: a tokenizer without a twin, a folder that is in the way, or a failed second
            process. Nothing is written.
        ImportError: TensorFlow is not installed.
    """
    target = _target(Path(directory), version)
    if preprocessor is not None:
        check_preprocessor(preprocessor)
    if any(isinstance(rule, AllowedTokens) for rule in plan.processors):
        raise ExportError(
            "prefix_allowed_tokens_fn calls Python at every step, which an exported graph cannot; "
            "write the rule as a LogitsProcessor with keras.ops and pass it as processors=[...]"
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            "exporting a SavedModel needs TensorFlow, whichever backend runs: "
            'pip install "keras-s2s[tensorflow]"'
        )
    request = ExportRequest(sampler, plan)
    with replaced_directory(target, marker=MARKER, overwrite=overwrite) as beside:
        if keras.backend.backend() == "tensorflow":
            write_saved_model(
                beside,
                network=network,
                variables=variables,
                special_ids=config.special_ids,
                preprocessor=preprocessor,
                request=request,
            )
        else:
            from keras_s2s.export.second_process import export_in_second_process

            policy = network.encoder.dtype_policy.name
            export_in_second_process(beside, variables, config, preprocessor, request, policy)
    if line := note(str(target), preprocessor):
        print(line, file=sys.stderr)
    return target


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

    sampler, plan = request.sampler, request.plan
    frontend = network.frontend
    # Only sources of token ids are made of text.
    reads_text = frontend.reads_text
    text = None if preprocessor is None else InGraphPreprocessor(preprocessor)
    specs = list(source_specs(frontend).values())
    seeds_spec = tf.TensorSpec([None], tf.int32, name="seeds")
    text_spec = tf.TensorSpec([None], tf.string, name="text")

    # Nothing here branches on tensors in Python; converting it took longer than tracing.
    graph = partial(tf.function, autograph=False)

    @graph(input_signature=[*specs, seeds_spec])
    def search(values: Any, mask: Any, seeds: Any) -> Any:
        values, mask = _checked_sources(network, values, mask)
        batch = tf.shape(mask)[0]
        result = tensorflow_graph(
            Loop(network, sampler, plan),
            {
                frontend.input.name: values,
                SOURCE_MASK: mask,
                "places": tf.range(batch),
                "seeds": seeds,
                "prefix": tf.zeros([batch, 1], tf.int32),
                "prefix_lengths": tf.zeros([batch], tf.int32),
                "limits": tf.fill([batch], plan.steps),
            },
        )
        longest = tf.reduce_max(tf.concat([tf.reshape(result.lengths, [-1]), [0]], axis=0))
        return result.token_ids[..., :longest], result.lengths, result.scores

    def outputs(values: Any, mask: Any, seeds: Any) -> dict[str, Any]:
        if seeds is None:
            seeds = tf.zeros([tf.shape(mask)[0]], tf.int32)
        token_ids, lengths, scores = search(values, mask, seeds)
        named = {"token_ids": token_ids, "lengths": lengths, "scores": scores}
        if text is not None:
            # [B, N, T] -> [B*N, T]; spelt out, since nothing can be inferred for an empty batch.
            shape = tf.shape(token_ids)
            flat = tf.reshape(token_ids, [shape[0] * shape[1], shape[2]])
            texts = text.decode_target(flat, tf.reshape(lengths, [-1]))
            named["text"] = tf.reshape(texts, tf.shape(lengths))
        if sampler.num_return_sequences == 1:
            named = {name: value[:, 0] for name, value in named.items()}
        return named

    def from_ids(values: Any, mask: Any, seeds: Any = None) -> Any:
        named = outputs(values, mask, seeds)
        return {name: value for name, value in named.items() if name != "text"}

    def from_text(texts: Any, seeds: Any = None) -> Any:
        assert text is not None
        return outputs(*text.encode_source(texts), seeds)

    module = tf.Module(name="keras_s2s")
    module.weights = [variable.value for variable in variables]
    module.tokenizers = [] if text is None else text.resources
    seeds = [seeds_spec] if sampler.draws else []
    ids_signature = graph(from_ids, input_signature=[*specs, *seeds])
    signatures = {"ids": ids_signature, "serving_default": ids_signature}
    if text is not None:
        signatures["serving_default"] = (
            graph(from_text, input_signature=[text_spec, *seeds])
            if reads_text
            else graph(
                lambda values, mask, seeds=None: outputs(values, mask, seeds),
                input_signature=[*specs, *seeds],
            )
        )
    signatures |= score_signatures(network, special_ids, text, partial(_checked_sources, network))
    tf.saved_model.save(module, str(directory), signatures=signatures)
    _describe(directory, special_ids, preprocessor, request)
    (directory / README_FILE).write_text(
        readme(preprocessor, frontend.input, draws=sampler.draws), encoding="utf-8"
    )


def _checked_sources(network: Network, values: Any, mask: Any) -> tuple[Any, Any]:
    """Returns `values` and `mask` after graph ops that refuse what `generate` refuses."""
    return checked_rows(
        values,
        mask,
        side="source",
        name=network.frontend.input.name,
        mask_name=SOURCE_MASK,
        size=network.config.source_vocab_size,
        limit=network.max_source_length,
    )


def _describe(
    directory: Path,
    special_ids: SpecialIds,
    preprocessor: Preprocessor | None,
    request: ExportRequest,
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
