"""A story is what people do with a workflow; `flows`, `people` and `doors` tell them.

A story is played again and again, each time with one fault, and must come to what it comes to
without.  So nothing in it may depend on how often a node has run: a node that fails looks at its
round, which a lost worker does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from spane_django.core.outcome import Result
from tests.doubles import Body, bodies
from tests.faults.stage import Stage

Play = Callable[[Stage], None]

STORIES: dict[str, Story] = {}


@dataclass(frozen=True, slots=True)
class Story:
    """What people do.

    Attributes:
        workflows: What is published before.
        does: What ``call`` nodes do, by node id.
        play: What happens.
    """

    name: str
    workflows: Sequence[dict[str, Any]]
    does: dict[str, Body]
    play: Play

    def prepare(self) -> None:
        """Let its nodes do what they do in it."""
        bodies.clear()
        bodies.update(self.does)


def story(*workflows: dict[str, Any], **does: Body) -> Callable[[Play], Play]:
    """Make a story of a function."""

    def add(play: Play) -> Play:
        STORIES[play.__name__] = Story(play.__name__, workflows, does, play)
        return play

    return add


def told_in(module: ModuleType) -> list[str]:
    """Return the names of a module's stories."""
    return [name for name, one in STORIES.items() if one.play.__module__ == module.__name__]


def fails(ctx: Any) -> Result:
    """Fail for good."""
    return Result.failure("broken")


def fails_until(round_number: int) -> Body:
    """Return a body that fails and is tried again, until a round."""

    def body(ctx: Any) -> Any:
        if ctx.round < round_number:
            raise ConnectionError("away")
        return {"round": ctx.round}

    return body
