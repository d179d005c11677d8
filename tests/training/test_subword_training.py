"""`fit` with segmentations that are drawn anew in every epoch."""

from __future__ import annotations

import keras
import numpy as np
from small_models import slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.data import Batches
from keras_s2s.text import Preprocessor

PAIRS = [(f"{i} small dogs run {i % 7} miles", f"{i % 7} miles run {i}") for i in range(96)]


def train(preprocessor, sampling, **options):
    keras.utils.set_random_seed(1)
    model = Seq2SeqLM.from_preset(
        "gru_bahdanau",
        load_weights=False,
        preprocessor=preprocessor,
        architecture={"shared": {"hidden_dim": 8, "embedding": {"dim": 8}}},
    )
    batches = Batches(
        PAIRS, preprocessor, batch_size=16, num_buckets=2, subword_sampling=sampling, **options
    )
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(batches, epochs=3, verbose=0, shuffle=False).history
    return np.array(history["loss"])


@slow_where_compiled
def test_fit_draws_in_every_epoch_and_repeats_by_the_seed():
    preprocessor = Preprocessor.train(PAIRS, "sentencepiece_unigram", vocab_size=320)
    first = train(preprocessor, {"alpha": 0.3})
    np.testing.assert_array_equal(train(preprocessor, {"alpha": 0.3}), first)
    # Read ahead by threads of Keras.
    ahead = [train(preprocessor, {"alpha": 0.3}, workers=2, max_queue_size=3) for _ in range(2)]
    np.testing.assert_array_equal(*ahead)
    assert not np.allclose(train(preprocessor, None), first)
