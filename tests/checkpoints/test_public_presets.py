"""Presets of public checkpoints: their numbers, and what loading one says."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import keras
import pytest
from parity.random_checkpoints import make, save
from small_models import checkpoint_of_each_family, checkpoints

from keras_s2s import Seq2SeqLM
from keras_s2s.builder import build_network, functional_graph
from keras_s2s.catalog import list_presets, load_entry, load_preset
from keras_s2s.checkpoints import sources
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface import hub
from keras_s2s.checkpoints.huggingface.family import families_by_model_type, family_tables
from keras_s2s.checkpoints.huggingface.reader import CONFIG_FILE, GENERATION_FILE, HuggingFaceFolder
from keras_s2s.checkpoints.huggingface.writer import describe
from keras_s2s.checkpoints.sources import disagreements
from keras_s2s.config import ConfigError, PointerConfig, PresetConfig

transformers = pytest.importorskip("transformers")

# Only PyTorch has a device that allocates nothing; configurations are the same everywhere.
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="counts on PyTorch's meta device"
)

NAMES = checkpoints()
COVER = checkpoint_of_each_family()

#: What transformers counts for the real checkpoints, which includes no bias of the logits.
PUBLISHED = {
    "bart_base": 139_420_416,
    "bart_large": 406_291_456,
    "bart_large_cnn": 406_290_432,
    "byt5_small": 299_637_760,
    "codet5_base": 222_882_048,
    "byt5_base": 581_653_248,
    "flan_t5_base": 247_577_856,
    "flan_t5_large": 783_150_080,
    "flan_t5_small": 76_961_152,
    "flan_t5_xl": 2_849_757_184,
    "flan_t5_xxl": 11_135_332_352,
    "m2m100_418m": 483_905_536,
    "mbart_large_50": 610_879_488,
    "mt5_base": 582_401_280,
    "mt5_small": 300_176_768,
    "nllb_200_distilled_600m": 615_073_792,
    "nllb_200_distilled_1_3b": 1_370_638_336,
    "t5_3b": 2_851_598_336,
    "t5_base": 222_903_552,
    "t5_large": 737_668_096,
    "t5_small": 60_506_624,
}


def test_walk_finds_the_checkpoints():
    pointers = [name for name in list_presets() if isinstance(load_entry(name), PointerConfig)]
    assert (len(NAMES) >= 80, len(COVER) >= 12, len(pointers) >= 80) == (True, True, True)
    families = {*families_by_model_type().values(), "encoder_decoder"}
    assert {load_entry(name).family for name in pointers} <= families
    for name in [*NAMES, *pointers]:
        source, revision = hub.parse_source(load_entry(name).source)
        assert source.count("/") == 1 and revision is None


# --------------------------------------------------------------------------------------
# Numbers
# --------------------------------------------------------------------------------------


def count_here(preset: PresetConfig) -> int:
    """Parameters of the network, by shapes: nothing is allocated."""
    with keras.device("meta"):
        inputs, logits = functional_graph(build_network(preset.architecture))
        variables = keras.Model(inputs, logits).weights
    assert {variable.value.device.type for variable in variables} == {"meta"}
    return sum(math.prod(variable.shape) for variable in variables)


@cache
def count_there(described: str, model_class: str, computed: tuple[str, ...]) -> dict[str, int]:
    """What transformers' model of a configuration holds: parameters, bias of the logits, head."""
    import torch

    transformers.logging.set_verbosity_error()
    with torch.device("meta"):
        config = transformers.AutoConfig.for_model(**json.loads(described))
        model = getattr(transformers, model_class)(config)
    head, table = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    return {
        "parameters": sum(p.numel() for n, p in model.named_parameters() if n not in computed),
        "bias": sum(b.numel() for n, b in model.named_buffers() if n == "final_logits_bias"),
        "tied_head": head.numel() if head is table else 0,
    }


def transformers_count(preset: PresetConfig) -> int:
    """Parameters of transformers' model, counted as they are here.

    The bias of the logits is a buffer there, and tables of sinusoids are parameters. T5's class
    ties its output whatever the configuration says; the tensors of a folder untie it.
    """
    family, described = describe(preset)
    tables = family_tables(family)
    assert tables is not None
    found = count_there(
        json.dumps(described, sort_keys=True), tables.model_class, tuple(tables.sinusoids)
    )
    untied = found["tied_head"] if not preset.architecture.output.tie_embeddings else 0
    return found["parameters"] + found["bias"] + untied


@pytest.mark.parametrize("name", NAMES)
def test_transformers_counts_the_same(name):
    preset = load_preset(name)
    assert preset.parameters == transformers_count(preset)


@pytest.mark.parametrize(
    "name",
    [name if name in COVER else pytest.param(name, marks=pytest.mark.slow) for name in NAMES],
)
def test_the_network_has_as_many(name):
    preset = load_preset(name)
    assert preset.parameters == count_here(preset)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    preset = load_preset(name)
    bias = preset.architecture.target_vocab_size if preset.architecture.output.bias else 0
    assert preset.parameters == PUBLISHED[name] + bias


#: What pages of models say, in millions: DistilBART's own table; 20, 13 and 3 billion, 770 and 60
#: million elsewhere.
ROUNDED = {
    "codet5_large": (770, 0.05),
    "codet5_small": (60, 0.01),
    "distilbart_cnn_12_6": (306, 0.002),
    "distilbart_cnn_6_6": (230, 0.002),
    "distilbart_xsum_12_1": (222, 0.003),
    "distilbart_xsum_12_3": (255, 0.002),
    "distilbart_xsum_12_6": (306, 0.002),
    "distilbart_xsum_6_6": (230, 0.002),
    "distilbart_xsum_9_6": (268, 0.002),
    "mt0_xxl": (13_000, 0.01),
    "t0_3b": (3_000, 0.06),
    "ul2": (20_000, 0.03),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_published_roundings(name):
    millions, share = ROUNDED[name]
    assert load_preset(name).parameters / 1e6 == pytest.approx(millions, rel=share)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_the_same_sizes_agrees(name, tmp_path):
    preset = load_preset(name)
    family, described = describe(preset)
    assert family == preset.family
    target = preset.special_ids.target
    generation = {
        **preset.generation.model_dump(exclude_defaults=True),
        "max_length": preset.generation.max_length,
        "forced_bos_token_id": target.forced_bos,
        "forced_eos_token_id": target.forced_eos,
    }
    (tmp_path / CONFIG_FILE).write_text(json.dumps(described))
    (tmp_path / GENERATION_FILE).write_text(json.dumps(generation))
    folder = HuggingFaceFolder(tmp_path, with_weights=False)
    notes = disagreements(preset, folder.preset)
    # Whether T5's output is tied only the tensors say.
    assert [note for note in notes if "output.tie_embeddings" not in note] == []


# --------------------------------------------------------------------------------------
# Loading
# --------------------------------------------------------------------------------------


@pytest.fixture
def fetched(monkeypatch, tmp_path) -> list[str]:
    """The hub holds one tiny Marian under every name; the names that were asked for."""
    asked: list[str] = []
    folder = save(make("marian", "shallow"), tmp_path / "folder", max_length=9)

    def fetch_folder(source: str, **options: Any) -> Path:
        asked.append(source)
        return folder

    monkeypatch.setattr(sources, "fetch_folder", fetch_folder)
    return asked


def test_the_folder_wins_and_the_report_says_where(fetched, capsys):
    model = Seq2SeqLM.from_preset("opus_mt_en_de")
    assert fetched == ["hf://Helsinki-NLP/opus-mt-en-de"]
    assert model.preset.architecture.encoder.hidden_dim == 12
    report = model.load_report
    assert report.source == "opus_mt_en_de (hf://Helsinki-NLP/opus-mt-en-de)"
    for note in (
        "architecture.encoder.hidden_dim is 12 in the folder, 512 in the zoo",
        "architecture.target_vocab_size is 41 in the folder, 58101 in the zoo",
        "special_ids.target.decoder_start is 22 in the folder, 58100 in the zoo",
        "generation.max_length is 9 in the folder, 512 in the zoo",
    ):
        assert note in report.notes
        assert note in capsys.readouterr().err or note in str(report)
    # What the entry does not state is not compared.
    assert not any("num_beams" in note or "norm_epsilon" in note for note in report.notes)
    assert (report.fresh, report.unused) == ((), ())


def test_an_entry_without_sizes_has_the_folders(fetched):
    model = Seq2SeqLM.from_preset("opus_mt_ko_en", verbose=False)
    assert fetched == ["hf://Helsinki-NLP/opus-mt-ko-en"]
    assert model.preset.architecture.encoder.hidden_dim == 12
    assert model.load_report.notes == ()


def test_an_entry_without_sizes_needs_its_folder():
    with pytest.raises(ConfigError, match=r"opus_mt_ko_en\.yaml: .*has the sizes.*zoo list"):
        Seq2SeqLM.from_preset("opus_mt_ko_en", load_weights=False)


def test_random_weights_need_no_download(monkeypatch):
    def refuse(source: str, **options: Any) -> Path:
        raise AssertionError(source)

    monkeypatch.setattr(sources, "fetch_folder", refuse)
    with keras.device("meta"):
        model = Seq2SeqLM.from_preset("t5_small", load_weights=False)
    assert model.count_params() == load_preset("t5_small").parameters


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("opus-mt-en-de", "did you mean 'opus_mt_en_de'"),
        ("t5small", "did you mean 't5_small'"),
        ("qqqqqq", "no such folder, and no preset has this name"),
    ],
)
def test_a_wrong_name(name, part):
    with pytest.raises(ConfigError) as error:
        Seq2SeqLM.from_preset(name)
    assert part in str(error.value)
    assert len(str(error.value)) < 500  # the formats that are read, but not all presets


def test_offline_says_what_to_do(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError) as error:
        Seq2SeqLM.from_preset("t5_small")
    for part in ("hf://google-t5/t5-small", str(tmp_path), "HF_HUB_OFFLINE", "give a folder"):
        assert part in str(error.value)
