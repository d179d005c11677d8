"""The export of a model: what `model.export` was asked for, checked and handed to a format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from keras_s2s.checkpoints.preset_folder import refuse_adapted
from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.decoding.requests.planning import Search, plan_search
from keras_s2s.decoding.requests.read_sources import refuse_languages_of_ids
from keras_s2s.export.errors import ExportError
from keras_s2s.export.formats import export_as, refuse_fixed_search
from keras_s2s.export.saved_model.verification import verification_of
from keras_s2s.samplers.output import GenerationOutput


def export_model(
    parts: ModelParts,
    weights: Sequence[Any],
    generate: Callable[..., GenerationOutput],
    search: Search,
    directory: str | Path,
    format: str,
    *,
    overwrite: bool = False,
    languages: tuple[str | None, str | None] = (None, None),
    verify: bool = True,
    samples: Sequence[str] | None = None,
    text: bool = True,
    compute_type: str | None = None,
    **options: Any,
) -> Path:
    """Writes a model in a format.

    Args:
        parts: of the model.
        weights: of the model.
        generate: `model.generate`, with which a SavedModel is compared.
        search: the search that a SavedModel has.
        directory, format, overwrite, verify, samples, text: as in `model.export`.
        languages: default ones of sources and targets, of what is written.
        compute_type: that of `model.generate`.
        options: of single formats (`formats.FORMATS`); those that are None or False were not asked
            for.

    Returns:
        the folder written.

    Raises:
        ExportError, ImportError, ValueError: as `model.export` does.
    """
    refuse_adapted(directory, weights, "other engines read plain ones")
    if search.asks_for_something:
        refuse_fixed_search(format)
    if format == "tf_saved_model" and compute_type is not None:
        raise ExportError(
            f"a SavedModel multiplies in the type of the weights, and the model has compute_type="
            f"{compute_type}, so that their results differ: set model.compute_type = None first"
        )
    if search.options.get("shortlist"):
        raise ExportError(
            "an exported graph has no inputs for the candidates of a shortlist; leave it out, or "
            "serve the model itself: keras-s2s serve --shortlist FILE"
        )
    src_lang, tgt_lang = languages
    parts = parts.in_languages(src_lang, tgt_lang)
    if format == "tf_saved_model" and parts.preprocessor is None:
        refuse_languages_of_ids(parts, src_lang, tgt_lang)
    chosen, plan, _ = plan_search(parts, search, [0])
    asked = {k: value for k, value in options.items() if value is not None and value is not False}
    if not text:
        asked["text"] = False
    if format == "tf_saved_model" and verify:
        as_text = text and parts.preprocessor is not None
        if not as_text:
            # Ids have them already, but for one that the decoder begins with.
            known = parts.special_ids.languages
            begins = known is not None and known.target != "source_prefix"
            src_lang, tgt_lang = None, tgt_lang if begins else None
        same = partial(
            generate,
            sampler=search.sampler,
            processors=search.processors,
            src_lang=src_lang,
            tgt_lang=tgt_lang,
            overlong="truncate" if "truncate" in asked else "error",
            **search.options,
        )
        asked["verification"] = verification_of(
            parts, chosen, plan, same, samples=samples, as_text=as_text
        )
    return export_as(
        format,
        directory,
        asked,
        network=parts.network,
        variables=weights,
        config=parts.preset,
        preprocessor=parts.preprocessor,
        sampler=chosen,
        plan=plan,
        overwrite=overwrite,
    )
