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
from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.trimming.report import TrimReport
from keras_s2s.text.trimming.selection import (
    SIDES,
    Keep,
    Texts,
    Vocabulary,
    checked_keep,
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
    keep: Keep | None = None,
    min_count: int = 1,
    verbose: bool = True,
) -> Seq2SeqLM:
    """Returns a smaller model, without the ids that texts never use.

    Token tables, output projection and its bias lose their rows, and the tokenizers their tokens;
    what stays has new ids, in the old order. The lexical shortlist of a model has them, too, and
    `compute_type` and `cuda_graphs` stay. A text whose tokens all stay is split as before, the
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
        ConfigError: no text at all and nothing to keep, a tokenizer that cannot be trimmed, an
            unknown language or token, a default of the model that `languages` leaves out, a model
            with adapters or quantised layers.
        TypeError, ValueError: an argument of another type, or texts that are none, with the
            number of the entry.

    Example:
        >>> pairs = [("ein Hund", "a dog"), ("eine Katze", "a cat")]
        >>> smaller = trim_vocabulary(model, pairs, verbose=False)
        >>> smaller.trim_report.parameters_after < smaller.trim_report.parameters_before
        True
    """
    min_count = whole("min_count", min_count)
    _check_plain(model)
    keep = checked_keep(keep)
    wanted = None if languages is None else _codes(languages)
    preprocessor = model.preprocessor
    if texts is None and not keep:
        raise ConfigError(
            "trim_vocabulary needs texts, or tokens to keep"
            + ("" if wanted is None else "; languages= says which language tokens stay, but which ")
            + ("" if wanted is None else "tokens a language uses only texts can tell")
        )
    rows = _rows(model.preset, preprocessor)
    if preprocessor is None:
        _check_ids_alone(texts, wanted)
        request = _request(model.preset, None, rows, keep, min_count)
        made, new_ids = None, request.new_ids(request.keep)
        config = model.preset
    else:
        config, gone = _with_languages(model.preset, preprocessor, rows, wanted)
        request = _request(config, preprocessor, rows, keep, min_count, gone)
        given = Texts((), ()) if texts is None else Texts.read(texts)
        if texts is not None:
            _check_some(given, request, reads_ids=model.preset.architecture.source_vocab_size)
        made, new_ids = trimmed_text(preprocessor, given, request)
    smaller = _made(model, config, new_ids, made)
    if verbose:
        print(smaller.trim_report, file=sys.stderr)
    return smaller


def _codes(languages: Iterable[str]) -> list[str]:
    if isinstance(languages, str):
        raise TypeError(f"languages is {languages!r}; expected a list of codes: [{languages!r}]")
    if not isinstance(languages, Iterable):
        raise TypeError(f"languages is {languages!r}; expected a list of codes")
    codes = list(languages)
    if not codes:
        raise ConfigError("languages is empty; leave it out to keep all of them")
    for code in codes:
        if not isinstance(code, str):
            raise TypeError(f"languages has {code!r}, which is no code; expected texts")
    return codes


def _check_some(texts: Texts, request: Request, *, reads_ids: int | None) -> None:
    """Raises an error where a vocabulary would have no token of a text, nor one to keep."""
    sides: list[Side] = ["target"] if reads_ids is None else list(SIDES)
    found = {
        side: bool(request.keep[side]) or any(text.strip() for text in texts.of(side))
        for side in sides
    }
    if all(found.values()) or (request.is_shared and any(found.values())):
        return
    empty = next(side for side in sides if not found[side])
    what = f"all {len(texts.of(empty))} texts are empty" if texts.of(empty) else "there are none"
    raise ConfigError(
        f"texts: no text to keep the {empty}'s vocabulary of: {what}; give texts, or tokens with "
        "keep=. A generator that was read before has no texts left"
    )


def _check_plain(model: Seq2SeqLM) -> None:
    if not isinstance(model, Seq2SeqLM):
        raise TypeError(
            f"model is a {type(model).__name__}, expected a Seq2SeqLM; a folder is read by "
            "Seq2SeqLM.from_preset(FOLDER)"
        )
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


def _rows(config: PresetConfig, preprocessor: Preprocessor | None) -> dict[Side, int]:
    """Returns how many ids each side has; where sources are no ids, those of the tokenizer."""
    architecture = config.architecture
    source = architecture.source_vocab_size
    if source is None:
        source = 0 if preprocessor is None else preprocessor.source.vocabulary_size
    return {"source": source, "target": architecture.target_vocab_size}


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


def _check_ids_alone(texts: Any, languages: Any) -> None:
    """Raises an error for what a model without a preprocessor cannot use."""
    for name, value in (("texts", texts), ("languages", languages)):
        if value is not None:
            raise ConfigError(
                f"{name}: this model has no preprocessor, so that only ids tell what to keep: "
                "trim_vocabulary(model, keep=ids)"
            )


def _request(
    config: PresetConfig,
    preprocessor: Preprocessor | None,
    rows: dict[Side, int],
    keep: Keep,
    min_count: int,
    gone: frozenset[int] = frozenset(),
) -> Request:
    """Returns what is asked for, with all ids that the model's settings name.

    Args:
        config: of the model, with the languages that stay.
        preprocessor: of the model, or None.
        rows: ids that the model has on either side.
        keep, min_count: as they were given.
        gone: ids of languages that do not stay.
    """
    both = _vocabularies(config, preprocessor, rows, _named_ids(config, rows, gone))
    tokenizers: dict[Side, Tokenizer | None] = {"source": None, "target": None}
    tokens: frozenset[str] = frozenset()
    if preprocessor is not None:
        tokenizers = {"source": preprocessor.source, "target": preprocessor.target}
        tokens = frozenset(map(preprocessor.source.id_to_token, gone))
    asked = ids_to_keep(keep, tokenizers)
    for side, vocabulary in both.items():
        vocabulary.gone = gone
        _check_kept(asked[side], side, vocabulary)
    return Request(both, rows, config.special_ids, asked, min_count, tokens)


def _with_languages(
    config: PresetConfig,
    preprocessor: Preprocessor,
    rows: dict[Side, int],
    wanted: list[str] | None,
) -> tuple[PresetConfig, frozenset[int]]:
    """Returns the preset with the languages that stay, and the ids of the others.

    Raises:
        ConfigError: an unknown language, or one that the decoder begins with and that is left out.
    """
    special = config.special_ids
    if wanted is None:
        return config, frozenset()
    none: dict[Side, frozenset[int]] = {"source": frozenset(), "target": frozenset()}
    both = _vocabularies(config, preprocessor, rows, none)
    trimmers = [trimmer for vocabulary in both.values() for trimmer in vocabulary.trimmers]
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


def _check_kept(asked: set[int], side: Side, vocabulary: Vocabulary) -> None:
    """Raises an error for ids to keep that a vocabulary does not have."""
    size = vocabulary.rows
    for i in sorted(asked):
        if size and not 0 <= i < size:
            raise ConfigError(
                f"keep: {i} is no id of the {side}'s vocabulary of {size} (0 to {size - 1})"
            )
        if i in vocabulary.gone:
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
    rows = _rows(config, model.preprocessor)
    reads_ids = config.architecture.source_vocab_size is not None
    maps = {"source": new_ids.source, "target": new_ids.target}

    def renumber(side: Side, i: int, _: str) -> int:
        return maps[side][i] if 0 <= i < rows[side] else i

    sizes: dict[str, Any] = {"target_vocab_size": new_ids.sizes["target"]}
    if reads_ids:
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
    smaller.compute_type = model.compute_type
    smaller.cuda_graphs = model.cuda_graphs
    if model.shortlist is not None:
        smaller.shortlist = model.shortlist.renumbered(new_ids.source, new_ids.target)
    languages = changed.special_ids.languages
    smaller.trim_report = TrimReport(
        tables=tables,
        source_ids=tuple(old_ids["source"]) if reads_ids else (),
        target_ids=tuple(old_ids["target"]),
        source_size=rows["source"] if reads_ids else 0,
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
