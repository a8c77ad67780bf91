"""Verbs for all that match a list's filter, however many they are."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from spane_django.admin import bulk, verbs
from spane_django.dispatch.bulk import drive
from spane_django.models import AuditEntry, BulkOperation, DeadLetter, Execution
from tests.admin.conftest import Login
from tests.admin.pages import list_of, page_of
from tests.admin.stage import BAD, GOOD, SLOW, ended, started

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "AT_ONCE", 2)
    monkeypatch.setattr(bulk, "AT_ONCE", 2)


def bulk_url(model: Any, verb: str) -> str:
    return reverse(f"admin:spane_django_{model._meta.model_name}_bulk", args=[verb])


def asked(client: Client, address: str, action: str, row: Any) -> Any:
    """Choose all that match in a list; return the page that asks."""
    data = {"action": action, "_selected_action": str(row.pk), "select_across": "1"}
    return client.post(address, data)


def confirm(client: Client, model: Any, verb: str, page: Any, reason: str = "") -> Any:
    return client.post(bulk_url(model, verb), {"signed": page.context["signed"], "reason": reason})


def test_all_that_match_are_counted_before_anything_happens(boss: Client):
    rows = [started(GOOD) for _ in range(3)]
    started(SLOW)

    page = asked(boss, list_of(Execution, "?status__exact=running"), "cancel_selected", rows[0])

    assert page.context["changing"] == 4
    assert not BulkOperation.objects.exists()
    assert Execution.objects.filter(status="running").count() == 4


def test_what_matched_then_is_changed_and_nothing_else(boss: Client):
    rows = [started(GOOD) for _ in range(3)]
    other = started(SLOW)
    good = rows[0].workflow_id
    address = list_of(Execution, f"?workflow__id__exact={good}")
    page = asked(boss, address, "cancel_selected", rows[0])
    late = started(GOOD)

    response = confirm(boss, Execution, "cancel", page, "stop it")
    operation = BulkOperation.objects.get()
    drive(str(operation.pk))

    operation.refresh_from_db()
    assert response["Location"] == page_of(operation)
    assert (operation.total, operation.changed, operation.refused) == (3, 3, 0)
    left = Execution.objects.filter(status="running").values_list("pk", flat=True)
    assert set(left) == {other.pk, late.pk}
    assert AuditEntry.objects.filter(verb="cancel", reason="stop it").count() == 3


def test_few_rows_are_changed_at_once(boss: Client):
    row = started(GOOD)

    page = asked(boss, list_of(Execution), "pause_selected", row)

    assert page.status_code == 302
    assert not BulkOperation.objects.exists()


def test_dead_letters_of_an_error_are_discarded_together(boss: Client):
    rows = [ended(BAD) for _ in range(3)]
    letter = DeadLetter.objects.filter(execution=rows[0]).get()
    address = list_of(DeadLetter, "?error_type=ValueError")

    page = asked(boss, address, "discard_selected", letter)
    refused = confirm(boss, DeadLetter, "discard", page)
    assert "This field is required" in refused.content.decode()
    assert not BulkOperation.objects.exists()
    confirm(boss, DeadLetter, "discard", refused, "known")
    drive(str(BulkOperation.objects.get().pk))

    assert page.context["changing"] == 3
    assert not DeadLetter.objects.open().exists()


def test_all_that_match_are_moved_to_another_priority(boss: Client):
    rows = [started(GOOD) for _ in range(3)]

    page = asked(boss, list_of(Execution), "reassign_selected", rows[0])
    form = {"signed": page.context["signed"], "queue": "", "priority": "9"}
    boss.post(bulk_url(Execution, "reassign"), form)
    drive(str(BulkOperation.objects.get().pk))

    assert set(Execution.objects.values_list("priority", flat=True)) == {9}


def test_the_page_of_an_operation_tells_how_far_it_is_and_what_was_left_alone(boss: Client):
    rows = [started(GOOD) for _ in range(3)]
    page = asked(boss, list_of(Execution), "cancel_selected", rows[0])
    confirm(boss, Execution, "cancel", page)
    operation = BulkOperation.objects.get()
    before = boss.get(page_of(operation)).content.decode()
    BulkOperation.objects.update(refused=1, refusals={"x": "it is gone"})
    drive(str(operation.pk))

    after = boss.get(page_of(operation)).content.decode()

    assert "data-spane-follows" in before
    assert "data-spane-follows" not in after
    assert "it is gone" in after


def test_what_was_confirmed_cannot_be_changed_or_used_by_another(boss: Client, login: Login):
    rows = [started(GOOD) for _ in range(3)]
    page = asked(boss, list_of(Execution), "cancel_selected", rows[0])
    signed = page.context["signed"]

    tampered = boss.post(bulk_url(Execution, "cancel"), {"signed": signed[:-2]})
    other_verb = boss.post(bulk_url(Execution, "pause"), {"signed": signed})
    stolen = login("cancel_execution").post(bulk_url(Execution, "cancel"), {"signed": signed})

    assert (tampered.status_code, other_verb.status_code, stolen.status_code) == (400, 400, 403)
    assert not BulkOperation.objects.exists()


def test_it_takes_the_permission_of_the_verb_and_a_token_of_the_form(boss: Client, login: Login):
    rows = [started(GOOD) for _ in range(3)]
    signed = asked(boss, list_of(Execution), "cancel_selected", rows[0]).context["signed"]

    refused = login().post(bulk_url(Execution, "cancel"), {"signed": signed})
    forged = login("cancel_execution", csrf=True).post(bulk_url(Execution, "cancel"))

    assert (refused.status_code, forged.status_code) == (403, 403)


def test_dead_letters_are_grouped_by_what_went_wrong_where(boss: Client):
    for _ in range(3):
        ended(BAD)

    response = boss.get(reverse("admin:spane_django_deadletter_groups"))

    (group,) = response.context["groups"]
    assert (group["error_type"], group["node_id"], group["count"]) == ("ValueError", "explode", 3)
    assert "By error" in boss.get(list_of(DeadLetter)).content.decode()


def test_a_group_is_retried_or_discarded_as_a_whole(boss: Client):
    for _ in range(3):
        ended(BAD)
    (group,) = boss.get(reverse("admin:spane_django_deadletter_groups")).context["groups"]

    page = asked(boss, group["url"], "discard_selected", DeadLetter(pk=group["one"]))

    assert page.context["changing"] == 3


def test_groups_take_the_permission_to_see_dead_letters(login: Login):
    assert login(sees=False).get(reverse("admin:spane_django_deadletter_groups")).status_code == 403
