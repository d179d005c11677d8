"""Loads what `keras-s2s serve` was given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_s2s.checkpoints.ctranslate2.vocabulary import TokenizerChoice
from keras_s2s.options.compute_types import ComputeType
from keras_s2s.serving.models.languages import ModelLanguages, client_codes
from keras_s2s.serving.models.served_model import ServedModel
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.truncation import Overlong

if TYPE_CHECKING:
    from keras_s2s.reranking import RankedTexts


class ModelArgument(NamedTuple):
    """A model on the command line.

    Attributes:
        name: in addresses.
        path: of its folder, or what else `from_preset` takes.
    """

    name: str
    path: str


def read_argument(text: str) -> ModelArgument:
    """Reads `PATH` or `NAME=PATH`; without a name it is the last part of the path.

    Example:
        >>> read_argument("runs/dates")
        ModelArgument(name='dates', path='runs/dates')
        >>> read_argument("de=opus-mt-en-de/")
        ModelArgument(name='de', path='opus-mt-en-de/')
    """
    name, equals, path = text.partition("=")
    if equals and not Path(text).exists():
        return ModelArgument(name, path)
    last = Path(text.removeprefix("hf://")).resolve().name
    return ModelArgument(re.sub(r"[^A-Za-z0-9._-]", "-", last), text)


def read_languages(given: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Returns the declared languages of each model.

    Args:
        given: `en:de` where there is one model, `NAME=en:de` for one of several.
        names: of the models.

    Raises:
        ValueError: a name that no model has, or none where there are several models.

    Example:
        >>> read_languages(["en:de"], ["dates"])
        {'dates': 'en:de'}
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, pair = text.partition("=")
        if not equals:
            if len(names) > 1:
                raise ValueError(
                    f"--languages {text}: there are {len(names)} models; write "
                    f"--languages {names[0]}={text}"
                )
            name, pair = names[0], text
        if name not in names:
            raise ValueError(
                f"--languages {text}: no model is named {name!r}; there are {', '.join(names)}"
            )
        if name in found:
            raise ValueError(f"--languages {text}: {name} has {found[name]} already")
        ModelLanguages.declared(pair)  # its form is checked before anything is loaded
        found[name] = pair
    return found


def model_languages(preprocessor: Preprocessor | None) -> ModelLanguages | None:
    """Returns the languages that a model says it has.

    They are those of its special ids; folders of Marian models also name their pair, as
    `source_lang` and `target_lang` of the tokenizer.

    Args:
        preprocessor: of the model; None has no languages.
    """
    if preprocessor is None:
        return None
    config = preprocessor.special_ids.languages
    files = getattr(preprocessor.source, "files", None)
    stated = {} if files is None else files.config()
    source, target = (
        code if isinstance(code, str) and re.fullmatch("[A-Za-z]{2,3}", code) else None
        for code in (stated.get("source_lang"), stated.get("target_lang"))
    )
    if config is None:
        if source is None or target is None:
            return None
        return ModelLanguages(_untold(source), _untold(target))
    known = ModelLanguages.of_model(config)
    if source is not None and known.any_source:
        return ModelLanguages(_untold(source), known.targets)
    return known


def _untold(code: str) -> dict[str, None]:
    """Returns a language that the model is not told, under its short code."""
    return dict.fromkeys(client_codes([code]))


def load_served(
    argument: ModelArgument,
    options: Mapping[str, Any],
    languages: str | None = None,
    overlong: Overlong = "error",
    tokenizer: TokenizerChoice = None,
    compute_type: ComputeType | None = None,
    cuda_graphs: bool = False,
    rank: Callable[..., RankedTexts] | None = None,
) -> ServedModel:
    """Loads a model to serve.

    Args:
        argument: name and path.
        options: generation options for requests that set none.
        languages: declared ones, `en:de`; None for those of the model.
        overlong: what is done with a source that is longer than the model's positions.
        tokenizer: how text is split for a CTranslate2 folder, as in `from_preset`.
        compute_type: how matrix products are computed, as in `from_preset`.
        cuda_graphs: run steps as CUDA graphs, as in `from_preset`.
        rank: chooses results among several, as in `PresetModel`.

    Raises:
        ValueError: there is no such model, it cannot be served, or `options` or `rank` for a
            SavedModel, whose search is fixed.
        ImportError: TensorFlow is not installed, for a SavedModel.
    """
    # Keras, or TensorFlow alone, is imported here.
    from keras_s2s.serving.models.saved_model import SavedModel, newest_version

    found = newest_version(Path(argument.path))
    if found is not None:
        if overlong != "error":
            options = {**options, "overlong": overlong}
        if tokenizer is not None:
            options = {**options, "tokenizer": tokenizer}
        if compute_type is not None:
            options = {**options, "compute_type": compute_type}
        if cuda_graphs:
            options = {**options, "cuda_graphs": cuda_graphs}
        if rank is not None:
            options = {**options, "minimum_bayes_risk": rank}
        if options:
            raise ValueError(
                f"{argument.path} is a SavedModel, whose search is fixed when it is exported; "
                f"leave {', '.join(options)} out, or serve the model's own folder"
            )
        served = SavedModel(argument.name, *found)
        config = served.languages_config
        if languages is not None:
            served.languages = ModelLanguages.declared(languages, config)
        elif config is not None:
            served.languages = ModelLanguages.of_model(config)
        return served
    from keras_s2s.model import Seq2SeqLM
    from keras_s2s.serving.models.preset_model import PresetModel

    model = Seq2SeqLM.from_preset(
        argument.path, tokenizer=tokenizer, compute_type=compute_type, cuda_graphs=cuda_graphs
    )
    config = model.special_ids.languages
    if languages is not None:
        known: ModelLanguages | None = ModelLanguages.declared(languages, config)
    else:
        known = model_languages(model.preprocessor)
    return PresetModel(argument.name, model, options, known, overlong=overlong, rank=rank)
