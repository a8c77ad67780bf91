"""Committing a batch: an answer that the database refuses spoils nobody else's."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, OperationalError

from spane_django.core.outcome import Failure, Result
from spane_django.dispatch import commit as committing
from spane_django.dispatch.commit import commit
from spane_django.engine import straight
from spane_django.engine.finished import Finished
from spane_django.models import DeadLetter, LogLine, NodeRun
from tests.engine.helpers import Machine, status, statuses

pytestmark = pytest.mark.django_db(transaction=True)


def poisoned(machine: Machine) -> list[Finished]:
    """Return a batch of five answers, the second of which no database takes."""
    machine.publish({"a": ["b"]})
    for number in range(5):
        machine.start(number)
    batch = machine.run(machine.claim())
    batch[1].output = '{"not": json'
    return batch


def test_one_answer_that_is_refused_fails_its_own_node_only(machine: Machine):
    batch = poisoned(machine)
    bad = batch[1].claim.execution_id

    settled = commit(batch)

    good = [one.claim.execution_id for one in batch if one.claim.execution_id != bad]
    assert all(statuses(key) == {"a": "completed", "b": "ready"} for key in good)
    assert (status(bad), statuses(bad)) == ("failed", {"a": "failed", "b": "cancelled"})
    assert DeadLetter.objects.get().error_type == "UnstorableOutput"
    assert (settled.lost, settled.left) == ([], {"spane"})


def test_a_worker_whose_batch_was_refused_goes_on_claiming(machine: Machine):
    batch = poisoned(machine)

    commit(batch, machine.want())

    assert len(commit([], machine.want()).claims) == 4


def test_what_went_straight_on_before_a_refusal_is_gone_on_with(machine: Machine, monkeypatch):
    monkeypatch.setattr(straight, "FEW", 1)
    batch = poisoned(machine)
    # A choice, which one statement does not record.
    batch[1].outcome = Result(next_nodes=["b"])

    settled = commit(batch, machine.want(fill=False), clock=lambda: machine.now)
    following = settled.claims or machine.claim()
    machine.settle(machine.run(following))

    assert [one.node_id for one in following] == ["b"] * 4
    assert NodeRun.objects.running().count() == 0
    assert statuses(batch[1].claim.execution_id) == {"a": "failed", "b": "cancelled"}


def test_what_the_refused_answer_logged_is_not_lost_to_the_others(machine: Machine, does):
    does["a"] = lambda ctx: ctx.log.info(f"input {ctx.input}")

    commit(poisoned(machine))

    lines = LogLine.objects.values_list("message", flat=True)
    assert len(set(lines)) == len(lines) >= 4


def test_a_database_that_is_away_is_waited_for(machine: Machine, monkeypatch):
    key = machine.begin({"a": []})
    batch = machine.run(machine.claim())
    away = [OperationalError("gone"), OperationalError("still gone")]
    settle = committing.settle

    def unsteady(*args, **kwargs):
        if away:
            raise away.pop()
        return settle(*args, **kwargs)

    monkeypatch.setattr(committing, "settle", unsteady)
    monkeypatch.setattr(committing, "_PAUSE_SECONDS", 0.001)

    commit(batch)

    assert status(key) == "completed"


def test_who_did_not_hear_of_a_commit_goes_on_with_what_was_claimed_in_it(machine, monkeypatch):
    key = machine.begin({"a": ["b"]})
    machine.begin({"x": []}, id="other")
    (first,) = [one for one in machine.run(machine.claim(1)) if one.claim.execution_id == key]
    unheard = [OperationalError("connection lost")]
    settle = committing.settle

    def unsteady(*args, **kwargs):
        settled = settle(*args, **kwargs)
        if unheard:
            raise unheard.pop()
        return settled

    monkeypatch.setattr(committing, "settle", unsteady)
    monkeypatch.setattr(committing, "_PAUSE_SECONDS", 0.001)

    settled = commit([first], machine.want(), clock=lambda: machine.now)

    assert [one.node_id for one in settled.claims] == ["x", "b"]
    machine.settle(machine.run(settled.claims))
    assert (status(key), NodeRun.objects.running().count()) == ("completed", 0)


def test_a_database_that_stays_away_is_given_up(machine: Machine, monkeypatch, settings):
    settings.SPANE = {**settings.SPANE, "LEASE_SECONDS": 0.02}

    def gone(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr(committing, "settle", gone)
    monkeypatch.setattr(committing, "_PAUSE_SECONDS", 0.001)

    with pytest.raises(OperationalError):
        commit([])


def test_a_refusal_of_nothing_at_all_is_an_error(monkeypatch, db):
    def refuse(*args, **kwargs):
        raise DatabaseError("no such table")

    monkeypatch.setattr(committing, "settle", refuse)

    with pytest.raises(DatabaseError):
        commit([])


def test_a_failure_that_cannot_be_recorded_is_recorded_as_that(machine: Machine):
    key = machine.begin({"a": []})
    (one,) = machine.run(machine.claim())
    one.outcome = Failure(message="boom", type="x" * 300, is_retryable=False)

    commit([one])

    assert statuses(key) == {"a": "failed"}
