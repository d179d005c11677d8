"""Translates Marian's settings into an architecture, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_s2s import catalog
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.marian.family import MarianTables, is_chosen, marian_families
from keras_s2s.checkpoints.marian.settings import SETTINGS
from keras_s2s.config import merge

#: Names of the tables of tokens and positions.
POSITIONS = "Wpos"


def family_of(settings: Mapping[str, Any], origin: Any) -> str:
    """Returns the family of the zoo that a model's settings belong to.

    Raises:
        CheckpointError: no family has models like it; the message names the settings.
    """
    for family, tables in marian_families().items():
        if is_chosen(tables, settings):
            return family
    keys = dict.fromkeys(key for each in marian_families().values() for key in each.chosen_by)
    found = ", ".join(f"{key}: {settings[key]!r}" for key in keys if key in settings)
    known = "; ".join(
        ", ".join(f"{key}: {value}" for key, value in tables.chosen_by.items())
        for tables in marian_families().values()
    )
    raise CheckpointError(
        f"{origin}: {SETTINGS} describes no model that can be read ({found or 'no type'}); those "
        f"that can have {known}"
    )


class SettingsReader:
    """Reads an architecture from settings.

    Args:
        settings: of the file.
        shapes: of its tensors.
        tables: of the family.
        family: its name.
        origin: the file, for messages.

    Attributes:
        notes: keys that are not used.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        shapes: Mapping[str, tuple[int, ...]],
        tables: MarianTables,
        family: str,
        origin: Any,
    ) -> None:
        self.settings = settings
        self.shapes = shapes
        self.tables = tables
        self.origin = origin
        self.notes: list[str] = []
        self._family = family

    def architecture(self) -> dict[str, Any]:
        """Returns the keys of an `ArchitectureConfig`.

        Raises:
            CheckpointError: a setting that no layer here has; the message names it.
        """
        self._check_unread()
        data: dict[str, Any] = merge(
            catalog.load_family(self._family).get("architecture") or {}, self._tables_of_tokens()
        )
        data = _spread(data)
        for key, rule in self.tables.settings.items():
            if key not in self.settings:
                continue
            value = self.settings[key]
            if rule.absent is not None and value == rule.absent:
                continue
            if rule.values is not None:
                if value not in rule.values:
                    self._refuse(key, f"expected one of {', '.join(rule.values)}")
                value = rule.values[value]
            for place in rule.to:
                _put(data, place, value)
        if data["encoder"]["type"] == "deep_recurrent":
            self._recurrent(data)
        else:
            for side in ("encoder", "decoder"):
                data[side] |= self._steps(data[side])
            self._keys_of(data["decoder"])
            self._positions(data)
            self._tied_layers(data["decoder"])
        return data

    def _recurrent(self, data: dict[str, Any]) -> None:
        """Says how a recurrent model normalises, and compares its sizes with a tensor's."""
        kind = self.settings.get("original-type", self.settings.get("type"))
        normalised = bool(self.settings.get("layer-normalization", False))
        for side, key in (("encoder", "enc-cell"), ("decoder", "dec-cell")):
            nematus = self.settings.get(key) == "gru-nematus"
            data[side]["norm"] = ("nematus" if nematus else "scale") if normalised else "none"
            deep = data[side].get("upper_cell_depth", 1)
            if nematus and normalised and deep != 1:
                self._refuse("dec-cell-high-depth", "expected 1 with normalised cells of Nematus")
        if normalised:
            data["decoder"]["readout_norm"] = "nematus" if kind == "nematus" else "scale"
        width = self._matrix("decoder_ff_state_W")[1]
        if data["decoder"].get("hidden_dim") != width:
            self._refuse("dim-rnn", f"the tensor decoder_ff_state_W says {width}")
        table = self._matrix(next(name for name in ("Wemb", "decoder_Wemb") if name in self.shapes))
        if data["decoder"]["embedding"].get("dim") != table[1]:
            self._refuse("dim-emb", f"the tables of tokens say {table[1]}")
        depth = [
            data[side].get(key, 1)
            for side in ("encoder", "decoder")
            for key in ("num_layers", "cell_depth", "upper_cell_depth")
        ]
        if any(not isinstance(n, int) or n > len(self.shapes) for n in depth):
            self._refuse("enc-depth", f"the file has {len(self.shapes)} tensors")

    def _check_unread(self) -> None:
        known = {*self.tables.settings, *self.tables.read}
        unused = []
        for key, value in self.settings.items():
            if key in known:
                continue
            allowed = self.tables.unread.get(key)
            if allowed is None and key.startswith("transformer-"):
                allowed = self.tables.unread.get("transformer-*")
            if allowed is None:
                unused.append(f"{key}: {value!r}")
            elif allowed != "any" and value not in allowed:
                self._refuse(key, f"expected {' or '.join(map(repr, allowed))}")
        if unused:
            self.notes.append(f"{SETTINGS} has keys that are not used: {', '.join(unused)}")

    def _tables_of_tokens(self) -> dict[str, Any]:
        """Returns vocabulary sizes and what is tied, by the tensors, which cannot be wrong."""
        every = bool(self.settings.get("tied-embeddings-all", False))
        source = bool(self.settings.get("tied-embeddings-src", False))
        shared = every or source
        names = ("Wemb", "Wemb") if shared else ("encoder_Wemb", "decoder_Wemb")
        sizes = [self._matrix(name)[0] for name in names]
        return {
            "source_vocab_size": sizes[0],
            "target_vocab_size": sizes[1],
            "share_embeddings": shared,
            "output": {
                "tie_embeddings": every or bool(self.settings.get("tied-embeddings", False)),
                "bias": not self.settings.get("output-omit-bias", False),
            },
        }

    def _matrix(self, name: str) -> tuple[int, ...]:
        shape = self.shapes.get(name)
        if shape is None:
            raise CheckpointError(
                f"{self.origin}: the tensor {name} is missing, which the settings of tied "
                f"embeddings in {SETTINGS} ask for"
            )
        if len(shape) != 2 or 0 in shape:
            raise CheckpointError(
                f"{self.origin}: the tensor {name} is {shape}, expected two sizes above 0"
            )
        return shape

    def _text(self, key: str, default: str) -> str:
        value = self.settings.get(key, default)
        if value is None or value is False:
            value = ""  # YAML 1.1 reads an unquoted `n` as a string, but `no` as false
        if not isinstance(value, str):
            self._refuse(key, "expected a string of steps")
        return str(value)

    def _steps(self, side: Mapping[str, Any]) -> dict[str, Any]:
        """Returns order and kind of normalisation, from the strings of steps."""
        strings = {
            "transformer-preprocess": self._text("transformer-preprocess", ""),
            "transformer-postprocess": self._text("transformer-postprocess", "dan"),
            "transformer-postprocess-emb": self._text("transformer-postprocess-emb", "d"),
            "transformer-postprocess-top": self._text("transformer-postprocess-top", ""),
        }
        allowed = {
            "transformer-preprocess": "ndr",
            "transformer-postprocess": "ndar",
            "transformer-postprocess-emb": "nd",
            "transformer-postprocess-top": "ndr",
        }
        for key, steps in strings.items():
            if set(steps) - set(allowed[key]):
                self._refuse(
                    key,
                    f"expected steps of {', '.join(allowed[key])} (n layer normalisation, r RMS "
                    "normalisation, d dropout, a addition of the input)",
                )
        before, after, embedded, top = strings.values()
        used = set(before + after + top)
        if "r" in used and "n" in used:
            self._refuse("transformer-postprocess", "n and r together are no stack here")
        norm = {"norm": "rms"} if "r" in used else {}
        before, after, top = (steps.replace("r", "n") for steps in (before, after, top))
        if top.count("n") > 1 or embedded.count("n") > 1:
            self._refuse("transformer-postprocess-top", "two normalisations are no stack here")
        order: dict[str, Any] = {"norm_order": "steps", "steps": {"before": before, "after": after}}
        if (before, after) in (("n", "da"), ("n", "a")):
            order = {"norm_order": "pre"}
        elif (before, after) in (("", "dan"), ("", "an")):
            order = {"norm_order": "post"}
        embedding = dict(side["embedding"])
        if "n" in embedded:
            embedding |= {"norm": True, "norm_epsilon": side["norm_epsilon"]}
        return {**norm, **order, "final_norm": "n" in top, "embedding": embedding}

    def _keys_of(self, decoder: dict[str, Any]) -> None:
        """Says what keys of the decoder's self-attention are made of.

        Marian normalises a layer's own input where it reads it, but in decoding keys and values
        come from the inputs of all steps so far, put together before. From the second step on
        they are not normalised, and what Marian answers depends on it.
        """
        normalised = decoder["norm_order"] == "pre" or "n" in (
            (decoder.get("steps") or {}).get("before", "")
        )
        if decoder["type"] == "transformer" and normalised:
            decoder["residual_keys"] = True
            self.notes.append(
                "keys and values of the decoder's self-attention are made of what is not "
                "normalised, as Marian does while it decodes (decoder.residual_keys)"
            )

    def _positions(self, data: dict[str, Any]) -> None:
        """Says where positions come from: the tensor `Wpos`, if there is one."""
        for side in ("encoder", "decoder"):
            embedding = data[side]["embedding"]
            if self.settings.get("transformer-disable-position-embeddings"):
                change = {"positions": "none", "scale": False}
            elif POSITIONS in self.shapes:
                rows = self._matrix(POSITIONS)[0]
                change = {"positions": "learned", "max_positions": rows, "scale": False}
            else:
                continue
            embedding.pop("sinusoids", None)
            embedding |= change

    def _tied_layers(self, decoder: dict[str, Any]) -> None:
        tied = self.settings.get("transformer-tied-layers") or []
        if not tied:
            return
        layers = decoder.get("num_layers", 0)
        numbers = block_numbers(tied)
        if (
            not isinstance(tied, list)
            or numbers is None
            or len(tied) != layers
            or list(tied) != [numbers[i * len(numbers) // layers] for i in range(layers)]
        ):
            self._refuse(
                "transformer-tied-layers",
                f"expected a number for each of {layers} layers, neighbours alike and in groups of "
                "one size",
            )
        assert numbers is not None
        decoder["layer_groups"] = len(numbers)

    def _refuse(self, key: str, expected: str) -> None:
        raise CheckpointError(
            f"{self.origin}: {SETTINGS}: {key} is {self.settings.get(key)!r}; {expected}"
        )


def block_numbers(tied: Any) -> Sequence[int] | None:
    """Returns the numbers of the decoder blocks that layers share; None where none are shared."""
    if not isinstance(tied, list) or not tied or not all(isinstance(n, int) for n in tied):
        return None
    return list(dict.fromkeys(tied))


def _spread(data: dict[str, Any]) -> dict[str, Any]:
    from keras_s2s.config import spread_shared

    return spread_shared(data)


def _put(data: dict[str, Any], place: str, value: Any) -> None:
    *above, key = place.split(".")
    for part in above:
        data = data.setdefault(part, {})
    data[key] = value
