"""What a grammar allows after some ids, by llguidance."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_s2s.text.stable_prefix import HALF
from keras_s2s.text.token_bytes import token_bytes

if TYPE_CHECKING:
    from keras_s2s.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

#: Sequences whose states are kept, so that one id more is one step of the parser.
KEPT = 4096

#: Without it, llguidance chooses the ids where a grammar leaves one text. It holds wherever it
#: stands; at the end, lines keep their numbers in messages.
NO_FORCING = '\n%llguidance {"no_forcing": true}\n'

#: What llguidance says after an id that is not allowed, or that comes after the end.
_NOT_ALLOWED = ("satisfy the grammar", "parser stopped")


class GrammarTokens:
    """What a grammar allows after sequences of ids.

    Args:
        grammar: as llguidance writes it (`compiled_grammar`).
        tokenizer: of the ids.
        vocabulary: ids of the model, V, which may be more.
        ends: ids that end a sequence; allowed where the grammar is complete.

    Raises:
        ValueError: the grammar is none; the message is the library's.
        ImportError: llguidance is not installed.
    """

    def __init__(
        self, grammar: str, tokenizer: Tokenizer, vocabulary: int, ends: Sequence[int]
    ) -> None:
        self.ends = list(ends)
        self._vocabulary = vocabulary_for_grammars(tokenizer, vocabulary, tuple(ends))
        self._matcher = _matcher(self._vocabulary.anywhere, grammar)
        self._at_start = _matcher(self._vocabulary.at_start, grammar)
        for warning in self._matcher.get_grammar_warnings():
            logger.warning("grammar: %s", warning)
        self._states: OrderedDict[tuple[bool, tuple[int, ...]], Any] = OrderedDict()
        self._lock = threading.Lock()
        content = f"{self._vocabulary.digest}\n{grammar}"
        self._digest = hashlib.sha256(content.encode()).hexdigest()

    @property
    def digest(self) -> str:
        """Tells grammars and vocabularies apart."""
        return self._digest

    def allowed(self, before: Sequence[int], ids: Sequence[int]) -> np.ndarray:
        """Returns the ids that may follow: bool `[V]`.

        Args:
            before: ids of a prefix, to which the grammar does not apply.
            ids: those after it, of which those without text do not count.

        Raises:
            ValueError: the grammar is too complex for the parser's limits.
        """
        pieces = self._vocabulary.pieces
        with self._lock:
            at_start = not any(pieces[i] for i in before)
            known = tuple(int(i) for i in ids if pieces[i] is not None)
            matcher = self._after(at_start, known)
            mask = np.zeros(len(pieces), bool)
            if not matcher.is_stopped():
                bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
                mask = np.unpackbits(bits, bitorder="little")[: len(mask)].astype(bool)
            _check_limits(matcher)
            mask[self.ends] = matcher.is_accepting()
            return mask

    def matches(self, text: str) -> bool:
        """Returns whether a text is one of the grammar, from beginning to end."""
        with self._lock:
            matcher = self._matcher.deep_copy()
        known = self._vocabulary.bytes_of(text.encode())
        # The number of ids that the grammar allows one after the other.
        return bool(matcher.try_consume_tokens(known) == len(known) and matcher.is_accepting())

    def _after(self, at_start: bool, ids: tuple[int, ...]) -> Any:
        """Returns the state of the parser after ids."""
        known = len(ids)
        while known and (at_start, ids[:known]) not in self._states:
            known -= 1
        matcher = self._at_start if at_start else self._matcher
        if known:
            matcher = self._states[at_start, ids[:known]]
            self._states.move_to_end((at_start, ids[:known]))
        for n in range(known, len(ids)):
            # Only the first id of a text is one of that vocabulary.
            matcher = (matcher if n else self._matcher).deep_copy()
            begin = self._vocabulary.first[ids[n]] if at_start and not n else None
            if begin in (None, self._vocabulary.pieces[ids[n]]):
                matcher.consume_token(ids[n])
            else:
                matcher.consume_tokens(self._vocabulary.bytes_of(begin))
            self._states[at_start, ids[: n + 1]] = matcher
            if len(self._states) > KEPT:
                self._states.popitem(last=False)
        return matcher


def _matcher(tokenizer: Any, grammar: str) -> Any:
    """Returns the parser before the first id."""
    llguidance = import_llguidance()
    if error := llguidance.LLMatcher.validate_grammar(grammar, tokenizer):
        # The caller did not write the last line.
        lines = [line for line in error.split("\n") if NO_FORCING.strip() not in line]
        raise ValueError("\n".join(lines).rstrip())
    return llguidance.LLMatcher(tokenizer, grammar, log_level=0)


def _check_limits(matcher: Any) -> None:
    """Raises an error for a parser that has given up; not for one whose ids are none of its grammar
    because another rule has forced them.
    """
    if not matcher.is_error():
        return
    why = matcher.get_error().partition("\n")[0]
    if not any(words in why for words in _NOT_ALLOWED):
        raise ValueError(
            f"regex, json_schema or grammar: {why}. llguidance limits the time and memory of a "
            "step; write what results may be with fewer alternatives and repetitions"
        )


class GrammarVocabulary:
    """A vocabulary as llguidance reads it.

    Args:
        tokenizer: of the ids.
        vocabulary: ids of the model, which may be more.
        ends: ids that end a sequence, whose text does not count.

    Attributes:
        pieces: the bytes that each id writes after a word; None where it writes nothing.
        first: the same of an id with which a text begins.
        anywhere: the `LLTokenizer` of `pieces`. After the ids of the model come those of 256 bytes.
        at_start: that of `first`.
        digest: tells vocabularies apart.
    """

    def __init__(self, tokenizer: Tokenizer, vocabulary: int, ends: Sequence[int]) -> None:
        written = [*token_bytes(tokenizer), *[None] * vocabulary][:vocabulary]
        self.pieces = [None if i in ends else piece for i, piece in enumerate(written)]
        self.first = [_as_first(tokenizer, i, piece) for i, piece in enumerate(self.pieces)]
        self.anywhere = self._tokenizer(self.pieces, ends[0])
        same = self.first == self.pieces
        self.at_start = self.anywhere if same else self._tokenizer(self.first, ends[0])
        content = repr((self.pieces, self.first, list(ends)))
        self.digest = hashlib.sha256(content.encode()).hexdigest()

    def bytes_of(self, content: bytes) -> list[int]:
        """Returns the ids of bytes, which are beyond those of the model."""
        return [len(self.pieces) + byte for byte in content]

    def _tokenizer(self, pieces: Sequence[bytes | None], eos: int) -> Any:
        tokens = [piece or b"" for piece in pieces] + [bytes([byte]) for byte in range(256)]
        tokens[eos] = b"</s>"
        special = [i for i, piece in enumerate(pieces) if not piece]
        llguidance = import_llguidance()
        wrapped = llguidance.TokenizerWrapper(_Tokens(tokens, eos, special))
        return llguidance.LLTokenizer(wrapped, n_vocab=len(tokens), eos_token=eos)


#: For a large vocabulary it takes seconds.
vocabulary_for_grammars = functools.lru_cache(maxsize=4)(GrammarVocabulary)


def _as_first(tokenizer: Tokenizer, i: int, piece: bytes | None) -> bytes | None:
    """Returns what an id writes as the first of a text: by many tokenizers without the space before
    it, and by WordPiece with the mark of a continuation.
    """
    if piece is None:
        return None
    text = tokenizer.decode([i])
    if piece[:1] == b" " and not text.startswith(" "):
        return piece[1:] or None
    written = text.encode()
    # Shorter, or with U+FFFD, is a part of a character.
    return written if HALF not in text and len(written) > len(piece) else piece


class _Tokens:
    """What llguidance asks of a tokenizer."""

    def __init__(self, tokens: list[bytes], eos: int, special: list[int]) -> None:
        self.tokens, self.eos_token_id, self.bos_token_id = tokens, eos, None
        self.special_token_ids = special

    def __call__(self, text: bytes | str) -> list[int]:
        content = text.encode() if isinstance(text, str) else bytes(text)
        return [len(self.tokens) - 256 + byte for byte in content]


def compiled_grammar(kind: str, value: str) -> str:
    """Returns a regular expression, a JSON schema or a grammar in Lark's form for llguidance.

    Args:
        kind: "regex", "json_schema" or "grammar".
        value: its text.

    Raises:
        ValueError: a JSON schema that the library cannot read.
        ImportError: llguidance is not installed.
    """
    if kind == "regex":
        found = "start: /" + import_llguidance().regex_to_lark(value) + "/"
    elif kind == "json_schema":
        try:
            schema = json.loads(value)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from None
        # Without blanks of the model's choice, of which there could be any number.
        if isinstance(schema, dict):
            schema = {"x-guidance": {"whitespace_flexible": False}, **schema}
        found = "start: %json " + json.dumps(schema)
    else:
        found = value
    # What only one text can follow may be written by any ids.
    return found + NO_FORCING


def import_llguidance() -> Any:
    """Returns the package.

    Raises:
        ImportError: it is not installed; the message says how it is.
    """
    try:
        import llguidance
    except ImportError as error:
        raise ImportError(
            f'regex, json_schema and grammar need llguidance ({error}): pip install "keras-s2s'
            '[grammar]"'
        ) from None
    return llguidance
