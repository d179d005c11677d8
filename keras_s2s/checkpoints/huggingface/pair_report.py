"""What the load report of a model of two halves says: what is pretrained and what is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keras_s2s.checkpoints.huggingface.half import HalfCheckpoint
from keras_s2s.checkpoints.huggingface.pair_row import PROJECTION, Row, matches


def describe_rows(
    encoder: HalfCheckpoint,
    decoder: HalfCheckpoint,
    rows: Sequence[Row],
    *,
    tied: bool,
    two_folders: bool,
) -> Iterator[str]:
    """Yields remarks on where the weights of a model came from.

    Args:
        encoder, decoder: the halves.
        rows: every variable with its tensor.
        tied: the decoder has the encoder's weights.
        two_folders: the halves are pretrained alone. The weights of one folder are those of a whole
            model, and nothing says how they were made.
    """
    read_any = any(row.tensor is not None for row in rows)
    for half in (encoder, decoder):
        own = [row for row in rows if row.half is half and not row.is_optional]
        read = sum(row.tensor is not None for row in own)
        of = "weights of its own" if tied and half is decoder else "weights"
        where = "are pretrained" if two_folders else "are in the folder"
        what = f"{read} of {len(own)} {of} {where}" if read_any else "random weights"
        yield f"{half.side}: {half.family} from {half.name}, {what}"
    if tied:
        yield "the decoder has the encoder's weights (tie_encoder_decoder)"
    if not read_any:
        yield "every weight is drawn at random: train before use"
        return
    if tied and two_folders:
        yield "weights of the decoder's folder that the encoder has, too, are left aside"
    paths = [row.entry.ours for row in rows if row.tensor is None and not row.is_optional]
    known = {_cross_block(row.entry.ours) for row in rows if row.tensor is not None}
    blocks = {_cross_block(path) for path in paths} - known - {None}
    others = [path for path in paths if _cross_block(path) in known]
    others = [path for path in others if not matches(path, (f"{PROJECTION}/*", "logits/*"))]
    if others:
        yield f"{len(others)} other weights are new: {', '.join(others[:6])}"
    if blocks:
        count = len(blocks)
        noun = "cross-attention block is" if count == 1 else "cross-attention blocks are"
        yield f"{count} {noun} new: fine-tune before use"
    if any(path.startswith(f"{PROJECTION}/") for path in paths):
        widths = encoder.settings["hidden_dim"], decoder.settings["hidden_dim"]
        yield f"the projection from width {widths[0]} to {widths[1]} is new"
    if any(path.startswith("logits/") for path in paths):
        yield "the output head is new: the decoder's folder has none"


def _cross_block(path: str) -> str | None:
    """Returns the block whose cross-attention a weight is part of; None for other weights."""
    block, found, _ = path.partition("/cross_attention")
    return block if found else None
