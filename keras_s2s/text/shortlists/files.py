"""Reads and writes shortlists: Marian's two forms, and CTranslate2's `vmap.txt`.

- Marian's text, `lex.s2t`: lines `target source probability`, tokens of the vocabularies.
- Marian's binary, as Bergamot and Firefox ship it: six u64 (a mark, a checksum, the number of first
  ids, of candidates, of offsets and of ids), offsets u64, ids u32.
- CTranslate2's map: lines of source tokens, a tab, and target tokens; a line without source tokens
  holds the candidates of every source.
"""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from keras_s2s.atomic_writing import write_atomically
from keras_s2s.config import ConfigError
from keras_s2s.config.file_errors import unreadable
from keras_s2s.config.git_pointers import is_pointer, pointer_message
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.shortlists.shortlist import MULTIPLE, Shortlist, check_numbers, from_lists
from keras_s2s.text.tokenizer import Tokenizer

MAGIC = 0xF11A48D5013417F5
_HEADER = struct.Struct("<6Q")
#: Bytes of a file that its checksum leaves out: the mark, and itself.
_UNCHECKED = 16
#: What Marian takes where nobody says: ids from 0 on that are candidates of every source, and
#: candidates of each source id.
FIRST, BEST = 100, 100


def is_binary_shortlist(path: Path) -> bool:
    """Returns whether a file begins as Marian's binary shortlists do."""
    with path.open("rb") as file:
        return file.read(8) == struct.pack("<Q", MAGIC)


def read_shortlist(
    path: str | Path, preprocessor: Preprocessor, *, first: int = FIRST, best: int = BEST
) -> Shortlist:
    """Reads a shortlist of Marian or CTranslate2; which one it is, its content says.

    Args:
        path: the file.
        preprocessor: with the vocabularies of source and target.
        first: of Marian's text form, ids from 0 on that are candidates of every source.
        best: of Marian's text form, most candidates of a source id.

    Raises:
        ConfigError: a file of another form, that is damaged, empty, or of other vocabularies.
        ValueError: `first` or `best` is no whole number, or too small.
    """
    check_numbers(first=(first, 0), best=(best, 1))
    path = Path(path)
    if not path.exists():
        raise ConfigError(f"{path}: no such file; expected a shortlist of Marian or CTranslate2")
    try:
        if is_binary_shortlist(path):
            return _read_binary(path, preprocessor)
        if is_pointer(path):
            raise ConfigError(pointer_message(path))
        # Files of other systems begin with a mark, or have lines that end in two characters.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise ConfigError(unreadable(path, error)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: neither text in UTF-8 (byte {error.start}) nor a binary shortlist of Marian; "
            "if it is packed (.gz), unpack it"
        ) from None
    if not any(line.strip() for line in lines):
        raise ConfigError(f"{path}: the file is empty; expected a shortlist")
    lines = [line.removesuffix("\r") for line in lines]
    if "\t" in next((line for line in lines if line), ""):
        return _read_map(path, lines, preprocessor)
    return _read_lexicon(path, lines, preprocessor, first, best)


# --------------------------------------------------------------------------------------
# Marian
# --------------------------------------------------------------------------------------


def _read_binary(path: Path, preprocessor: Preprocessor) -> Shortlist:
    content = path.read_bytes()
    if len(content) < _HEADER.size:
        raise ConfigError(f"{path}: cut off: {len(content)} bytes, a header has {_HEADER.size}")
    _, checksum, first, _, words, count = _HEADER.unpack_from(content)
    expected = _HEADER.size + 8 * words + 4 * count
    if expected != len(content):
        raise ConfigError(
            f"{path}: its header asks for {expected} bytes, but the file has {len(content)}; it is "
            "damaged"
        )
    if _checksum(content) != checksum:
        raise ConfigError(f"{path}: its checksum is wrong; the file is damaged")
    offsets = np.frombuffer(content, "<u8", words, _HEADER.size).astype("int64")
    targets = np.frombuffer(content, "<u4", count, _HEADER.size + 8 * words)
    size = preprocessor.target.vocabulary_size
    if not words or offsets[0] != 0 or offsets[-1] != count or (np.diff(offsets) < 0).any():
        raise ConfigError(f"{path}: its offsets are no ascending numbers from 0 to {count}")
    if count and int(targets.max()) >= size:
        raise ConfigError(
            f"{path}: it has the target id {int(targets.max())}, but the vocabulary has {size}; it "
            "belongs to another model"
        )
    always = np.arange(min(first, size), dtype="int32")
    return _marian(
        Shortlist(offsets, targets.astype("int32"), always, target_size=size), preprocessor
    )


def _marian(found: Shortlist, preprocessor: Preprocessor) -> Shortlist:
    """Returns a shortlist as Marian uses it: sources end in EOS, whose candidates are always in."""
    size = preprocessor.target.vocabulary_size
    eos = preprocessor.special_ids.source.eos
    ends = found.targets[:0] if eos is None else found.of(eos)
    return Shortlist(
        found.offsets,
        found.targets,
        np.unique(np.concatenate([found.always, ends])).astype("int32"),
        {},
        size,
        preprocessor.joint,
        MULTIPLE,
        int(min(len(found.always), size)),
    )


def _read_lexicon(
    path: Path, lines: list[str], preprocessor: Preprocessor, first: int, best: int
) -> Shortlist:
    source, target = preprocessor.source, preprocessor.target
    special = preprocessor.special_ids
    unknown = special.source.unk, special.target.unk
    weighed: dict[int, dict[int, float]] = defaultdict(dict)
    known = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            to, begin, weight = line.split(" ")
            probability = float(weight)
            if not 0 <= probability < math.inf:
                raise ValueError(weight)
        except ValueError:
            raise ConfigError(
                f"{path}, line {number}: {line[:60]!r}; expected a target token, a source token "
                "and a probability, or the tab of CTranslate2's maps"
            ) from None
        if begin == "NULL" or to == "NULL":  # the empty word
            continue
        i, j = source.token_to_id(begin), target.token_to_id(to)
        known += i is not None and j is not None
        i, j = unknown[0] if i is None else i, unknown[1] if j is None else j
        if i is not None and j is not None:
            weighed[i][j] = probability
    _check_known(path, known, len(lines))
    lists = {}
    for i, found in weighed.items():
        likely = sorted(found.items(), key=lambda each: (-each[1], -each[0]))[:best]
        lists[i] = [j for j, probability in likely if probability > 0]
    size = target.vocabulary_size
    return _marian(from_lists(lists, range(min(first, size)), target_size=size), preprocessor)


def _check_known(path: Path, known: int, lines: int) -> None:
    if not known:
        raise ConfigError(
            f"{path}: none of its {lines} lines has tokens of this model's vocabularies; it "
            "belongs to another model"
        )


def _checksum(content: bytes) -> int:
    """Returns Marian's checksum: of whole words of 64 bits, combined as Boost does."""
    count = (len(content) - _UNCHECKED) // 8
    seed, mask = 0, 2**64 - 1
    for word in np.frombuffer(content, "<u8", count, _UNCHECKED).tolist():
        seed ^= (word + 0x9E3779B9 + (seed << 6) + (seed >> 2)) & mask
        seed &= mask
    return seed


def write_shortlist(path: str | Path, shortlist: Shortlist, preprocessor: Preprocessor) -> None:
    """Writes a shortlist: as CTranslate2's map where the name ends in `.txt`, else in Marian's
    binary form.

    Args:
        path: the file, which is replaced.
        shortlist: what `learn_shortlist` or `read_shortlist` returned.
        preprocessor: with the vocabularies.

    Raises:
        ConfigError: Marian's form has no place for candidates of sequences of ids.
    """
    path = Path(path)
    write = _write_map if path.suffix == ".txt" else _write_binary
    write(path, shortlist, preprocessor)


def _write_binary(path: Path, shortlist: Shortlist, preprocessor: Preprocessor) -> None:
    """Candidates of every source that are not the first ids of the vocabulary are written as those
    of EOS, with which sources end.
    """
    if shortlist.phrases:
        raise ConfigError(
            f"{path}: Marian's shortlists have candidates of single ids, and this one has those of "
            f"{len(shortlist.phrases)} sequences; write it as vmap.txt"
        )
    first = shortlist.first
    rest = shortlist.always[shortlist.always >= first]
    eos = preprocessor.special_ids.source.eos
    size = max(preprocessor.source.vocabulary_size, len(shortlist.offsets) - 1)
    rows = [shortlist.of(i) for i in range(size)]
    if len(rest):
        if eos is None:
            raise ConfigError(
                f"{path}: sources of this model do not end in EOS, the place of candidates of "
                "every source in Marian's form; write it as vmap.txt"
            )
        rows[eos] = np.union1d(rows[eos], rest)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype("<u8")
    targets = np.concatenate([np.zeros(0), *rows]).astype("<u4")
    best = max(map(len, rows), default=0)
    body = offsets.tobytes() + targets.tobytes()
    header = _HEADER.pack(MAGIC, 0, first, best, len(offsets), len(targets))
    checksum = struct.pack("<Q", _checksum(header + body))
    write_atomically(path, header[:8] + checksum + header[_UNCHECKED:] + body)


# --------------------------------------------------------------------------------------
# CTranslate2
# --------------------------------------------------------------------------------------


def _read_map(path: Path, lines: list[str], preprocessor: Preprocessor) -> Shortlist:
    source, target = preprocessor.source, preprocessor.target
    special = preprocessor.special_ids.target
    always = {i for i in (special.unk, special.bos, special.eos, special.pad) if i is not None}
    lists: dict[int, list[int]] = {}
    phrases: dict[tuple[int, ...], np.ndarray] = {}
    known = 0
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        before, tab, after = line.partition("\t")
        if not tab:
            raise ConfigError(f"{path}, line {number}: {line[:60]!r} has no tab")
        ids = _ids(target, after)
        tokens = before.split(" ") if before else []
        key = tuple(_ids(source, before))
        if len(key) < len(tokens):  # no source has it
            continue
        known += bool(ids)
        if not key:
            always.update(ids)
        elif len(key) == 1:
            lists.setdefault(key[0], []).extend(ids)
        else:
            phrases[key] = np.union1d(phrases.get(key, []), ids).astype("int32")
    _check_known(path, known, len(lines))
    size = target.vocabulary_size
    return from_lists(lists, always, phrases=phrases, target_size=size)


def _ids(tokenizer: Tokenizer, tokens: str) -> list[int]:
    found = [tokenizer.token_to_id(token) for token in tokens.split(" ") if token]
    return [i for i in found if i is not None]


def _write_map(path: Path, shortlist: Shortlist, preprocessor: Preprocessor) -> None:
    source, target = preprocessor.source, preprocessor.target

    def tokens(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
        return " ".join(tokenizer.id_to_token(int(i)) for i in ids)

    lines = ["\t" + tokens(target, shortlist.always)]
    for i in range(len(shortlist.offsets) - 1):
        found = shortlist.of(i)
        if shortlist.shared and i < shortlist.target_size:
            found = np.union1d(found, [i])
        if len(found) and i < source.vocabulary_size:
            lines.append(f"{tokens(source, [i])}\t{tokens(target, found)}")
    for phrase, found in shortlist.phrases.items():
        lines.append(f"{tokens(source, phrase)}\t{tokens(target, found)}")
    write_atomically(path, ("\n".join(lines) + "\n").encode())
