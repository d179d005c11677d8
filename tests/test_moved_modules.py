"""Modules under their old names are the modules in their new places, with a warning."""

from __future__ import annotations

import importlib
import sys

import pytest
from small_models import slow_where_compiled

import keras_s2s
from keras_s2s.moved_modules import MOVED, SPLIT


@slow_where_compiled
def test_old_names_give_the_same_modules_and_warn():
    assert len(MOVED) >= 60
    for old, new in MOVED.items():
        sys.modules.pop(f"keras_s2s.{old}", None)
        with pytest.warns(FutureWarning, match=f"keras_s2s.{new};"):
            found = importlib.import_module(f"keras_s2s.{old}")
        assert found is importlib.import_module(f"keras_s2s.{new}"), old
        assert found.__name__ == f"keras_s2s.{new}"
        assert found.__spec__.name == f"keras_s2s.{new}", "the module keeps its own place"


def test_names_of_a_module_that_became_a_package():
    from keras_s2s.layers import kernels
    from keras_s2s.layers.kernels import operations

    with pytest.warns(FutureWarning, match=r"split_heads is now in .*kernels\.operations"):
        assert kernels.split_heads is operations.split_heads
    with pytest.raises(AttributeError, match="no attribute 'split_hands'"):
        _ = kernels.split_hands


@slow_where_compiled
def test_a_name_is_imported_from_an_old_module():
    with pytest.warns(FutureWarning, match=r"keras_s2s\.analysis\.plots"):
        sys.modules.pop("keras_s2s.plots", None)
        from keras_s2s.plots import plot_attention
    assert plot_attention is keras_s2s.plot_attention


@slow_where_compiled
@pytest.mark.parametrize(
    ("package", "name", "module"),
    [
        ("checkpoints.huggingface", "HuggingFaceFolder", "reader"),
        ("data.dates", "is_ambiguous", "ambiguity"),
        ("layers.embeddings", "OutputProjection", ".output_projection"),
        ("layers.kernels", "linear", "operations"),
        ("layers.recurrent", "recurrent_layer", "cells"),
        ("layers.transformer", "TransformerBlock", "stack"),
        ("samplers.sampler", "process", ".processing"),
        ("samplers.sampler", "put", ".gather"),
        ("samplers.sampler", "histories", ".histories"),
        ("text.pretrained", "load_pretrained_tokenizers", "auto"),
        ("text.trained", "TrainedTokenizer", "base"),
    ],
)
def test_names_of_modules_that_became_packages(package, name, module):
    assert package in SPLIT
    parent = importlib.import_module(f"keras_s2s.{package}")
    above = package.rpartition(".")[0] if module.startswith(".") else f"{package}."
    home = importlib.import_module(f"keras_s2s.{above}{module}")
    with pytest.warns(FutureWarning, match=f"is now in {home.__name__};"):
        found = getattr(parent, name)
    assert found is getattr(home, name)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = parent.no_such_name
