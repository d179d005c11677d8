"""Models whose generated texts are a function of the source: no network, no backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from keras_s2s.decoding.generator import NoAttentionError

#: Beyond all characters.
EOS = 0x110000


class CharacterText:
    """A preprocessor whose ids are code points, with EOS at the end."""

    def __init__(self) -> None:
        self.special_ids = SimpleNamespace(languages=None, target=SimpleNamespace(eos=EOS))

    def encode_source(self, texts: Sequence[str], *_: Any, **__: Any) -> list[list[int]]:
        return [[*map(ord, text), EOS] for text in texts]

    encode_target = encode_source

    def decode_source(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return ["".join(chr(i) for i in row if i != EOS) for row in rows]

    decode_target = decode_source


class FunctionModel:
    """A model that generates `function(source)`.

    Attributes:
        calls: the sources of each call of `generate`, and its options.
    """

    def __init__(
        self,
        function: Callable[[str], str] = str,
        *,
        max_source_length: int | None = None,
        attention: Callable[[str, str], np.ndarray] | None = None,
    ) -> None:
        self.function = function
        self.attention = attention
        self.preprocessor = CharacterText()
        self.special_ids = self.preprocessor.special_ids
        self.preset = SimpleNamespace(
            special_ids=self.special_ids,
            generation=SimpleNamespace(eos_token_id=None, stop_strings=None),
            architecture=SimpleNamespace(target_vocab_size=EOS + 1),
        )
        self.network = SimpleNamespace(
            max_source_length=max_source_length,
            max_target_length=None,
            frontend=SimpleNamespace(reads_text=True),
        )
        self.calls: list[tuple[list[str], dict[str, Any]]] = []

    def generate(self, texts: list[str], **options: Any) -> Any:
        assert options.pop("return_output")
        self.calls.append((list(texts), options))
        limit = self.network.max_source_length
        assert all(text.strip() for text in texts), "a blank source"
        assert limit is None or all(len(text) + 1 <= limit for text in texts)
        made = [self.function(text) for text in texts]
        lengths = np.asarray([len(text) + 1 for text in made])
        ids = np.zeros((len(made), max(lengths)), int)
        for i, length in enumerate(lengths):
            ids[i, length - 1] = EOS
        return SimpleNamespace(texts=made, token_ids=ids, lengths=lengths)

    def score(self, sources: Any, targets: Any, **_: Any) -> Any:
        if self.attention is None:
            raise NoAttentionError("no attention")
        text = self.preprocessor
        pairs = zip(text.decode_source(sources), text.decode_target(targets), strict=True)
        return None, [self.attention(*pair) for pair in pairs]


def words_attend(align: Callable[[int, int], int]) -> Callable[[str, str], np.ndarray]:
    """Attention of each target word to the source word `align(number, words)`."""

    def attention(source: str, target: str) -> np.ndarray:
        def numbers(text: str) -> list[int]:
            found, word = [], -1
            for i, character in enumerate(text):
                if not character.isspace() and (i == 0 or text[i - 1].isspace()):
                    word += 1
                found.append(-1 if character.isspace() else word)
            return [*found, -2]

        rows, columns = np.asarray(numbers(target)), np.asarray(numbers(source))
        count = columns.max() + 1
        weights = np.zeros((len(rows), len(columns)))
        for i, word in enumerate(rows):
            at = columns == align(word, count) if word >= 0 else columns == -2
            weights[i, at] = 1 / at.sum()
        return weights

    return attention
