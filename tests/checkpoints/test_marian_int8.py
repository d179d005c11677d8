"""int8 files against what Marian and Firefox' engine answer with them.

Both round the inputs of products, which this package does not: what they answer with a file differs
from what is computed with its weights as floats. That the file is read right is shown by the same
weights in arithmetic that rounds as they do (`marian_int8.py`): its answers are theirs.

`marian_int8_answers.json` is what Marian itself (pymarian 1.12.42) answers with `ssru.intgemm8.bin`
of the folder that `KERAS_S2S_DATA` names, one source in a batch and eight.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from checkpoints.marian_files import PlainMarian, pack_bin
from checkpoints.marian_int8 import Int8Marian, greedy, read

from keras_s2s.model import Seq2SeqLM

FOLDER = os.environ.get("KERAS_S2S_DATA")
ANSWERS = json.loads(
    Path(__file__).with_name("marian_int8_answers.json").read_text(encoding="utf-8")
)
SEARCHES = {
    "greedy": {"num_beams": 1},
    "beam4": {"num_beams": 4, "length_penalty": 1.0},
    "beam6_norm0.6": {"num_beams": 6, "length_penalty": 0.6},
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="KERAS_S2S_DATA names no folder"),
]


def student(name: str) -> Path:
    (path,) = Path(FOLDER or "").glob(f"**/{name}")
    return path


def sources() -> list[str]:
    return json.loads(student("ssru.answers.json").read_text(encoding="utf-8"))["sources"]


def answered(
    plain: PlainMarian, model: Seq2SeqLM, never: Sequence[int] = ()
) -> tuple[list[str], np.ndarray]:
    """Returns texts and sums of NumPy's arithmetic, with the vocabulary of a model."""
    eos = model.preset.special_ids.target.eos
    rows = model.preprocessor.encode_source(sources())
    found = [greedy(plain, row, 3 * len(row), eos, never) for row in rows]
    texts = model.preprocessor.decode_target([ids for ids, _ in found])
    return [text.strip() for text in texts], np.array([total for _, total in found])


def test_rounded_inputs_explain_every_answer_of_marian():
    """The weights that are read are Marian's: rounded as it does, all of its texts come out."""
    model = Seq2SeqLM.from_preset(student("ssru.npz"))
    plain = Int8Marian(student("ssru.intgemm8.bin"))
    assert len(plain.quantised) == 28
    texts, sums = answered(plain, model, model.preset.generation.suppress_tokens)
    expected = ANSWERS["one_by_one"]["greedy"]
    assert texts == [text for text, _ in expected]
    far = np.abs(sums - [total for _, total in expected])
    # A value between two integers is rounded one way here, another way there, by its last bit.
    assert (far < 1e-3).sum() >= 34 and far.max() < 0.1


def test_answers_of_marian_depend_on_the_batch():
    """No package whose rows are independent of their batch answers as int8 Marian does."""
    one, eight = (
        [text for text, _ in ANSWERS[name]["greedy"]] for name in ("one_by_one", "eight_in_a_batch")
    )
    assert sum(a == b for a, b in zip(one, eight, strict=True)) == 30


@pytest.mark.parametrize("search", SEARCHES)
def test_how_far_floats_are_from_marians_int8(search):
    model = Seq2SeqLM.from_preset(student("ssru.intgemm8.bin"))
    output = model.generate(sources(), max_length=100, return_output=True, **SEARCHES[search])
    sums = output.token_log_probs.sum(-1)
    for name in ("one_by_one", "eight_in_a_batch"):
        far = [
            abs(float(total) - expected)
            for text, total, (answer, expected) in zip(
                output.texts, sums, ANSWERS[name][search], strict=True
            )
            if text.strip() == answer
        ]
        print(f"{search}, {name}: {len(far)} of 40 texts, their sums to {max(far):.2f}")
        assert len(far) >= 26 and max(far) < 0.35


#: Multipliers of activations: one that rounds coarsely, and one where sums of pairs are cut off.
@pytest.mark.parametrize(("activation", "floats"), [(4.0, 20), (16.0, 35)])
def test_rounded_inputs_explain_the_answers_of_firefox(activation, floats, tmp_path):
    fxtranslate = pytest.importorskip("fxtranslate")
    tensors, settings, _ = read(student("ssru.float32.bin"))
    # What its engine takes for granted, whatever the settings say.
    settings = {**settings, "transformer-ffn-activation": "relu", "transformer-heads": 8}
    path = tmp_path / "model.bin"
    path.write_bytes(pack_bin(tensors, settings)[0])
    vocabulary = student("ssru.spm").read_bytes()
    (tmp_path / "vocab.spm").write_bytes(vocabulary)

    def theirs() -> list[str]:
        engine = fxtranslate.Translator(path.read_bytes(), vocabulary, vocabulary)
        return [" ".join(engine.translate(text).split()) for text in sources()]

    def ours(plain: PlainMarian) -> list[str]:
        """Unknown tokens, which its engine generates, it writes as nothing."""
        return [" ".join(text.replace("⁇", "").split()) for text in answered(plain, model)[0]]

    model = Seq2SeqLM.from_preset(path)
    assert ours(PlainMarian(tensors, settings)) == theirs()
    scales = {
        f"{name}_QuantMultA": np.full((1, 1), activation, np.float32)
        for name in (*(each for each in tensors if "_W" in each), "Wemb", "none")
        if not name.endswith(("ln_scale", "ln_bias"))
    }
    path.write_bytes(pack_bin({**tensors, **scales}, settings, 0x4101, True)[0])
    expected = theirs()
    rounded = ours(Int8Marian(path, activation))
    plain = ours(PlainMarian(*read(path)[:2]))
    same = [sum(a == b for a, b in zip(each, expected, strict=True)) for each in (rounded, plain)]
    print(f"multiplier {activation}: {same[0]} of 40 texts rounded, {same[1]} as floats")
    assert same[0] >= 36 and same[1] <= floats
