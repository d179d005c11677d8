"""The ids that results of each source may have, where a call has a shortlist."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.options.generation import OPTIONS
from keras_s2s.samplers.phrases import Constraints
from keras_s2s.samplers.processors import ForcedBos, ForcedEos, LogitsProcessor
from keras_s2s.text.languages import TargetStart
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.shortlists import Shortlist, read_shortlist

#: Options whose ids results must have, so that they are candidates.
FORCED_IDS = ("forced_bos_token_id", "forced_eos_token_id")


def open_shortlist(parts: ModelParts, given: Any) -> Shortlist | None:
    """Returns the shortlist that a call asks for; None where it asks for none.

    Args:
        parts: of the model.
        given: the option `shortlist`.

    Raises:
        ValueError: a value that the option does not take, the model's own where it has none, a
            model whose sources are no ids or whose output projection cannot compute some of its
            logits, or a shortlist of another vocabulary.
        ConfigError: a file that cannot be read.
    """
    if given is None:
        return None
    given = OPTIONS["shortlist"].check(given)
    if given is False:
        return None
    if given is True and parts.shortlist is None:
        raise ValueError(
            "shortlist=True is the shortlist that a model came with, and this one has none; a "
            "shortlist is no part of what is saved or exported: give its file, or learn one: "
            "keras_s2s.learn_shortlist(pairs, model.preprocessor)"
        )
    if not parts.network.frontend.has_token_ids:
        raise ValueError(
            "shortlist looks candidates up by the ids of sources, and sources of this model are "
            f"{parts.network.frontend.input.name}; leave it out"
        )
    size = parts.network.vocabulary_size
    found: Any = parts.shortlist if given is True else given
    shortlist: Shortlist = _read(parts, found) if isinstance(found, str) else found
    known = size if parts.preprocessor is None else parts.preprocessor.target.vocabulary_size
    if shortlist.target_size > size or (parts.preprocessor and shortlist.target_size != known):
        raise ValueError(
            f"shortlist has candidates among {shortlist.target_size} ids, and this model's target "
            f"vocabulary has {known}; it belongs to another model"
        )
    parts.network.output.check_some_ids()
    return shortlist


def _read(parts: ModelParts, path: str) -> Shortlist:
    preprocessor = parts.require_preprocessor()
    try:
        state = Path(path).stat()
    except OSError:
        return read_shortlist(path, preprocessor)  # names what is wrong
    return _cached(path, state.st_mtime_ns, state.st_size, preprocessor)


@functools.lru_cache(maxsize=4)
def _cached(path: str, _time: int, _size: int, preprocessor: Preprocessor) -> Shortlist:
    """Reads a file once, until it changes."""
    return read_shortlist(path, preprocessor)


def row_candidates(
    parts: ModelParts,
    shortlist: Shortlist,
    sources: Sequence[Sequence[int]],
    starts: Mapping[TargetStart, Sequence[int]],
    ends: Sequence[int],
    prefixes: Sequence[Sequence[int]] | None,
    constraints: Sequence[Constraints] | None,
    options: Mapping[str, Any],
    rules: Sequence[LogitsProcessor] = (),
) -> list[np.ndarray]:
    """Returns the candidates of each source: those of the shortlist, ends, and what is asked for.

    Args:
        parts: of the model.
        shortlist: the candidates by source ids.
        sources: ids of each source.
        starts: how targets begin, and the numbers of the sources for which they do.
        ends: ids that end a result.
        prefixes, constraints: of each source, as in `Request`.
        options: those of the call.
        rules: the caller's own.

    Returns:
        int32 arrays, each id once, in ascending order.
    """
    forced = parts.special_ids.target.forced_eos
    every = {*ends, forced, *(options.get(name) for name in FORCED_IDS)}
    every |= {rule.token for rule in rules if isinstance(rule, ForcedBos | ForcedEos)}
    found: list[np.ndarray] = [np.zeros(0, "int32")] * len(sources)
    for start, places in starts.items():
        for place in places:
            more = {*every, start.forced_bos}
            if prefixes is not None:
                more.update(prefixes[place])
            if constraints is not None:
                more.update(i for phrases in constraints[place] for ids in phrases for i in ids)
            found[place] = shortlist.candidates(
                sources[place], more=[int(i) for i in more if i is not None]
            )
    return found
