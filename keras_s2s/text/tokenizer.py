"""Base class of all tokenizers: text to ids, ids to text, saving and loading.

Ids of special tokens (padding, unknown, beginning and end of a sentence) are never
produced from text: a text that spells `</s>` is encoded as these characters. The preprocessor adds
BOS and EOS.
"""

from __future__ import annotations

import abc
import functools
import hashlib
import json
import operator
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from keras_s2s.atomic_writing import write_atomically
from keras_s2s.config import ConfigError, MissingFileError, SamplingConfig
from keras_s2s.text.special_tokens import (
    BOS_TOKEN,
    EOS_TOKEN,
    MASK_TOKEN,
    PAD_TOKEN,
    UNK_TOKEN,
    sentinel_token,
)
from keras_s2s.text.visible import make_visible

FORMAT_VERSION = 1


class Tokenizer(abc.ABC):
    """Base class of tokenizers: encodes text as ids, and decodes ids to text.

    A subclass implements `_encode`, `_decode`, `vocabulary_size`, `_token` and `token_to_id`, and
    `_settings`, `_files` and `_restore` for its files; `sampling_method` and `_sample_batch` where
    it can draw segmentations.

    Example:
        >>> from keras_s2s.config import TokenizerConfig
        >>> tokenizer = train_tokenizer(["hello"], TokenizerConfig(kind="character"))
        >>> tokenizer.decode(tokenizer.encode("hole"))
        'hole'
    """

    kind: ClassVar[str]
    #: Whether a text that spells EOS at its end gets no second one.
    ends_once: ClassVar[bool] = False

    def __repr__(self) -> str:
        """Returns kind and size in a line."""
        return f"<{self.kind} tokenizer, {self.vocabulary_size:,} ids>"

    # ----------------------------------------------------------------------------------
    # Text <-> ids
    # ----------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """Encodes one text as ids, without special ids.

        Raises:
            TypeError: `text` is not a str.
            ValueError: `text` holds a lone surrogate, which no encoding can represent.
        """
        check_texts([text])
        return self._encode(text)

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Encodes many texts, faster than one by one where the kind allows it.

        Raises:
            TypeError: `texts` is a single str, or one of them is not a str.
            ValueError: one of them holds a lone surrogate.
        """
        if isinstance(texts, str):
            raise TypeError(f"encode_batch expects several texts, got one str: {texts[:40]!r}")
        texts = list(texts)
        check_texts(texts)
        return self._encode_batch(texts)

    @property
    def sampling_method(self) -> Literal["alpha", "dropout"] | None:
        """How segmentations are drawn: by a unigram model, BPE dropout, or not at all (None)."""
        return None

    def check_sampling(self, config: SamplingConfig) -> None:
        """Raises a ConfigError, which begins with the key, where this kind does not draw so."""
        method = self.sampling_method
        if method is None:
            raise ConfigError(
                f"{config.method}: the {self.kind} tokenizer has one segmentation of a text, so "
                "there is nothing to draw; leave it out, or use a unigram or a BPE tokenizer"
            )
        if method != config.method:
            what = "a unigram model" if method == "alpha" else "BPE merges"
            raise ConfigError(
                f"{config.method}: the {self.kind} tokenizer has {what}, so that its segmentations "
                f"are drawn by {method}; set {method}: 0.1, for example"
            )

    def sample_batch(
        self, texts: Sequence[str], config: SamplingConfig, seed: int
    ) -> list[list[int]]:
        """Encodes texts as ids of segmentations that are drawn at random.

        Args:
            texts: the texts.
            config: how they are drawn.
            seed: of the draws, 0 to 2^31 - 1. The same texts and seed give the same ids.

        Raises:
            ConfigError: this kind does not draw so.
            TypeError, ValueError: as `encode_batch`.

        Example:
            >>> from keras_s2s.config import SamplingConfig
            >>> unigram = SentencePieceUnigramTokenizer.train(["a small example"], vocab_size=290)
            >>> rows = unigram.sample_batch(["a small example"], SamplingConfig(alpha=0.1), seed=1)
            >>> unigram.decode(rows[0])
            'a small example'
        """
        self.check_sampling(config)
        texts = list(texts)
        check_texts(texts)
        return self._sample_batch(texts, config, seed)

    def decode(self, ids: Iterable[int], *, skip_special_ids: bool = True) -> str:
        """Decodes ids to a text.

        Padding, BOS and EOS are left out; the unknown id is shown as U+2047 (⁇).

        Args:
            ids: integers, a list or a one-dimensional array.
            skip_special_ids: `False` spells padding, BOS and EOS as tokens between spaces.

        Raises:
            IndexError: an id outside the vocabulary.
        """
        plain = self._check_ids(ids)
        silent = self._silent_ids()
        if skip_special_ids:
            return self._decode([i for i in plain if i not in silent])
        parts: list[str] = []
        run: list[int] = []
        for i in plain:
            if i not in silent:
                run.append(i)
                continue
            if run:
                parts.append(self._decode(run))
                run = []
            parts.append(self._token(i))
        if run:
            parts.append(self._decode(run))
        return " ".join(parts)

    def decode_batch(self, batch: Iterable[Iterable[int]]) -> list[str]:
        """Decodes each row of ids to a text (see `decode`)."""
        return [self.decode(ids) for ids in batch]

    def settled(self, ids: Iterable[int]) -> str:
        """Returns the beginning of `decode(ids)` that no further ids change.

        Args:
            ids: integers, a list or a one-dimensional array.

        Raises:
            IndexError: an id outside the vocabulary.

        Example:
            >>> tokenizer = ByteTokenizer()
            >>> tokenizer.settled(tokenizer.encode("한")[:2])  # two of its three bytes
            ''
        """
        silent = self._silent_ids()
        return self._settled([i for i in self._check_ids(ids) if i not in silent])

    @property
    def truncation_side(self) -> Literal["right", "left"]:
        """The end of a text that is cut off where the text is too long."""
        return "right"

    # ----------------------------------------------------------------------------------
    # Vocabulary
    # ----------------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def vocabulary_size(self) -> int:
        """Number of ids, special ones included; ids are 0 to this number minus 1."""

    @property
    def plain_size(self) -> int:
        """One more than the greatest id that text without special tokens can give."""
        return self.vocabulary_size

    @abc.abstractmethod
    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a vocabulary entry (special tokens included), or `None`."""

    def id_to_token(self, i: int) -> str:
        """Returns the vocabulary entry of an id.

        Raises:
            IndexError: the id is outside the vocabulary.
        """
        return self._token(self._check_ids([i])[0])

    def printable(self, i: int) -> str:
        """Returns the vocabulary entry of an id in readable form, with visible spaces."""
        return make_visible(self.id_to_token(i))

    @property
    def pad_id(self) -> int | None:
        """Id that fills rows up to the same length; `None` where there is none."""
        return self.token_to_id(PAD_TOKEN)

    @property
    def unk_id(self) -> int | None:
        """Id of text outside the vocabulary; `None` where there is none."""
        return self.token_to_id(UNK_TOKEN)

    @property
    def bos_id(self) -> int | None:
        """Id that begins a sentence; `None` where there is none."""
        return self.token_to_id(BOS_TOKEN)

    @property
    def eos_id(self) -> int | None:
        """Id that ends a sentence; `None` where there is none."""
        return self.token_to_id(EOS_TOKEN)

    @property
    def mask_id(self) -> int | None:
        """Id of the mask token of text infilling; `None` where there is none."""
        return self.token_to_id(MASK_TOKEN)

    @functools.cached_property
    def sentinel_ids(self) -> tuple[int, ...]:
        """Ids of the sentinels of span corruption, in their order; empty where there are none."""
        ids: list[int] = []
        while (i := self.token_to_id(sentinel_token(len(ids)))) is not None:
            ids.append(i)
        return tuple(ids)

    # ----------------------------------------------------------------------------------
    # Files
    # ----------------------------------------------------------------------------------

    def save(self, directory: str | Path, prefix: str) -> list[Path]:
        """Writes `{prefix}.json` and the kind's vocabulary files into `directory`.

        Each file is written under another name and renamed, the JSON last; it holds the checksums
        of the others, so that a mixture of two saved tokenizers is an error when it is read.

        Returns:
            The files written.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        files: dict[str, dict[str, str]] = {}
        written: list[Path] = []
        for suffix, content in self._files().items():
            path = directory / f"{prefix}.{suffix}"
            write_atomically(path, content)
            written.append(path)
            files[suffix] = {"sha256": hashlib.sha256(content).hexdigest()}
        description = {
            "format": FORMAT_VERSION,
            "kind": self.kind,
            "settings": self._settings(),
            "files": files,
        }
        path = description_path(directory, prefix)
        text = json.dumps(description, ensure_ascii=False, indent=2) + "\n"
        write_atomically(path, text.encode())
        return [*written, path]

    @classmethod
    def load(cls, directory: str | Path, prefix: str) -> Self:
        """Reads a tokenizer that `save` wrote.

        Raises:
            FileNotFoundError: a file is missing.
            ConfigError: a file is not what it should be; the message names it.
        """
        directory = Path(directory)
        path = description_path(directory, prefix)
        description = read_description(directory, prefix)
        if description["kind"] != cls.kind:
            raise ConfigError(
                f"{path}: kind is {description['kind']!r}, but {cls.__name__} reads "
                f"{cls.kind!r}; load_tokenizer chooses the class by the file"
            )
        contents = {}
        for suffix, expected in description["files"].items():
            file = directory / f"{prefix}.{suffix}"
            if not file.is_file():
                raise MissingFileError(f"{file} is missing, but {path} names it")
            contents[suffix] = file.read_bytes()
            if hashlib.sha256(contents[suffix]).hexdigest() != expected["sha256"]:
                raise ConfigError(
                    f"{file}: its sha256 is not the one that {path} records; the two files do "
                    "not belong together, save the tokenizer again"
                )
        try:
            return cls._restore(description["settings"], contents)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path}: not a readable {cls.kind} tokenizer ({type(error).__name__}: {error})"
            ) from error

    # ----------------------------------------------------------------------------------
    # What a subclass implements
    # ----------------------------------------------------------------------------------

    @abc.abstractmethod
    def _encode(self, text: str) -> list[int]:
        """Encodes a checked text."""

    def _encode_batch(self, texts: list[str]) -> list[list[int]]:
        return [self._encode(text) for text in texts]

    def _sample_batch(self, texts: list[str], config: SamplingConfig, seed: int) -> list[list[int]]:
        """Draws segmentations of checked texts; for kinds with a `sampling_method`."""
        raise NotImplementedError(f"{type(self).__name__} has no _sample_batch")

    @abc.abstractmethod
    def _decode(self, ids: list[int]) -> str:
        """Decodes checked ids, none of which is padding, BOS or EOS."""

    def _settled(self, ids: list[int]) -> str:
        """Returns the beginning of the text of checked ids that no further ids change."""
        return ""

    @abc.abstractmethod
    def _token(self, i: int) -> str:
        """Returns the vocabulary entry of a checked id."""

    @abc.abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Returns the settings in the JSON file of a saved tokenizer, other than its kind."""

    @abc.abstractmethod
    def _files(self) -> dict[str, bytes]:
        """Returns the vocabulary files of the tokenizer: file suffix to content."""

    @classmethod
    @abc.abstractmethod
    def _restore(cls, settings: dict[str, Any], files: dict[str, bytes]) -> Self:
        """Makes a tokenizer from what `_settings` and `_files` returned."""

    # ----------------------------------------------------------------------------------

    def _silent_ids(self) -> frozenset[int]:
        known = (self.pad_id, self.bos_id, self.eos_id)
        return frozenset(i for i in known if i is not None)

    def _check_ids(self, ids: Iterable[int]) -> list[int]:
        # An array's own conversion is much faster than asking each of its scalars.
        values = ids.tolist() if hasattr(ids, "tolist") else ids
        try:
            plain = list(map(operator.index, values))
        except TypeError:
            raise TypeError(
                f"expected a flat sequence of integer ids, got {type(ids).__name__}: "
                f"{str(ids)[:60]}"
            ) from None
        size = self.vocabulary_size
        if plain and (min(plain) < 0 or max(plain) >= size):
            position = next(n for n, i in enumerate(plain) if not 0 <= i < size)
            raise IndexError(
                f"id {plain[position]} at position {position} is outside the {self.kind} "
                f"vocabulary of {size} ids (0 to {size - 1})"
            )
        return plain


def check_texts(texts: Sequence[str]) -> None:
    """Raises an error for an element that is not text, with its position.

    Raises:
        TypeError: an element is not a str.
        ValueError: an element holds a lone surrogate (half of a UTF-16 pair).
    """
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"text {number} is a {type(text).__name__}, expected a str: {str(text)[:40]!r}"
            )
        # `isascii` is a flag of the string, so plain text costs nothing here.
        if text.isascii():
            continue
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"text {number} holds the lone surrogate U+{ord(text[error.start]):04X} at "
                f"position {error.start}, which is not a character; it was probably read with "
                "the wrong encoding or cut inside a UTF-16 pair"
            ) from None


def description_path(directory: Path, prefix: str) -> Path:
    """Returns the JSON file that describes a saved tokenizer."""
    return directory / f"{prefix}.json"


def read_description(directory: str | Path, prefix: str) -> dict[str, Any]:
    """Reads and checks the JSON file of a saved tokenizer.

    Raises:
        FileNotFoundError: there is none.
        ConfigError: it is not a tokenizer's description.
    """
    path = description_path(Path(directory), prefix)
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; expected a tokenizer saved there")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a JSON file ({error})") from None
    if not isinstance(description, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, got {type(description).__name__}")
    for key, expected in (("format", int), ("kind", str), ("settings", dict), ("files", dict)):
        if key not in description:
            raise ConfigError(f"{path}: key {key!r} is required, but missing")
        if not isinstance(description[key], expected):
            raise ConfigError(
                f"{path}: {key} is {description[key]!r}, expected {expected.__name__}"
            )
    if description["format"] != FORMAT_VERSION:
        raise ConfigError(
            f"{path}: format is {description['format']}, but this version reads "
            f"{FORMAT_VERSION}; upgrade the package"
        )
    for suffix, entry in description["files"].items():
        # The name becomes part of a path, so it must not lead out of the folder.
        if "/" in suffix or "\\" in suffix or not isinstance(entry, dict) or "sha256" not in entry:
            raise ConfigError(
                f"{path}: files.{suffix} is {entry!r}, expected a file suffix with its sha256"
            )
    return description
