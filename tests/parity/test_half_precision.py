"""float16, where products of a feed-forward network pass 65,504: float32's answers, in each family.

The oracle is transformers in float32. In float16 it agrees for T5's relatives, whose `wo` it keeps
in float32; in the other families its decoders answer NaN, and so do we no longer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from parity.random_checkpoints import batch, make, save
from small_models import covered, to_numpy

from keras_s2s import Seq2SeqLM

transformers = pytest.importorskip("transformers")

FAMILIES = [
    "t5",
    "mt5",
    "umt5",
    "byt5",
    "bart",
    "mbart",
    "marian",
    "pegasus",
    "m2m_100",
    "blenderbot",
    "blenderbot_small",
    "plbart",
]
COVER = [("t5", "mixed_float16"), ("m2m_100", "float16")]
CASES = [(family, dtype) for family in FAMILIES for dtype in ("float16", "mixed_float16")]
#: Brings the products of the tiny networks to some hundred thousands.
FACTOR = 2e4


def overflowing(family: str) -> Any:
    """A model of transformers whose second feed-forward products pass 65,504."""
    import torch

    other = make(family, "shallow")
    largest = 0.0

    def look(module: Any, inputs: Any, output: Any) -> None:
        nonlocal largest
        largest = max(largest, float(output.abs().max()))

    with torch.no_grad():
        for name, module in other.named_modules():
            if name.endswith((".wo", ".fc2")):
                module.weight *= FACTOR
                assert module.weight.abs().max() < 65_504
                module.register_forward_hook(look)
    ids = batch(other)
    with torch.no_grad():
        logits = other(
            input_ids=torch.from_numpy(ids["source"]),
            attention_mask=torch.from_numpy(ids["source_mask"]),
            decoder_input_ids=torch.from_numpy(ids["labels"]),
        ).logits.numpy()
    assert largest > 65_504, "the case does not test what it is for"
    return other, ids, logits


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    known: dict[str, Any] = {}

    def get(family: str) -> Any:
        if family not in known:
            other, ids, logits = overflowing(family)
            folder = tmp_path_factory.mktemp(family)
            save(other, folder, max_length=10, num_beams=1)
            known[family] = folder, ids, logits
        return known[family]

    return get


@pytest.mark.parametrize(("family", "dtype"), covered(CASES, COVER))
def test_logits_are_those_of_float32(made, family, dtype):
    folder, ids, expected = made(family)
    model = Seq2SeqLM.from_preset(folder, dtype=dtype, verbose=False)
    inputs = {
        "encoder_token_ids": ids["source"].astype("int32"),
        "encoder_padding_mask": ids["source_mask"],
        "decoder_token_ids": ids["labels"].astype("int32"),
        "decoder_padding_mask": ids["target_mask"],
    }
    real = ids["target_mask"]
    found = to_numpy(model(inputs))
    # float16 has 11 bits; a few layers lose some of them.
    assert np.abs(found - expected)[real].max() < 0.02 * np.abs(expected[real]).max()
    sources = {name: value for name, value in inputs.items() if name.startswith("encoder")}
    output = model.generate(sources, return_output=True)
    assert (output.lengths > 0).all() and np.isfinite(output.scores).all()


@pytest.mark.parametrize("family", covered(["t5", "umt5", "bart", "m2m_100"], ["t5"]))
def test_answers_are_those_of_float32(made, family):
    folder, ids, _ = made(family)
    sources = {
        "encoder_token_ids": ids["source"].astype("int32"),
        "encoder_padding_mask": ids["source_mask"],
    }
    answers = {
        dtype: Seq2SeqLM.from_preset(folder, dtype=dtype, verbose=False).generate(sources)
        for dtype in ("float32", "float16")
    }
    np.testing.assert_array_equal(answers["float16"], answers["float32"])
