"""The audit trail: each change that an operator makes leaves one entry, a refusal leaves none."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from spane_django.engine.audit import MAX_VALUE_BYTES, record
from spane_django.engine.db import atomic
from spane_django.models import AuditEntry
from tests.engine.helpers import NOON

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
