"""Signals, people and receivers meet workflows in a test as they do in production."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from spane_django import cancel
from spane_django.engine.approvals import decide
from spane_django.engine.signals import signal
from spane_django.models import Approval, Execution
from spane_django.signals import execution_finished
from spane_django.testing import InlineEngine, make_workflow

DAYS = {"deadline": "P3D"}


@pytest.fixture
def asked(spane: InlineEngine) -> Execution:
    """An execution that has asked the boss."""
    User.objects.create_user("boss")
    ask = {"type": "approval", "config": {"title": "Ship it?", "users": "boss", **DAYS}}
    execution = make_workflow({"ask": ["ship"]}, nodes={"ask": ask}).start()
    spane.run()
    return execution


def test_a_signal_lets_the_node_that_waits_for_it_go_on(spane: InlineEngine) -> None:
    wait = {"type": "wait", "config": {"signal": "paid", "key": "{{ input }}"}}
    execution = make_workflow({"wait": ["end"]}, nodes={"wait": wait}).start("order-7")
    spane.run_until_done()
    spane.assert_nodes(execution, {"wait": "waiting"})

    signal("paid", {"sum": 3}, key="order-7", now=spane.now)
    spane.run()

    spane.assert_output(execution, {"sum": 3})


def test_a_wait_runs_out_when_time_goes_by(spane: InlineEngine) -> None:
    wait = {"type": "wait", "config": {"signal": "paid", "default": "unpaid", **DAYS}}
    execution = make_workflow({"wait": []}, nodes={"wait": wait}).start()
    before = spane.now

    spane.run_until_done()

    spane.assert_output(execution, "unpaid")
    assert spane.now - before >= timedelta(days=3)


def test_a_decision_lets_the_node_that_asked_go_on(spane: InlineEngine, asked: Execution) -> None:
    boss = User.objects.get()
    decide(Approval.objects.get().pk, by=boss, is_approved=True, now=spane.now)

    assert spane.run() == ["ask", "ship"]

    spane.assert_completed(asked)


def test_a_question_that_nobody_asks_any_more_is_closed(
    spane: InlineEngine, asked: Execution
) -> None:
    cancel(asked)
    spane.run()

    assert not Approval.objects.open().exists()


def test_receivers_hear_of_ends_that_are_never_committed(spane: InlineEngine) -> None:
    heard: list[tuple[UUID, str]] = []

    def hear(execution_id: UUID, status: str, **_: Any) -> None:
        heard.append((execution_id, status))

    execution_finished.connect(hear)
    try:
        done = make_workflow({"a": []}).start()
        spane.run()
        late = make_workflow({"b": []}, id="late", timeout=timedelta(hours=1)).start(
            start_at=spane.now + timedelta(minutes=10)
        )
        spane.travel(hours=2)
        spane.run()
    finally:
        execution_finished.disconnect(hear)

    assert heard == [(done.pk, "completed"), (late.pk, "failed")]
