"""An exported model under a server's requests: threads, bytes of any kind, memory over time."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from typing import Any

import keras
import pytest
from hugging_face_folders import random_texts
from test_saved_model import RECURRENT, TRANSFORMER, Case, make_model, run_c_api
from unicode_texts import CORPUS

BROKEN = [
    b"\xff\xfe",
    b"ab\x80c",
    b"\xed\x95",
    "두".encode()[:2] + b" x",
    b"\xf8\x88\x80\x80\x80",
    b"",
]


def coded(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def text_call(texts: list[Any], signature: str = "serving_default") -> dict[str, Any]:
    return {"signature": signature, "inputs": {"text": texts}}


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="what a server runs, TensorFlow writes"
)
@pytest.mark.parametrize("kind", ["character", "byte_level_bpe"])
def test_threads_bytes_and_memory(tmp_path: Path, kind: str) -> None:
    architecture = TRANSFORMER if kind == "character" else RECURRENT
    model = make_model(Case(architecture, kind, {}, [], 4, 2.0))
    directory = model.export(tmp_path / "model", max_length=8, truncate=True, verify=False)
    rng = random.Random(3)
    texts = [*random_texts(300, ["</s>"]), *CORPUS]
    # 1 to 64 rows; none of two calls has the same texts.
    sizes = [1, 64, 2, 3, 5, 8, 13, 21, 34]
    calls = [text_call(rng.choices(texts, k=sizes[i % 9] if i < 18 else 2)) for i in range(250)]
    broken = [text_call([coded(content) for content in BROKEN])]
    replaced = [text_call([content.decode("utf-8", "replace") for content in BROKEN])]
    long = [text_call(["word " * 3000, "a"])]
    made = [*calls, *broken, *replaced, *long, text_call([])]
    (answer,) = run_c_api(
        [{"directory": str(directory), "calls": made, "threads": 4, "rounds": 5}]
    )["models"]
    assert answer["calls_made"] == 5 * 4 * len(made) > 5000
    assert answer["different"] == 0, "a result depends on what else runs"
    results = [call["outputs"] for call in answer["calls"]]
    for call, found in zip(calls, results, strict=False):
        assert found["error"] == [""] * len(call["inputs"]["text"])
    ours = model.generate(calls[1]["inputs"]["text"], max_length=8, overlong="truncate")
    assert results[1]["text"] == ours
    # Bytes that are no text are read as Python reads them.
    assert results[-4]["error"][:-1] == [""] * (len(BROKEN) - 1)
    assert results[-4]["text"] == results[-3]["text"]
    assert results[-2]["error"] == ["", ""]
    assert results[-1]["text"] == []
    # What grows in the first rounds is kept by the allocator, and used again.
    assert answer["resident"][-1] < 1.02 * answer["resident"][1] + 4096, answer["resident"]
