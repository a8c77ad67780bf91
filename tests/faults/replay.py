"""Plays a story once without a fault, and then once for every point at which one may strike."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pprint import pformat
from typing import Any

from spane_django.engine import passing, rules, run, versions
from spane_django.engine.publish import publish
from spane_django.models import Execution
from tests import wakes
from tests.engine.helpers import NOON
from tests.faults.injector import Harm, Injector, Point, watched
from tests.faults.picture import Picture
from tests.faults.stage import Rest, Stage
from tests.faults.story import STORIES, Story

# Runs are a day apart, so that what one of them leaves behind is the past of the next.
_APART = timedelta(days=1)
# What has been struck in this process, in whichever story.
_struck: set[tuple[str, bool]] = set()


def strike(name: str, record: Callable[[str, int], None]) -> None:
    """Strike a story wherever a fault may happen; fail if it ever ends otherwise.

    Args:
        record: Is told of each verb at how many points it was struck.
    """
    replay = Replay(STORIES[name])
    changed = replay.strike_everywhere()
    for verb, struck in replay.struck.items():
        record(verb, struck)
    assert not changed, "\n\n".join(changed)


class Replay:
    """A story, and how often each verb has been struck in it."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.struck: Counter[str] = Counter()
        self._now = NOON
        self._rests: list[Rest] = []
        story.prepare()
        for each in story.workflows:
            publish(each, now=NOON)
        first, recorded = Injector(), Injector()
        self._expected, self._rests = self._play(first)
        again, _ = self._play(recorded)
        assert again == self._expected, "the story ends in more than one way without a fault"
        self._points = recorded.points

    def strike_everywhere(self) -> list[str]:
        """Return how runs with a fault have ended otherwise than the one without."""
        told = (self._strike(point, harm) for point, harm in self._targets())
        return [line for line in told if line]

    def _strike(self, point: Point, harm: Harm) -> str:
        injector = Injector(point, harm)
        self.struck[point.verb] += 1
        try:
            found, _ = self._play(injector)
        except Exception as error:
            Execution.objects.all().delete()
            return f"{harm} {point}\n{type(error).__name__}: {error}"
        if not injector.has_struck:
            return f"{harm} {point}\nwas never come to"
        same = found == self._expected
        return "" if same else f"{harm} {point}\n{_difference(self._expected, found)}"

    def _play(self, injector: Injector) -> tuple[list[Any], list[Rest]]:
        _forget()
        self._now += _APART
        stage = Stage(injector, self._now, self._rests)
        since = self._now
        with watched(injector), _heard(stage):
            self.story.play(stage)
            picture = Picture(stage.roots, since=since, name=stage.name)
            if injector.has_struck and picture.told() != self._expected:
                stage.recover()
                picture = Picture(stage.roots, since=since, name=stage.name)
        broken = picture.faults()
        assert not broken, "; ".join(broken)
        return picture.told(), stage.rests

    def _targets(self) -> Iterator[tuple[Point, Harm]]:
        """Yield what to strike: of points at which the same has been sent, the first."""
        for point in self._points:
            if (point.shape, point.is_after) not in _struck:
                _struck.add((point.shape, point.is_after))
                yield from ((point, harm) for harm in point.harms)


@contextmanager
def _heard(stage: Stage) -> Iterator[None]:
    """Let the engine's wakes reach the workers of a stage, by way of the injector."""

    def listen(queues: list[str]) -> None:
        stage.injector.wake(queues, stage.woken.update)

    wakes.listeners.append(listen)
    try:
        yield
    finally:
        wakes.listeners.remove(listen)


def _forget() -> None:
    """Begin as a fresh process does: nothing has been read before."""
    versions.prepared.cache_clear()
    rules.forget()
    passing.closed.forget()
    passing.roomy.forget()
    run._checked_node.cache_clear()


def _difference(expected: list[Any], found: list[Any]) -> str:
    lines = difflib.unified_diff(
        pformat(expected).splitlines(), pformat(found).splitlines(), "without", "with", n=1
    )
    return "\n".join(list(lines)[:30])
