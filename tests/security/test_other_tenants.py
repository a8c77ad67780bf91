"""Another tenant's rows: whatever id is tried, on whatever route, they are not there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from spane_django.engine.audit import Owned, record
from spane_django.engine.publish import publish
from spane_django.engine.run import utc_now
from spane_django.engine.secrets import create_secret
from spane_django.engine.start import StartOptions, start
from spane_django.models import (
    ApiToken,
    Approval,
    BulkOperation,
    DeadLetter,
    Execution,
    Trigger,
    WebhookDelivery,
)
from spane_django.urls import urlpatterns
from tests.api.conftest import definition, work_off
from tests.api.matrix import TABLE, World, ask, path_of

from .conftest import MakeMember, Member

MARK = "acme-only"
ROUTES = [pattern for pattern in urlpatterns if pattern.name != "inbound"]
PATTERNS = {pattern.name: pattern for pattern in ROUTES}


@dataclass
class Stock:
    """What a tenant owns, by the name that a route gives to its id."""

    ids: dict[str, str]


def call(member: Member, method: str, path: str, body: Any = None) -> Any:
    return member.call(method, path, json.dumps({} if body is None else body).encode())


@pytest.fixture
def acme(member: MakeMember) -> tuple[Member, Stock]:
    """A tenant with one of everything."""
    owner = member("acme")
    ask = {"id": "ask", "type": "approval", "config": {"title": MARK, "users": [MARK]}}
    raw = definition("a", "b", key=MARK, a={"fail": MARK, "retries": 0})
    raw["nodes"] += [{**ask, "inputs": [], "outputs": []}]
    publish(raw, now=utc_now(), tenant="acme")
    options = StartOptions(tenant="acme", key=MARK)
    execution = start(MARK, {"it is": MARK}, now=utc_now(), options=options)
    work_off()
    create_secret(MARK, f"value of {MARK}", tenant="acme", now=utc_now())
    record("test", now=utc_now(), target=Owned(MARK, "acme"))
    hook = call(owner, "POST", "/api/triggers/webhooks", {"workflowId": MARK, "name": MARK})
    assert hook.status_code == 201, hook.content
    sent = owner.api.client.post(f"/api/webhooks/{hook.json()['path']}", {}, "application/json")
    assert sent.status_code == 202, sent.content
    event = {"event": "acme.only", "workflowId": MARK}
    made = call(owner, "POST", "/api/triggers/events", event)
    assert made.status_code == 201, made.content
    bulk = {"verb": "pause", "selection": {"ids": [str(execution.pk)]}, "dryRun": False}
    operation = call(owner, "POST", "/api/executions/bulk", bulk)
    assert operation.status_code == 202, operation.content
    return owner, Stock(
        {
            "workflow_id": MARK,
            "execution_id": str(execution.pk),
            "node_id": "a",
            "number": "1",
            "signal_name": "paid",
            "letter_id": str(DeadLetter.objects.get().pk),
            "approval_id": str(Approval.objects.first().pk),
            "operation_id": str(BulkOperation.objects.get().pk),
            "webhook_id": str(hook.json()["id"]),
            "delivery_id": str(WebhookDelivery.objects.get().pk),
            "trigger_id": str(Trigger.objects.get().pk),
            "token_id": str(ApiToken.objects.get(user=owner.user).pk),
            "name": MARK,
            "gate_key": f"type:{MARK}",
            "event_name": "some.event",
        }
    )


def rows() -> dict[str, list[Any]]:
    """Return every row of every table of the engine but what notes that somebody asked."""
    passing = ("apitoken", "migrations")
    tables = [name for name in connection.introspection.table_names() if "spane_django" in name]
    found = {}
    with connection.cursor() as cursor:
        for table in tables:
            if not any(word in table for word in passing):
                cursor.execute(f'SELECT * FROM "{table}"')
                found[table] = sorted(map(repr, cursor.fetchall()))
    return found


ADDRESSED = [
    pytest.param(name, method, id=f"{method} {name}")
    for name, method in TABLE
    if name in PATTERNS
    and PATTERNS[name].pattern.converters
    and not (TABLE[name, method].names_nothing or TABLE[name, method].bounded)
]


def nobodys(pattern: Any) -> str:
    """Return the path of a route with ids that nothing has."""

    def made(found: re.Match[str]) -> str:
        is_long = re.search("execution|operation|delivery", found[1])
        return str(uuid4()) if is_long else "987654"

    return "/" + re.sub(r"<\w+:(\w+)>", made, pattern.pattern._route)


@pytest.mark.parametrize(("name", "method"), ADDRESSED)
def test_an_id_of_another_tenant_is_answered_like_one_that_nobody_has(
    member: MakeMember, name: str, method: str
) -> None:
    eve, world, line, pattern = member("eve"), World(), TABLE[name, method], PATTERNS[name]
    owner = world.caller("admin", line.needs)
    assert owner is not None
    path, body = path_of(pattern, line, world, owner), line.body
    body = body(world) if callable(body) else body
    before = rows()

    theirs, none = (call(eve, method, at, body) for at in (path, nobodys(pattern) + line.query))
    by_session = eve.browser.generic(method, path, json.dumps(body), "application/json")
    as_acme = eve.call(method, path, json.dumps(body).encode(), **{"Spane-Tenant": "acme"})
    after = rows()
    by_owner = ask(method, path, body, owner)

    assert (theirs.status_code, theirs.json()["error"]["code"]) == (
        none.status_code, none.json()["error"]["code"],
    )  # fmt: skip
    assert {theirs.status_code, by_session.status_code, as_acme.status_code} == {404}
    assert after == before
    assert by_owner.status_code != 404


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(pattern, id=pattern.name)
        for pattern in ROUTES
        if "<" not in str(pattern.pattern) and "GET" in pattern.callback.view_class.permissions
    ],
)
def test_no_list_and_no_figure_names_what_is_another_tenants(
    acme: tuple[Member, Stock], member: MakeMember, pattern: Any
) -> None:
    _, stock = acme
    eve = member("other")

    answers = [
        eve.call("GET", f"/{pattern.pattern._route}", b"", **{"Spane-Tenant": tenant})
        for tenant in ("", "other", "acme", "nobody")
    ]

    assert [answer.status_code for answer in answers[2:]] == [404, 404] or (
        pattern.name in ("schema", "docs", "metrics", "autoscaling", "node-types")
    )
    for answer in answers:
        text = answer.text
        assert MARK not in text
        assert stock.ids["execution_id"] not in text


def test_a_bulk_operation_reaches_no_row_of_another_tenant_however_it_is_chosen(
    acme: tuple[Member, Stock], member: MakeMember
) -> None:
    _, stock = acme
    eve = member("other")
    mine = publish(definition("a", key="mine"), now=utc_now(), tenant="other")
    start("mine", None, now=utc_now(), options=StartOptions(tenant="other"))
    before = {key: value for key, value in rows().items() if "bulk" not in key}
    selections = [
        {"ids": [stock.ids["execution_id"]]}, {"workflow": MARK}, {"key": MARK},
    ]  # fmt: skip

    for selection in selections:
        for dry in (True, False):
            for verb in ("cancel", "pause", "retry", "replay"):
                body = {"verb": verb, "selection": selection, "dryRun": dry}
                answer = call(eve, "POST", "/api/executions/bulk", body)
                assert answer.status_code in (200, 202, 400, 404), answer.content
                assert not answer.json().get("changed")
    for verb in ("retry-all", "discard-all"):
        answer = call(eve, "POST", f"/api/dlq/{verb}", {"dryRun": False})
        assert answer.status_code < 500

    after = {key: value for key, value in rows().items() if "bulk" not in key}
    changed = [key for key in before if before[key] != after[key] and "audit" not in key]
    assert changed == []
    assert mine.workflow.tenant == "other"


def test_a_bulk_operation_touches_what_was_counted_and_nothing_that_came_later(
    member: MakeMember,
) -> None:
    eve, other = member("other"), member("acme")
    for one in (eve, other):
        publish(definition("a", key="same"), now=utc_now(), tenant=one.tenant)
        for _ in range(3):
            start("same", None, now=utc_now(), options=StartOptions(tenant=one.tenant))
    body = {"verb": "cancel", "selection": {"workflow": "same"}}

    counted = call(eve, "POST", "/api/executions/bulk", body).json()["count"]
    done = call(eve, "POST", "/api/executions/bulk", {**body, "dryRun": False}).json()

    assert counted == done["count"] == done["changed"] == 3
    ended = Execution.objects.filter(status="cancelled").values_list("tenant", flat=True)
    assert set(ended) == {"other"}
    assert Execution.objects.filter(tenant="acme", status="running").count() == 3


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_the_events_of_another_tenants_execution_are_not_told(
    acme: tuple[Member, Stock], member: MakeMember, accept: str
) -> None:
    owner, stock = acme
    path = f"/api/executions/{stock.ids['execution_id']}/events"
    eve = member("other")
    page = owner.call("GET", path, b"").json()

    answers = [
        eve.call("GET", path + query, b"", Accept=accept, **headers)
        for query in ("", f"?after={page['cursor']}")
        for headers in ({}, {"Last-Event-ID": page["cursor"]}, {"Spane-Tenant": "acme"})
    ]
    by_session = eve.browser.get(path, headers={"Accept": accept})

    assert {answer.status_code for answer in [*answers, by_session]} == {404}
    assert all(MARK not in answer.text for answer in answers)


def test_a_workflow_uses_the_secrets_of_its_executions_tenant_and_no_others(
    acme: tuple[Member, Stock], member: MakeMember
) -> None:
    eve = member("other")
    raw = definition("a", key="steal", a={"return": f"{{{{ secrets.{MARK} }}}}"})
    assert call(eve, "POST", "/api/workflows", raw).status_code == 201
    started = call(eve, "POST", "/api/workflows/steal/execute", {"initialData": None})
    work_off()

    told = eve.call("GET", f"/api/executions/{started.json()['executionId']}", b"").json()

    assert told["status"] == "failed"
    assert told["nodeResults"]["a"]["errorType"] == "MissingSecret"
    assert f"value of {MARK}" not in json.dumps(told)
