"""What CTranslate2 cannot run is refused by its key, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_models import COMPILES, make_model, shrunken_preset, transformer, variant

from keras_s2s.config import merge
from keras_s2s.export import ExportError
from keras_s2s.export.ctranslate2 import export_ctranslate2
from keras_s2s.model import Seq2SeqLM
from keras_s2s.text import Preprocessor
from keras_s2s.text.pretrained.token_list import TokenListTokenizer

pytest.importorskip("ctranslate2")
if COMPILES:
    # Nothing here computes.
    pytestmark = pytest.mark.slow


def export(model: Seq2SeqLM, folder: Path, **options: Any) -> Path:
    return export_ctranslate2(
        folder,
        variables=model.weights,
        config=model.preset,
        preprocessor=model.preprocessor,
        **options,
    )


def model_of(changes: dict[str, Any] | None = None, **preset: Any) -> Seq2SeqLM:
    side = transformer(num_layers=1)
    architecture = merge({"encoder": side, "decoder": side}, changes or {})
    return make_model(variant(architecture, **preset), seed=1)


SINUSOIDS = {"positions": "sinusoidal"}
RELATIVE = {"num_buckets": 8, "max_distance": 12}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"encoder": {"relative_positions": RELATIVE, "embedding": SINUSOIDS}},
            "architecture.encoder has relative_positions and embedding.positions sinusoidal",
        ),
        (
            {"decoder": {"norm_epsilon": 1e-3}},
            "one epsilon for all norms, but here are encoder.norm_epsilon 1e-06, decoder.norm_ep",
        ),
        (
            {"decoder": {"embedding": {"norm": True, "norm_place": "before_positions"}}},
            "architecture.decoder.embedding.norm_place is before_positions",
        ),
    ],
)
def test_architectures(changes, match, tmp_path) -> None:
    with pytest.raises(ExportError, match=match):
        export(model_of(changes), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_recurrent_models(tmp_path) -> None:
    model = make_model(shrunken_preset("gru_bahdanau"), seed=1)
    with pytest.raises(ExportError, match=r"encoder\.type is recurrent.*tf_saved_model"):
        export(model, tmp_path / "out")


def test_options(tmp_path) -> None:
    model = model_of()
    with pytest.raises(ExportError, match="quantization='int4' is not one of int8, int8_float32"):
        export(model, tmp_path / "out", quantization="int4")
    assert not list(tmp_path.iterdir())


def test_weights_of_an_adapted_model(tmp_path) -> None:
    model = model_of()
    model.network.encoder.blocks[0].self_attention.query_dense.enable_lora(2)
    with pytest.raises(ExportError, match=r"no place for: .*query/lora_kernel_a.*merge LoRA"):
        export(model, tmp_path / "out")


def test_two_ends(tmp_path) -> None:
    ids = {
        "source": {"pad": 0, "unk": 1, "eos": 4},
        "target": {"pad": 0, "unk": 1, "decoder_start": 2, "eos": 3},
    }
    with pytest.raises(ExportError, match="sources end with '4' and targets with '3'"):
        export(model_of(special_ids=ids), tmp_path / "out")


def test_several_ids_that_end_results(tmp_path) -> None:
    model = model_of(generation={"eos_token_id": [3, 5]})
    with pytest.raises(ExportError, match=r"eos_token_id is \[3, 5\], but files of CTranslate2"):
        export(model, tmp_path / "out")


def test_tokens_that_occur_twice(tmp_path) -> None:
    tokens = ["<pad>", "<unk>", "<s>", "</s>", *"abcdefghijka"]
    twice = TokenListTokenizer(tokens, "space", {"pad": 0, "unk": 1, "bos": 2, "eos": 3})
    model = model_of()
    model.preprocessor = Preprocessor(twice, twice, model.special_ids)
    with pytest.raises(ExportError, match="the source tokenizer has 'a' as id 4 and as id 15"):
        export(model, tmp_path / "out")
