"""Chooses the ids of a vocabulary that stay, and makes tokenizers with them."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keras_s2s.config import ConfigError, LanguagesConfig
from keras_s2s.text.data_frames import is_table, pairs_of
from keras_s2s.text.languages import language_id
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.pretrained.base import PretrainedTokenizer
from keras_s2s.text.pretrained.marian import MarianTokenizer
from keras_s2s.text.tokenizer import Tokenizer, check_texts
from keras_s2s.text.trimming.registry import trimmer_of
from keras_s2s.text.trimming.trimmer import NewIds, Side, Trimmer

#: What tokenizers call an id without a token.
NO_TOKEN = "<id {}>"

SIDES: tuple[Side, Side] = ("source", "target")

#: Tokens or ids to keep, for both sides or by side.
Keep = Iterable[str | int] | Mapping[str, Iterable[str | int]]


@dataclass(frozen=True)
class Texts:
    """The texts of each side; a text alone is one of both."""

    source: Sequence[str]
    target: Sequence[str]

    @classmethod
    def read(cls, texts: Any) -> Texts:
        """Reads texts and pairs of texts.

        Raises:
            TypeError, ValueError: an element is neither; the message has its number.
        """
        expected = (
            "expected a list of texts, or of pairs (source, target). The texts of a file: "
            "data.read_lines(FILE)"
        )
        if isinstance(texts, str):
            raise TypeError(f"texts is the text {texts[:60]!r}; {expected}")
        if isinstance(texts, Mapping):
            raise TypeError(
                f"texts is a mapping with the keys {', '.join(map(repr, list(texts)[:8]))}; "
                "expected pairs: zip(texts['source'], texts['target'], strict=True)"
            )
        if isinstance(texts, bytes) or not (is_table(texts) or isinstance(texts, Iterable)):
            raise TypeError(f"texts is {str(texts)[:60]!r}, a {type(texts).__name__}; {expected}")
        sources: list[str] = []
        targets: list[str] = []
        for number, entry in enumerate(pairs_of(texts)):
            pair = (entry, entry) if isinstance(entry, str) else entry
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise ValueError(
                    f"texts: entry {number} is {str(entry)[:80]!r}; expected a text, or a source "
                    "and a target text"
                )
            try:
                check_texts(pair)
            except (TypeError, ValueError) as error:
                raise type(error)(f"texts: entry {number}: {error}") from None
            sources.append(pair[0])
            targets.append(pair[1])
        return cls(sources, targets)

    def of(self, side: Side) -> Sequence[str]:
        """Returns the texts of a side."""
        return self.source if side == "source" else self.target


@dataclass
class Vocabulary:
    """A set of ids that one side of a model has, or both.

    Attributes:
        trimmers: of the tokenizers whose ids these are.
        rows: ids that the model has.
        required: ids that stay in any case: those that the model's settings name.
        gone: ids of languages that do not stay.
    """

    trimmers: list[Trimmer[Any]]
    rows: int
    required: frozenset[int]
    gone: frozenset[int] = frozenset()

    @property
    def known(self) -> int:
        """One more than the greatest id that has a token."""
        return max((_known(trimmer.tokenizer) for trimmer in self.trimmers), default=self.rows)

    def closed(self, ids: Iterable[int]) -> set[int]:
        """Returns the ids that stay where these shall: with all that their tokens are made of."""
        kept = set(ids) | self.required
        for trimmer in self.trimmers:
            kept |= trimmer.always
        kept -= self.gone
        size = -1
        while len(kept) != size:
            size = len(kept)
            for trimmer in self.trimmers:
                kept = trimmer.with_parts(kept)
        return {i for i in kept - self.gone if i < self.rows}

    def new_ids(self, kept: Iterable[int]) -> dict[int, int]:
        """Returns the new ids, in the order of the old ones; tokens without a row come last."""
        order = [*sorted(kept), *(i for i in range(self.rows, self.known) if i not in self.gone)]
        return {old: new for new, old in enumerate(order)}


def _known(tokenizer: Tokenizer) -> int:
    if isinstance(tokenizer, PretrainedTokenizer):
        return tokenizer.known
    return tokenizer.vocabulary_size


def vocabularies(
    preprocessor: Preprocessor,
    rows: Mapping[Side, int],
    required: Mapping[Side, frozenset[int]],
    *,
    shared: bool,
) -> dict[Side, Vocabulary]:
    """Returns the vocabulary of each side; one object where both sides have the same ids.

    Args:
        preprocessor: of the model.
        rows: ids that the model has on either side.
        required: ids that the model's settings name.
        shared: whether both sides have one token table.

    Raises:
        ConfigError: a kind of tokenizer that cannot be trimmed.
    """
    tokenizers: dict[Side, Tokenizer] = {
        "source": preprocessor.source,
        "target": preprocessor.target,
    }
    if preprocessor.joint:
        one = [trimmer_of(preprocessor.source, "source")]
    else:
        trimmers = {side: trimmer_of(tokenizers[side], side) for side in SIDES}
        if not shared and not _same_ids(preprocessor.source, preprocessor.target):
            return {
                side: Vocabulary([trimmers[side]], rows[side], required[side]) for side in SIDES
            }
        one = list(trimmers.values())
    both = Vocabulary(one, max(rows.values()), required["source"] | required["target"])
    return {"source": both, "target": both}


def _same_ids(source: Tokenizer, target: Tokenizer) -> bool:
    """Returns whether two tokenizers were read from the same files, with one vocabulary in them."""
    if not isinstance(source, PretrainedTokenizer) or not isinstance(target, PretrainedTokenizer):
        return False
    if source.files.contents != target.files.contents:
        return False
    return not isinstance(target, MarianTokenizer) or (
        isinstance(source, MarianTokenizer) and source.vocabulary == target.vocabulary
    )


def chosen_languages(
    languages: LanguagesConfig | None,
    wanted: Iterable[str],
    trimmers: Iterable[Trimmer[Any]],
) -> LanguagesConfig | None:
    """Returns the languages that stay.

    Args:
        languages: of the model.
        wanted: codes.
        trimmers: of its tokenizers. Where one numbers all languages, all of them stay.

    Raises:
        ConfigError: a code that the model does not have.
    """
    ids = {language_id(languages, code, "languages"): code for code in wanted}
    if languages is None or not all(trimmer.drops_languages for trimmer in trimmers):
        return languages
    codes = {code: i for code, i in languages.codes.items() if i in ids}
    source, target = languages.default_source, languages.default_target
    if source is not None and source not in codes:
        source = next(code for i in ids for code in codes if codes[code] == i)
    return languages.model_copy(
        update={
            "codes": codes,
            "default_source": source,
            "default_target": target if target in codes else None,
        }
    )


def counted(texts: Texts, preprocessor: Preprocessor) -> dict[Side, Counter[int]]:
    """Returns how often each id occurs in the texts of a side."""
    counts: dict[Side, Counter[int]] = {"source": Counter(), "target": Counter()}
    for side, tokenizer in zip(SIDES, (preprocessor.source, preprocessor.target), strict=True):
        for row in tokenizer.encode_batch(texts.of(side)):
            counts[side].update(row)
    return counts


def checked_keep(keep: Keep | None) -> list[str | int] | dict[str, list[str | int]]:
    """Returns what a caller asks to keep as lists; an empty one where it is nothing.

    Raises:
        ConfigError: an unknown key.
        TypeError: something that is no list of tokens and ids.
    """
    if keep is None:
        return []
    if not isinstance(keep, Mapping):
        return _entries(keep, "keep")
    if unknown := [key for key in keep if key not in SIDES]:
        raise ConfigError(f"keep: unknown key {unknown[0]!r}; expected source, target")
    by_side = {side: _entries(entries, f"keep[{side!r}]") for side, entries in keep.items()}
    return by_side if any(by_side.values()) else []


def _entries(entries: Any, name: str) -> list[str | int]:
    if isinstance(entries, str):
        raise TypeError(f"{name} is the text {entries[:60]!r}; expected a list of tokens and ids")
    if isinstance(entries, bytes) or not isinstance(entries, Iterable):
        raise TypeError(f"{name} is {str(entries)[:60]!r}; expected a list of tokens and ids")
    return list(entries)


def ids_to_keep(keep: Keep, tokenizers: Mapping[Side, Tokenizer | None]) -> dict[Side, set[int]]:
    """Returns the ids that a caller asks for.

    Args:
        keep: tokens and ids, for both sides or by side.
        tokenizers: of both sides; None where the model works on ids.

    Raises:
        ConfigError: a token that no vocabulary has, or an id for two vocabularies.
        TypeError: an entry that is neither a token nor an id.
    """
    found: dict[Side, set[int]] = {"source": set(), "target": set()}
    lists = checked_keep(keep)
    by_side: dict[tuple[Side, ...], list[str | int]] = (
        {(side,): lists[side] for side in SIDES if side in lists}
        if isinstance(lists, dict)
        else {SIDES: lists}
    )
    for sides, entries in by_side.items():
        for entry in entries:
            if isinstance(entry, str):
                ids = {side: _token_id(tokenizers[side], entry) for side in sides}
                if all(i is None for i in ids.values()):
                    raise ConfigError(
                        f"keep: {entry!r} is no token of the vocabulary; tokens are spelled as "
                        "preprocessor.source.id_to_token returns them"
                    )
            elif isinstance(entry, bool) or not _is_id(entry):
                raise TypeError(f"keep: {entry!r} is neither a token nor an id")
            else:
                ids = dict.fromkeys(sides, int(entry))
            for side, i in ids.items():
                if i is not None:
                    found[side].add(i)
    return found


def _is_id(entry: Any) -> bool:
    try:
        operator.index(entry)
    except TypeError:
        return False
    return True


def _token_id(tokenizer: Tokenizer | None, token: str) -> int | None:
    return None if tokenizer is None else tokenizer.token_to_id(token)


def in_step(
    kept: Mapping[Side, set[int]], both: Mapping[Side, Vocabulary], anchors: Iterable[int]
) -> dict[Side, set[int]]:
    """Returns the ids that stay of two vocabularies in which some special ids are the same.

    A folder has one PAD for both sides. So that it gets the same new id, the side with fewer ids
    below it keeps more, from the lowest ones on.

    Args:
        kept: ids that shall stay.
        both: vocabularies of both sides.
        anchors: special ids that both sides have.
    """
    kept = {side: set(ids) for side, ids in kept.items()}
    for anchor in sorted(anchors):
        below = {side: sum(i < anchor for i in kept[side]) for side in SIDES}
        short: Side = "source" if below["source"] < below["target"] else "target"
        missing = max(below.values()) - below[short]
        gone = both[short].gone
        free = (i for i in range(anchor) if i not in kept[short] and i not in gone)
        kept[short].update(i for _, i in zip(range(missing), free, strict=False))
    return dict(kept)


def trimmed_tokenizers(
    preprocessor: Preprocessor, both: Mapping[Side, Vocabulary], new_ids: NewIds
) -> tuple[Tokenizer, Tokenizer]:
    """Returns the tokenizers of both sides with new ids; one object where there was one.

    Raises:
        ConfigError: a token has not the id that it should have: the files of this tokenizer say
            something that was not understood.
    """
    if preprocessor.joint:  # room for the ids of either side
        new_ids = replace(new_ids, sizes=dict.fromkeys(SIDES, max(new_ids.sizes.values())))
    source = both["source"].trimmers[0].trimmed(new_ids)
    target = source if preprocessor.joint else both["target"].trimmers[-1].trimmed(new_ids)
    for side, old, new, ids in (
        ("source", preprocessor.source, source, new_ids.source),
        ("target", preprocessor.target, target, new_ids.target),
    ):
        known, size = min(_known(old), old.vocabulary_size), new.vocabulary_size
        for i, now in ids.items():
            # Without the checks of `id_to_token`, which some kinds look through all ids for.
            if i >= known or (token := old._token(i)) == NO_TOKEN.format(i):
                continue
            found = new._token(now) if now < size else None
            if found != token:
                raise ConfigError(
                    f"the {side}'s {old.kind} tokenizer cannot be trimmed: its token {token!r} "
                    f"(id {i}) should become id {now}, which is {found!r} in the files that were "
                    "written"
                )
    return source, target


def added_again(
    old: Preprocessor, new: tuple[Tokenizer, Tokenizer], new_ids: NewIds
) -> dict[Side, set[int]]:
    """Returns old ids of tokens that were left out and have an id again: the class of a tokenizer
    adds them to every vocabulary.

    Raises:
        ConfigError: they are languages that shall not stay.
    """
    found: dict[Side, set[int]] = {"source": set(), "target": set()}
    both = zip(SIDES, (old.source, old.target), new, (new_ids.source, new_ids.target), strict=True)
    for side, before, after, ids in both:
        for i in range(len(ids), _known(after)):
            token = after.id_to_token(i)
            if token in new_ids.gone:
                raise ConfigError(
                    f"the {side}'s {before.kind} tokenizer gives the language {token!r} an id "
                    "whatever its files say; leave languages= out"
                )
            if (was := before.token_to_id(token)) is not None:
                found[side].add(was)
    return found


def unlike(
    texts: Texts, old: Preprocessor, new: tuple[Tokenizer, Tokenizer], new_ids: NewIds
) -> dict[Side, set[int]]:
    """Returns ids that have to stay so that no text has more unknown tokens than before.

    Raises:
        ConfigError: a text whose ids all stay is split in another way.
    """
    missing: dict[Side, set[int]] = {"source": set(), "target": set()}
    both = zip(SIDES, (old.source, old.target), new, (new_ids.source, new_ids.target), strict=True)
    for side, before, after, ids in both:
        lines = texts.of(side)
        rows = zip(lines, before.encode_batch(lines), after.encode_batch(lines), strict=True)
        for text, row, now in rows:
            if all(i in ids for i in row):
                if [ids[i] for i in row] != now:
                    raise ConfigError(
                        f"the {side}'s {before.kind} tokenizer cannot be trimmed: {text[:80]!r} is "
                        "split in another way by the files that were written"
                    )
            elif _unknown(after, now) > _unknown(before, row):
                missing[side].update(row)
    return missing


def _unknown(tokenizer: Tokenizer, row: Sequence[int]) -> int:
    """Returns how many tokens of a text are unknown."""
    unknown = tokenizer.unk_id
    return 0 if unknown is None else sum(i == unknown for i in row)
