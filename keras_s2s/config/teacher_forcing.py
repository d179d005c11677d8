"""Configuration of what a decoder reads in training: true ids, or its own outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from keras_s2s.config.errors import Misfit
from keras_s2s.config.strict import Count, Number, Positive, Strict

Share = Annotated[Number, Field(ge=0.0, le=1.0)]

#: Schedule: the settings that it has, and of these the ones that it needs.
_SETTINGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "always": ((), ()),
    "never": ((), ()),
    "constant": (("share",), ("share",)),
    "linear": (("steps", "start", "end", "begin"), ()),
    "exponential": (("rate", "end", "begin"), ("rate",)),
    "inverse_sigmoid": (("k", "end", "begin"), ("k",)),
}


class TeacherForcingConfig(Strict):
    """The share of true decoder inputs in training, and what stands in place of the others.

    In a recipe also `true` (always), `false` (never) or a number, a constant share. Steps are those
    of the optimiser.

    Example:
        >>> TeacherForcingConfig(schedule="inverse_sigmoid", k=500)
        >>> TeacherForcingConfig.model_validate(False)  # the decoder reads its own outputs
    """

    schedule: Literal["always", "never", "constant", "linear", "exponential", "inverse_sigmoid"] = (
        "always"
    )
    share: Share | None = Field(None, description="Of `constant`.")
    steps: Positive | None = Field(
        None, description="Of `linear`: steps until `end` is reached; `None`: those of the run."
    )
    start: Share = Field(1.0, description="Of `linear`: the first share.")
    rate: Annotated[Number, Field(gt=0.0, lt=1.0)] | None = Field(
        None, description="Of `exponential`: the share is rate ** step."
    )
    k: Annotated[Number, Field(ge=1.0)] | None = Field(
        None, description="Of `inverse_sigmoid`: the share is k / (k + exp(step / k))."
    )
    end: Share = Field(0.0, description="The least share.")
    begin: Count = Field(0, description="Steps before the share falls.")
    choice: Literal["argmax", "draw"] = Field(
        "argmax", description="What is read otherwise: the likeliest id, or one drawn."
    )
    method: Literal["auto", "step_by_step", "two_pass"] = Field(
        "auto", description="As of `training.ScheduledSampling`."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        if isinstance(data, bool):
            return {"schedule": "always" if data else "never"}
        if isinstance(data, int | float):
            return {"schedule": "constant", "share": data}
        if not isinstance(data, Mapping | TeacherForcingConfig):
            raise ValueError(
                "expected true, false, a share of true inputs in [0, 1], or a mapping such as "
                "{schedule: inverse_sigmoid, k: 500}"
            )
        return data

    @model_validator(mode="after")
    def _settings_of_the_schedule(self) -> TeacherForcingConfig:
        has, needs = _SETTINGS[self.schedule]
        others = {name for settings, _ in _SETTINGS.values() for name in settings} - {*has}
        for name in sorted(others):
            if getattr(self, name) != type(self).model_fields[name].default:
                owners = [key for key, (settings, _) in _SETTINGS.items() if name in settings]
                raise Misfit(
                    (name,), f"is not of schedule: {self.schedule}, but of {' and '.join(owners)}"
                )
        for name in needs:
            if getattr(self, name) is None:
                meaning = type(self).model_fields[name].description
                raise Misfit((name,), f"required, but missing; set it. {meaning}")
        if self.end > self.start:
            raise Misfit(("end",), f"{self.end} is above start: {self.start}; the share only falls")
        if self.schedule == "never" and self.method == "two_pass":
            raise Misfit(("method",), "schedule: never takes the choices step by step")
        return self
