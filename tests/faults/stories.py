"""The stories in which every point of every verb is struck: one thing that the engine can do each.

A story publishes its workflows and is played again and again, each time with one fault; it must
come to what it comes to without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.engine.helpers import definition
from tests.faults.stage import Stage

Play = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Story:
    """What people do.

    Attributes:
        workflows: What is published before.
        play: What happens.
    """

    name: str
    workflows: Sequence[dict[str, Any]]
    play: Play


STORIES: dict[str, Story] = {}


def story(*workflows: dict[str, Any]) -> Callable[[Play], Play]:
    """Make a story of a function."""

    def add(play: Play) -> Play:
        STORIES[play.__name__] = Story(play.__name__, workflows, play)
        return play

    return add


@story(definition({"a": ["b"], "b": ["c"]}))
def chain(stage: Stage) -> None:
    stage.start("w", {"n": 1})
    stage.work()
