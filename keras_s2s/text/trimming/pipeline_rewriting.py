"""Writes the `tokenizer.json` of a pipeline with a part of its tokens, and says which must stay."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from keras_s2s.config import ConfigError
from keras_s2s.text.trained.byte_level_bpe import byte_characters
from keras_s2s.text.trimming.merging import made_by_merges

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")

#: Models of the tokenizers library that can be trimmed.
MODELS = ("BPE", "Unigram", "WordPiece", "WordLevel")


class PipelinePieces:
    """The tokens of a pipeline of the `tokenizers` library.

    Args:
        data: content of its `tokenizer.json`.
        origin: where it came from, for error messages.

    Raises:
        ConfigError: a model that cannot be trimmed.
    """

    def __init__(self, data: Mapping[str, Any], origin: str) -> None:
        self.data = data
        self.model: Mapping[str, Any] = data["model"]
        self.kind = str(self.model.get("type"))
        if self.kind not in MODELS:
            raise ConfigError(
                f"{origin}: the vocabulary of a {self.kind} model cannot be trimmed; expected one "
                f"of {', '.join(MODELS)}"
            )
        vocab = self.model["vocab"]
        #: Ids of the model's tokens, added ones without an entry in it left out.
        self.ids: dict[str, int] = (
            {piece: i for i, (piece, _) in enumerate(vocab)}
            if self.kind == "Unigram"
            else dict(vocab)
        )
        self.tokens = {i: token for token, i in self.ids.items()}
        # What the tokens with these ids are made of; asked for again whenever one more stays.
        self._parts: dict[int, frozenset[int]] = {}
        self.added = {int(token["id"]): str(token["content"]) for token in data["added_tokens"]}

    @functools.cached_property
    def always(self) -> frozenset[int]:
        """Ids that no text may lose: added tokens, the unknown one, bytes."""
        kept = set(self.added)
        if self.kind == "Unigram":
            if self.model.get("unk_id") is not None:
                kept.add(int(self.model["unk_id"]))
            # An unknown character is scored by the lowest score of all.
            scores = [score for _, score in self.model["vocab"]]
            kept.add(min(range(len(scores)), key=scores.__getitem__))
        else:
            kept.update(self._known([str(self.model.get("unk_token"))]))
        if any(part.get("type") == "ByteLevel" for part in _parts(self.data["pre_tokenizer"])):
            kept.update(self._known(byte_characters()))
        if self.model.get("byte_fallback"):
            kept.update(i for token, i in self.ids.items() if _BYTE.fullmatch(token))
        return frozenset(kept)

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        """Returns ids and those of what their tokens are made of: characters and merges."""
        found = set(ids)
        for i in list(found):
            if i not in self._parts:
                plain = i in self.tokens and i not in self.added
                parts = self._parts_of(self.tokens[i]) if plain else ()
                self._parts[i] = frozenset(self._known(parts))
            found |= self._parts[i]
        return found

    def characters(self, ids: Iterable[int]) -> set[int]:
        """Returns the ids of the characters that tokens are made of."""
        plain = (self.tokens[i] for i in ids if i in self.tokens and i not in self.added)
        return {i for token in plain for i in self._known(self._characters(token))}

    def _parts_of(self, token: str) -> Iterable[str]:
        if self.kind == "BPE":
            return made_by_merges(self._symbols(token), self._rank)
        return self._characters(token)

    def _characters(self, token: str) -> Iterable[str]:
        if self.kind == "Unigram":
            return token
        if self.kind == "BPE":
            return self._symbols(token)
        if self.kind == "WordPiece":
            prefix = str(self.model.get("continuing_subword_prefix") or "")
            characters = token.removeprefix(prefix)
            # A character may begin the next word, or go on in it.
            return [*characters, *(prefix + character for character in characters)]
        return ()

    def _known(self, tokens: Iterable[str]) -> Iterator[int]:
        return (self.ids[token] for token in tokens if token in self.ids)

    # ---------------------------------------------------------------------------- merges

    @functools.cached_property
    def _merges(self) -> dict[tuple[str, str], tuple[int, str]]:
        return {
            pair: (number, self._merged(pair))
            for number, pair in enumerate(map(_pair, self.model["merges"]))
        }

    def _merged(self, pair: tuple[str, str]) -> str:
        """Returns what two symbols become, the second without the mark that a word goes on."""
        first, second = pair
        return first + second.removeprefix(str(self.model.get("continuing_subword_prefix") or ""))

    def _rank(self, first: str, second: str) -> tuple[int, str] | None:
        return self._merges.get((first, second))

    def _symbols(self, token: str) -> list[str]:
        """Returns the characters of a token as merges begin with them."""
        prefix = str(self.model.get("continuing_subword_prefix") or "")
        suffix = str(self.model.get("end_of_word_suffix") or "")
        inside, ends = prefix and token.startswith(prefix), suffix and token.endswith(suffix)
        characters = list(token.removeprefix(prefix) if inside else token)
        if ends:
            characters = characters[: -len(suffix)]
        symbols = [prefix + c if number or inside else c for number, c in enumerate(characters)]
        if ends and symbols:
            symbols[-1] += suffix
        return symbols

    # ---------------------------------------------------------------------------- writing

    def rewritten(self, new_ids: Mapping[int, int]) -> dict[str, Any]:
        """Returns the `tokenizer.json` with a part of the tokens.

        Args:
            new_ids: new id of each token that stays.
        """
        tokens = {token: new_ids[i] for token, i in self.ids.items() if i in new_ids}
        model = {**self.model}
        if self.kind == "Unigram":
            vocab = self.model["vocab"]
            model["vocab"] = [entry for i, entry in enumerate(vocab) if i in new_ids]
            if model.get("unk_id") is not None:
                model["unk_id"] = new_ids[model["unk_id"]]
        else:
            model["vocab"] = dict(sorted(tokens.items(), key=lambda entry: entry[1]))
        if self.kind == "BPE":
            model["merges"] = [
                merge
                for merge, (pair, (_, made)) in zip(
                    self.model["merges"], self._merges.items(), strict=True
                )
                if made in tokens and all(part in tokens for part in pair)
            ]
        return {
            **self.data,
            "model": model,
            "added_tokens": [
                {**token, "id": new_ids[token["id"]]}
                for token in self.data["added_tokens"]
                if token["id"] in new_ids
            ],
            "post_processor": _renumbered(self.data["post_processor"], new_ids),
        }


def _pair(merge: Any) -> tuple[str, str]:
    """Returns the two symbols of a merge, which older files write as one text."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _parts(step: Any) -> Iterator[Mapping[str, Any]]:
    """Yields a step of a pipeline, and the steps of a sequence."""
    if not isinstance(step, Mapping):
        return
    yield step
    for key in ("pretokenizers", "normalizers", "processors", "decoders"):
        for part in step.get(key) or ():
            yield from _parts(part)


def _renumbered(step: Any, new_ids: Mapping[int, int]) -> Any:
    """Returns a post-processor with new ids of the special tokens that it puts around a text."""
    if not isinstance(step, Mapping):
        return step
    step = dict(step)
    for key in ("sep", "cls"):  # RoBERTa's and BERT's: a token and its id
        if isinstance(step.get(key), list):
            token, i = step[key]
            step[key] = [token, new_ids[i]]
    if isinstance(step.get("special_tokens"), Mapping):
        step["special_tokens"] = {
            name: {**token, "ids": [new_ids[i] for i in token["ids"]]}
            for name, token in step["special_tokens"].items()
            if all(i in new_ids for i in token["ids"])
        }
    if isinstance(step.get("processors"), list):
        step["processors"] = [_renumbered(part, new_ids) for part in step["processors"]]
    return step
