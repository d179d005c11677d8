"""The trained GRU model of the package g2p_en, English spelling to phonemes, against its equations.

It runs where `g2p_en` is installed (`pip install --no-deps g2p_en`), or where `KERAS_S2S_DATA` is a
folder that holds `g2p_en/checkpoint20.npz`. The file is all that is used of the package: the
answers expected here are computed in NumPy, in float64.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest
import yaml

from keras_s2s.model import Seq2SeqLM

LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
SOURCE_EOS, START, EOS, PAD = 2, 2, 3, 0
LIMIT = 20

#: The names that the file has, in a few lines.
DESCRIPTION = {
    "description": "English graphemes to phonemes, of the package g2p_en.",
    "modules": {
        "encoder.embedding": {"tensors": {"weight": "enc_emb"}},
        "encoder.rnn": {
            "tensors": {
                "weight_ih": "enc_w_ih",
                "weight_hh": "enc_w_hh",
                "bias_ih": "enc_b_ih",
                "bias_hh": "enc_b_hh",
            }
        },
        "decoder.embedding": {"tensors": {"weight": "dec_emb"}},
        "decoder.rnn": {
            "tensors": {
                "weight_ih": "dec_w_ih",
                "weight_hh": "dec_w_hh",
                "bias_ih": "dec_b_ih",
                "bias_hh": "dec_b_hh",
            }
        },
        "decoder.output": {"tensors": {"weight": "fc_w", "bias": "fc_b"}},
    },
    "special_ids": {
        "source": {"pad": PAD, "unk": 1, "eos": SOURCE_EOS},
        "target": {"decoder_start": START, "eos": EOS, "pad": PAD, "unk": 1},
    },
    # Twenty phonemes and the decoder start.
    "generation": {"max_length": LIMIT + 1},
}


def checkpoint() -> Path | None:
    """The file of the package, or None where it is not here."""
    places = [Path(os.environ["KERAS_S2S_DATA"])] if "KERAS_S2S_DATA" in os.environ else []
    with contextlib.suppress(PackageNotFoundError):
        places.append(Path(str(distribution("g2p_en").locate_file(""))))
    files = (place / "g2p_en" / "checkpoint20.npz" for place in places)
    return next((file for file in files if file.is_file()), None)


def words() -> list[str]:
    """Words of Python's own manual, and spellings that are none."""
    found = set(re.findall(r"[a-z]+", " ".join(topics.values()).lower()))
    draw = np.random.default_rng(1)
    letters = LETTERS[3:]
    made = {"".join(draw.choice(letters, size=draw.integers(1, 16))) for _ in range(300)}
    return sorted(found | made | {"naïve", "co-op"})


def ids_of(word: str) -> list[int]:
    return [LETTERS.index(c) if c in LETTERS[3:] else 1 for c in word] + [SOURCE_EOS]


def cell(w: dict[str, np.ndarray], half: str, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """A step of PyTorch's GRU: reset and update gate, and the candidate whose state is reset."""
    a = w[f"{half}_w_ih"] @ x + w[f"{half}_b_ih"]
    b = w[f"{half}_w_hh"] @ h + w[f"{half}_b_hh"]
    size = len(h)
    reset, update = (1 / (1 + np.exp(-(a + b)[i * size : (i + 1) * size])) for i in (0, 1))
    candidate = np.tanh(a[2 * size :] + reset * b[2 * size :])
    return update * h + (1 - update) * candidate


def expected_answer(w: dict[str, np.ndarray], word: str) -> tuple[list[int], np.ndarray]:
    """The greedy ids (without EOS), and the logits of every step."""
    h = np.zeros(w["enc_w_hh"].shape[1])
    for i in ids_of(word):
        h = cell(w, "enc", w["enc_emb"][i], h)
    ids, rows = [START], []
    while len(ids) <= LIMIT:
        h = cell(w, "dec", w["dec_emb"][ids[-1]], h)
        rows.append(w["fc_w"] @ h + w["fc_b"])
        best = int(rows[-1].argmax())
        if best == EOS:
            break
        ids.append(best)
    return ids[1:], np.asarray(rows)


@pytest.mark.slow
@pytest.mark.skipif(checkpoint() is None, reason="g2p_en's checkpoint20.npz is not here")
def test_answers_of_a_trained_model(tmp_path: Path) -> None:
    file = checkpoint()
    assert file is not None
    shutil.copy(file, tmp_path / file.name)
    (tmp_path / "torch_rnn.yaml").write_text(yaml.safe_dump(DESCRIPTION))
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    with np.load(file, allow_pickle=False) as stored:
        weights = {name: stored[name].astype("float64") for name in stored.files}
    tested = words()
    assert len(tested) >= 2000
    inputs = model.network.frontend.batch([ids_of(word) for word in tested])
    output = model.generate(inputs, return_output=True, batch_size=256)

    different, largest, error = [], 0.0, 0.0
    for word, row, length, scores in zip(
        tested, output.token_ids, output.lengths, output.token_log_probs, strict=True
    ):
        ids, logits = expected_answer(weights, word)
        found = [i for i in row[:length].tolist() if i != EOS]
        top = np.sort(logits, axis=1)
        if found != ids:
            different.append((word, float((top[:, -1] - top[:, -2]).min())))
            continue
        log_probs = logits.max(axis=1) - np.log(np.exp(logits).sum(axis=1))
        error = max(error, float(np.abs(log_probs - scores[: len(log_probs)]).max()))
        largest = max(largest, float(np.abs(logits).max()))
    print(f"{len(tested)} words; answers that differ: {different}; log-probabilities {error:.1e}")
    assert all(margin < 1e-5 * largest for _, margin in different)
    assert error < 1e-4

    # What is written back are the same numbers under the same names.
    model.export(tmp_path / "back", format="torch_rnn")
    from safetensors.numpy import load_file

    written = load_file(tmp_path / "back" / "model.safetensors")
    with np.load(file, allow_pickle=False) as stored:
        assert set(written) == set(stored.files)
        for name, array in written.items():
            np.testing.assert_array_equal(array, stored[name])
