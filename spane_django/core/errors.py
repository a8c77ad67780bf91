"""The base of every error that this package raises on purpose.

One subclass exists per thing that a caller can do about it; the docstring is the default
message.  A message says what, where and what to do, and never holds a secret.
"""

from __future__ import annotations

from collections.abc import Sequence

from .schema import Fault


class SpaneError(Exception):
    """Something went wrong in the workflow engine."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])


class Faulty(SpaneError):
    """Something that was handed in is wrong; every fault is listed.

    Attributes:
        faults: All that is wrong, each with its path.
    """

    headline = "Bad input"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        super().__init__(f"{self.headline}: " + "; ".join(map(str, self.faults)))


class InvalidDefinition(Faulty):
    """The definition is not a workflow."""

    headline = "Workflow validation failed"


class InvalidInput(Faulty):
    """The input, or an option of a start, is refused."""

    headline = "Start refused"
