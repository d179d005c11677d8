"""Encoder-decoder models on Keras 3: train, load, generate with and serve them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from keras_s2s.moved_modules import redirect_moved_modules
from keras_s2s.registration import register_with_keras
from keras_s2s.version import __version__

if TYPE_CHECKING:
    from keras_s2s import analysis, callbacks, config, data, layers, samplers, text, training
    from keras_s2s.analysis.alignment import word_alignment
    from keras_s2s.analysis.exposure_bias import exposure_bias, plot_exposure_bias
    from keras_s2s.analysis.plots import plot_attention
    from keras_s2s.builder import register_decoder, register_encoder, register_frontend
    from keras_s2s.catalog import list_halves, list_presets, list_recipes
    from keras_s2s.checkpoints.errors import CheckpointError
    from keras_s2s.config import ConfigError
    from keras_s2s.documents import generate_document
    from keras_s2s.model import Seq2SeqLM
    from keras_s2s.reranking import minimum_bayes_risk, rerank
    from keras_s2s.text.shortlists import learn_shortlist, read_shortlist, write_shortlist
    from keras_s2s.trimming.trim_vocabulary import trim_vocabulary

__all__ = [
    "CheckpointError",
    "ConfigError",
    "Seq2SeqLM",
    "__version__",
    "analysis",
    "callbacks",
    "config",
    "data",
    "exposure_bias",
    "generate_document",
    "layers",
    "learn_shortlist",
    "list_halves",
    "list_presets",
    "list_recipes",
    "minimum_bayes_risk",
    "plot_attention",
    "plot_exposure_bias",
    "read_shortlist",
    "register_decoder",
    "register_encoder",
    "register_frontend",
    "rerank",
    "samplers",
    "text",
    "training",
    "trim_vocabulary",
    "word_alignment",
    "write_shortlist",
]

#: Public name: the module it is imported from when it is first used. What needs no network (the
#: command line's help, the zoo) then waits for no backend.
_HOMES = {
    "CheckpointError": "checkpoints.errors",
    "ConfigError": "config",
    "Seq2SeqLM": "model",
    "exposure_bias": "analysis.exposure_bias",
    "generate_document": "documents",
    "list_halves": "catalog",
    "list_presets": "catalog",
    "list_recipes": "catalog",
    "minimum_bayes_risk": "reranking",
    "plot_attention": "analysis.plots",
    "plot_exposure_bias": "analysis.exposure_bias",
    "register_decoder": "builder",
    "register_encoder": "builder",
    "register_frontend": "builder",
    "rerank": "reranking",
    "trim_vocabulary": "trimming.trim_vocabulary",
    "word_alignment": "analysis.alignment",
    "learn_shortlist": "text.shortlists",
    "read_shortlist": "text.shortlists",
    "write_shortlist": "text.shortlists",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    # A part of the package, which importing binds.
    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_with_keras()
redirect_moved_modules()
