"""Languages of a batch in TensorFlow ops: codes to ids, and how targets begin in each language.

Letters: B rows, C languages.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras_s2s.config import SpecialIds
from keras_s2s.export.saved_model.graph_rows import with_error
from keras_s2s.text.languages import default_language_id, target_start

#: In place of an id where there is none.
NONE = -1


class Languages(NamedTuple):
    """The languages of the rows of a batch.

    Attributes:
        source, target: int32 `[B]`, the id of a row's language; `NONE` where it has none.
        starts: int32 `[B]`, the decoder start of its target.
        first: int32 `[B]`, the id that its target is forced to begin with; `NONE` for none.
        errors: string `[B]`, what is wrong with the codes of a row; empty where nothing is.
    """

    source: Any
    target: Any
    starts: Any
    first: Any
    errors: Any


class InGraphLanguages:
    """Reads the language codes of a batch.

    Args:
        special_ids: of the model.

    Attributes:
        resources: objects that the exported module must keep a reference to.
    """

    def __init__(self, special_ids: SpecialIds) -> None:
        self.special_ids = special_ids
        self.languages = special_ids.languages
        self.codes = [] if self.languages is None else list(self.languages.codes)
        self.resources: list[Any] = []
        if self.codes:
            import tensorflow as tf

            self._numbers = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    tf.constant(self.codes), tf.range(len(self.codes))
                ),
                default_value=NONE,
            )
            self.resources.append(self._numbers)

    @property
    def names_source(self) -> bool:
        """Whether a source has its language among its ids."""
        return self.languages is not None and self.languages.source != "none"

    @property
    def names_target(self) -> bool:
        """Whether a target's language can be chosen."""
        return self.languages is not None

    @property
    def target_in_source(self) -> bool:
        """Whether a source has the language of its target among its ids."""
        return self.languages is not None and self.languages.target == "source_prefix"

    def __call__(self, rows: Any, src_lang: Any = None, tgt_lang: Any = None) -> Languages:
        """Reads codes.

        Args:
            rows: the number B of rows, an int32 scalar.
            src_lang, tgt_lang: string `[B]`; an empty code, or an empty tensor, is the model's
                default; `[1]` is for all rows. None where the signature has no such input.
        """
        import tensorflow as tf

        errors = tf.fill([rows], "")
        source, errors = self._numbered(rows, src_lang, "src_lang", errors)
        target, errors = self._numbered(rows, tgt_lang, "tgt_lang", errors)
        starts = [target_start(self.special_ids, code) for code in [*self.codes, None]]
        begins = tf.constant([start.decoder_start for start in starts], tf.int32)
        firsts = tf.constant(
            [NONE if s.forced_bos is None else s.forced_bos for s in starts], tf.int32
        )
        return Languages(
            tf.gather(self._ids("src_lang"), source),
            tf.gather(self._ids("tgt_lang"), target),
            tf.gather(begins, target),
            tf.gather(firsts, target),
            errors,
        )

    def _ids(self, name: str) -> Any:
        """Returns the id of each language, and at the end that of the default, int32 `[C + 1]`."""
        import tensorflow as tf

        known = {} if self.languages is None else self.languages.codes
        default = default_language_id(self.special_ids, name)
        ids = [*(known[code] for code in self.codes), NONE if default is None else default]
        return tf.constant(ids, tf.int32)

    def _numbered(self, rows: Any, codes: Any, name: str, errors: Any) -> tuple[Any, Any]:
        """Returns the number of each row's language, C for the default, and `errors` with those of
        unknown codes.
        """
        import tensorflow as tf

        default = len(self.codes)
        if codes is None or not self.codes:
            return tf.fill([rows], default), errors
        codes = per_row(codes, rows, "", name)
        # As `text.languages` reads them: also `__java__` for `java` and `>>fra<<` for `fra`.
        plain = tf.strings.regex_replace(tf.strings.regex_replace(codes, "^__", ""), "__$", "")
        numbers = self._numbers.lookup(codes)
        for form in (plain, tf.strings.regex_replace(codes, "^[<>]+|[<>]+$", "")):
            numbers = tf.where(numbers == NONE, self._numbers.lookup(form), numbers)
        unnamed = tf.equal(codes, "")
        unknown = tf.logical_and(numbers == NONE, ~unnamed)
        # A client's bytes may be no text; what an output holds must be.
        shown = tf.strings.unicode_transcode(tf.strings.substr(codes, 0, 40), "UTF-8", "UTF-8")
        errors = with_error(
            errors, unknown, f"{name} is ", shown, ", which is not a language of this model"
        )
        return tf.where(unknown | unnamed, default, numbers), errors


def per_row(values: Any, rows: Any, default: Any, name: str) -> Any:
    """Returns a value for each row, from an optional input.

    Args:
        values: `[B]`; `[1]` is for all rows, and `[0]` means the default.
        rows: the number B of rows, an int32 scalar.
        default: the value where there is none.
        name: of the input, for the error.
    """
    import tensorflow as tf

    count = tf.size(values)
    known = tf.debugging.Assert(
        (count == 0) | (count == 1) | (count == rows),
        [f"{name} must have a value for each row, one for all, or none; got:", count, rows],
    )
    with tf.control_dependencies([known]):
        padded = tf.concat([values, tf.fill([1], tf.constant(default, values.dtype))], axis=0)
    places = tf.where(count == rows, tf.range(rows), tf.zeros([rows], tf.int32))
    return tf.gather(padded, places)


__all__ = ["NONE", "InGraphLanguages", "Languages", "per_row"]
