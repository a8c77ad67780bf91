"""What the engine tells is told after the commit, and whoever listens can do no harm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from spane_django.core.outcome import Child, Permanent, Returned, StartChildren
from spane_django.engine.control import cancel
from spane_django.engine.sweep import sweep
from spane_django.signals import (
    attempts_ended,
    dead_lettered,
    execution_finished,
    executions_started,
)
from tests.engine.helpers import SECOND, Machine, status


@pytest.fixture
def heard() -> Iterator[list[tuple[Any, str]]]:
    told: list[tuple[Any, str]] = []

    def listen(*, execution_id: Any, status: str, **_: object) -> None:
        told.append((execution_id, status))

    execution_finished.connect(listen)
    yield told
    execution_finished.disconnect(listen)


def test_the_end_of_an_execution_is_told_once_it_is_committed(
    machine: Machine, heard, django_capture_on_commit_callbacks
):
    key = machine.begin({"a": ["b"]})

    with django_capture_on_commit_callbacks() as callbacks:
        machine.drain()

    assert heard == []
    for callback in callbacks:
        callback()
    assert heard == [(key, "completed")]


def test_an_execution_that_is_cancelled_has_ended_too(
    machine: Machine, heard, django_capture_on_commit_callbacks
):
    key = machine.begin({"a": []})

    with django_capture_on_commit_callbacks(execute=True):
        cancel(key, now=machine.now)

    assert heard == [(key, "cancelled")]


def test_a_listener_that_fails_harms_neither_the_engine_nor_other_listeners(
    machine: Machine, heard, django_capture_on_commit_callbacks
):
    def fail(**_: object) -> None:
        raise RuntimeError("no")

    execution_finished.connect(fail)
    key = machine.begin({"a": []})
    try:
        with django_capture_on_commit_callbacks(execute=True):
            machine.drain()
    finally:
        execution_finished.disconnect(fail)

    assert status(key) == "completed"
    assert heard == [(key, "completed")]


@pytest.fixture
def told() -> Iterator[list[list[tuple[str, str]]]]:
    """What became of attempts: for each signal, the nodes with their outcomes."""
    lists: list[list[tuple[str, str]]] = []

    def listen(*, attempts: Any, **_: object) -> None:
        lists.append([(one.node_id, one.outcome) for one in attempts])

    attempts_ended.connect(listen)
    yield lists
    attempts_ended.disconnect(listen)


def test_what_is_settled_together_is_told_together(
    machine: Machine, told, django_capture_on_commit_callbacks
):
    machine.begin({"a": [], "b": [], "c": []})

    with django_capture_on_commit_callbacks(execute=True):
        machine.drain()

    assert told == [[("a", "completed"), ("b", "completed"), ("c", "completed")]]


def test_an_attempt_that_was_given_back_unstarted_was_none(
    machine: Machine, told, django_capture_on_commit_callbacks
):
    machine.begin({"a": []})

    with django_capture_on_commit_callbacks(execute=True):
        machine.settle([machine.finish(machine.claim_one(), Returned())])

    assert told == []


def test_who_listens_for_the_dead_alone_hears_of_them_alone(
    machine: Machine, does, django_capture_on_commit_callbacks
):
    heard: list[tuple[str, str, int]] = []

    def listen(*, attempts: Any, **_: object) -> None:
        heard.extend((one.node_id, one.error_type, one.attempt) for one in attempts)

    def fail(ctx: Any) -> None:
        raise Permanent("no")

    does["b"] = fail
    dead_lettered.connect(listen)
    try:
        machine.begin({"a": [], "b": []})
        with django_capture_on_commit_callbacks(execute=True):
            machine.drain()
    finally:
        dead_lettered.disconnect(listen)

    assert heard == [("b", "Permanent", 1)]


def test_children_and_what_was_delayed_begin_once(
    machine: Machine, does, django_capture_on_commit_callbacks
):
    begun: list[str] = []

    def listen(*, executions: Any, **_: object) -> None:
        begun.extend(one.workflow for one in executions)

    def ask(ctx: Any) -> Any:
        children = [Child(workflow="child", input=None)]
        return None if ctx.checkpoint else StartChildren(children=children, checkpoint=1)

    does["a"] = ask
    machine.publish({"x": []}, id="child")
    machine.publish({"a": []})
    executions_started.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            machine.start(start_at=machine.now + 5 * SECOND)
            machine.drain()
        before = list(begun)
        machine.wait(10)
        with django_capture_on_commit_callbacks(execute=True):
            sweep(now=machine.now)
            machine.drain()
    finally:
        executions_started.disconnect(listen)

    assert (before, begun) == ([], ["w", "child"])
