"""What an engine that trains answers its worker."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from generation.engines import Settings

from training_speed.job import sized


class Trainer(ABC):
    """Answers a worker's requests: trains for some steps.

    Args:
        settings: of the worker; its folder is named as a size of `training_speed.job.SIZES`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = Path(settings.folder)
        self.model, self.job = sized(self.folder.name)
        self.data = self.job.batches(self.model, settings.seed)
        self.compared = self.losses()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """`{"steps": n}` trains for n steps, and gives seconds, tokens, and the losses of the first
        steps without dropout."""
        steps = request["steps"]
        begin = time.perf_counter()
        self.train(steps)
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "tokens": steps * self.job.tokens, "losses": self.compared}

    @abstractmethod
    def losses(self) -> list[float] | None:
        """Losses of the first steps without dropout, from the weights that all engines share; None
        where an engine has weights of its own."""

    @abstractmethod
    def train(self, steps: int) -> None:
        """Trains for `steps` steps; returns when they are done."""
