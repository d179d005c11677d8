"""Finds out which token tables a Hugging Face folder holds, and which of them are shared or tied.

Encoder, decoder and output projection each use a table. Where tables are shared, a folder may store
one tensor or several equal ones; its configuration is not always right about it. The tensors in the
folder decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, NamedTuple

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.family import TokenTables
from keras_s2s.checkpoints.huggingface.key_table import Tables


class Resolved(NamedTuple):
    """The tensors of the token tables, and which of them are shared or tied.

    Attributes:
        tables: the tensor of each.
        share: encoder and decoder have one table.
        tie: the output projection is the decoder's table.
        tied: tensors that are there, but equal to another: name -> name.
        unused: a tensor that is there and that nothing reads.
    """

    tables: Tables
    share: bool
    tie: bool
    tied: dict[str, str]
    unused: tuple[str, ...]


def resolve_tables(
    names: TokenTables,
    present: Set[str],
    config: Mapping[str, Any],
    equal: Callable[[str, str], bool],
    origin: str,
) -> Resolved:
    """Finds the tensors of the three token tables.

    Args:
        names: the family's names of the tables.
        present: names of the folder's tensors.
        config: of the folder; its keys say which may be tied.
        equal: whether two tensors have the same values; asked only where both are there.

    A table that the configuration calls separate is returned even if the folder lacks it, so that
    it is reported as missing.

    Raises:
        CheckpointError: none of them is there, or a key that is no flag.
    """

    def first(*candidates: str) -> str | None:
        return next((name for name in candidates if name in present), None)

    _check_flags(names, config, origin)
    decoder = first(names.decoder, names.shared, names.output, names.encoder)
    encoder = first(names.encoder, names.shared, names.decoder, names.output)
    if encoder is None or decoder is None:
        raise CheckpointError(
            f"{origin}: no token table: none of {names.shared}, {names.encoder}, "
            f"{names.decoder}, {names.output} is in the folder"
        )
    may_tie = names.tie is None or config.get(names.tie) is not False
    tied: dict[str, str] = {}
    if names.share is not None and config.get(names.share) is False:
        encoder = names.encoder
        # Of the decoder's two, where they are one, either may be stored.
        either = (names.decoder, names.output) if may_tie else (names.decoder,)
        decoder = first(*either) or names.decoder
    elif encoder != decoder and equal(encoder, decoder):
        # Of equal tables the one under the family's own name is used.
        tied[decoder] = encoder
        decoder = encoder
    # Where the configuration says that there is one, its absence is not a sign of tying.
    own = names.own_output is not None and config.get(names.own_output) is False
    output = names.output if own else first(names.output) or decoder
    if may_tie and {output, decoder} <= present and output != decoder and equal(output, decoder):
        tied[output] = decoder
        output = decoder
    unused: tuple[str, ...] = ()
    used = {encoder, decoder, output}
    if names.shared in present and names.shared not in used:
        stored = (name for name in used if name in present)
        same = next((name for name in stored if equal(names.shared, name)), None)
        if same is None:
            unused = (names.shared,)
        else:
            tied[names.shared] = same
    tables = Tables(encoder, decoder, output)
    return Resolved(tables, encoder == decoder, output == decoder, tied, unused)


def _check_flags(names: TokenTables, config: Mapping[str, Any], origin: str) -> None:
    for key in (names.tie, names.share, names.own_output):
        if key is not None and not isinstance(config.get(key), bool | None):
            raise CheckpointError(f"{origin}: {key} is {config[key]!r}, expected true or false")


def expected_tables(names: TokenTables, config: Mapping[str, Any]) -> tuple[bool, bool]:
    """Returns `(share, tie)` as the configuration has it, where there are no tensors to look at."""
    share = names.share is None or config.get(names.share) is not False
    tie = names.tie is None or config.get(names.tie) is not False
    return share, tie


def stored_names(
    names: TokenTables, share: bool, tie: bool, before: tuple[str, ...]
) -> dict[str, str]:
    """Returns the names under which the tables are written: name -> "source", "target" or "output".

    Args:
        before: the names in the folder that the model came from; they stay as long as they
            can hold what they have to.
    """
    sources = {
        names.shared: "source",
        names.encoder: "source",
        names.decoder: "target",
        names.output: "output",
    }
    if share and tie:
        needed = [names.shared]
    elif share:
        everything = [names.shared, names.encoder, names.decoder, names.output]
        needed = everything if names.all_where_untied else [names.shared, names.output]
    else:
        needed = [names.encoder, names.decoder] + ([] if tie else [names.output])
    kept = [name for name in before if name in sources]
    if kept and _hold(names, kept, share, tie):
        needed = kept
    return {name: sources[name] for name in needed}


def _hold(names: TokenTables, kept: list[str], share: bool, tie: bool) -> bool:
    """Returns whether tables under these names are read back with the same sharing."""
    if not share and not {names.encoder, names.decoder} <= set(kept):
        return False
    return tie or names.output in kept
