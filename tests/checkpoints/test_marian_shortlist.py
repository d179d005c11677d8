"""Results with a lexical shortlist against Marian's own.

`marian_shortlist_answers.json` is what Marian (pymarian 1.12.42) answers with `ssru.npz` of the
folder that `KERAS_S2S_DATA` names and a shortlist that is made here, one source in a batch: there
its candidates are those of the source alone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from keras_s2s.model import Seq2SeqLM
from keras_s2s.text.shortlists import write_shortlist
from keras_s2s.text.shortlists.shortlist import from_lists

FOLDER = os.environ.get("KERAS_S2S_DATA")
ANSWERS = json.loads(
    Path(__file__).with_name("marian_shortlist_answers.json").read_text(encoding="utf-8")
)
SEARCHES = {"greedy": {"num_beams": 1}, "beam4": {"num_beams": 4, "length_penalty": 1.0}}


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER, reason="KERAS_S2S_DATA names no folder")
def test_results_with_a_shortlist_are_marians(tmp_path):
    (path,) = Path(FOLDER or "").glob("**/ssru.npz")
    model = Seq2SeqLM.from_preset(path)
    lists = {i: [(7 * i + 13 * k) % 1000 for k in range(40)] for i in range(1000)}
    table = from_lists(lists, range(50), target_size=1000, first=50)
    lexicon = tmp_path / "lex.bin"
    write_shortlist(lexicon, table, model.preprocessor)
    described = json.loads(path.with_name("ssru.answers.json").read_text(encoding="utf-8"))
    for search, options in SEARCHES.items():
        output = model.generate(
            described["sources"],
            shortlist=lexicon,
            max_length=100,
            return_output=True,
            **options,
        )
        expected = ANSWERS[search]
        assert [text.strip() for text in output.texts] == [text for text, _ in expected]
        sums = output.token_log_probs.sum(-1)
        np.testing.assert_allclose(sums, [total for _, total in expected], atol=1e-3)
        assert 300 < output.candidates.mean() < 700
