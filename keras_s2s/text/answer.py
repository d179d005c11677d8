"""A right answer to a question, with the others that count as right."""

from __future__ import annotations


class Answer(str):
    """The first answer to a question, which knows every answer that counts as right.

    Attributes:
        accepted: all of them, this one first.
    """

    accepted: tuple[str, ...]

    def __new__(cls, accepted: tuple[str, ...]) -> Answer:
        self = super().__new__(cls, accepted[0] if accepted else "")
        self.accepted = accepted
        return self

    def __reduce__(self) -> tuple[type[Answer], tuple[tuple[str, ...]]]:
        return type(self), (self.accepted,)


def accepted_answers(reference: str) -> tuple[str, ...]:
    """Returns all texts that count as right for a reference: itself, or those of an `Answer`."""
    return reference.accepted if isinstance(reference, Answer) else (reference,)
