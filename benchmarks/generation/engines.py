"""The engines that are compared: how each is built, fed and read.

An engine lives in a process of its own (see `worker`), so libraries are imported in its
constructor. Its inputs are made before the clock starts, and its results are read after it
stops; what lies between is what somebody who uses the engine calls.
"""

from __future__ import annotations

import importlib.util
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generation.build import keras_s2s_model, token, transformers_model, word
from generation.model import BenchmarkError, Model
from generation.workload import Job, cut, pad


@dataclass(frozen=True)
class Settings:
    """Where and how every worker runs.

    Attributes:
        folder: holds the model, and what is converted from it.
        device: "cpu" or "gpu".
        dtype: "float32" or "bfloat16"; on the weights and on the computation.
        threads: cores that a worker may use.
        seed: of random weights that an engine makes itself.
    """

    folder: str
    device: str
    dtype: str
    threads: int
    seed: int = 0


class Engine(ABC):
    """Answers a worker's requests: keeps sources, and generates from them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = Path(settings.folder)
        self.model = Model.read(self.folder)
        self.sources: dict[str, list[list[int]]] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a request.

        Args:
            request: `{"sources": name, "rows": ids}` to keep rows, or `{"cell": [batch,
                beams], "sources": name, "max_length": n, "forced": bool}` to generate.

        Returns:
            `{}`, or seconds, tokens, the ids of each row's best hypothesis, and how many
            programs were compiled so far (None where an engine does not say).
        """
        if "rows" in request:
            self.sources[request["sources"]] = request["rows"]
            return {}
        batch, beams = request["cell"]
        job = Job(batch, beams, request["max_length"], request["forced"])
        rows = self.sources[request["sources"]]
        inputs = self.prepare(job, rows[:batch] if job.forced else rows)
        begin = time.perf_counter()
        result = self.run(job, inputs)
        seconds = time.perf_counter() - begin
        ids = self.ids(result)
        return {
            "seconds": seconds,
            "tokens": sum(map(len, ids)),
            "ids": ids,
            "compilations": self.compilations(),
        }

    @abstractmethod
    def prepare(self, job: Job, rows: list[list[int]]) -> Any:
        """Inputs as the engine takes them; not timed."""

    @abstractmethod
    def run(self, job: Job, inputs: Any) -> Any:
        """Generate; timed, so it returns when the ids are on the host."""

    @abstractmethod
    def ids(self, result: Any) -> list[list[int]]:
        """What `run` returned, a row for each source, EOS included; not timed."""

    def compilations(self) -> int | None:
        """Programs compiled or traced so far."""
        return None


class KerasS2S(Engine):
    """This project, on the backend that KERAS_BACKEND names."""

    #: `model.compute_type` and `model.cuda_graphs`
    compute_type: str | None = None
    cuda_graphs = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import keras

        require_device(keras.backend.backend(), settings)
        keras.config.set_dtype_policy(settings.dtype)
        self.built = keras_s2s_model(self.folder)
        self.built.compute_type = self.compute_type
        self.built.cuda_graphs = self.cuda_graphs

    def prepare(self, job: Job, rows: list[list[int]]) -> Any:
        ids, mask = pad(rows, self.model.pad)
        return {"encoder_token_ids": ids, "encoder_padding_mask": mask}

    def run(self, job: Job, inputs: Any) -> Any:
        options: dict[str, Any] = {"sampler": "greedy"}
        if job.beams > 1:
            options = {"num_beams": job.beams, "length_penalty": 1.0, "early_stopping": True}
        if job.forced:
            options["min_length"] = job.max_length
        return self.built.generate(
            inputs,
            max_length=job.max_length,
            batch_size=job.batch,
            return_output=True,
            **options,
        )

    def ids(self, result: Any) -> list[list[int]]:
        return [
            row[:length].tolist()
            for row, length in zip(result.token_ids, result.lengths, strict=True)
        ]

    def compilations(self) -> int | None:
        return self.built.generator.compilations


class KerasS2SCudaGraphs(KerasS2S):
    """This project with its steps as CUDA graphs."""

    cuda_graphs = True


class KerasS2SInt8(KerasS2S):
    """This project with products in int8."""

    compute_type = "int8"


class KerasS2SBFloat16(KerasS2S):
    """This project with products in bfloat16."""

    compute_type = "bfloat16"


class Transformers(Engine):
    """transformers on PyTorch, with its own choice of attention."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import torch

        require_device("torch", settings)
        self.device = "cuda" if settings.device == "gpu" else "cpu"
        dtype = getattr(torch, settings.dtype)
        self.built = transformers_model(self.folder).to(self.device, dtype)

    def prepare(self, job: Job, rows: list[list[int]]) -> Any:
        import torch

        # It has no batching of its own: rows of like lengths go together.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        batches = []
        for begin in range(0, len(order), job.batch):
            chosen = order[begin : begin + job.batch]
            ids, mask = pad([rows[i] for i in chosen], self.model.pad)
            tensors = torch.from_numpy(ids).long(), torch.from_numpy(mask).long()
            batches.append((chosen, *tensors))
        return batches

    def run(self, job: Job, inputs: Any) -> Any:
        import torch

        options: dict[str, Any] = {"do_sample": False, "num_beams": job.beams}
        if job.beams > 1:
            options |= {"length_penalty": 1.0, "early_stopping": True}
        if job.forced:
            options["min_new_tokens"] = job.steps
        results = []
        with torch.inference_mode():
            for chosen, ids, mask in inputs:
                out = self.built.generate(
                    input_ids=ids.to(self.device),
                    attention_mask=mask.to(self.device),
                    max_new_tokens=job.steps,
                    **options,
                )
                results.append((chosen, out.cpu()))
        return results

    def ids(self, result: Any) -> list[list[int]]:
        rows = {}
        for chosen, out in result:
            for i, row in zip(chosen, out[:, 1:].tolist(), strict=True):
                rows[i] = cut(row, self.model.eos)
        return [rows[i] for i in range(len(rows))]


class CTranslate2(Engine):
    """CTranslate2 in float32, on what the worker "convert" wrote."""

    compute_type = "float32"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import ctranslate2

        self.built = ctranslate2.Translator(
            str(converted(self.folder)),
            device="cpu",
            compute_type=self.compute_type,
            inter_threads=1,
            intra_threads=settings.threads,
        )

    def prepare(self, job: Job, rows: list[list[int]]) -> Any:
        return [[word(i) for i in row] for row in rows]

    def run(self, job: Job, inputs: Any) -> Any:
        return self.built.translate_batch(
            inputs,
            max_batch_size=job.batch,
            beam_size=job.beams,
            length_penalty=1.0,
            max_decoding_length=job.steps,
            min_decoding_length=job.steps if job.forced else 0,
            return_end_token=True,
        )

    def ids(self, result: Any) -> list[list[int]]:
        return [[token(name) for name in found.hypotheses[0]] for found in result]


class CTranslate2Int8(CTranslate2):
    """CTranslate2 with products in int8, of weights that it rounds itself while it loads them."""

    compute_type = "int8"


class KerasHub(Engine):
    """A BART of the same size in keras-hub, with random weights of its own."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import keras
        import keras_hub

        keras.utils.set_random_seed(settings.seed)
        self.backbone = keras_hub.models.BartBackbone(
            vocabulary_size=self.model.vocabulary,
            num_layers=self.model.decoder_layers,
            num_heads=self.model.heads,
            hidden_dim=self.model.hidden,
            intermediate_dim=self.model.ffn,
            dropout=0.0,
        )
        self.by_beams: dict[int, Any] = {}

    def prepare(self, job: Job, rows: list[list[int]]) -> Any:
        import numpy as np

        ids, mask = pad(rows, self.model.pad)
        prompt = np.zeros((len(rows), job.max_length), np.int32)
        prompt[:, 0] = self.model.decoder_start
        given = np.zeros(prompt.shape, bool)
        given[:, 0] = True
        return {
            "encoder_token_ids": ids,
            "encoder_padding_mask": mask,
            "decoder_token_ids": prompt,
            "decoder_padding_mask": given,
        }

    def run(self, job: Job, inputs: Any) -> Any:
        # Without a stop token it always generates up to the width of the prompt.
        return self._task(job.beams).generate(inputs, stop_token_ids=None)

    def _task(self, beams: int) -> Any:
        """A model for each number of beams, over one set of weights: a change of sampler would
        drop what was compiled."""
        import keras_hub

        if beams not in self.by_beams:
            task = keras_hub.models.BartSeq2SeqLM(backbone=self.backbone, preprocessor=None)
            sampler: Any = keras_hub.samplers.GreedySampler()
            if beams > 1:
                sampler = keras_hub.samplers.BeamSampler(num_beams=beams)
            task.compile(sampler=sampler)
            self.by_beams[beams] = task
        return self.by_beams[beams]

    def ids(self, result: Any) -> list[list[int]]:
        return [row[1:] for row in result["decoder_token_ids"].tolist()]


def converted(folder: Path) -> Path:
    """Where the CTranslate2 model lies."""
    return folder / "ctranslate2"


def require_device(backend: str, settings: Settings) -> None:
    """Fail where a GPU is asked for and the backend has none; keep TF32 off in float32.

    The other settings of a device are environment variables (see `worker.environment`).
    """
    gpu = settings.device == "gpu"
    if backend == "torch":
        import torch

        torch.set_num_threads(settings.threads)
        if gpu:
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
            torch.set_float32_matmul_precision("highest")
        found = torch.cuda.is_available()
    elif backend == "jax":
        import jax

        found = jax.default_backend() == "gpu"
    else:
        import tensorflow as tf

        found = bool(tf.config.list_physical_devices("GPU"))
    if gpu and not found:
        raise BenchmarkError(f"--device gpu: {backend} sees no GPU")


# --------------------------------------------------------------------------------------
# What there is
# --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spec:
    """What must be known of an engine before its process starts.

    Attributes:
        make: its class.
        needs: modules that must be installed.
        backend: for KERAS_BACKEND; None where Keras is not involved.
        gpu: whether it takes part on a GPU unless asked for by name.
        cpu: the same of the CPU.
        any_dtype: whether it runs other types than float32.
        own_weights: whether it has weights of its own, so that ids cannot be compared.
        rounded: whether it multiplies rounded numbers; it takes part where it is asked for by its
            whole name.
    """

    make: type[Engine]
    needs: tuple[str, ...]
    backend: str | None = None
    gpu: bool = True
    cpu: bool = True
    any_dtype: bool = True
    own_weights: bool = False
    rounded: bool = False


ENGINES: dict[str, Spec] = {
    "keras_s2s-torch": Spec(KerasS2S, ("torch",), "torch"),
    "keras_s2s-torch-cuda-graphs": Spec(KerasS2SCudaGraphs, ("torch",), "torch", cpu=False),
    "keras_s2s-torch-int8": Spec(
        KerasS2SInt8, ("torch",), "torch", gpu=False, any_dtype=False, rounded=True
    ),
    "keras_s2s-torch-bfloat16": Spec(
        KerasS2SBFloat16, ("torch",), "torch", gpu=False, any_dtype=False, rounded=True
    ),
    "keras_s2s-jax": Spec(KerasS2S, ("jax",), "jax"),
    "keras_s2s-tensorflow": Spec(KerasS2S, ("tensorflow",), "tensorflow", gpu=False),
    "transformers": Spec(Transformers, ("torch", "transformers")),
    "ctranslate2": Spec(
        CTranslate2, ("ctranslate2", "torch", "transformers"), gpu=False, any_dtype=False
    ),
    "ctranslate2-int8": Spec(
        CTranslate2Int8,
        ("ctranslate2", "torch", "transformers"),
        gpu=False,
        any_dtype=False,
        rounded=True,
    ),
    "keras_hub-jax": Spec(
        KerasHub, ("keras_hub", "jax"), "jax", gpu=False, any_dtype=False, own_weights=True
    ),
    "keras_hub-tensorflow": Spec(
        KerasHub,
        ("keras_hub", "tensorflow"),
        "tensorflow",
        gpu=False,
        any_dtype=False,
        own_weights=True,
    ),
}

OURS = "keras_s2s-"


def missing(spec: Spec) -> list[str]:
    """Modules that `spec` needs and that are not installed."""
    return [name for name in spec.needs if importlib.util.find_spec(name) is None]


def first_backend() -> str:
    """The installed backend that starts fastest."""
    for backend in ("torch", "jax", "tensorflow"):
        if importlib.util.find_spec(backend) is not None:
            return backend
    return "numpy"
