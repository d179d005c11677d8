"""The progress of a call that takes long."""

from __future__ import annotations

import time
from typing import Any


def progress_bar(what: str, total: int, show: bool) -> Any:
    """Returns the progress bar of `total` rows, which is shown if `show`."""
    # Not `tqdm.auto`, which warns in a notebook without ipywidgets.
    from tqdm import tqdm

    # Not shown for work that takes less than a second.
    return tqdm(desc=what, total=total, unit="row", delay=1.0, leave=False, disable=not show)


def show_note(progress: Any, text: str) -> None:
    """Shows a text behind the numbers, as soon as the progress itself is shown."""
    begun = not progress.disable and time.time() >= progress.start_t + progress.delay
    progress.set_postfix_str(text, refresh=begun)
