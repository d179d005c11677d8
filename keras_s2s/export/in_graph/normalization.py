"""Normal forms and lower case in TensorFlow ops, by the Unicode version of what they replace.

Python, the `tokenizers` library and TensorFlow come with different versions of Unicode. A version
changes nothing about the characters of older ones, so that they differ in characters which only
the newer of two knows. These are looked for when an op is made, and treated by themselves.
"""

from __future__ import annotations

import functools
import json
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from keras_s2s.export.errors import ExportError
from keras_s2s.export.in_graph.tables import CharacterMap
from keras_s2s.export.in_graph.text_ops import CUT, cut, import_tensorflow_text, mark
from keras_s2s.text.trained.normalization import Normalizer

_FORMS = {"nfc": "NFC", "nfkc": "NFKC"}

#: Planes in which no version has a character that a normal form or lower case changes.
_NEVER_CHANGED = (range(0xD800, 0xE000), range(0x40000, 0xE0000), range(0xE1000, 0x110000))
#: Marks of the highest and of the lowest class: one between them is put in order.
_HIGH, _LOW = "\u0345", "\u0334"


def check_normalizer(kind: str, normalizer: Normalizer) -> None:
    """Raises an error for a normalisation that TensorFlow does not have."""
    if normalizer.form != "none" and normalizer.form not in _FORMS:
        raise ExportError(
            f"normalization: {normalizer.form} of a {kind} tokenizer has no TensorFlow twin; "
            f"supported: none, {', '.join(_FORMS)}"
        )


def normalize(texts: Any, normalizer: Normalizer) -> Any:
    """Applies `normalizer` to string `texts [B]`."""
    texts = _compose(texts, normalizer)
    if normalizer.lowercase:
        texts = _compose(lowercase(texts), normalizer)
    return texts


def _compose(texts: Any, normalizer: Normalizer) -> Any:
    if normalizer.form == "none":
        return texts
    return normal_form(texts, _FORMS[normalizer.form])


def normal_form(texts: Any, form: str, *, library: bool = False) -> Any:
    """Brings string `texts [B]` into a normal form.

    Args:
        texts: valid UTF-8.
        form: NFC, NFD, NFKC or NFKD.
        library: as the `tokenizers` library does it, not as Python's `unicodedata`.
    """
    apply = functools.partial(_newest_form, form=form)
    newer = newer_characters(form, library=library)
    return _with_exceptions(texts, apply, dict.fromkeys(newer)) if newer else apply(texts)


def _newest_form(texts: Any, form: str) -> Any:
    text = import_tensorflow_text(f"normalization: {form.lower()}")
    return text.normalize_utf8(texts, form)


@functools.cache
def newer_characters(form: str, *, library: bool) -> str:
    """Returns the characters that a normal form has in TensorFlow alone.

    For the other side each of them stands alone: it stays as it is, composes with nothing, and
    marks are not moved over it. So a text can be cut there.

    Args:
        form: NFC, NFD, NFKC or NFKD.
        library: the other side is the `tokenizers` library, otherwise Python's `unicodedata`.
    """

    def theirs(name: str) -> Callable[[str], str]:
        if not library:
            return lambda text: unicodedata.normalize(name, text)  # type: ignore[arg-type]
        from keras_s2s.export.in_graph.pipelines.probing import library_part

        return library_part("normalizer", json.dumps({"type": name})).normalize_str

    def ours(name: str) -> Callable[[str], str]:
        return lambda text: _eagerly(functools.partial(_newest_form, form=name), text)

    found = _concerned(form, ours) - _concerned(form, theirs)
    return "".join(sorted(found))


def _concerned(form: str, normal: Callable[[str], Callable[[str], str]]) -> set[str]:
    """Returns the characters that a form changes, puts in order or composes.

    Args:
        form: NFC, NFD, NFKC or NFKD.
        normal: name of a form to its function.
    """
    canonical = _changed(normal("NFD"))
    # What is composed is what another character is decomposed to.
    concerned = {c for key, value in canonical.items() for c in (key, *value)}
    if "K" in form:
        concerned |= set(_changed(normal("NFKD")))
    return concerned


def _changed(function: Callable[[str], str]) -> dict[str, str]:
    """Returns the characters that are not left alone between two marks, and what they become."""
    characters = _characters()
    # All in one call: one call for each takes much longer.
    probes = [f"a{_HIGH}{c}{_LOW}" for c in characters]
    found = function("\n".join(probes)).split("\n")
    return {
        c: result
        for c, probe, result in zip(characters, probes, found, strict=True)
        if result != probe
    }


@functools.cache
def _characters() -> list[str]:
    points = (c for c in range(0x80, 0x110000) if not any(c in never for never in _NEVER_CHANGED))
    return list(map(chr, points))


def lowercase(texts: Any) -> Any:
    """Lowercases string `texts [B]` as Python's `str.lower` does.

    A capital sigma is the last letter of a word where nothing but a capital letter that TensorFlow
    does not know stands before or after it: there it takes this letter for a sign.
    """
    changes = newer_capitals()
    return (
        _with_exceptions(texts, _older_lowercase, changes) if changes else _older_lowercase(texts)
    )


@functools.cache
def newer_capitals() -> dict[str, str | None]:
    """Returns the letters whose lower case Python knows and TensorFlow does not."""
    characters = _characters()
    found = _eagerly(_older_lowercase, "\n".join(characters)).split("\n")
    return {
        c: c.lower()
        for c, lower in zip(characters, found, strict=True)
        if lower == c and lower != c.lower()
    }


def _older_lowercase(texts: Any) -> Any:
    import tensorflow as tf

    # The op ends a text at its first NUL. NUL is no letter and part of no word, so that the parts
    # between NULs are lowercased alike alone (a final sigma too). Joining loses NUL as well,
    # where it is the separator: each part has its own in front, and the first one is removed.
    parts = tf.strings.split(texts, sep="\0")
    lower = tf.strings.lower(parts.flat_values, encoding="utf-8")
    marked = parts.with_flat_values(tf.strings.join([tf.constant("\0"), lower]))
    joined = tf.strings.reduce_join(marked, axis=-1)
    length = tf.strings.length(joined)
    return tf.strings.substr(joined, tf.ones_like(length), length - 1)


def _eagerly(function: Callable[[Any], Any], text: str) -> str:
    """Applies a function of string `[B]` to one text, also while a graph is made."""
    import tensorflow as tf

    with tf.init_scope():
        return function(tf.constant([text])).numpy()[0].decode()


def _with_exceptions(
    texts: Any, function: Callable[[Any], Any], exceptions: dict[str, str | None]
) -> Any:
    """Applies a function to string `texts [B]` between exceptions.

    Args:
        texts: valid UTF-8.
        function: string `[P]` to string `[P]`.
        exceptions: character to what stands for it, None for itself.
    """
    import tensorflow as tf

    characters = f"[{_ranges(exceptions)}]+"
    parts = cut(mark(texts, f"({characters})", CUT + rb"\1" + CUT))
    flat = parts.flat_values
    apart = tf.strings.regex_full_match(flat, characters)
    changes = {ord(c): new.encode() for c, new in exceptions.items() if new is not None}
    changed = CharacterMap(changes)(tf.where(apart, flat, "")) if changes else flat
    result = tf.where(apart, changed, function(flat))
    return tf.strings.reduce_join(parts.with_flat_values(result), axis=-1)


def _ranges(characters: Iterable[str]) -> str:
    """Returns characters as the content of a character class of RE2."""
    runs: list[list[int]] = []
    for point in sorted(map(ord, characters)):
        if runs and runs[-1][1] == point - 1:
            runs[-1][1] = point
        else:
            runs.append([point, point])
    return "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in runs)
