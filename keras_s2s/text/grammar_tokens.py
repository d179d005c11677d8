"""A vocabulary as llguidance reads it, and what a grammar allows after some ids."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_s2s.text.token_bytes import token_bytes

if TYPE_CHECKING:
    from keras_s2s.text.tokenizer import Tokenizer

#: Sequences whose states are kept, so that one id more is one step of the parser.
KEPT = 4096

#: Without it, llguidance chooses the ids where a grammar leaves one text.
NO_FORCING = '%llguidance {"no_forcing": true}\n'


class GrammarTokens:
    """What a grammar allows after sequences of ids.

    Args:
        grammar: as llguidance writes it (`compiled_grammar`).
        tokenizer: of the ids.
        vocabulary: ids of the model, which may be more.
        ends: ids that end a sequence; allowed where the grammar is complete.

    Raises:
        ValueError: the grammar is none; the message is the library's.
        ImportError: llguidance is not installed.
    """

    def __init__(
        self, grammar: str, tokenizer: Tokenizer, vocabulary: int, ends: Sequence[int]
    ) -> None:
        llguidance = import_llguidance()
        pieces: list[bytes | None] = [*token_bytes(tokenizer), *[None] * vocabulary][:vocabulary]
        self.ends = list(ends)
        self._pieces = [None if i in ends else piece for i, piece in enumerate(pieces)]
        # How the first id of a text is written: by many tokenizers without the space before it.
        first = list(self._pieces)
        for i, piece in enumerate(self._pieces):
            if piece and piece[:1] == b" " and not tokenizer.decode([i]).startswith(" "):
                first[i] = piece[1:] or None
        self._first = first
        self._strips = first != self._pieces
        self._matcher = self._start(llguidance, self._pieces, grammar)
        self._at_start = self._start(llguidance, first, grammar) if self._strips else self._matcher
        self._states: OrderedDict[tuple[bool, tuple[int, ...]], Any] = OrderedDict()
        self._lock = threading.Lock()
        self._digest = hashlib.sha256(
            repr((grammar, self._pieces, self._first, self.ends)).encode()
        ).hexdigest()

    @property
    def digest(self) -> str:
        """Tells grammars and vocabularies apart."""
        return self._digest

    def allowed(self, before: Sequence[int], ids: Sequence[int]) -> np.ndarray:
        """Returns the ids that may follow: bool `[V]`.

        Args:
            before: ids of a prefix, to which the grammar does not apply.
            ids: those after it, of which those without text do not count.
        """
        with self._lock:
            at_start = self._strips and not any(self._pieces[i] for i in before)
            known = tuple(int(i) for i in ids if self._pieces[i] is not None)
            begins = at_start and not known
            matcher = self._at_start if begins else self._after(at_start, known)
            mask = np.zeros(len(self._pieces), bool)
            if not matcher.is_stopped():
                bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
                mask = np.unpackbits(bits, bitorder="little")[: len(mask)].astype(bool)
            mask[self.ends] = matcher.is_accepting()
            return mask

    def _after(self, at_start: bool, ids: tuple[int, ...]) -> Any:
        """Returns the state of the parser after ids."""
        key = (at_start, ids)
        if key not in self._states:
            if not ids:
                return self._matcher
            matcher = self._after(at_start, ids[:-1]).deep_copy()
            if at_start and len(ids) == 1:
                # As bytes, whose ids come after those of the vocabulary.
                matcher.consume_tokens([len(self._pieces) + b for b in self._first[ids[0]] or b""])
            else:
                matcher.consume_token(ids[-1])
            self._states[key] = matcher
            while len(self._states) > KEPT:
                self._states.popitem(last=False)
        self._states.move_to_end(key)
        return self._states[key]

    def _start(self, llguidance: Any, pieces: Sequence[bytes | None], grammar: str) -> Any:
        """Returns the parser before the first id."""
        eos = self.ends[0]
        tokens = [piece or b"" for piece in pieces] + [bytes([byte]) for byte in range(256)]
        tokens[eos] = b"</s>"
        special = [i for i, piece in enumerate(pieces) if not piece]
        vocabulary = _Vocabulary(tokens, eos, special)
        wrapped = llguidance.TokenizerWrapper(vocabulary)
        tokenizer = llguidance.LLTokenizer(wrapped, n_vocab=len(tokens), eos_token=eos)
        if error := llguidance.LLMatcher.validate_grammar(grammar, tokenizer):
            raise ValueError(error)
        return llguidance.LLMatcher(tokenizer, grammar)


class _Vocabulary:
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
    return found if "%llguidance" in found else NO_FORCING + found


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
