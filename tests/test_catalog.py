"""The catalog: finding zoo and recipe files, and merging what they are based on."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_models import slow_where_compiled

from keras_s2s import catalog
from keras_s2s.catalog import folders
from keras_s2s.catalog.strict_yaml import parse_yaml, read_yaml
from keras_s2s.config import ConfigError, PointerConfig, PresetConfig, merge

FAMILY = """
architecture:
  source_vocab_size: 100
  target_vocab_size: 100
  shared: {type: transformer, hidden_dim: 8, num_heads: 2, intermediate_dim: 16, num_layers: 2}
  encoder: {num_layers: 3}
special_ids:
  source: {pad: 0, eos: 3}
  target: {pad: 0, eos: 3, decoder_start: 2}
"""

RECIPE = """
description: A run.
model: tiny
architecture: {shared: {hidden_dim: 16}}
text: {source: {kind: word}}
data: {task: dates}
training: {epochs: 1}
"""


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A zoo of one family and two presets, one on top of the other."""
    files = {
        "families/transformer": FAMILY,
        "presets/tiny": "base: transformer\ndescription: Tiny.\n",
        "presets/deep": "base: tiny\narchitecture: {shared: {num_layers: 5}}\n",
    }
    for name, text in files.items():
        path = tmp_path / "zoo" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "zoo"


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """A folder of one recipe."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "run.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path / "recipes"


def add(zoo: Path, name: str, text: str) -> Path:
    path = zoo / "presets" / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


# --------------------------------------------------------------------------------------
# What ships
# --------------------------------------------------------------------------------------

PRESETS = {
    "lstm_seq2seq",
    "gru_encoder_decoder",
    "gru_bahdanau",
    "lstm_luong_dot",
    "lstm_luong_general",
    "lstm_luong_concat",
    "transformer_tiny",
    "transformer_base",
    "transformer_big",
}


def test_zoo_holds_the_presets_of_the_field():
    assert set(catalog.list_presets()) >= PRESETS
    assert len(catalog.list_families()) >= 2


def test_every_preset_is_valid():
    names = catalog.list_presets()
    assert len(names) >= len(PRESETS)
    for name in names:
        preset = catalog.load_entry(name)
        assert preset.description
        assert catalog.preset_chain(name)[0] == catalog.preset_path(name).resolve()


def test_every_recipe_is_valid():
    names = catalog.list_recipes()
    assert set(names) >= {"dates", "multi30k_en_de"}
    for name in names:
        recipe = catalog.load_recipe(name)
        if recipe.warm_start is None:
            assert recipe.model in catalog.list_presets()
        else:
            halves = {recipe.warm_start.encoder, recipe.warm_start.decoder}
            assert halves <= set(catalog.list_halves())


def test_no_file_hides_from_the_catalog():
    folder = catalog.zoo_folder()
    found = {path for path in folder.rglob("*") if path.is_file()}
    listed = {catalog.preset_path(name) for name in catalog.list_presets()}
    listed |= {folder / "families" / f"{name}.yaml" for name in catalog.list_families()}
    listed |= {folder / "halves" / f"{name}.yaml" for name in catalog.list_halves()}
    listed.add(folder / "huggingface.yaml")  # keys of all configurations of transformers
    listed.add(folder / "torch_rnn.yaml")  # usual names of modules of recurrent models
    assert len(found) >= 11
    assert found == listed


def test_sizes_of_the_transformer_paper():
    base = catalog.load_preset("transformer_base").architecture
    big = catalog.load_preset("transformer_big").architecture
    for architecture, sizes in ((base, (512, 2048, 8, 6)), (big, (1024, 4096, 16, 6))):
        for side in (architecture.encoder, architecture.decoder):
            found = (side.hidden_dim, side.intermediate_dim, side.num_heads, side.num_layers)
            assert found == sizes


def test_missing_folders_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "_PACKAGE", tmp_path / "package")
    with pytest.raises(FileNotFoundError, match=r"_zoo.*install"):
        catalog.list_presets()


def test_the_wheels_folder_wins_over_a_neighbour(monkeypatch, tmp_path):
    package = tmp_path / "package"
    monkeypatch.setattr(folders, "_PACKAGE", package)
    (tmp_path / "zoo").mkdir()
    assert catalog.zoo_folder() == tmp_path / "zoo"
    (package / "_zoo").mkdir(parents=True)
    assert catalog.zoo_folder() == package / "_zoo"


# --------------------------------------------------------------------------------------
# Bases
# --------------------------------------------------------------------------------------


def test_families_are_not_presets(zoo):
    assert catalog.list_presets(zoo=zoo) == ["deep", "tiny"]
    assert catalog.list_families(zoo=zoo) == ["transformer"]


def test_a_preset_inherits_and_changes(zoo):
    tiny = catalog.load_preset("tiny", zoo=zoo)
    assert tiny.description == "Tiny."
    assert (tiny.architecture.encoder.num_layers, tiny.architecture.decoder.num_layers) == (3, 2)
    assert tiny.architecture.encoder.hidden_dim == 8


def test_what_a_preset_shares_wins_over_a_side_of_its_base(zoo):
    deep = catalog.load_preset("deep", zoo=zoo).architecture
    assert (deep.encoder.num_layers, deep.decoder.num_layers) == (5, 5)


def test_changes_win_over_files(zoo):
    changes = {"generation": {"num_beams": 5}, "architecture": {"shared": {"num_layers": 1}}}
    preset = catalog.load_preset("deep", changes, zoo=zoo)
    assert preset.generation.num_beams == 5
    assert preset.architecture.encoder.num_layers == 1


def test_chain_lists_the_files(zoo):
    chain = catalog.preset_chain("deep", zoo=zoo)
    assert [path.stem for path in chain] == ["deep", "tiny", "transformer"]


def test_a_file_of_ones_own_may_stand_on_the_zoo_or_beside_it(zoo, tmp_path):
    (tmp_path / "mine.yaml").write_text("base: tiny\ngeneration: {num_beams: 2}\n")
    (tmp_path / "more.yaml").write_text("base: mine.yaml\ngeneration: {length_penalty: 0.6}\n")
    generation = catalog.load_preset(tmp_path / "more.yaml", zoo=zoo).generation
    assert (generation.num_beams, generation.length_penalty) == (2, 0.6)
    same = catalog.load_preset(str(tmp_path / "more.yaml"), zoo=zoo).generation
    assert same == generation


def test_resolve_takes_settings_that_are_in_no_file(zoo):
    data = catalog.resolve({"base": "tiny", "description": "Mine."}, origin="here", zoo=zoo)
    assert data["description"] == "Mine."
    assert "base" not in data
    assert data["architecture"]["decoder"]["num_layers"] == 2


def test_an_entry_may_point_to_a_checkpoint_and_leave_its_sizes_to_the_folder(zoo):
    (zoo / "families" / "marian.yaml").write_text(
        "architecture: {shared: {type: transformer, norm_order: post}}\npaper: P.\n"
    )
    add(zoo, "mine", "base: marian\ndescription: Mine.\nsource: hf://me/mine\nlicense: MIT\n")
    entry = catalog.load_entry("mine", zoo=zoo)
    assert isinstance(entry, PointerConfig)
    assert (entry.family, entry.source, entry.paper) == ("marian", "hf://me/mine", "P.")
    assert isinstance(catalog.load_entry("tiny", zoo=zoo), PresetConfig)
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*hf://me/mine.*take an entry that states"):
        catalog.load_preset("mine", zoo=zoo)
    # What is begun must be whole: such an entry is not taken for a pointer.
    add(zoo, "half", "base: mine\nsource: hf://me/half\narchitecture: {source_vocab_size: 9}\n")
    with pytest.raises(ConfigError, match="special_ids: required, but missing"):
        catalog.load_entry("half", zoo=zoo)
    add(zoo, "odd", "base: mine\ngeneration: {num_beams: 3}\n")
    with pytest.raises(ConfigError, match="generation: unknown key"):
        catalog.load_entry("odd", zoo=zoo)


def test_a_changed_architecture_has_nobodys_weights(zoo):
    add(zoo, "theirs", "base: tiny\nsource: hf://me/x\nlicense: MIT\nparameters: 5\n")
    add(zoo, "renamed", "base: theirs\ndescription: Mine.\n")
    add(zoo, "wider", "base: theirs\narchitecture: {shared: {hidden_dim: 16}}\n")
    assert catalog.load_preset("renamed", zoo=zoo).source == "hf://me/x"
    wider = catalog.load_preset("wider", zoo=zoo)
    assert (wider.source, wider.license, wider.parameters) == (None, None, None)


def test_null_takes_a_setting_away(zoo):
    add(zoo, "plain", "base: tiny\nparameters: 5\n")
    add(zoo, "plainer", "base: plain\nparameters: null\n")
    assert catalog.load_preset("plainer", zoo=zoo).parameters is None


@pytest.mark.parametrize("names", [["one"], ["one", "two"], ["one", "two", "three"]])
def test_bases_in_a_circle_are_shown(zoo, names):
    for name, base in zip(names, names[1:] + names[:1], strict=True):
        add(zoo, name, f"base: {base}\n")
    with pytest.raises(ConfigError) as error:
        catalog.load_preset("one", zoo=zoo)
    chain = str(error.value).partition("began: ")[2].split(" -> ")
    assert [Path(step).stem for step in chain] == [*names, "one"]


def test_a_circle_below_the_preset_is_shown_alone(zoo):
    add(zoo, "above", "base: one\n")
    add(zoo, "one", "base: two\n")
    add(zoo, "two", "base: one\n")
    with pytest.raises(ConfigError) as error:
        catalog.load_preset("above", zoo=zoo)
    chain = str(error.value).partition("began: ")[2].split(" -> ")
    assert [Path(step).stem for step in chain] == ["one", "two", "one"]


def test_a_family_and_a_preset_of_one_name_must_be_told_apart(zoo):
    path = add(zoo, "transformer", "base: transformer\ndescription: Same name.\n")
    with pytest.raises(ConfigError, match="families/transformer or presets/transformer"):
        catalog.load_preset("transformer", zoo=zoo)
    path.write_text("base: families/transformer\ndescription: Same name.\n")
    assert catalog.load_preset("transformer", zoo=zoo).description == "Same name."


@pytest.mark.parametrize(
    ("base", "parts"),
    [
        ("transfomer", ["no family or preset", "'transformer'"]),
        ("families/tiny", ["no family or preset", "'presets/tiny'"]),
        ("nothing.yaml", ["no such file", "nothing.yaml"]),
        ("[tiny]", ["expected a name", "['tiny']"]),
        ("5", ["expected a name", "5"]),
    ],
)
def test_a_base_that_is_not_there(zoo, base, parts):
    path = add(zoo, "lost", f"base: {base}\n")
    with pytest.raises(ConfigError) as error:
        catalog.load_preset("lost", zoo=zoo)
    for part in [str(path), "base", *parts]:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("name", "part"),
    [("tinny", "did you mean 'tiny'?"), ("xyz", "choose a preset from: deep, tiny")],
)
def test_an_unknown_preset_gets_the_nearest_names(zoo, name, part):
    with pytest.raises(ConfigError) as error:
        catalog.load_preset(name, zoo=zoo)
    assert repr(name) in str(error.value)
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("runs/nope", r"^runs/nope: no such folder; give a folder that save_to_preset or .* wrote"),
        ("./nope", r"^\./nope: no such folder; give"),
        ("runs/tinny", r"^runs/tinny: no such folder; did you mean 'tiny'\?$"),
        (Path("nope"), r"^nope: no such folder; give"),
        ("runs/nope.yaml", r"^runs/nope\.yaml: no such file; give the path of a YAML file"),
        ("FOLDER/weights.bin", r"weights\.bin: expected the YAML file of a preset"),
    ],
)
def test_a_path_that_leads_nowhere(zoo, tmp_path, path, message):
    (tmp_path / "weights.bin").write_bytes(b"\xff")
    if isinstance(path, str):
        path = path.replace("FOLDER", str(tmp_path))
    with pytest.raises(ConfigError, match=message) as error:
        catalog.load_preset(path, zoo=zoo)
    assert "deep" not in str(error.value), "names are suggested where one is near"


def test_a_recipe_at_a_path_that_leads_nowhere(recipes):
    with pytest.raises(
        ConfigError, match=r"^mine/nope: no such file; give the path of a YAML.*run"
    ):
        catalog.load_recipe("mine/nope", recipes=recipes)


def test_a_family_is_not_loaded_as_a_preset(zoo):
    with pytest.raises(ConfigError, match="no preset is called 'transformer'"):
        catalog.load_preset("transformer", zoo=zoo)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml: no such file"):
        catalog.load_preset(tmp_path / "absent.yaml")


def test_a_typo_is_traced_to_the_file_that_has_it(zoo):
    family = zoo / "families" / "transformer.yaml"
    family.write_text(FAMILY.replace("intermediate_dim", "intermediat_dim"))
    with pytest.raises(ConfigError) as error:
        catalog.load_preset("deep", zoo=zoo)
    line = next(line for line in str(error.value).splitlines() if "intermediat_dim" in line)
    assert "did you mean 'intermediate_dim'?" in line
    assert str(family) in line


def test_a_typo_under_shared_is_traced_to_the_file_and_key_that_have_it(zoo):
    family = zoo / "families" / "transformer.yaml"
    family.write_text(FAMILY.replace("num_heads", "num_headz"))
    with pytest.raises(ConfigError) as error:
        catalog.load_preset("deep", zoo=zoo)
    (line,) = [line for line in str(error.value).splitlines() if "num_headz" in line]
    assert line.startswith(
        "  architecture.shared.num_headz: unknown key; did you mean 'num_heads'?"
    )
    assert line.endswith(f"[from {family}]")


def test_a_wrong_value_is_reported_where_it_was_last_written(zoo):
    add(zoo, "wrong", "base: deep\narchitecture: {encoder: {num_layers: 0}}\n")
    path = add(zoo, "wronger", "base: wrong\narchitecture: {shared: {num_layers: -1}}\n")
    with pytest.raises(ConfigError, match=r"architecture\.encoder\.num_layers: .*got 0") as error:
        catalog.load_preset("wrong", zoo=zoo)
    assert "shared" not in str(error.value)
    with pytest.raises(ConfigError) as error:
        catalog.load_preset("wronger", zoo=zoo)
    first, line = str(error.value).splitlines()
    assert first.startswith(str(path))
    assert line.startswith("  architecture.shared.num_layers: ") and line.endswith("(got -1)")


def test_widths_that_do_not_fit_name_the_file_and_the_key(zoo):
    side = "type: recurrent, cell: gru, hidden_dim: 8"
    (zoo / "families" / "copying.yaml").write_text(
        FAMILY.partition("  shared")[0]
        + f"  encoder: {{{side}}}\n  decoder: {{{side}}}\n  bridge: {{type: copy}}\n"
        + FAMILY[FAMILY.index("special_ids") :]
    )
    base = "base: copying\ndescription: One.\n"
    add(zoo, "fits", base)
    assert catalog.load_preset("fits", zoo=zoo).architecture.bridge.type == "copy"
    path = add(zoo, "wide", f"{base}architecture: {{encoder: {{bidirectional: true}}}}\n")
    with pytest.raises(ConfigError) as error:
        catalog.load_preset("wide", zoo=zoo)
    first, line = str(error.value).splitlines()
    assert first.startswith(f"{path}: ")
    assert line.startswith("  architecture.bridge.type: copy needs equal states")
    assert line.endswith("copying.yaml]")


settings_trees = st.recursive(
    st.integers(0, 3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
settings_layers = st.dictionaries(st.sampled_from("abc"), settings_trees, max_size=3)


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


@slow_where_compiled
@given(settings_layers, settings_layers)
def test_merged_settings_hold_every_change(base, changes):
    merged = merge(base, changes)
    found = dict(leaves(merged))
    assert dict(leaves(changes)).items() <= found.items()
    assert set(found) <= set(dict(leaves(base))) | set(dict(leaves(changes)))
    assert merge(merged, changes) == merged
    assert merge(base, {}) == base


# --------------------------------------------------------------------------------------
# YAML
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is already set in line 1"),
        ("a:\n  b: 1\n  c: 2\n  b: 1\n", 4, "'b' is already set in line 2"),
        ("a: {b: 1, b: 2}\n", 1, "'b' is already set"),
        ("a: 1\nb: [1, 2\n", 3, "flow sequence"),
        ("a: 1\n\tb: 2\n", 2, "'\\t'"),
        ("a: 1\nb: c: d\n", 2, "mapping values"),
        ("a: 1\nb: !!python/name:os.system\n", 2, "could not determine a constructor"),
        ("a: 1\nb: *nobody\n", 2, "undefined alias"),
        ("a: 1\nb: 2024-13-45\n", 2, "put it in quotes"),
        ("a: 1\nb: \x07\n", 2, "U+0007"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
    ],
)
def test_broken_yaml_names_file_and_line(tmp_path, text, line, part):
    path = tmp_path / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_yaml(path)
    assert str(error.value).startswith(f"{path}, line {line}")
    assert part in str(error.value)


def test_broken_yaml_of_a_base_names_the_base(zoo):
    family = zoo / "families" / "transformer.yaml"
    family.write_text(FAMILY + "special_ids: {}\n")
    with pytest.raises(ConfigError, match=r"transformer\.yaml, line 10.*already set in line 7"):
        catalog.load_preset("tiny", zoo=zoo)


def test_text_that_is_not_utf8(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\ndescription: Müller\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml, line 2: not UTF-8 \(byte 0xfc\)"):
        read_yaml(path)


@pytest.mark.parametrize("text", ["", "\n# only a comment\n"])
def test_an_empty_file(tmp_path, text):
    path = tmp_path / "empty.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="the file is empty"):
        read_yaml(path)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "5\n"])
def test_a_file_without_keys(zoo, text):
    path = add(zoo, "keyless", text)
    with pytest.raises(ConfigError) as error:
        catalog.load_preset("keyless", zoo=zoo)
    assert f"{path}: expected a mapping of keys" in str(error.value)


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)


def test_merge_keys_are_no_duplicates():
    text = "x: &x {b: 1, c: 2}\ny: &y\n  <<: *x\n  b: 3\nz:\n  <<: *y\n  b: 4\n"
    assert parse_yaml(text, origin="text")["z"] == {"b": 4, "c": 2}


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcdefg", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@slow_where_compiled
@given(plain_data)
def test_plain_data_is_read_as_pyyaml_reads_it(data):
    text = yaml.safe_dump(data, allow_unicode=True)
    assert parse_yaml(text, origin="text") == yaml.safe_load(text)


# --------------------------------------------------------------------------------------
# Recipes and overrides
# --------------------------------------------------------------------------------------


def test_recipes_are_listed_and_read(zoo, recipes):
    assert catalog.list_recipes(recipes=recipes) == ["run"]
    recipe = catalog.load_recipe("run", recipes=recipes, zoo=zoo)
    assert recipe.architecture == {"encoder": {"hidden_dim": 16}, "decoder": {"hidden_dim": 16}}
    assert recipe == catalog.load_recipe(recipes / "run.yaml", zoo=zoo)


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("training.epochs=7", lambda r: r.training.epochs, 7),
        ("training.optimizer.epsilon=1e-3", lambda r: r.training.optimizer.epsilon, 1e-3),
        ("training.optimizer.clip_norm=1", lambda r: r.training.optimizer.clip_norm, 1.0),
        ("data.dir=/corpora/a=b", lambda r: r.data.dir, "/corpora/a=b"),
        ("data.dir='2016'", lambda r: r.data.dir, "2016"),
        ("training.dtype=null", lambda r: r.training.dtype, None),
        ("evaluation.metrics=[exact_match]", lambda r: r.evaluation.metrics, ("exact_match",)),
        ("text.joint=true", lambda r: r.text.joint, True),
        ("model=deep", lambda r: r.model, "deep"),
        ("text={source: {kind: byte}}", lambda r: r.text.source.kind, "byte"),
        (
            "architecture.shared.num_layers=1",
            lambda r: r.architecture["decoder"]["num_layers"],
            1,
        ),
    ],
)
def test_overrides(zoo, recipes, override, read, expected):
    recipe = catalog.load_recipe("run", [override], recipes=recipes, zoo=zoo)
    assert read(recipe) == expected
    key, _, value = override.partition("=")
    mapping = {key: yaml.safe_load(value)}
    assert catalog.load_recipe("run", mapping, recipes=recipes, zoo=zoo) == recipe


def test_the_last_override_wins(zoo, recipes):
    overrides = ["training.epochs=2", "training.epochs=3"]
    recipe = catalog.load_recipe("run", overrides, recipes=recipes, zoo=zoo)
    assert recipe.training.epochs == 3


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("data.dirr=x", ["data.dirr", "did you mean 'dir'?"]),
        ("trainin.epochs=3", ["trainin", "did you mean 'training'?"]),
        ("training.epochs=many", ["training.epochs", "'many'"]),
        ("training.epochs=true", ["training.epochs", "True"]),
        ("training.epochs=0", ["training.epochs", "greater than or equal to 1"]),
        ("training.optimizer.learning_rate=.inf", ["learning_rate", "finite"]),
        ("training=3", ["training", "got 3"]),
        ("model=tinny", ["model", "did you mean 'tiny'?"]),
        ("architecture.shared.num_layer=1", ["shared.num_layer:", "did you mean 'num_layers'?"]),
        ("architecture.shared.activation=rleu", ["shared.activation:", "did you mean 'relu'?"]),
        ("architecture.encoder=5", ["architecture.encoder", "got 5"]),
        ("data.dir=[a", ["line 1", "flow sequence"]),
        ("training.epochs", ["expected key=value"]),
        ("=3", ["expected key=value"]),
        ("training..epochs=3", ["expected key=value"]),
    ],
)
def test_a_wrong_override_is_named(zoo, recipes, override, parts):
    with pytest.raises(ConfigError) as error:
        catalog.load_recipe("run", [override], recipes=recipes, zoo=zoo)
    for part in [f"--set {override}", *parts]:
        assert part in str(error.value)


def test_one_string_is_not_a_list_of_overrides(zoo, recipes):
    with pytest.raises(ConfigError, match="list of key=value"):
        catalog.load_recipe("run", "training.epochs=3", recipes=recipes, zoo=zoo)


def test_a_recipe_whose_architecture_does_not_fit_its_model(zoo, recipes):
    path = recipes / "run.yaml"
    path.write_text(RECIPE.replace("hidden_dim: 16", "hidden_dim: 15"))
    with pytest.raises(ConfigError) as error:
        catalog.load_recipe("run", recipes=recipes, zoo=zoo)
    assert str(path) in str(error.value)
    assert "hidden_dim 15 is not a multiple of num_heads 2" in str(error.value)


def test_an_unknown_recipe(recipes):
    with pytest.raises(ConfigError, match=r"no recipe is called .rum.; did you mean .run."):
        catalog.load_recipe("rum", recipes=recipes)
