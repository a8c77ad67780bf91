"""The audit trail, gates and the people of approvals over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from pytest_django import Settings

from spane_django.engine.audit import Owned, record
from spane_django.engine.gates import flip
from spane_django.engine.prune import prune_audit
from spane_django.engine.run import utc_now
from spane_django.models import Approval, AuditEntry, Gate, Tenant
from spane_django.models.operations import AppendOnly

from .conftest import EVERYTHING, Api, MakeApi, MakeUser, assert_refused, definition, run_flow

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wakes")]

AUDITOR = "view_auditentry"


def entries(api: Api, query: str = "") -> list[dict[str, Any]]:
    """Return the entries of a page but for those of the tokens that the tests themselves use."""
    answer = api.get(f"/api/audit{query}")
    assert answer.status_code == 200, answer.content
    return [entry for entry in answer.json()["results"] if entry["verb"] != "create_token"]


def verbs(api: Api, query: str = "") -> list[str]:
    return [entry["verb"] for entry in entries(api, query)]


def make_gate(key: str = "type:task") -> Gate:
    return Gate.objects.create(key=key, max_running=2)


def test_what_operators_do_over_http_can_be_read_newest_first(api: Api, api_of: MakeApi) -> None:
    execution = run_flow(api, definition("a", a={"fail": "away", "retries": 0}))
    api.post(f"/api/executions/{execution}/retry", {"reason": "mended"})
    api.post(f"/api/executions/{execution}/cancel")

    found = entries(api_of(AUDITOR))

    assert [entry["verb"] for entry in found] == [
        "cancel", "retry", "start", "publish",
    ]  # fmt: skip
    retried = found[1]
    assert (retried["user"], retried["reason"]) == ("user-0", "mended")
    assert retried["executionId"] == execution
    assert retried["after"]["status"] == "ready"


def test_entries_are_found_by_what_they_tell(api_of: MakeApi, make_user: MakeUser) -> None:
    ada, now = make_user(), utc_now()
    record("pause", now=now - timedelta(days=2), by=ada, target="mail")
    record("skip", now=now, target="mail")
    record("skip", now=now, target="print")
    auditor = api_of(AUDITOR)

    assert verbs(auditor, f"?user={ada.username}") == ["pause"]
    assert verbs(auditor, "?verb=skip&target=mail") == ["skip"]
    assert verbs(auditor, f"?until={(now - timedelta(days=1)):%Y-%m-%dT%H:%M:%SZ}") == ["pause"]
    assert verbs(auditor, f"?since={(now - timedelta(days=1)):%Y-%m-%dT%H:%M:%SZ}") == ["skip"] * 2
    assert verbs(auditor, "?execution=0199c0de-0000-7000-8000-000000000000") == []


def test_a_start_is_on_record_once_however_often_it_is_sent(api: Api, api_of: MakeApi) -> None:
    api.post("/api/workflows", definition("a"))
    for _ in range(3):
        api.post("/api/workflows/flow/execute", {}, Idempotency_Key="order-7")
        api.post("/api/workflows/flow/execute/batch", {"inputs": [1, 2]}, Idempotency_Key="many")

    batch, one = entries(api_of(AUDITOR), "?verb=start")

    assert (one["user"], one["target"], one["after"]) == ("user-0", "flow", None)
    assert one["executionId"] is not None
    assert batch["after"] == {"executions": 2}


def test_a_tenants_trail_is_its_own(api_of: MakeApi, settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}
    tenant = Tenant.objects.create(key="acme", name="Acme")
    auditor = api_of(AUDITOR)
    tenant.users.add(User.objects.get())

    record("enable", now=utc_now(), target=Owned("mine", "acme"))
    record("enable", now=utc_now(), target=Owned("theirs", "other"))
    record("enable", now=utc_now(), target="everybody's")

    assert [entry["target"] for entry in entries(auditor, "?verb=enable")] == ["mine"]


@pytest.mark.parametrize("query", ["?execution=x", "?since=today", "?who=ada", "?verb=%00"])
def test_a_filter_that_is_none_is_refused(api_of: MakeApi, query: str) -> None:
    assert_refused(api_of(AUDITOR).get(f"/api/audit{query}"))


def test_the_trail_comes_in_pages(api_of: MakeApi) -> None:
    auditor, seen = api_of(AUDITOR), list[str]()
    for number in range(5):
        record(f"verb-{number}", now=utc_now())

    address = "/api/audit?limit=2"
    while address:
        page = auditor.get(address).json()
        seen += [entry["verb"] for entry in page["results"]]
        address = (page["next"] or "").removeprefix("http://testserver")

    assert seen[:5] == [f"verb-{number}" for number in reversed(range(5))]


def test_values_given_by_hand_are_for_those_who_may_see_payloads(api_of: MakeApi) -> None:
    record("complete", now=utc_now(), after={"status": "completed", "output": {"iban": "DE02"}})

    (open_entry,) = entries(api_of(AUDITOR, "view_payload"))
    (closed_entry,) = entries(api_of(AUDITOR))

    assert open_entry["after"]["output"] == {"iban": "DE02"}
    assert closed_entry["after"] == {"status": "completed", "output": None}


def test_the_trail_takes_a_permission_of_its_own(api_of: MakeApi) -> None:
    assert Api().get("/api/audit").status_code == 401
    assert api_of(*EVERYTHING).get("/api/audit").status_code == 403
    assert api_of(AUDITOR).post("/api/audit", {}).status_code == 405


def test_an_entry_is_neither_changed_nor_deleted() -> None:
    record("pause", now=utc_now(), reason="lunch")
    entry = AuditEntry.objects.get()
    entry.reason = "none"

    for change in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(reason="none"),
        lambda: AuditEntry.objects.bulk_update([entry], ["reason"]),
        lambda: AuditEntry.objects.update_or_create(pk=entry.pk, defaults={"reason": "none"}),
    ):
        with pytest.raises(AppendOnly), transaction.atomic():
            change()

    assert AuditEntry.objects.get().reason == "lunch"


def test_entries_go_when_their_own_keep_is_over_and_not_before(settings: Settings) -> None:
    now = utc_now()
    record("old", now=now - timedelta(days=31))
    record("young", now=now - timedelta(days=29))

    assert sum(prune_audit(now=now)) == 0
    settings.SPANE = {**settings.SPANE, "AUDIT_KEEP_DAYS": 30}
    assert sum(prune_audit(now=now)) == 1

    assert AuditEntry.objects.get().verb == "young"


def test_in_the_admin_the_trail_can_be_read_and_nothing_else(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    record("pause", now=utc_now(), target="mail", before={"status": "running"}, reason="lunch")
    entry = AuditEntry.objects.get()

    listed = client.get("/admin/spane_django/auditentry/")
    shown = client.get(f"/admin/spane_django/auditentry/{entry.pk}/change/")
    changed = client.post(f"/admin/spane_django/auditentry/{entry.pk}/change/", {"reason": "x"})
    deleted = client.post(f"/admin/spane_django/auditentry/{entry.pk}/delete/", {"post": "yes"})

    assert b"lunch" in listed.content
    assert b"running" in shown.content
    assert (changed.status_code, deleted.status_code) == (403, 403)
    assert site.is_registered(AuditEntry)
    assert AuditEntry.objects.get().reason == "lunch"


def test_gates_are_listed_with_what_runs_there(api_of: MakeApi) -> None:
    make_gate("type:http")
    make_gate("type:mail")

    gates = api_of("view_gate").get("/api/gates?limit=1").json()

    assert [gate["key"] for gate in gates["results"]] == ["type:http"]
    assert (gates["results"][0]["max"], gates["results"][0]["running"]) == (2, 0)
    assert gates["next"] is not None


@pytest.mark.parametrize("key", ["type:task", "host:https://a.example/b", "t/open"])
def test_a_gate_is_opened_closed_and_reset_by_its_key(api_of: MakeApi, key: str) -> None:
    operator = api_of("view_gate", "flip_gate")
    Gate.objects.create(key=key, failures=3, rate_count=1, full_at=utc_now())

    answers = [
        operator.post(f"/api/gates/{key}/{verb}", {"reason": "maintenance"}).json()
        for verb in ("open", "close", "reset")
    ]

    assert [answer["breaker"] for answer in answers] == ["open", "closed", "closed"]
    assert answers[0]["blockedUntil"].startswith("9999-12-31")
    assert answers[2]["failures"] == 0
    assert Gate.objects.get().full_at is None
    told = AuditEntry.objects.exclude(verb="create_token").order_by("id")
    assert list(told.values_list("verb", "target", "reason")) == [
        ("flip_gate", key, "maintenance"),
        ("flip_gate", key, "maintenance"),
        ("reset_gate", key, "maintenance"),
    ]


def test_a_gate_that_nobody_came_to_is_unknown(api_of: MakeApi) -> None:
    operator = api_of("flip_gate")

    for verb in ("open", "close", "reset"):
        answer = operator.post(f"/api/gates/nowhere/{verb}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_gate")


def test_flipping_gates_takes_a_permission_of_its_own(api_of: MakeApi) -> None:
    make_gate()

    assert api_of("view_gate").post("/api/gates/type:task/open").status_code == 403
    assert Gate.objects.get().breaker == Gate.Breaker.CLOSED


def asking(**config: Any) -> dict[str, Any]:
    raw = definition("ask", key="asking")
    raw["nodes"][0] |= {"type": "approval", "config": {"title": "Release?", **config}}
    return raw


def test_an_approval_is_passed_on_to_others_who_then_may_decide(api: Api, api_of: MakeApi) -> None:
    run_flow(api, asking(users=["ada"]))
    boss = api_of("reassign_approval", "view_approval")
    bob = api_of("decide_approval")
    question = Approval.objects.get()
    address = f"/api/approvals/{question.pk}"

    before = bob.post(f"{address}/approve")
    passed = boss.post(f"{address}/reassign", {"users": ["user-2"], "reason": "ada is away"})
    after = bob.post(f"{address}/approve")

    assert before.status_code == 403
    assert passed.json()["users"] == ["user-2"]
    assert after.json()["status"] == "approved"
    assert AuditEntry.objects.get(verb="reassign").reason == "ada is away"


@pytest.mark.parametrize("body", [{}, {"users": "ada"}, {"users": [""]}, {"people": ["ada"]}])
def test_an_approval_is_not_passed_on_to_nobody(api: Api, api_of: MakeApi, body: Any) -> None:
    run_flow(api, asking(users=["ada"]))
    question = Approval.objects.get()

    answer = api_of("reassign_approval").post(f"/api/approvals/{question.pk}/reassign", body)

    assert_refused(answer)
    assert Approval.objects.get().users == ["ada"]


def test_a_breaker_flipped_in_python_and_over_http_is_the_same_verb(api_of: MakeApi) -> None:
    make_gate()
    from spane_django.core.limits import BreakerStatus

    flip("type:task", BreakerStatus.HALF_OPEN, now=utc_now())

    (gate,) = api_of("view_gate").get("/api/gates").json()["results"]
    assert gate["breaker"] == "half_open"
