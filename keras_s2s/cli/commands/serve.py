"""`keras-s2s serve`: serves models over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from keras_s2s.cli.arguments import (
    ComputeTypeOption,
    CudaGraphsOption,
    OverlongOption,
    check_compute_type,
    check_model,
    check_overlong,
)
from keras_s2s.cli.generation_options import read_generation_options, takes_generation_options
from keras_s2s.cli.messages import show_messages
from keras_s2s.cli.quiet import BACKENDS, import_backend
from keras_s2s.cli.ranking import MinimumBayesRiskOption, NumSamplesOption, Ranking

if TYPE_CHECKING:
    from keras_s2s.serving.models.served_model import ServedModel

#: What the extra `serve` has.
NEEDED = ("starlette", "uvicorn", "prometheus_client")


@takes_generation_options
def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL ...",
            help="Models, PATH or NAME=PATH: a model folder, hf://organisation/name, or a "
            "SavedModel that export wrote (DIR with DIR/VERSION/saved_model.pb).",
        ),
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")
    ] = 8000,
    host: Annotated[str, typer.Option(help="Address of the interface to listen at.")] = "127.0.0.1",
    backend: Annotated[
        str | None, typer.Option(help=f"Keras' backend: {', '.join(BACKENDS)}.")
    ] = None,
    languages: Annotated[
        list[str] | None,
        typer.Option(
            help="Source and target languages of a model, en:de or en:de,fr; with several models "
            "NAME=en:de. By default those of the model itself."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="How text is split for a CTranslate2 folder: space or character."),
    ] = None,
    overlong: OverlongOption = "error",
    compute_type: ComputeTypeOption = None,
    cuda_graphs: CudaGraphsOption = False,
    minimum_bayes_risk: MinimumBayesRiskOption = None,
    num_samples: NumSamplesOption = None,
    max_batch_size: Annotated[
        int, typer.Option(min=1, help="Most texts that are computed together.")
    ] = 32,
    max_wait_ms: Annotated[
        float, typer.Option(min=0, help="Longest time that a request waits for others.")
    ] = 5.0,
    queue_size: Annotated[
        int, typer.Option(min=1, help="Most texts that wait for a model; more get 503.")
    ] = 1024,
    max_body_bytes: Annotated[
        int, typer.Option(min=1, help="Largest body of a request; a larger one gets 413.")
    ] = 2**20,
    max_rows: Annotated[
        int, typer.Option(min=1, help="Most texts of a request; more get 413.")
    ] = 256,
    max_characters: Annotated[
        int, typer.Option(min=1, help="Characters of the longest text; longer ones get 413.")
    ] = 10_000,
    max_beams: Annotated[
        int, typer.Option(min=1, help="Most beams and results that a request may ask for.")
    ] = 16,
    max_result_ids: Annotated[
        int, typer.Option(min=1, help="Most ids of a result that a request may ask for.")
    ] = 1024,
    max_streams: Annotated[
        int, typer.Option(min=1, help="Most streams at the same time; more get 503.")
    ] = 16,
    stop_seconds: Annotated[
        float, typer.Option(min=1, help="Longest time to finish accepted requests at the end.")
    ] = 60.0,
    **generation_options: Any,
) -> None:
    """Serves models over HTTP: TensorFlow Serving's interface, LibreTranslate's, and a page at /.

    SIGTERM and Ctrl-C finish the requests that were accepted, and then end the server.
    """
    from keras_s2s.serving.limits import Limits
    from keras_s2s.serving.models.loading import load_served, read_argument, read_languages
    from keras_s2s.serving.own_thread import in_own_thread

    check_overlong(overlong)
    check_compute_type(compute_type)
    options = read_generation_options(generation_options)
    ranking = Ranking.read(None, None, minimum_bayes_risk, num_samples, options=options)
    arguments = [read_argument(text) for text in models]
    names = [argument.name for argument in arguments]
    pairs = read_languages(languages or [], names)
    limits = Limits(
        max_batch_size=max_batch_size,
        max_wait=max_wait_ms / 1000,
        queue_size=queue_size,
        max_body_bytes=max_body_bytes,
        max_rows=max_rows,
        max_characters=max_characters,
        max_beams=max_beams,
        max_result_ids=max_result_ids,
        max_streams=max_streams,
        stop_seconds=stop_seconds,
    )
    for argument in arguments:
        if not Path(argument.path).is_dir():
            check_model(argument.path)
    if backend is not None:
        if backend not in BACKENDS:
            raise ValueError(f"--backend {backend}: expected one of {', '.join(BACKENDS)}")
        os.environ["KERAS_BACKEND"] = backend
    _check_installed()
    from keras_s2s.serving.models.names import check_names

    check_names(names)
    import_backend()
    show_messages()
    rank = None if ranking is None else ranking.function()
    from keras_s2s.serving import server

    # Before the models are loaded, which may take minutes.
    with server.open_socket(host, port) as listener:

        def load() -> list[ServedModel]:
            return [
                load_served(
                    *(argument, options, pairs.get(argument.name)),
                    overlong=cast(Any, overlong),
                    tokenizer=cast(Any, tokenizer),
                    compute_type=cast(Any, compute_type),
                    cuda_graphs=cuda_graphs,
                    rank=rank,
                )
                for argument in arguments
            ]

        served = in_own_thread(load, "loading")
        server.serve(served, limits, listener)


def _check_installed() -> None:
    """Raises an error, before anything is loaded, where the extra is not installed."""
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ImportError(
            f'keras-s2s serve needs {", ".join(missing)}: pip install "keras-s2s[serve]"'
        )
