"""Finds presets of the zoo and recipes, and merges them with what they are based on.

    zoo/families/NAME.yaml    how a family is built; a partial preset, not listed
    zoo/presets/NAME.yaml     `base:` and what differs from it
    zoo/halves/NAME.yaml      an encoder or decoder that whole models are put together of
    recipes/NAME.yaml         training runs

The folders lie beside the package in a checkout, and inside it in an installed wheel.
`base:` names a family or a preset (`transformer`; `families/transformer` where a preset has the
same name), or the path of a YAML file as seen from the file that says it (`../my_base.yaml`).
"""

from keras_s2s.catalog.folders import (
    is_entry,
    list_families,
    list_presets,
    list_recipes,
    no_such_model,
    preset_path,
    recipe_path,
    recipes_folder,
    zoo_folder,
)
from keras_s2s.catalog.halves import list_halves, load_half, no_such_half
from keras_s2s.catalog.presets import collect, load_entry, load_preset, preset_chain, resolve
from keras_s2s.catalog.recipes import load_recipe
from keras_s2s.catalog.settings import Settings, load_family, load_tables, overlay
from keras_s2s.catalog.strict_yaml import read_yaml

__all__ = [
    "Settings",
    "collect",
    "is_entry",
    "list_families",
    "list_halves",
    "list_presets",
    "list_recipes",
    "load_entry",
    "load_family",
    "load_half",
    "load_preset",
    "load_recipe",
    "load_tables",
    "no_such_half",
    "no_such_model",
    "overlay",
    "preset_chain",
    "preset_path",
    "read_yaml",
    "recipe_path",
    "recipes_folder",
    "resolve",
    "zoo_folder",
]
