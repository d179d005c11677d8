"""Languages of a multilingual model: their codes, ids and places in sources and targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras_s2s.config import ConfigError, LanguagesConfig, SpecialIds
from keras_s2s.config.nearest import close_words
from keras_s2s.text.pretrained.base import PretrainedTokenizer
from keras_s2s.text.pretrained.language_codes import MBART, MBART50, NLLB
from keras_s2s.text.pretrained.language_tags import language_tags
from keras_s2s.text.pretrained.m2m_100 import M2M100Tokenizer
from keras_s2s.text.pretrained.marian import MarianTokenizer
from keras_s2s.text.pretrained.plbart import PLBartTokenizer

#: One language for all rows, one a row, or none named.
Language = str | Sequence[str | None] | None

_LISTS = {"MBartTokenizer": MBART, "MBart50Tokenizer": MBART50, "NllbTokenizer": NLLB}
_DEFAULTS = {
    "MBartTokenizer": "en_XX",
    "MBart50Tokenizer": "en_XX",
    "NllbTokenizer": "eng_Latn",
    "M2M100Tokenizer": "en",
}


class TargetStart(NamedTuple):
    """The ids with which decoding starts in a language."""

    decoder_start: int
    forced_bos: int | None


def languages_of(tokenizer: PretrainedTokenizer) -> LanguagesConfig | None:
    """Returns the languages of a pretrained tokenizer; None where it has none.

    Where the folder names no source language, the default is that of transformers: English.
    """
    options = tokenizer.files.declared().options
    if isinstance(tokenizer, MarianTokenizer):
        codes = {
            token[2:-2]: i
            for token, i in tokenizer.vocabulary.items()
            if token.startswith(">>") and token.endswith("<<") and len(token) > 4
        }
        codes = _inside(codes, tokenizer)
        if not codes:
            return None
        return LanguagesConfig(codes=codes, source="none", target="source_prefix")

    defaults = {"source": options.get("src_lang"), "target": options.get("tgt_lang")}
    if isinstance(tokenizer, M2M100Tokenizer):
        codes, source, target = tokenizer.languages, "prefix", "forced_bos"
    elif isinstance(tokenizer, PLBartTokenizer):
        codes, source, target = tokenizer.languages, "suffix", "decoder_start"
        if options.get("language_codes", "base") == "multi":
            defaults["source"] = defaults["source"] or "en_XX"
    elif tokenizer.class_name in _LISTS:
        codes = _pipeline_codes(tokenizer)
        source, target = "prefix", "forced_bos"
        if tokenizer.class_name == "MBartTokenizer":
            source, target = "suffix", "decoder_start"
        elif tokenizer.class_name == "NllbTokenizer" and options.get("legacy_behaviour", False):
            source = "suffix"
    elif codes := _tags(tokenizer):
        source, target = "suffix", "decoder_start"
    else:
        return None
    codes = _inside(codes, tokenizer)
    if not codes:
        return None
    fallback = _DEFAULTS.get(tokenizer.class_name)
    if defaults["source"] is None and fallback in codes:
        defaults["source"] = fallback
    return LanguagesConfig.model_validate(
        {
            "codes": codes,
            "source": source,
            "target": target,
            **{
                f"default_{side}": _plain(code, codes) if isinstance(code, str) else None
                for side, code in defaults.items()
            },
        }
    )


def _tags(tokenizer: PretrainedTokenizer) -> dict[str, int]:
    """Returns the languages of IndicBART's tokenizer, `hi` for `<2hi>`."""
    if tokenizer.class_name != "AlbertTokenizer":
        return {}
    tags = language_tags(tokenizer.files.declared())
    ids = {code: tokenizer.token_to_id(tag) for code, tag in tags.items()}
    return {code: i for code, i in ids.items() if i is not None}


def _inside(codes: dict[str, int], tokenizer: PretrainedTokenizer) -> dict[str, int]:
    """Returns the languages whose ids the model has: a small one may lack those at the end."""
    return {code: i for code, i in codes.items() if tokenizer.size is None or i < tokenizer.size}


def _pipeline_codes(tokenizer: PretrainedTokenizer) -> dict[str, int]:
    """Returns the language codes in the vocabulary: published ones, and special tokens of their
    form.
    """
    declared = tokenizer.files.declared()
    more = [str(token) for token in (*(declared.extra or ()), *(declared.additional or ()))]
    form = _LISTS[tokenizer.class_name]
    alike = [
        token
        for token in more
        if not token.startswith("<") and "_" in token and token[:2].islower()
    ]
    found = {code: tokenizer.token_to_id(code) for code in dict.fromkeys([*form, *alike])}
    unknown = tokenizer.unk_id
    return {code: i for code, i in found.items() if i is not None and i != unknown}


def _plain(code: str, codes: dict[str, int]) -> str | None:
    """Returns a code as the model spells it: `__java__` is `java`, `>>fra<<` is `fra`; None if
    unknown.
    """
    for form in (code, code.removeprefix("__").removesuffix("__"), code.strip("<>")):
        if form in codes:
            return form
    return None


def target_start(special_ids: SpecialIds, tgt_lang: str | None = None) -> TargetStart:
    """Returns decoder start and first generated id of a language.

    Args:
        special_ids: of the model.
        tgt_lang: code of the language; None for the default, or, without one, the model's own ids.

    Raises:
        ConfigError: the model has no such language, or none at all.
    """
    target, languages = special_ids.target, special_ids.languages
    start = TargetStart(target.decoder_start, target.forced_bos)
    code = tgt_lang
    if code is None and languages is not None:
        code = languages.default_target
    if code is None:
        return start
    i = language_id(languages, code, "tgt_lang")
    if languages is not None and languages.target == "decoder_start":
        return start._replace(decoder_start=i)
    if languages is not None and languages.target == "forced_bos":
        return start._replace(forced_bos=i)
    return start


def default_language_id(special_ids: SpecialIds, name: str) -> int | None:
    """Returns the id of the language of texts where a call names none; None where there is none.

    Args:
        special_ids: of the model.
        name: `"src_lang"` or `"tgt_lang"`.
    """
    languages = special_ids.languages
    if languages is None:
        return None
    if name == "src_lang":
        code = languages.default_source
    else:
        code = languages.default_target
        if code is None and languages.target == "forced_bos":
            # What the decoder is forced to begin with, or, as in transformers, the source's.
            if special_ids.target.forced_bos in languages.codes.values():
                return special_ids.target.forced_bos
            code = languages.default_source
    return None if code is None else languages.codes[code]


def with_defaults(
    special_ids: SpecialIds, src_lang: str | None = None, tgt_lang: str | None = None
) -> SpecialIds:
    """Returns special ids with other default languages; targets begin in `tgt_lang`.

    Args:
        special_ids: of the model.
        src_lang, tgt_lang: codes; None leaves the default as it is.

    Raises:
        ConfigError: the model has no such language, has no languages, or reads none on this side.
    """
    languages = special_ids.languages
    changes: dict[str, Any] = {}
    for name, key, code in (
        ("src_lang", "default_source", src_lang),
        ("tgt_lang", "default_target", tgt_lang),
    ):
        if code is not None:
            i = language_id(languages, code, name)
            assert languages is not None
            changes[key] = next(known for known, k in languages.codes.items() if k == i)
    if languages is None or not changes:
        return special_ids
    if "default_source" in changes:
        refuse_source_language(languages, src_lang)
    target = special_ids.target
    if tgt_lang is not None:
        target = target.model_copy(update=target_start(special_ids, tgt_lang)._asdict())
    languages = languages.model_copy(update=changes)
    return special_ids.model_copy(update={"languages": languages, "target": target})


def refuse_source_language(languages: LanguagesConfig, src_lang: Any) -> None:
    """Raises an error for a source language where sources do not name theirs.

    Raises:
        ConfigError: they do not.
    """
    if languages.source == "none":
        raise ConfigError(
            f"src_lang is {src_lang!r}, but this model's sources do not say their language; "
            "leave src_lang out"
        )


def spread(language: Language, rows: int, name: str) -> list[str | None]:
    """Returns a language for each row, from one for all rows or a list.

    Args:
        language: what a call was given.
        rows: how many texts there are.
        name: of the argument, for the error.

    Raises:
        ValueError: there are not as many languages as texts.
        TypeError: it is neither.
    """
    if language is None or isinstance(language, str):
        return [language] * rows
    if not isinstance(language, Sequence) or not all(
        each is None or isinstance(each, str) for each in language
    ):
        raise TypeError(
            f"{name} is {language!r}; expected a language's code, or a list with one for each text"
        )
    if len(language) != rows:
        raise ValueError(
            f"{name} names {len(language)} languages for {rows} texts; give one for all, or one "
            "for each text"
        )
    return list(language)


def language_id(languages: LanguagesConfig | None, code: str, name: str) -> int:
    """Returns the id of a language.

    Args:
        languages: of the model.
        code: of the language, as the model's list has it.
        name: of the argument, for the error.

    Raises:
        ConfigError: the model has no languages, or not this one.
    """
    if languages is None:
        raise ConfigError(
            f"{name} is {code!r}, but this model has no language codes; leave {name} out"
        )
    plain = _plain(code, languages.codes)
    if plain is not None:
        return languages.codes[plain]
    # `en` for `en_XX`, `eng` for `eng_Latn`.
    close = close_words(code, languages.codes, cutoff=0.4) or [
        known for known in languages.codes if known[:2] == code[:2]
    ]
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(
        f"{name} is {code!r}, which is not a language of this model; {hint}All "
        f"{len(languages.codes)} are in preprocessor.special_ids.languages.codes: "
        f"{_some(list(languages.codes))}"
    )


def _some(codes: list[str], shown: int = 12) -> str:
    more = f", ... ({len(codes) - shown} more)" if len(codes) > shown else ""
    return ", ".join(codes[:shown]) + more
