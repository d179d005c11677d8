"""The message of an interrupted run: what it has written so far."""

from __future__ import annotations

from pathlib import Path

from keras_s2s.recipes.progress import Progress


def how_to_go_on(epoch: int, step: int) -> str:
    """Returns how to go on with a run whose last checkpoint is after `step` steps of an epoch.

    Example:
        >>> how_to_go_on(0, 20)
        'pass --resume to go on from epoch 1, step 20'
    """
    return f"pass --resume to go on from epoch {epoch + 1}, step {step}"


def what_is_kept(
    progress: Progress,
    steps: int,
    directory: Path,
    *,
    best_epoch: int | None,
    has_earlier_model: bool,
) -> str:
    """Returns the message for a run that was interrupted with Ctrl-C.

    Args:
        progress: where the training was.
        steps: of an epoch.
        directory: the run's folder.
        best_epoch: the epoch whose model is there, from 0 on; None where none was measured.
        has_earlier_model: the folder still holds what it held before the run.

    Example:
        interrupted in epoch 1, after 37 of 469 steps; runs/dates has the model as it was then,
        which was never measured
    """
    if best_epoch is not None:
        return (
            f"interrupted in epoch {progress.epoch}; {directory} has the model of epoch "
            f"{best_epoch + 1}, the best so far"
        )
    if has_earlier_model:
        return f"interrupted in epoch {max(1, progress.epoch)}; {directory} has the earlier model"
    if not progress.has_begun:
        return "interrupted before the first step; nothing was saved"
    return (
        f"interrupted in epoch {progress.epoch}, after {progress.step} of {steps} steps; "
        f"{directory} has the model as it was then, which was never measured"
    )
