"""The public function: a model with the part of its vocabulary that texts use."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_s2s.config import ConfigError, PresetConfig
from keras_s2s.layers.lora import adapters_of
from keras_s2s.layers.quantised import quantised_layers
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers.checks import whole
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.trimming.report import TrimReport
from keras_s2s.text.trimming.selection import (
    SIDES,
    Keep,
    Texts,
    Vocabulary,
    chosen_languages,
    ids_to_keep,
    vocabularies,
)
from keras_s2s.text.trimming.trimmed_text import Request, trimmed_text
from keras_s2s.text.trimming.trimmer import NewIds, Side
from keras_s2s.trimming.preset_ids import visited
from keras_s2s.trimming.table_rows import copy_rows


def trim_vocabulary(
    model: Seq2SeqLM,
    texts: Iterable[Any] | None = None,
    *,
    languages: Iterable[str] | None = None,
    keep: Keep = (),
    min_count: int = 1,
    verbose: bool = True,
) -> Seq2SeqLM:
    """Returns a smaller model, without the ids that texts never use.

    Token tables, output projection and its bias lose their rows, and the tokenizers their tokens;
    what stays has new ids, in the old order. A text whose tokens all stay is split as before, the
    logits of what stays are those of the whole model, and no text of `texts` gets an unknown token
    that it did not have. Other texts are split into the tokens that are left: give as many texts as
    there are, such as the training data of a language pair. This model stays as it is.

    What stays, beside the tokens of the texts: the characters that these are made of and every
    intermediate merge of byte-pair merges, special tokens, bytes, sentinels, and every id that the
    settings of the model name (forced ids, `bad_words_ids`, `suppress_tokens`, ...).

    Args:
        model: a model with a preprocessor; without one `keep` has to name ids.
        texts: texts, pairs of a source and a target, or both; also a table. A text alone is
            encoded on both sides. They are read once and held in memory.
        languages: codes of the languages to keep, of a multilingual model; by default all of them.
            A code stands for its language token only: which words a language has, texts have to
            say. All tokens stay where the tokenizer's class numbers them itself (M2M-100, PLBART).
            A default source language that is left out becomes the first of these; a default target
            language is forgotten.
        keep: tokens (as `id_to_token` spells them) or ids to keep, too; a mapping with the keys
            source and target for vocabularies of their own.
        min_count: tokens stay that occur at least as often in the texts. Rarer ones stay, too,
            where a text would have an unknown token in their place.
        verbose: print the report on standard error.

    Returns:
        the new model; `trim_report` says which rows are gone, how many bytes that saves, and
        which old id each id had. It is not compiled.

    Raises:
        ConfigError: a tokenizer that cannot be trimmed, an unknown language or token, a default
            of the model that `languages` leaves out, a model with adapters or quantised layers.
        TypeError, ValueError: texts that are none, with the number of the entry.

    Example:
        >>> pairs = [("ein Hund", "a dog"), ("eine Katze", "a cat")]
        >>> smaller = trim_vocabulary(model, pairs, verbose=False)
        >>> smaller.trim_report.parameters_after < smaller.trim_report.parameters_before
        True
    """
    min_count = whole("min_count", min_count)
    _check_plain(model)
    wanted = None if languages is None else _codes(languages)
    preprocessor = model.preprocessor
    if texts is None and not keep:
        raise ConfigError(
            "trim_vocabulary needs texts, or tokens to keep"
            + ("" if wanted is None else "; languages= says which language tokens stay, but which ")
            + ("" if wanted is None else "tokens a language uses only texts can tell")
        )
    config, gone = model.preset, frozenset[int]()
    if preprocessor is None:
        if texts is not None:
            raise ConfigError(
                "this model has no preprocessor, so it has no ids for texts; name the ids to keep: "
                "trim_vocabulary(model, keep=ids)"
            )
        if wanted is not None:
            raise ConfigError("languages: this model has no preprocessor; name ids with keep")
    rows = _rows(config)
    both = _vocabularies(config, preprocessor, rows, {"source": frozenset(), "target": frozenset()})
    if wanted is not None and preprocessor is not None:
        trimmers = [t for vocabulary in both.values() for t in vocabulary.trimmers]
        config, gone = _with_languages(config, wanted, trimmers)
    required = _named_ids(config, rows, gone)
    both = _vocabularies(config, preprocessor, rows, required)
    for vocabulary in both.values():
        vocabulary.gone = gone
    asked = ids_to_keep(
        keep,
        {
            "source": None if preprocessor is None else preprocessor.source,
            "target": None if preprocessor is None else preprocessor.target,
        },
    )
    _check_rows(asked, rows, gone, both)
    request = Request(
        both,
        rows,
        config.special_ids,
        asked,
        min_count,
        frozenset()
        if preprocessor is None
        else frozenset(preprocessor.source.id_to_token(i) for i in gone),
    )
    made: tuple[Any, Any] | None = None
    if preprocessor is None:
        new_ids = request.new_ids(asked)
    else:
        given = Texts.read(texts) if texts is not None else Texts((), ())
        made, new_ids = trimmed_text(preprocessor, given, request)
    smaller = _made(model, config, new_ids, made)
    if verbose:
        print(smaller.trim_report, file=sys.stderr)
    return smaller


def _codes(languages: Iterable[str]) -> list[str]:
    if isinstance(languages, str):
        raise TypeError(f"languages is {languages!r}; expected a list of codes: [{languages!r}]")
    codes = list(languages)
    if not codes:
        raise ConfigError("languages is empty; leave it out to keep all of them")
    return codes


def _check_plain(model: Seq2SeqLM) -> None:
    layers = model._flatten_layers()
    if adapters := adapters_of(layers):
        raise ConfigError(
            f"{next(iter(adapters))} has a LoRA adapter; merge the adapters first: "
            "model.save_to_preset(DIR, merge_adapters=True), and load that folder"
        )
    if quantised := quantised_layers(layers):
        raise ConfigError(
            f"{next(iter(quantised))} is quantised; trim the model before model.quantize()"
        )


def _rows(config: PresetConfig) -> dict[Side, int]:
    architecture = config.architecture
    return {
        "source": architecture.source_vocab_size or 0,
        "target": architecture.target_vocab_size,
    }


def _vocabularies(
    config: PresetConfig,
    preprocessor: Preprocessor | None,
    rows: dict[Side, int],
    required: dict[Side, frozenset[int]],
) -> dict[Side, Vocabulary]:
    shared = config.architecture.share_embeddings
    if preprocessor is not None:
        return vocabularies(preprocessor, rows, required, shared=shared)
    if shared:
        one = Vocabulary([], max(rows.values()), required["source"] | required["target"])
        return {"source": one, "target": one}
    return {side: Vocabulary([], rows[side], required[side]) for side in SIDES}


def _with_languages(
    config: PresetConfig, wanted: list[str], trimmers: list[Any]
) -> tuple[PresetConfig, frozenset[int]]:
    """Returns the preset with the languages that stay, and the ids of the others."""
    special = config.special_ids
    languages = chosen_languages(special.languages, wanted, trimmers)
    if languages is None or special.languages is None:
        return config, frozenset()
    gone = frozenset(special.languages.codes.values()) - frozenset(languages.codes.values())
    for name in ("decoder_start", "forced_bos"):
        i = getattr(special.target, name)
        if i in gone:
            code = next(code for code, k in special.languages.codes.items() if k == i)
            raise ConfigError(
                f"special_ids.target.{name} is {i} ({code!r}), a language that languages= leaves "
                f"out; name it, too, or choose another default first: model.preprocessor = "
                f"model.preprocessor.in_languages(tgt_lang={wanted[-1]!r})"
            )
    update = {"special_ids": special.model_copy(update={"languages": languages})}
    return config.model_copy(update=update), gone


def _named_ids(
    config: PresetConfig, rows: dict[Side, int], gone: frozenset[int]
) -> dict[Side, frozenset[int]]:
    """Returns the ids that the settings of a model name, by side.

    Raises:
        ConfigError: a language is named that shall not stay.
    """
    found: dict[Side, set[int]] = {"source": set(), "target": set()}

    def note(side: Side, i: int, key: str) -> int:
        if i in gone and 0 <= i < rows[side]:
            raise ConfigError(
                f"{key} is {i}, the token of a language that languages= leaves out; name that "
                "language, too"
            )
        if 0 <= i < rows[side]:
            found[side].add(i)
        return i

    visited(config, note, origin="the model")
    return {side: frozenset(found[side]) for side in SIDES}


def _check_rows(
    asked: dict[Side, set[int]],
    rows: dict[Side, int],
    gone: frozenset[int],
    both: dict[Side, Vocabulary],
) -> None:
    for side in SIDES:
        size = both[side].rows if both[side].trimmers or rows[side] else 0
        for i in sorted(asked[side]):
            if rows[side] and not 0 <= i < size:
                raise ConfigError(
                    f"keep: {i} is no id of the {side}'s vocabulary of {size} (0 to {size - 1})"
                )
            if i in gone:
                raise ConfigError(
                    f"keep: {i} is the token of a language that languages= leaves out; name that "
                    "language, too"
                )


def _made(
    model: Seq2SeqLM,
    config: PresetConfig,
    new_ids: NewIds,
    made: tuple[Any, Any] | None,
) -> Seq2SeqLM:
    """Returns the model with new ids."""
    rows = _rows(config)
    maps = {"source": new_ids.source, "target": new_ids.target}

    def renumber(side: Side, i: int, _: str) -> int:
        return maps[side][i] if 0 <= i < rows[side] else i

    sizes: dict[str, Any] = {"target_vocab_size": new_ids.sizes["target"]}
    if rows["source"]:
        sizes["source_vocab_size"] = new_ids.sizes["source"]
    architecture = config.architecture.model_copy(update=sizes)
    # Sizes last: the old ids belong to the old ones.
    changed = visited(config, renumber, origin="the trimmed model").model_copy(
        update={"architecture": architecture, "parameters": None, "source": None}
    )
    preprocessor = None
    if made is not None:
        preprocessor = Preprocessor(made[0], made[1], changed.special_ids)
    smaller = Seq2SeqLM(
        PresetConfig.model_validate(changed.model_dump()),
        preprocessor,
        dtype=model._dtype,
        initialize=False,
        name=model.name,
    )
    old_ids: dict[Side, list[int]] = {
        side: sorted(maps[side], key=maps[side].__getitem__)[: new_ids.sizes[side]]
        for side in SIDES
    }
    tables = copy_rows(model, smaller, model.network, old_ids)
    languages = changed.special_ids.languages
    smaller.trim_report = TrimReport(
        tables=tables,
        source_ids=tuple(old_ids["source"]) if rows["source"] else (),
        target_ids=tuple(old_ids["target"]),
        source_size=rows["source"],
        target_size=rows["target"],
        parameters_before=model.count_params(),
        parameters_after=smaller.count_params(),
        bytes_before=_bytes(model),
        bytes_after=_bytes(smaller),
        languages=None if languages is None else tuple(languages.codes),
    )
    return smaller


def _bytes(model: Seq2SeqLM) -> int:
    return int(sum(np.prod(w.shape) * _width(w.dtype) for w in model.weights))


def _width(dtype: str) -> int:
    widths = {"float64": 8, "float16": 2, "bfloat16": 2}
    return widths.get(dtype, 4)
