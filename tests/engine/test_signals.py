"""What the engine tells is told after the commit, and whoever listens can do no harm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from spane_django.engine.control import cancel
from spane_django.signals import execution_finished
from tests.engine.helpers import Machine, status


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
