"""Strings that end a sequence once its text has one of them, looked for among ids.

The strings are an automaton over bytes [Aho and Corasick 1975]. What each id does to each of its
states is a table, made once, so that a step looks a few ids up and needs no text: the same on every
backend, in compiled programs and in exported graphs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from keras import ops

from keras_s2s.samplers.gather import entry, gather
from keras_s2s.typing import Tensor

#: Bytes of the longest string: a step looks at as many ids.
LONGEST = 128


@dataclass(frozen=True)
class StopStrings:
    """The strings, and what each id does to how far a text has come with them.

    Attributes:
        strings: that end a sequence.
        window: ids that are looked at; more cannot be a part of a string.
        digest: of the table; those of other vocabularies differ.
        table: int32 `[S, V]`: in state s, id v leads to state `table[s, v] % S`, and completes a
            string where the entry is S or more.
    """

    strings: tuple[str, ...]
    window: int
    digest: str
    table: np.ndarray = field(compare=False, repr=False)

    @classmethod
    def of(
        cls, strings: Sequence[str], bytes_of_ids: Sequence[bytes | None], vocabulary: int
    ) -> StopStrings:
        """Makes the table.

        Args:
            strings: that end a sequence.
            bytes_of_ids: what each id adds to a text; None for those that add nothing, across which
                no string is found.
            vocabulary: of the model, which may have more ids.

        Raises:
            ValueError: a string is longer than `LONGEST` bytes.
        """
        needles = [string.encode() for string in strings]
        for string, needle in zip(strings, needles, strict=True):
            if len(needle) > LONGEST:
                raise ValueError(
                    f"stop_strings has {string[:20]!r}..., which has {len(needle)} bytes; at most "
                    f"{LONGEST} are looked for"
                )
        following, completes = _automaton(needles)
        states = len(completes)
        known: list[bytes | None] = [*bytes_of_ids, *[None] * vocabulary][:vocabulary]
        longest = max((len(each) for each in known if each), default=1)
        pieces = np.full((vocabulary, longest), 256)
        for i, each in enumerate(known):
            pieces[i, : len(each or b"")] = list(each or b"")
        # No byte, which fills pieces up, changes nothing.
        following = np.concatenate([following, np.arange(states)[None]])
        state = np.repeat(np.arange(states)[:, None], vocabulary, axis=1)  # [S, V]
        done = np.zeros((states, vocabulary), bool)
        for place in range(longest):
            state = following[pieces[None, :, place], state]
            done |= completes[state] & (pieces[None, :, place] < 256)
        state[:, [each is None for each in known]] = 0
        table = (state + states * done).astype(np.int32)
        digest = hashlib.sha256(table.tobytes()).hexdigest()
        return cls(tuple(strings), max(map(len, needles)) - 1, digest, table)

    def completed(
        self, tokens: Tensor, histories: Tensor, index: Tensor, parents: Tensor | None = None
    ) -> Tensor:
        """Returns which ids complete a string.

        Args:
            tokens: int32 `[B, N]`, the ids of step `index`.
            histories: int32 `[B, K, C]`, the ids before them.
            index: number of the step; or that of each row, int32 `[B]`, of one history each.
            parents: int32 `[B, N]`, the history that each continues; None: its own.

        Returns:
            bool `[B, N]`.
        """
        states, vocabulary = self.table.shape
        table = ops.convert_to_tensor(self.table.reshape(-1))
        index = ops.cast(index, "int32")
        own = len(index.shape) > 0
        state = ops.zeros_like(histories[:, :, 0])
        for back in range(self.window, 0, -1):
            place = index - back
            at = ops.maximum(place, 0)
            token = entry(histories[:, 0], at)[:, None] if own else ops.take(histories, at, axis=2)
            after = ops.take(table, state * vocabulary + token) % states
            state = ops.where(ops.reshape(place >= 0, (-1, 1)), after, state)
        if parents is not None:
            state = gather(state, parents)
        return ops.take(table, state * vocabulary + tokens) >= states


def _automaton(needles: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the state after each byte, `[256, S]`, and which states have found a string, `[S]`.

    A state is the longest end of the text that a string begins with; state 0 is none.
    """
    children: list[dict[int, int]] = [{}]
    completes = [False]
    for needle in needles:
        state = 0
        for byte in needle:
            if byte not in children[state]:
                children[state][byte] = len(children)
                children.append({})
                completes.append(False)
            state = children[state][byte]
        completes[state] = True
    following = np.zeros((256, len(children)), int)
    # By growing length, so that the state of a shorter end is known.
    shorter = [0] * len(children)
    queue = [0]
    for state in queue:
        completes[state] |= completes[shorter[state]]
        if state:
            following[:, state] = following[:, shorter[state]]
        for byte, child in children[state].items():
            shorter[child] = int(following[byte, shorter[state]]) if state else 0
            following[byte, state] = child
            queue.append(child)
    return following, np.array(completes)
