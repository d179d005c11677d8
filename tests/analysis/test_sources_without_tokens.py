"""Models of feature vectors: calls that read or return text say what to call in their place."""

from __future__ import annotations

import numpy as np
import pytest

import keras_s2s as s2s

SIDE = {"type": "transformer", "num_layers": 1, "num_heads": 2, "hidden_dim": 8}
ARCHITECTURE = {
    "target_vocab_size": 11,
    "frontend": {"type": "features", "feature_dim": 3},
    "encoder": {**SIDE, "intermediate_dim": 8},
    "decoder": {**SIDE, "intermediate_dim": 8},
}
SPECIAL_IDS = {"source": {"pad": 0}, "target": {"decoder_start": 1, "eos": 2, "pad": 0}}


def test_what_to_call_in_place_of_stream_and_of_the_plot() -> None:
    model = s2s.Seq2SeqLM.from_architecture(ARCHITECTURE, special_ids=SPECIAL_IDS)
    source = np.zeros((3, 3), "float32")
    with pytest.raises(ValueError, match=r"stream yields text, .* generate returns ids"):
        model.stream([source])
    with pytest.raises(ValueError, match=r"feature vectors \(encoder_features\).*model.score"):
        s2s.plot_attention(model, source)
    # What the messages say works.
    output = model.generate([source], return_output=True, output_attentions=True, max_length=5)
    length = int(output.lengths[0])
    ids = [output.token_ids[0, :length].tolist()]
    _, attention = model.score([source], ids, return_attention=True)
    np.testing.assert_allclose(
        np.asarray(attention[0])[:length, :3], output.attentions[0][:length, :3], atol=1e-5
    )
