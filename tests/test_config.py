"""The typed configuration: every mistake is an error that names file, key and remedy."""

from __future__ import annotations

import copy
import difflib
import subprocess
import sys
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from small_models import slow_where_compiled

from keras_s2s import config
from keras_s2s.config import (
    AdapterConfig,
    ArchitectureConfig,
    CellsConfig,
    ConfigError,
    HalfConfig,
    PointerConfig,
    PresetConfig,
    RecipeConfig,
    RegisteredPart,
    StackConfig,
    Strict,
    TaskConfig,
    read_config,
)

SPECIAL_IDS = {
    "source": {"pad": 0, "eos": 3, "bos": None, "unk": 1},
    "target": {
        "decoder_start": 2,
        "eos": 3,
        "pad": 0,
        "bos": None,
        "unk": 1,
        "forced_bos": None,
        "forced_eos": None,
    },
}

TRANSFORMER: dict[str, Any] = {
    "description": "A Transformer.",
    "paper": "Vaswani et al. 2017",
    "adapters": {},
    "architecture": {
        "source_vocab_size": 100,
        "target_vocab_size": 100,
        "encoder": {
            "type": "transformer",
            "hidden_dim": 8,
            "num_heads": 2,
            "intermediate_dim": 16,
            "num_layers": 2,
            "activation": "relu",
            "norm_order": "post",
            "attention_dropout": 0.1,
            "embedding": {"positions": "learned", "max_positions": 64, "scale": True},
        },
        "decoder": {
            "type": "transformer",
            "hidden_dim": 8,
            "num_heads": 2,
            "intermediate_dim": 16,
            "num_layers": 2,
        },
        "share_embeddings": True,
        "output": {"tie_embeddings": True, "bias": False},
    },
    "special_ids": SPECIAL_IDS,
    "text": {"source": {"kind": "sentencepiece_bpe", "vocab_size": 100}, "joint": True},
    "generation": {"max_length": 32, "num_beams": 4, "early_stopping": "never"},
    "parameters": 5,
}

STUDENT: dict[str, Any] = {
    **TRANSFORMER,
    "architecture": {
        **TRANSFORMER["architecture"],
        "encoder": {
            **TRANSFORMER["architecture"]["encoder"],
            "norm_order": "steps",
            "steps": {"before": "n", "after": "nda"},
        },
        "decoder": {
            **TRANSFORMER["architecture"]["decoder"],
            "type": "ssru",
            "ssru_projection": True,
            "embedding": {"zero_start": True},
        },
    },
}

RECURRENT: dict[str, Any] = {
    "description": "A GRU with attention.",
    "architecture": {
        "source_vocab_size": 100,
        "target_vocab_size": 50,
        "encoder": {"type": "recurrent", "cell": "gru", "hidden_dim": 8, "bidirectional": True},
        "decoder": {
            "type": "recurrent",
            "cell": "gru",
            "hidden_dim": 8,
            "dropout": 0.2,
            "context": "attention",
            "attention": {"score": "additive", "query": "previous", "units": 4},
            "readout": "concat",
            "embedding": {"dim": 6},
        },
        "bridge": {"type": "dense", "activation": "tanh", "reads": "all"},
    },
    "special_ids": SPECIAL_IDS,
}

RECIPE: dict[str, Any] = {
    "description": "A run.",
    "model": "gru_bahdanau",
    "text": {"source": {"kind": "character"}, "target": {"kind": "word"}},
    "data": {
        "dir": "corpus",
        "train": {"source": "train.en", "target": "train.de"},
        "validation": {"pairs": "validation.tsv", "columns": [0, 2]},
        "test": {"pairs": "test.json", "format": "jsonl", "source_key": "en", "target_key": "de"},
        "max_source_length": 64,
        "overlong": "truncate",
    },
    "training": {
        "epochs": 3,
        "batch_unit": "tokens",
        "optimizer": {"name": "adamw", "learning_rate": 1e-3, "schedule": "cosine"},
        "label_smoothing": 0.1,
        "average": {"last_checkpoints": 2},
    },
    "evaluation": {"metrics": ["bleu"], "tgt_lang": "zh", "bleu_tokenize": "char", "samples": 2},
}

MULTILINGUAL: dict[str, Any] = {
    **TRANSFORMER,
    "architecture": {
        **TRANSFORMER["architecture"],
        "decoder": {
            **TRANSFORMER["architecture"]["decoder"],
            "relative_positions": {"num_buckets": 16, "max_distance": 64, "per_layer": True},
        },
    },
    "special_ids": {
        **SPECIAL_IDS,
        "languages": {"codes": {}, "source": "prefix", "target": "forced_bos"},
    },
    "origin": {"format": "huggingface", "tables": ["shared.weight"]},
}

PRETRAINING: dict[str, Any] = {
    **RECIPE,
    "text": {"source": {"kind": "sentencepiece_unigram", "sentinels": 100}, "joint": True},
    "evaluation": {"metrics": []},
    "data": {
        "train": {"lines": "train.txt"},
        "objective": {
            "span_corruption": {"noise_density": 0.2, "mean_span_length": 2.0},
        },
    },
}

POINTER = {
    "description": "A checkpoint.",
    "family": "marian",
    "source": "hf://somebody/something",
    "license": "Apache-2.0",
}

INFILLING: dict[str, Any] = {
    **PRETRAINING,
    "text": {"source": {"kind": "sentencepiece_unigram", "mask": True}, "joint": True},
    "data": {
        "train": {"lines": "train.txt"},
        "objective": {"sentence_permutation": {}, "text_infilling": {"mask_share": 0.4}},
    },
}

DISTILLED: dict[str, Any] = {
    **{key: value for key, value in RECIPE.items() if key != "text"},
    "model": "transformer_tiny",
    "distillation": {
        "teacher": "runs/teacher",
        "generation": {"num_beams": 5},
        "teacher_tokenizer": True,
        "batch_size": 16,
    },
}

WARM_START: dict[str, Any] = {
    **{key: value for key, value in RECIPE.items() if key not in ("text", "model")},
    "warm_start": {"encoder": "bert_base_uncased", "decoder": "gpt2", "tie_encoder_decoder": False},
    "training": {
        **RECIPE["training"],
        "subword_sampling": {"source": {"alpha": 0.1}},
        "lora": {"rank": 2},
        "tensorboard": {"texts": 1},
    },
}

HALF = {
    "description": "An encoder.",
    "source": "hf://somebody/something",
    "config": {},
}

BERT_LIKE: dict[str, Any] = {
    **TRANSFORMER,
    "architecture": {
        **TRANSFORMER["architecture"],
        "output": {"tie_embeddings": True, "transform": {"activation": "gelu"}},
    },
}

SPEECH = {
    "description": "Frames of speech to text.",
    "special_ids": RECURRENT["special_ids"],
    "architecture": {
        **{k: v for k, v in RECURRENT["architecture"].items() if k != "source_vocab_size"},
        "frontend": {"type": "features", "feature_dim": 80},
    },
}
EXAMPLES = [
    (PresetConfig, TRANSFORMER),
    (PresetConfig, MULTILINGUAL),
    (PointerConfig, POINTER),
    (PresetConfig, RECURRENT),
    (PresetConfig, SPEECH),
    (RecipeConfig, RECIPE),
    (RecipeConfig, PRETRAINING),
    (RecipeConfig, INFILLING),
    (RecipeConfig, WARM_START),
    (RecipeConfig, DISTILLED),
    (HalfConfig, HALF),
    (PresetConfig, BERT_LIKE),
    (PresetConfig, STUDENT),
]


def paths(data: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every key in nested mappings."""
    found = []
    for key, value in data.items():
        found.append((*above, key))
        if isinstance(value, dict):
            found.extend(paths(value, (*above, key)))
    return found


def parent_of(data: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for key in path[:-1]:
        data = data[key]
    return data


KEYS = [(cls, data, path) for cls, data in EXAMPLES for path in paths(data)]


def test_examples_are_valid_and_cover_the_declarations():
    seen: set[type[BaseModel]] = set()

    def visit(value: Any) -> None:
        if isinstance(value, BaseModel):
            seen.add(type(value))
            for name in type(value).model_fields:
                visit(getattr(value, name))

    for cls, data in EXAMPLES:
        visit(read_config(cls, data, origin="example.yaml"))
    declared = {
        cls
        for cls in (
            *Strict.__subclasses__(),
            *CellsConfig.__subclasses__(),
            *StackConfig.__subclasses__(),
        )
        if cls.__module__.startswith("keras_s2s.config.")
    }
    # RegisteredPart is the base of those outside the package; the keys of adapters and of tasks
    # are no names.
    others = {RegisteredPart, CellsConfig, StackConfig, AdapterConfig, TaskConfig}
    assert seen == declared - others
    assert len(seen) >= 19
    assert len(KEYS) >= 90


def test_a_decoder_start_that_nobody_set_is_asked_for():
    mutated = copy.deepcopy(TRANSFORMER)
    del mutated["special_ids"]["target"]["decoder_start"]
    with pytest.raises(ConfigError) as error:
        read_config(PresetConfig, mutated, origin="mine.yaml")
    assert str(error.value).splitlines()[1] == (
        "  special_ids.target.decoder_start: required, but missing; set it. The decoder's first "
        "input; never a label."
    )


def test_a_typo_in_an_adapter_names_its_layer():
    adapters = {"decoder/layer_0/self_attention/query": {"rnak": 2, "alpha": 1.0}}
    with pytest.raises(
        ConfigError, match=r"adapters\.decoder/.*/query\.rnak: .*did you mean 'rank'"
    ):
        read_config(PresetConfig, {**TRANSFORMER, "adapters": adapters}, origin="zoo/mine.yaml")


# --------------------------------------------------------------------------------------
# Mutations
# --------------------------------------------------------------------------------------


def misspell(key: str, how: str) -> str:
    middle = len(key) // 2
    return {
        "left out": key[:middle] + key[middle + 1 :],
        "doubled": key[:middle] + key[middle] + key[middle:],
        "swapped": key[: middle - 1] + key[middle] + key[middle - 1] + key[middle + 1 :],
        "capital": key.capitalize(),
        "dashes": key.replace("_", "-"),
    }[how]


def likeness(typo: str, key: str) -> float:
    return difflib.SequenceMatcher(None, key, typo.lower().replace("-", "_")).ratio()


@pytest.mark.parametrize("how", ["left out", "doubled", "swapped", "capital", "dashes"])
def test_every_typo_names_file_key_and_nearest_key(how):
    checked = 0
    for cls, data, path in KEYS:
        key = path[-1]
        typo = misspell(key, how)
        siblings = parent_of(data, path)
        if typo == key or typo in siblings:
            continue
        mutated = copy.deepcopy(data)
        owner = parent_of(mutated, path)
        owner[typo] = owner.pop(key)
        with pytest.raises(ConfigError) as error:
            read_config(cls, mutated, origin="zoo/mine.yaml")
        message = str(error.value)
        dotted = ".".join((*path[:-1], typo))
        line = next(line for line in message.splitlines() if line.startswith(f"  {dotted}: "))
        assert message.startswith("zoo/mine.yaml: ")
        # `obs` is as near to `eos` as to `bos`.
        if likeness(typo, key) >= 0.5:
            suggested = line.partition("did you mean '")[2].removesuffix("'?")
            assert suggested == key or likeness(typo, suggested) >= likeness(typo, key), line
        checked += 1
    assert checked >= 35


@pytest.mark.parametrize("side", ["encoder", "decoder"])
@pytest.mark.parametrize(("value", "part"), [(None, "required"), ("tranformer", "'tranformer'")])
def test_a_side_without_a_known_type(side, value, part):
    mutated = copy.deepcopy(TRANSFORMER)
    del mutated["architecture"][side]["type"]
    if value is not None:
        mutated["architecture"][side]["type"] = value
    with pytest.raises(ConfigError) as error:
        read_config(PresetConfig, mutated, origin="mine.yaml")
    line = next(
        line for line in str(error.value).splitlines() if f"architecture.{side}.type: " in line
    )
    assert part in line
    assert "recurrent" in line and "transformer" in line


def test_every_wrong_kind_of_value_is_refused_with_its_key():
    checked = 0
    for cls, data, path in KEYS:
        original = parent_of(data, path)[path[-1]]
        for wrong in (["a", "list"], "words", -7, True, {"a": "mapping"}, float("nan")):
            if type(wrong) is type(original) or path == ("model",):
                continue
            if path[-1] in ("dir", "paper", "description") and isinstance(wrong, str):
                continue
            if accepted(cls, path, wrong):
                continue
            mutated = copy.deepcopy(data)
            parent_of(mutated, path)[path[-1]] = wrong
            with pytest.raises(ConfigError) as error:
                read_config(cls, mutated, origin="mine.yaml")
            assert str(error.value).startswith("mine.yaml: ")
            assert ".".join(path[:-1]) in str(error.value)
            checked += 1
    assert checked >= 350


def accepted(cls: type, path: tuple[str, ...], value: Any) -> bool:
    """Values of another kind that a key takes all the same."""
    key = path[-1]
    return (
        (key == "early_stopping" and isinstance(value, bool))
        or (key in ("bos", "forced_bos", "forced_eos") and value is None)
        or (key in ("learning_rate", "mean_span_length", "mask_share") and value is True)
        or (key == "architecture" and cls is RecipeConfig)
    )


def test_every_required_key_is_missed_by_name():
    checked = 0
    for cls, data, path in KEYS:
        mutated = copy.deepcopy(data)
        del parent_of(mutated, path)[path[-1]]
        try:
            read_config(cls, mutated, origin="mine.yaml")
        except ConfigError as error:
            assert str(error).startswith("mine.yaml: ")
            assert path[-1] in str(error) or "needs" in str(error) or "either" in str(error)
            checked += 1
    assert checked >= 30


def test_problems_are_reported_together():
    mutated = copy.deepcopy(TRANSFORMER)
    mutated["architecture"]["encoder"]["num_head"] = 2
    mutated["generation"]["num_beams"] = 0
    mutated["descriptoin"] = "x"
    with pytest.raises(ConfigError) as error:
        read_config(PresetConfig, mutated, origin="mine.yaml")
    assert len(str(error.value).splitlines()) == 4


def test_origins_are_named():
    mutated = copy.deepcopy(TRANSFORMER)
    mutated["generation"]["num_beams"] = 0
    origins = {("generation", "num_beams"): "base.yaml"}
    with pytest.raises(ConfigError, match=r"num_beams: .* \(got 0\) \[from base\.yaml\]"):
        read_config(PresetConfig, mutated, origin="mine.yaml", origins=origins)


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_what_is_no_mapping(data):
    with pytest.raises(ConfigError, match=r"mine\.yaml: expected a mapping"):
        read_config(PresetConfig, data, origin="mine.yaml")


# --------------------------------------------------------------------------------------
# Closed sets of values
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "data", "path", "value", "nearest", "expected"),
    [
        (
            PresetConfig,
            RECURRENT,
            "architecture.encoder.cell",
            "gur",
            "gru",
            "'gru', 'lstm' or 'rnn'",
        ),
        (
            PresetConfig,
            RECURRENT,
            "architecture.bridge.type",
            "Dense",
            "dense",
            "'copy', 'dense' or",
        ),
        (
            PresetConfig,
            TRANSFORMER,
            "architecture.encoder.norm_order",
            "pots",
            "post",
            "'pre', 'post' or 'steps'",
        ),
        (PresetConfig, TRANSFORMER, "architecture.decoder.type", "tranformer", "transformer", "or"),
        (
            PresetConfig,
            TRANSFORMER,
            "text.source.kind",
            "sentencepiece-bpe",
            "sentencepiece_bpe",
            "'word'",
        ),
        (
            PresetConfig,
            TRANSFORMER,
            "generation.early_stopping",
            "nevr",
            "never",
            "true, false, 'never' or 'shrink'",
        ),
        (PresetConfig, TRANSFORMER, "generation.sampler", "bean", "beam", "'beam', 'random'"),
        (RecipeConfig, RECIPE, "training.monitor", "val_blue", "val_bleu", "'val_loss'"),
        (RecipeConfig, RECIPE, "evaluation.bleu_tokenize", "ja-mecap", "ja-mecab", "'flores200'"),
        (RecipeConfig, RECIPE, "data.overlong", "drp", "drop", "'truncate' or 'error'"),
        (RecipeConfig, RECIPE, "data.task", "date", "dates", "expected 'dates' (got 'date')"),
        (
            PresetConfig,
            RECURRENT,
            "architecture.encoder.cell",
            "quux",
            None,
            "'gru', 'lstm' or 'rnn'",
        ),
        (PresetConfig, RECURRENT, "architecture.encoder.cell", ["gru"], "gru", "(got ['gru'])"),
        (
            PresetConfig,
            RECURRENT,
            "architecture.encoder.bidirectional",
            "si",
            None,
            "true or false",
        ),
    ],
)
def test_a_value_outside_a_closed_set(cls, data, path, value, nearest, expected):
    mutated = copy.deepcopy(data)
    keys = tuple(path.split("."))
    parent_of(mutated, keys)[keys[-1]] = value
    with pytest.raises(ConfigError) as error:
        read_config(cls, mutated, origin="mine.yaml")
    first, line = str(error.value).splitlines()
    assert first.startswith("mine.yaml: ")
    assert line.startswith(f"  {path}: expected ")
    assert expected in line and repr(value) in line
    assert line.partition("did you mean ")[2] == ("" if nearest is None else f"{nearest!r}?")


def test_a_value_inside_a_list_is_found():
    mutated = copy.deepcopy(RECIPE)
    mutated["evaluation"]["metrics"] = ["bleu", "chfr"]
    with pytest.raises(ConfigError, match=r"metrics\.1: .* \(got 'chfr'\); did you mean 'chrf'\?"):
        read_config(RecipeConfig, mutated, origin="mine.yaml")


def test_what_compares_answers_with_targets():
    def metrics(monitor: str, *names: str) -> tuple[str, ...]:
        data = copy.deepcopy(RECIPE)
        data["training"]["monitor"] = monitor
        data["evaluation"] = {"metrics": names, "bleu_tokenize": "char" if names else None}
        return read_config(RecipeConfig, data, origin="mine.yaml").metrics

    assert metrics("val_loss", "bleu") == ("bleu",)
    assert metrics("val_bleu", "bleu") == ("bleu",)
    assert metrics("val_rougeL") == ("rouge",)
    assert metrics("val_bleu", "chrf") == ("chrf", "bleu")
    with pytest.raises(ConfigError, match=r"evaluation\.bleu_tokenize: is BLEU's tokenizer, but"):
        metrics("val_chrf", "chrf")


# --------------------------------------------------------------------------------------
# Settings that contradict each other
# --------------------------------------------------------------------------------------

CONTRADICTIONS = [
    (TRANSFORMER, "encoder", {"num_heads": 3}, "hidden_dim 8 is not a multiple of num_heads 3"),
    (TRANSFORMER, "encoder", {"embedding": {"dim": 4}}, "embedding.dim 4 differs"),
    (TRANSFORMER, "encoder", {"embedding": {"positions": "learned"}}, "needs max_positions"),
    (TRANSFORMER, "encoder", {"embedding": {"max_positions": 9}}, "positions: learned, not"),
    (TRANSFORMER, None, {"target_vocab_size": 99}, "share_embeddings needs equal vocabularies"),
    (TRANSFORMER, None, {"bridge": {"type": "zero"}}, "a transformer has none"),
    (RECURRENT, None, {"bridge": None}, "needs a bridge"),
    (RECURRENT, None, {"output": {"tie_embeddings": True}}, "output.tie_embeddings"),
    (RECURRENT, "decoder", {"attention": None}, "contradict each other"),
    (RECURRENT, "decoder", {"context": "every_step"}, "contradict each other"),
    (
        RECURRENT,
        None,
        {"bridge": {"type": "copy"}},
        "architecture.bridge.type: copy needs equal states, but the encoder ends in 1 x gru of "
        "width 16 (twice its hidden_dim 8: bidirectional) and the decoder starts from 1 x gru of "
        "width 8; use dense",
    ),
    (
        RECURRENT,
        "decoder",
        {"attention": {"score": "dot", "query": "current"}},
        "architecture.decoder.attention.score: dot needs equal widths, but the decoder's "
        "hidden_dim is 8 and the encoder's outputs have 16; use general",
    ),
    (
        RECURRENT,
        "decoder",
        {"attention": {"score": "dot", "query": "current", "units": 3}},
        "units has no meaning",
    ),
    (
        RECURRENT,
        "decoder",
        {"attention": {"score": "dot", "query": "previous", "input_feeding": True}},
        "input_feeding goes with query: current",
    ),
    (
        RECURRENT,
        "encoder",
        {"activation": "relu"},
        "architecture.encoder.activation: relu is for cell: rnn",
    ),
    (
        RECURRENT,
        "decoder",
        {"context": "initial_state", "attention": None},
        "architecture.decoder.readout: concat has no context to read",
    ),
    (
        RECURRENT,
        "decoder",
        {"attention": {"score": "general", "query": "current"}, "readout": "hidden"},
        "architecture.decoder.readout: hidden leaves out the context",
    ),
    (
        RECURRENT,
        "decoder",
        {"attention": {"score": "general", "query": "current", "input_feeding": True}},
        "architecture.decoder.readout: concat cannot be fed into the next step",
    ),
    (
        RECURRENT,
        None,
        {"bridge": {"type": "copy", "reads": "top"}},
        "architecture.bridge.reads: top is for type: dense, not copy",
    ),
    (
        RECURRENT,
        None,
        {"bridge": {"type": "dense", "shared": True}},
        "architecture.bridge.shared: true goes with reads: own",
    ),
]


def test_a_bridge_of_the_same_layers_needs_as_many():
    mutated = copy.deepcopy(RECURRENT)
    mutated["architecture"]["bridge"]["reads"] = "own"
    mutated["architecture"]["decoder"]["num_layers"] = 2
    with pytest.raises(ConfigError, match=r"bridge\.reads: own .* 1 x gru and the decoder 2 x gru"):
        read_config(PresetConfig, mutated, origin="mine.yaml")


@pytest.mark.parametrize(("data", "side", "changes", "part"), CONTRADICTIONS)
def test_contradictions(data, side, changes, part):
    mutated = copy.deepcopy(data)
    owner = mutated["architecture"] if side is None else mutated["architecture"][side]
    owner.update(changes)
    with pytest.raises(ConfigError) as error:
        read_config(PresetConfig, mutated, origin="mine.yaml")
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"task": "dates"}, "either a task or train files"),
        ({"train": None}, "either a task or train files"),
        ({"train": {"source": "a"}}, "either source and target, or pairs"),
        ({"train": {"source": "a", "target": "b", "pairs": "c"}}, "either source and target"),
        (
            {"train": {"source": "a", "target": "b", "columns": [0, 1]}},
            "columns: for a file of pairs",
        ),
        ({"train": {"pairs": "a.tsv", "columns": [0]}}, "data.train.columns"),
        ({"train": {"pairs": "a.tsv", "columns": [0, -1]}}, "data.train.columns.1"),
        (
            {"train": {"pairs": "a.tsv", "columns": [0, 1], "source_key": "en"}},
            "columns is for a TSV file",
        ),
    ],
)
def test_contradicting_data(changes, part):
    mutated = copy.deepcopy(RECIPE)
    mutated["data"].update(changes)
    with pytest.raises(ConfigError) as error:
        read_config(RecipeConfig, mutated, origin="mine.yaml")
    assert part in str(error.value)


def test_the_former_name_of_a_task():
    data = {**copy.deepcopy(RECIPE), "data": {"generator": "dates"}}
    with pytest.warns(FutureWarning, match=r"data\.generator is now data\.task"):
        found = read_config(RecipeConfig, data, origin="mine.yaml")
    assert found.data.task == "dates"
    assert "generator" not in found.model_dump()["data"]


# --------------------------------------------------------------------------------------
# shared:
# --------------------------------------------------------------------------------------


def test_shared_says_once_what_both_sides_have():
    sides = TRANSFORMER["architecture"]
    common = {key: sides["decoder"][key] for key in sides["decoder"]}
    encoder = {key: value for key, value in sides["encoder"].items() if key not in common}
    shared = {**sides, "shared": common, "encoder": encoder, "decoder": {}}
    spelled_out = ArchitectureConfig.model_validate(sides)
    assert read_config(ArchitectureConfig, shared, origin="shared") == spelled_out
    assert "shared" in shared, "the caller's mapping is left alone"


@pytest.mark.parametrize(
    ("cls", "above"), [(PresetConfig, ("architecture",)), (ArchitectureConfig, ())]
)
@pytest.mark.parametrize(
    ("shared", "encoder", "expected"),
    [
        ({"num_layer": 3}, {}, "shared.num_layer: unknown key; did you mean 'num_layers'?"),
        (
            {"embedding": {"scal": True}},
            {"embedding": {"positions": "sinusoidal"}},
            "shared.embedding.scal: unknown key; did you mean 'scale'?",
        ),
        (
            {"norm_order": "pree"},
            {},
            "shared.norm_order: expected 'pre', 'post' or 'steps' (got 'pree'); ",
        ),
        (
            {"tpye": "transformer", "type": None},
            {},
            "shared.tpye: unknown key; did you mean 'type'",
        ),
        ({"num_layers": 0}, {"num_layers": 2}, "shared.num_layers: .* (got 0) (in the decoder)"),
        ({"num_layers": 2}, {"num_layers": 0}, "encoder.num_layers: .* (got 0)"),
        ({"activation": "relu"}, {"activatoin": "relu"}, "encoder.activatoin: unknown key"),
    ],
)
def test_a_mistake_under_shared_is_reported_there_and_once(cls, above, shared, encoder, expected):
    common = dict(TRANSFORMER["architecture"]["decoder"])
    shared = {key: value for key, value in {**common, **shared}.items() if value is not None}
    data = {
        **TRANSFORMER["architecture"],
        "shared": shared,
        "encoder": encoder,
        "decoder": {},
    }
    for key in reversed(above):
        data = {**TRANSFORMER, key: data}
    with pytest.raises(ConfigError) as error:
        read_config(cls, data, origin="mine.yaml")
    _, line = str(error.value).splitlines()
    head, _, tail = expected.partition(" .* ")
    assert line.startswith("  " + ".".join((*above, head)))
    assert line.endswith(tail) if tail else "(in the" not in line


@pytest.mark.parametrize("changes", [{"shared": 5}, {"shared": {}, "encoder": 5}])
def test_shared_that_cannot_be_spread(changes):
    data = {**TRANSFORMER["architecture"], **changes}
    with pytest.raises(ConfigError, match=r"mine\.yaml.*\n.*expected a mapping of keys, got 5"):
        read_config(ArchitectureConfig, data, origin="mine.yaml")


# --------------------------------------------------------------------------------------
# Widths
# --------------------------------------------------------------------------------------


@slow_where_compiled
def test_widths_are_refused_exactly_where_the_layers_cannot_be_built():
    import keras

    from keras_s2s.layers.recurrent.decoder import RecurrentDecoder
    from keras_s2s.layers.recurrent.encoder import RecurrentEncoder

    def can_be_built(encoder: dict[str, Any], decoder: dict[str, Any], bridge: str) -> bool:
        mask = keras.Input((None,), dtype="bool")
        memory = RecurrentEncoder(encoder)(keras.Input((None, 3)), mask=mask)
        try:
            RecurrentDecoder(decoder, bridge={"type": bridge})(keras.Input((None, 3)), memory)
        except ValueError:
            return False
        return True

    side = {"type": "recurrent", "cell": "gru", "hidden_dim": 4}
    encoders = [
        {},
        {"hidden_dim": 2, "bidirectional": True},
        {"bidirectional": True},
        {"cell": "lstm"},
        {"num_layers": 2},
    ]
    decoders = [{}, {"cell": "lstm"}, {"cell": "rnn"}]
    ways = [("copy", None), ("copy", "dot"), ("dense", "dot"), ("dense", "general")]
    answers = set()
    for encoder in encoders:
        for decoder in decoders:
            for bridge, score in ways:
                attention = {"score": score, "query": "current"}
                read = {"context": "attention", "attention": attention} if score else {}
                parts = {"encoder": {**side, **encoder}, "decoder": {**side, **decoder, **read}}
                expected = can_be_built(*parts.values(), bridge)
                sizes = {"source_vocab_size": 5, "target_vocab_size": 5}
                try:
                    ArchitectureConfig.model_validate(
                        {**sizes, **parts, "bridge": {"type": bridge}}
                    )
                    accepted = True
                except ValueError:
                    accepted = False
                assert accepted == expected, (encoder, decoder, bridge, score)
                answers.add(expected)
    assert answers == {True, False}


def test_a_transformer_encoder_has_no_state_to_copy():
    data = copy.deepcopy(RECURRENT)
    data["architecture"]["encoder"] = TRANSFORMER["architecture"]["encoder"]
    data["architecture"]["bridge"]["type"] = "copy"
    with pytest.raises(ConfigError, match=r"architecture\.bridge\.type: copy has nothing to copy"):
        read_config(PresetConfig, data, origin="mine.yaml")


# --------------------------------------------------------------------------------------
# Values
# --------------------------------------------------------------------------------------


@given(st.sampled_from(EXAMPLES))
def test_written_and_read_again_it_is_the_same(example):
    cls, data = example
    first = read_config(cls, data, origin="first")
    assert read_config(cls, first.model_dump(), origin="again") == first
    assert read_config(cls, first.model_dump(mode="json"), origin="json") == first


def test_configurations_are_frozen():
    preset = read_config(PresetConfig, TRANSFORMER, origin="example")
    with pytest.raises(ValueError, match="frozen"):
        preset.generation.num_beams = 2


@pytest.mark.parametrize(
    ("order", "set_to", "expected"),
    [
        ("pre", None, True),
        ("post", None, False),
        ("pre", False, False),
        ("post", True, True),
    ],
)
def test_final_norm_follows_the_norm_order(order, set_to, expected):
    data = copy.deepcopy(TRANSFORMER["architecture"])
    data["encoder"].update(norm_order=order, final_norm=set_to)
    encoder = ArchitectureConfig.model_validate(data).encoder
    assert encoder.has_final_norm is expected


def test_every_declared_choice_is_accepted():
    checked = 0
    for score in get_args(config.AttentionConfig.model_fields["score"].annotation):
        config.AttentionConfig(score=score, query="current")
        checked += 1
    for kind in get_args(config.TokenizerKind):
        config.TokenizerConfig(kind=kind)
        checked += 1
    assert checked == 11


def test_reading_a_configuration_loads_no_keras():
    # The module alone: the package that holds it loads the public names, and so keras.
    program = (
        "import runpy, sys\n"
        f"runpy.run_path({config.__file__!r})\n"
        "print('keras' in sys.modules, 'tensorflow' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert output.stdout.split() == ["False", "False"]
