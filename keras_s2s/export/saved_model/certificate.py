"""The certificate of a SavedModel, a record that its results are those of its model.

After writing, a fresh process, which has TensorFlow alone, runs the SavedModel on sample sources;
its texts, ids and scores are compared with those of `model.generate`. The certificate is stored
beside the model, with the versions and the SHA-256 of every file.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_s2s.decoding.seeds import row_seeds
from keras_s2s.export.errors import ExportError
from keras_s2s.export.saved_model.child_process import run_python
from keras_s2s.export.saved_model.graph_model import ERROR, OPTIONAL
from keras_s2s.samplers.output import GenerationOutput
from keras_s2s.version import __version__

CERTIFICATE = Path("assets.extra") / "certificate.json"
_PROGRAM = Path(__file__).with_name("fresh_process.py")

#: Largest difference of two scores, relative to them where they are above 1, by the type in which
#: layers compute.
_TOLERANCES = {"float32": 1e-3, "float64": 1e-3}
_LOW_PRECISION = 5e-2


@dataclass(frozen=True)
class Verification:
    """How an export is verified.

    Attributes:
        sources: texts, or a mapping with the inputs of the frontend.
        answers: returns what `model.generate` gives for them with the seeds of the rows, or None
            where nothing is drawn.
        draws: the search draws.
        compute_dtype: of the layers.
        max_length: of the results that are compared; it may be less than that of the export.
    """

    sources: Any
    answers: Callable[[Any, Sequence[int] | None], GenerationOutput]
    draws: bool
    compute_dtype: str
    max_length: int

    @property
    def count(self) -> int:
        """The number of sources."""
        if isinstance(self.sources, Mapping):
            return len(next(iter(self.sources.values())))
        return len(self.sources)


@dataclass
class Comparison:
    """The result of a verification.

    Attributes:
        sources: texts that were compared, or the number of rows of ids or vectors.
        hypotheses: how many results there are.
        equal: how many of them have equal ids and texts.
        ties: how many have other ids with the same score, within the tolerance: two results that
            rounding alone tells apart. Of a search that draws in low precision, all others.
        tolerance: for scores, relative to them where they are above 1.
        largest_difference: of two scores, in the same unit.
    """

    sources: list[str] | int
    hypotheses: int
    equal: int
    ties: int
    tolerance: float
    largest_difference: float


def write_certificate(
    directory: Path, verification: Verification | None, *, needs_text: bool
) -> None:
    """Verifies the SavedModel in a folder, and writes its certificate there.

    Args:
        directory: of the SavedModel, with its description.
        verification: what is compared; None compares nothing, and the certificate says so.
        needs_text: the graph needs the ops of tensorflow-text.

    Raises:
        ExportError: the SavedModel does not load, or answers other than the model.
    """
    comparison: Comparison | None = None
    ran: dict[str, Any] = {}
    if verification is not None:
        comparison, ran = _compared(directory, verification, needs_text)
    path = directory / CERTIFICATE
    files = sorted(each for each in directory.rglob("*") if each.is_file() and each != path)
    certificate = {
        "versions": {
            "keras_s2s": __version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "python": platform.python_version(),
            **ran,
        },
        "comparison": None if comparison is None else asdict(comparison),
        "sha256": {each.relative_to(directory).as_posix(): _sha256(each) for each in files},
    }
    text = json.dumps(certificate, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compared(
    directory: Path, verification: Verification, needs_text: bool
) -> tuple[Comparison, dict[str, Any]]:
    """Returns the comparison, and the versions of the process that ran the SavedModel."""
    sources, count = verification.sources, verification.count
    seeds = list(range(1, count + 1)) if verification.draws else None
    expected = verification.answers(sources, seeds)
    if isinstance(sources, Mapping):
        inputs = {name: np.asarray(value).tolist() for name, value in sources.items()}
        signature = "generate_ids" if expected.texts is None else "generate"
    else:
        inputs, signature = {"text": list(sources)}, "generate"
    inputs["max_length"] = [verification.max_length]
    if seeds is not None:
        inputs["seeds"] = row_seeds(seeds, count).tolist()
    calls = [{"signature": signature, "inputs": inputs}]
    answer = _run(directory, calls, needs_text)
    (found,) = answer.pop("calls")
    return _comparison(verification, expected, found), answer


def _run(directory: Path, calls: list[dict[str, Any]], needs_text: bool) -> dict[str, Any]:
    """Runs calls in a fresh process, with their optional inputs at the defaults."""
    described = json.loads((directory / "assets.extra" / "keras_s2s.json").read_text("utf-8"))
    for call in calls:
        names = described["signatures"][call["signature"]]
        defaults = {name: [OPTIONAL[name]] for name in names if name in OPTIONAL}
        call["inputs"] = {**defaults, **call["inputs"]}
    request = {"directory": str(directory), "text": needs_text, "calls": calls}
    with tempfile.TemporaryDirectory(prefix="keras_s2s-verify-") as folder:
        file = Path(folder) / "answer.json"
        run_python(
            # -P: the folder of the program is no place to import from.
            ["-P", str(_PROGRAM), str(file)],
            os.environ,
            "the SavedModel does not run in a process of its own, which",
            json.dumps(request),
        )
        answer: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return answer


def _comparison(
    verification: Verification, expected: GenerationOutput, found: Mapping[str, Any]
) -> Comparison:
    """Compares what a SavedModel gave with what the model gives.

    Raises:
        ExportError: a row has an error, or a result is another one.
    """
    tolerance = _TOLERANCES.get(verification.compute_dtype, _LOW_PRECISION)
    drawn_roughly = verification.draws and tolerance == _LOW_PRECISION
    count = verification.count
    lengths = np.reshape(expected.lengths, [count, -1])
    ids = np.reshape(expected.token_ids, [count, lengths.shape[1], -1])
    scores = np.reshape(expected.scores, [count, -1])
    texts = None
    if expected.texts is not None:
        texts = [[t] if isinstance(t, str) else t for t in expected.texts]
    equal = ties = 0
    largest = 0.0
    for i in range(count):
        where = (
            f"row {i}"
            if isinstance(verification.sources, Mapping)
            else repr(verification.sources[i])
        )
        if found[ERROR][i]:
            raise ExportError(f"the SavedModel refuses the sample {where}: {found[ERROR][i]}")
        for n in range(lengths.shape[1]):
            length, other = int(lengths[i, n]), found["lengths"][i][n]
            score, theirs = float(scores[i, n]), found["scores"][i][n]
            difference = abs(score - theirs) / max(1.0, abs(score)) if length else 0.0
            largest = max(largest, difference)
            ours, its = ids[i, n, :length].tolist(), found["token_ids"][i][n][:other]
            same = ours == its and (texts is None or texts[i][n] == found["text"][i][n])
            if same and difference <= tolerance:
                equal += 1
            elif ours != its and (difference <= tolerance or drawn_roughly):
                ties += 1
            else:
                ours_text, its_text = (
                    (ours, its) if texts is None else (texts[i][n], found["text"][i][n])
                )
                raise ExportError(
                    f"the SavedModel answers other than the model: for the sample {where} the "
                    f"model gives {ours_text!r} with the score {score:.6g}, the SavedModel "
                    f"{its_text!r} with {theirs:.6g}; please report it, with the versions of "
                    "TensorFlow and keras-s2s. verify=False writes it all the same"
                )
    sources = verification.sources
    return Comparison(
        count if isinstance(sources, Mapping) else list(sources),
        *(int(lengths.size), equal, ties, tolerance, largest),
    )
