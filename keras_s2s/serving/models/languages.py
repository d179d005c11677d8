"""Languages as clients name them ("en"), and as a model does ("en_XX", "eng_Latn")."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from keras_s2s.config import LanguagesConfig
from keras_s2s.config.nearest import did_you_mean

#: Codes of LibreTranslate that are no language tags.
_ALIASES = {"zt": "zh-Hant", "pb": "pt-BR"}

AUTO = "auto"

#: A language as clients name it, and as the model does; None where the model is not told it.
NamedLanguage = tuple[str, str | None]


class ModelLanguages:
    """The languages that a model translates between.

    Args:
        sources: client's code of each source language to the model's own; None where the model
            is not told the language.
        targets: the same of target languages.
        any_source: further source languages are taken, since the model is not told them.

    Example:
        >>> languages = ModelLanguages({"en": "en_XX"}, {"de": "de_DE", "ko": "ko_KR"})
        >>> languages.own_code("ko")
        'ko_KR'
    """

    def __init__(
        self,
        sources: Mapping[str, str | None],
        targets: Mapping[str, str | None],
        *,
        any_source: bool = False,
    ) -> None:
        self.sources, self.targets, self.any_source = dict(sources), dict(targets), any_source

    @classmethod
    def of_model(cls, config: LanguagesConfig) -> ModelLanguages:
        """Returns the languages of a multilingual model.

        Where sources do not say their language, any source language is taken.

        Args:
            config: the languages in the model's special ids.
        """
        codes = client_codes(list(config.codes))
        if config.source == "none":
            return cls(dict.fromkeys(codes), codes, any_source=True)
        return cls(codes, codes)

    @classmethod
    def declared(cls, text: str, config: LanguagesConfig | None = None) -> ModelLanguages:
        """Returns the languages that a user declared.

        Args:
            text: source and target languages, `en:de` or `en,fr:de,ko`.
            config: the languages of the model; None where it has none.

        Raises:
            ValueError: the text is not of this form, or names a language that the model does not
                have.

        Example:
            >>> ModelLanguages.declared("en:de").targets
            {'de': None}
        """
        parts = [[code.strip() for code in side.split(",")] for side in text.split(":")]
        if len(parts) != 2 or not all(all(side) for side in parts):
            raise ValueError(
                f"--languages {text}: expected source and target languages, e.g. en:de or en:de,fr"
            )
        if config is None:
            return cls(dict.fromkeys(parts[0]), dict.fromkeys(parts[1]))
        own = client_codes(list(config.codes))

        def find(code: str) -> str:
            known = _find(code, own)
            if known is None:
                hint = did_you_mean(code, [*own, *own.values()])
                raise ValueError(
                    f"--languages {text}: the model has no language {code!r}; {hint}".rstrip("; ")
                )
            return known

        sources = {code: None if config.source == "none" else find(code) for code in parts[0]}
        return cls(sources, {code: find(code) for code in parts[1]})

    def own_code(self, code: str) -> str | None:
        """Returns the model's code of a language, or None where it has no such language."""
        known = _find(code, self.targets)
        return _find(code, self.sources) if known is None else known

    def source(self, code: str) -> tuple[str, str | None] | None:
        """Returns a source language as clients and as the model name it; None if there is none.

        `auto` is the only source language, where there is just one.
        """
        if code == AUTO:
            if len(self.sources) == 1 and not self.any_source:
                return next(iter(self.sources.items()))
            return (AUTO, None) if self.any_source else None
        found = _entry(code, self.sources)
        return (code, None) if found is None and self.any_source else found

    def target(self, code: str) -> tuple[str, str | None] | None:
        """Returns a target language as clients and as the model name it; None if there is none."""
        return _entry(code, self.targets)


def client_codes(codes: Sequence[str]) -> dict[str, str]:
    """Returns short codes for those of a model: clients' code to the model's.

    A language that is there once is known by its two letters; of one that is there in several
    scripts or countries, the likeliest is, and the others have these after a hyphen.

    Args:
        codes: as the model has them.

    Example:
        >>> client_codes(["eng_Latn", "zho_Hans", "zho_Hant"])
        {'en': 'eng_Latn', 'zh': 'zho_Hans', 'zh-Hant': 'zho_Hant'}
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for code in codes:
        language, rest = _split(code)
        groups.setdefault(language, []).append((rest, code))
    found: dict[str, str] = {}
    for language, members in groups.items():
        first = next((m for m in members if m[0] and m[0] in _likely(language)), members[0])
        found[language] = first[1]
        for rest, code in members:
            if code != first[1]:
                found[f"{language}-{rest}" if rest else code] = code
    return found


def language_name(code: str) -> str:
    """Returns the English name of a language.

    Example:
        >>> language_name("ko")
        'Korean'
    """
    from babel import Locale

    names = Locale("en").languages
    language, rest = _split(code)
    name = names.get(language, language)
    return f"{name} ({rest})" if rest else name


def _split(code: str) -> tuple[str, str]:
    """`eng_Latn` -> ("en", "Latn")."""
    from babel.core import get_global

    language, _, rest = re.sub("[_@]", "-", code).partition("-")
    alias = get_global("language_aliases").get(language.lower(), language.lower())
    return (alias if len(alias) <= 3 else language.lower()), rest


def _likely(language: str) -> list[str]:
    """Script and country in which a language is most often written."""
    from babel.core import get_global

    return str(get_global("likely_subtags").get(language, "")).split("_")[1:]


def _find(code: str, known: Mapping[str, Any]) -> str | None:
    entry = _entry(code, known)
    return None if entry is None else entry[1]


def _entry(code: str, known: Mapping[str, str | None]) -> tuple[str, str | None] | None:
    """Returns the entry of a language, by the client's code, the model's, or a longer form."""
    if code in known:
        return code, known[code]
    for short, own in known.items():
        if own == code:
            return short, own
    wanted = _ALIASES.get(code.lower(), code)
    forms = {wanted.replace("_", "-").lower(), "-".join(filter(None, _split(wanted))).lower()}
    if wanted.partition("-")[2] in _likely(_split(wanted)[0]):
        forms.add(_split(wanted)[0])
    for short, own in known.items():
        if short.replace("_", "-").lower() in forms:
            return short, own
    return None
