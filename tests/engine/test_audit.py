"""The audit trail: each change that an operator makes leaves one entry, a refusal leaves none."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from spane_django.core.errors import SpaneError
from spane_django.engine import by_hand, control, enable, operate, retry
from spane_django.engine.audit import MAX_VALUE_BYTES, record
from spane_django.engine.db import atomic
from spane_django.engine.rerun import From, Rerun, rerun_from
from spane_django.engine.sweep import sweep
from spane_django.models import AuditEntry, DeadLetter
from tests.engine.helpers import NOON, Machine

pytestmark = pytest.mark.django_db


def test_an_entry_says_who_did_what_to_what_when_and_why():
    ada, execution_id = User.objects.create(username="ada"), uuid4()

    record(
        "skip", now=NOON, by=ada, execution_id=execution_id, target="a",
        before={"status": "failed"}, after={"status": "skipped"}, reason="not needed",
    )  # fmt: skip

    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.at, entry.user, entry.username) == ("skip", NOON, ada, "ada")
    assert (entry.execution_id, entry.target, entry.reason) == (execution_id, "a", "not needed")
    assert (entry.before, entry.after) == ({"status": "failed"}, {"status": "skipped"})


def test_an_entry_outlives_the_user_and_keeps_the_name():
    ada = User.objects.create(username="ada")
    record("pause", now=NOON, by=ada)

    ada.delete()

    entry = AuditEntry.objects.get()
    assert (entry.user, entry.username) == (None, "ada")


def test_of_a_large_value_only_the_size_is_kept():
    small, large = "x" * (MAX_VALUE_BYTES - 2), "x" * MAX_VALUE_BYTES

    record("complete", now=NOON, before={"output": small}, after={"output": large})

    entry = AuditEntry.objects.get()
    assert entry.before == {"output": small}
    assert entry.after == {"output": "(8,194 bytes of JSON, too large to keep)"}


@pytest.mark.django_db(transaction=True)
def test_an_entry_goes_with_the_transaction_that_it_was_written_in():
    with atomic():
        record("pause", now=NOON)
        transaction.set_rollback(True)

    assert not AuditEntry.objects.exists()


def fail(ctx):
    raise ValueError("boom")


ON_EXECUTIONS = {
    "pause": control.pause,
    "resume": control.resume,
    "cancel": control.cancel,
    "replay": retry.replay,
    "retry": retry.retry_failed,
    "rerun": lambda key, **who: retry.rerun(key, "a", **who),
    "rerun from": lambda key, **who: rerun_from(key, Rerun(start=From.START), **who),
    "skip": lambda key, **who: by_hand.skip(key, "a", **who),
    "complete": lambda key, **who: by_hand.complete(key, "a", 1, **who),
    "retry-now": lambda key, **who: operate.retry_now(key, "a", **who),
    "reassign": lambda key, **who: operate.reassign(key, priority=9, **who),
    "discard": lambda key, **who: retry.discard_dead_letter(DeadLetter.objects.get().pk, **who),
}
NEED_FAILURE = ("retry", "rerun", "rerun from", "discard")


@pytest.mark.parametrize("verb", ON_EXECUTIONS)
def test_every_verb_leaves_one_entry_with_who_and_why(machine: Machine, does, verb):
    ada = User.objects.create(username="ada")
    does["a"] = fail
    retries = 0 if verb in NEED_FAILURE else 3
    key = machine.begin({"a": []}, nodes={"a": {"config": {"retries": retries}}})
    machine.step()
    if verb == "resume":
        control.pause(key, now=machine.now)
    AuditEntry.objects.all()._raw_delete("default")

    ON_EXECUTIONS[verb](key, now=machine.now, by=ada, reason="because")

    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.execution_id) == (verb.partition(" ")[0], key)
    assert (entry.username, entry.reason, entry.at) == ("ada", "because", machine.now)
    assert entry.before != entry.after


REFUSED_WHEN_COMPLETED = [
    verb for verb in ON_EXECUTIONS if verb not in ("replay", "rerun", "rerun from", "discard")
]


@pytest.mark.parametrize("verb", REFUSED_WHEN_COMPLETED)
def test_a_verb_that_is_refused_leaves_no_entry(machine: Machine, verb):
    key = machine.begin({"a": []})
    machine.drain()
    AuditEntry.objects.all()._raw_delete("default")

    with pytest.raises(SpaneError):
        ON_EXECUTIONS[verb](key, now=machine.now, by=None, reason="")

    assert not AuditEntry.objects.exists()


def test_switching_a_workflow_off_and_on_is_audited(machine: Machine):
    machine.publish({"a": []})
    AuditEntry.objects.all()._raw_delete("default")

    enable.disable("w", now=machine.now, reason="broken")
    with pytest.raises(enable.AlreadySo):
        enable.disable("w", now=machine.now)
    enable.enable("w", now=machine.now)

    entries = AuditEntry.objects.order_by("id").values_list("verb", "target", "reason")
    assert list(entries) == [("disable", "w", "broken"), ("enable", "w", "")]


def test_what_time_brings_about_is_not_audited(machine: Machine):
    machine.publish({"a": []})
    machine.start(timeout=timedelta(seconds=1))
    AuditEntry.objects.all()._raw_delete("default")
    machine.wait(5)

    assert sweep(now=machine.now).expired == 1

    assert not AuditEntry.objects.exists()
