"""What operators do, as a project calls it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

import spane_django as spane
from spane_django.core.errors import InvalidInput
from spane_django.models import AuditEntry, Execution
from tests.engine.helpers import Machine, definition, outputs, status, statuses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wakes")]


@pytest.fixture
def execution(db: None) -> Execution:
    same = {"type": "transform", "config": {"expression": "@"}}
    spane.publish(definition({"a": ["b"]}, nodes={"a": same, "b": same}))
    return spane.start("w", {"n": 1})


def work() -> list[str]:
    machine = Machine()
    machine.now = spane.authoring.operating.now()
    return machine.drain()


def test_a_node_is_skipped_or_completed_by_hand(execution: Execution) -> None:
    ada = User.objects.create(username="ada")

    spane.complete(execution, "a", {"n": 2}, by=ada, reason="by phone")
    ended = spane.skip(str(execution.pk), "b")

    assert (ended.status, outputs(execution.pk)) == ("completed", {"a": {"n": 2}})
    assert list(
        AuditEntry.objects.exclude(verb="publish")
        .order_by("id")
        .values_list("verb", "username", "reason")
    ) == [("complete", "ada", "by phone"), ("skip", "", "")]


def test_a_part_runs_anew(execution: Execution) -> None:
    work()

    same = spane.rerun_from(execution, "b", reason="again")
    ran = work()
    spane.rerun_from(execution, "start", input=5)
    ran_anew = work()
    given = spane.rerun_from(execution, "a", output=1)

    assert (same, ran, ran_anew) == (execution, ["b"], ["a", "b"])
    assert statuses(given.pk) == {"a": "completed", "b": "ready"}
    work()
    other = spane.rerun_from(execution, "b", version="latest")
    assert (other.replay_of, statuses(other.pk)) == (
        execution, {"a": "completed", "b": "ready"},
    )  # fmt: skip


def test_what_has_not_ended_is_moved(execution: Execution) -> None:
    assert spane.reassign(execution, priority=9).priority == 9


def test_many_are_counted_and_changed(execution: Execution) -> None:
    others = spane.start_many("w", [None, None])

    count = spane.bulk_count("cancel", {"workflow": "w"})
    done = spane.bulk("cancel", {"workflow": "w"}, reason="wrong batch")

    assert (count, done.changed, done.refused) == (3, 3, 0)
    assert {status(key) for key in (execution.pk, *others)} == {"cancelled"}


def test_a_wish_that_is_none_is_refused(execution: Execution) -> None:
    with pytest.raises(InvalidInput):
        spane.bulk("skip", {"all": True})
    with pytest.raises(InvalidInput):
        spane.rerun_from(execution, "failed", input=1)
