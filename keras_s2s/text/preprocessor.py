"""The preprocessor: encodes sources and targets as ids, and decodes generated ids to text.

A tokenizer (`tokenizer.py` is the base class) makes ids of a text alone; the preprocessor holds one
for each side, and puts the special ids of `config/ids.py` around them: BOS, EOS, languages.
Training reads texts through it in `data/examples/given_pairs.py`, generation in
`decoding/requests/read_sources.py`. Decoder inputs are made later (`data/teacher_forcing.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from keras_s2s.config import SpecialIds, TextConfig, TokenizerKind
from keras_s2s.text.data_frames import pairs_of
from keras_s2s.text.id_rows import id_row, id_rows, surround, without_special
from keras_s2s.text.languages import (
    Language,
    TargetStart,
    default_language_id,
    language_id,
    refuse_source_language,
    spread,
    target_start,
    with_defaults,
)
from keras_s2s.text.preprocessor_checks import apart_from_languages, check_languages, check_side
from keras_s2s.text.preprocessor_training import text_config, train_side
from keras_s2s.text.registry import load_tokenizer
from keras_s2s.text.tokenizer import Tokenizer, check_texts, description_path
from keras_s2s.text.trained.trainer import train_tokenizer
from keras_s2s.text.truncation import Overlong, Side, fitting

FOLDER = "tokenizer"


class Preprocessor:
    """Encodes and decodes the texts of a model: two tokenizers, and the special ids around a text.

    Texts of a multilingual model are encoded in a language: the one a call names, or else the
    default.

    Args:
        source: tokenizer of the encoder's side.
        target: tokenizer of the decoder's side; the same object for a joint vocabulary.
        special_ids: where sequences begin and end, and languages.

    Raises:
        ConfigError: a special id lies outside its vocabulary, or differs from the tokenizer's.

    Example:
        >>> preprocessor = Preprocessor.train([("hello", "hallo")], "character")
        >>> preprocessor.decode_target(preprocessor.encode_target(["hallo"]))
        ['hallo']
    """

    def __init__(self, source: Tokenizer, target: Tokenizer, special_ids: SpecialIds) -> None:
        check_side("source", special_ids.source, source)
        check_side("target", special_ids.target, target)
        if special_ids.languages is not None:
            check_languages(special_ids.languages, source, target)
        self.source = source
        self.target = target
        self.special_ids = special_ids

    @classmethod
    def train(
        cls,
        pairs: Iterable[tuple[str, str] | str],
        config: TextConfig | TokenizerKind,
        *,
        vocab_size: int | None = None,
        joint: bool | None = None,
    ) -> Preprocessor:
        """Trains the tokenizers of both sides on text pairs.

        Args:
            pairs: source and target texts; read once. For a joint tokenizer also single texts.
            config: the text configuration, or just a kind of tokenizer for both sides.
            vocab_size: upper bound of each vocabulary; overrides the configuration's.
            joint: one tokenizer for both sides; overrides the configuration's.

        Raises:
            ConfigError: the configuration cannot be used, or there is no text.
            TypeError, ValueError: an element of `pairs` is not a pair of texts; the message
                has its number.
        """
        config = text_config(config, vocab_size, joint)
        sources: list[str] = []
        targets: list[str] = []
        for number, pair in enumerate(pairs_of(pairs)):
            if config.joint and isinstance(pair, str):
                check_texts([pair])
                sources.append(pair)
                continue
            if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
                raise ValueError(
                    f"pair {number} is {str(pair)[:80]!r}, expected a source and a target text"
                )
            try:
                check_texts(pair)
            except (TypeError, ValueError) as error:
                raise type(error)(f"pair {number}: {error}") from None
            sources.append(pair[0])
            targets.append(pair[1])
        if config.joint:
            source = target = train_tokenizer(sources + targets, config.source)
        else:
            source = train_side("source", sources, config.source)
            target = train_side("target", targets, config.target or config.source)
        source_eos = source.eos_id if config.source_eos else None
        special_ids = SpecialIds.model_validate(
            {
                "source": {"pad": source.pad_id, "eos": source_eos, "unk": source.unk_id},
                "target": {
                    "decoder_start": target.bos_id,
                    "eos": target.eos_id,
                    "pad": target.pad_id,
                    "unk": target.unk_id,
                },
            }
        )
        return cls(source, target, special_ids)

    def __repr__(self) -> str:
        """Returns tokenizers, special ids and default languages in a line."""
        tokenizers = f"source={self.source!r}, target=" + (
            "source" if self.joint else repr(self.target)
        )
        target = self.special_ids.target
        text = (
            f"Preprocessor({tokenizers}, decoder_start={target.decoder_start}, eos={target.eos}, "
            f"pad={target.pad}"
        )
        languages = self.special_ids.languages
        if languages is not None:
            text += (
                f", {len(languages.codes)} languages, {languages.default_source} to "
                f"{languages.default_target}"
            )
        return f"{text})"

    @property
    def joint(self) -> bool:
        """Whether both sides share one tokenizer."""
        return self.source is self.target

    def encodes_like(self, other: Preprocessor) -> bool:
        """Returns whether another preprocessor has the same special ids and tokens, id by id.

        Default languages, and how their targets begin, may differ (see `in_languages`).
        """
        if self is other:
            return True
        same_ids = apart_from_languages(self.special_ids) == apart_from_languages(other.special_ids)
        return same_ids and all(
            mine.vocabulary_size == theirs.vocabulary_size
            and all(
                mine.id_to_token(i) == theirs.id_to_token(i) for i in range(mine.vocabulary_size)
            )
            for mine, theirs in ((self.source, other.source), (self.target, other.target))
        )

    # ----------------------------------------------------------------------------------
    # Text -> ids
    # ----------------------------------------------------------------------------------

    def encode_source(
        self,
        texts: Sequence[str],
        src_lang: Language = None,
        tgt_lang: Language = None,
        *,
        max_length: int | None = None,
        overlong: Overlong = "error",
    ) -> list[list[int]]:
        """Encodes source texts as ids, with BOS, EOS and language where the special ids set them.

        Args:
            texts: the texts.
            src_lang: their language, or one for each.
            tgt_lang: the language to translate into, or one for each; it matters here for models
                whose sources name it (Marian).
            max_length: most ids of a source, special ones counted; None is no limit.
            overlong: "truncate" cuts the text of longer ones, as transformers does, and keeps the
                special ids around it; "error" raises an error.

        Raises:
            ConfigError: the model has no such language, or none at all.
            ValueError: a source is too long, or `max_length` leaves no room for text.
        """
        rows = self.frame_source(self.source.encode_batch(texts), src_lang, tgt_lang)
        return self.fit_rows(rows, "source", max_length, overlong)

    def frame_source(
        self, rows: list[list[int]], src_lang: Language = None, tgt_lang: Language = None
    ) -> list[list[int]]:
        """Adds BOS, EOS and language to rows of source ids (see `encode_source`)."""
        ids, languages = self.special_ids.source, self.special_ids.languages
        rows = surround(rows, ids.bos, ids.eos, once=self.source.ends_once)
        sources = self._languages("src_lang", src_lang, len(rows))
        targets = self._languages("tgt_lang", tgt_lang, len(rows))
        if languages is None:
            return rows
        if any(i is not None for i in sources):
            refuse_source_language(languages, src_lang)
        if languages.target == "source_prefix":
            rows = [surround([row], i, None)[0] for row, i in zip(rows, targets, strict=True)]
        if languages.source == "prefix":
            rows = [surround([row], i, None)[0] for row, i in zip(rows, sources, strict=True)]
        elif languages.source == "suffix":
            rows = [surround([row], None, i)[0] for row, i in zip(rows, sources, strict=True)]
        return rows

    def encode_target(
        self,
        texts: Sequence[str],
        tgt_lang: Language = None,
        *,
        max_length: int | None = None,
        overlong: Overlong = "error",
    ) -> list[list[int]]:
        """Encodes target texts as labels: with language and BOS where set, and with EOS.

        They do not contain the decoder start: labels are shifted where batches are made.
        Where the decoder starts with the language (mBART-25, PLBART), labels do not hold it.

        Args:
            texts: the texts.
            tgt_lang: their language, or one for each.
            max_length, overlong: as in `encode_source`.

        Raises:
            ConfigError: the model has no such language, or none at all.
            ValueError: a target is too long, or `max_length` leaves no room for text.
        """
        rows = self.frame_target(self.target.encode_batch(texts), tgt_lang)
        return self.fit_rows(rows, "target", max_length, overlong)

    def frame_target(self, rows: list[list[int]], tgt_lang: Language = None) -> list[list[int]]:
        """Adds BOS, EOS and language to rows of target ids (see `encode_target`)."""
        ids, languages = self.special_ids.target, self.special_ids.languages
        rows = surround(rows, ids.bos, ids.eos, once=self.target.ends_once)
        targets = self._languages("tgt_lang", tgt_lang, len(rows))
        if languages is not None and languages.target == "forced_bos":
            rows = [surround([row], i, None)[0] for row, i in zip(rows, targets, strict=True)]
        return rows

    def encode_target_prefix(
        self, text: str, tgt_lang: str | None = None, *, first: int | None = None
    ) -> list[int]:
        """Encodes the beginning of a generated target: `text`, after its language and BOS.

        They are the ids that generation in `tgt_lang` is forced to begin with, BOS where set, and
        the text's own without EOS. An empty text gives no ids.

        Args:
            text: what the target begins with.
            tgt_lang: its language; None for the default.
            first: an id that targets are forced to begin with, in place of the language's.

        Raises:
            ConfigError: the model has no such language, or none at all.
        """
        ids, languages = self.special_ids.target, self.special_ids.languages
        start = self.target_start(tgt_lang)
        row = self.target.encode_batch([text])[0]
        if not row:
            return []
        row = surround([row], ids.bos, None)[0]
        if languages is not None and languages.target == "forced_bos":
            row = surround([row], start.forced_bos if first is None else first, None)[0]
        return row

    def fit_rows(
        self,
        rows: Sequence[Sequence[int]],
        side: Side,
        max_length: int | None,
        overlong: Overlong = "error",
        *,
        limit: str = "max_length={}",
    ) -> list[list[int]]:
        """Limits rows with special ids to `max_length` ids each (see `encode_source`).

        Args:
            rows: ids of texts as `frame_source` or `frame_target` returns them.
            side: whose ids these are.
            max_length, overlong: as in `encode_source`.
            limit: where the limit comes from, for messages, with `{}` for the number.
        """
        tokenizer = self.source if side == "source" else self.target
        return fitting(
            rows,
            max_length,
            self.special_ids,
            side,
            overlong=overlong,
            limit=limit,
            cut=tokenizer.truncation_side,
            ends_once=tokenizer.ends_once,
        )

    # ----------------------------------------------------------------------------------
    # Languages
    # ----------------------------------------------------------------------------------

    def target_start(self, tgt_lang: str | None = None) -> TargetStart:
        """Returns decoder start and first generated id of a language.

        Args:
            tgt_lang: code of the language; None for the default.

        Raises:
            ConfigError: the model has no such language, or none at all.
        """
        return target_start(self.special_ids, tgt_lang)

    def in_languages(
        self, src_lang: str | None = None, tgt_lang: str | None = None
    ) -> Preprocessor:
        """Returns a preprocessor with other default languages: for training in one direction.

        Its targets begin in `tgt_lang`. Once it is given to a model (`model.preprocessor = ...`),
        these are the model's default languages, and are saved and exported with it.

        Raises:
            ConfigError: the model has no such language, or none at all.

        Example:
            >>> model = Seq2SeqLM.from_preset("mbart_large_50")
            >>> batches = Batches(pairs, model.preprocessor.in_languages("en_XX", "ko_KR"))
        """
        special_ids = with_defaults(self.special_ids, src_lang, tgt_lang)
        if special_ids is self.special_ids:
            return self
        return Preprocessor(self.source, self.target, special_ids)

    def _languages(self, name: str, language: Language, rows: int) -> list[int | None]:
        """Returns the id of each row's language, by default the model's; None where there is
        none.
        """
        languages = self.special_ids.languages
        codes = spread(language, rows, name)
        default = default_language_id(self.special_ids, name)
        return [default if code is None else language_id(languages, code, name) for code in codes]

    # ----------------------------------------------------------------------------------
    # Ids -> text
    # ----------------------------------------------------------------------------------

    def decode_target(self, ids: Iterable[Iterable[int]]) -> list[str]:
        """Decodes each row of target ids to a text, up to its EOS.

        Args:
            ids: integers `[B, T]`, an array or lists of any lengths; with or without the
                decoder start in front, padded or not.
        """
        return [self.target.decode(row) for row, _ in self._target_content(ids)]

    def settled_target(self, ids: Iterable[Iterable[int]]) -> list[str]:
        """Returns the beginning of each row's text that no further ids change; all of it after an
        EOS.

        Args:
            ids: as in `decode_target`.
        """
        return [
            self.target.decode(row) if ended else self.target.settled(row)
            for row, ended in self._target_content(ids)
        ]

    def _target_content(self, ids: Iterable[Iterable[int]]) -> Iterator[tuple[list[int], bool]]:
        """Yields the ids of each row's text, and whether an EOS has ended it."""
        special, languages = self.special_ids.target, self.special_ids.languages
        dropped = {special.pad, special.bos, special.decoder_start}
        if languages is not None:
            dropped.update(languages.codes.values())
        starts = {special.decoder_start}
        if languages is not None and languages.target == "decoder_start":
            starts.update(languages.codes.values())
        for row in id_rows(ids):
            # The decoder start may be the EOS id, which would end the text before it began.
            if row and row[0] in starts:
                row = row[1:]
            yield without_special(row, special.eos, dropped), special.eos in row

    def decode_source(self, ids: Iterable[Iterable[int]]) -> list[str]:
        """Decodes each row of source ids `[B, S]` to a text, without padding, EOS or language."""
        special, languages = self.special_ids.source, self.special_ids.languages
        dropped = {special.pad, *(languages.codes.values() if languages is not None else ())}
        texts = []
        for row in id_rows(ids):
            if row and row[0] == special.bos:
                row = row[1:]
            texts.append(self.source.decode(without_special(row, special.eos, dropped)))
        return texts

    def source_tokens(self, ids: Iterable[int]) -> list[str]:
        """Returns a printable token for each id of one source `[S]`, special ones included."""
        return [self.source.printable(i) for i in id_row(ids)]

    def target_tokens(self, ids: Iterable[int]) -> list[str]:
        """Returns a printable token for each id of one target `[T]`, special ones included."""
        return [self.target.printable(i) for i in id_row(ids)]

    # ----------------------------------------------------------------------------------
    # Files
    # ----------------------------------------------------------------------------------

    def save(self, directory: str | Path) -> list[Path]:
        """Writes `tokenizer/source.*` and, unless both sides share it, `tokenizer/target.*` into a
        folder.

        The special ids belong to the configuration that is saved beside them.

        Returns:
            The files written.
        """
        folder = Path(directory) / FOLDER
        if self.joint:
            written = self.source.save(folder, "source")
            # A target tokenizer saved there earlier would be read as this one's.
            for stale in folder.glob("target.*"):
                stale.unlink()
            return written
        return [*self.source.save(folder, "source"), *self.target.save(folder, "target")]

    @classmethod
    def load(cls, directory: str | Path, special_ids: SpecialIds) -> Preprocessor:
        """Reads what `save` wrote; without `tokenizer/target.json` both sides share one tokenizer.

        Raises:
            FileNotFoundError: a tokenizer file is missing.
            ConfigError: a file is not what it should be, or contradicts `special_ids`.
        """
        folder = Path(directory) / FOLDER
        source = load_tokenizer(folder, "source")
        separate = description_path(folder, "target").exists()
        target = load_tokenizer(folder, "target") if separate else source
        return cls(source, target, special_ids)
