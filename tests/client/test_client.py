"""The typed client against the real API."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connections

from spane_django.client import (
    AsyncClient,
    Client,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    StillRunning,
    Unauthorized,
)
from spane_django.models import ApiToken, Execution
from tests.api.conftest import definition, work_off

MakeAsync = Callable[[], AsyncClient]


def test_the_client_can_be_imported_without_django() -> None:
    code = (
        "import sys\n"
        "import spane_django.client\n"
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('django', 'rest_framework', 'rq', 'redis', 'psycopg')])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.django_db
def test_a_workflow_is_registered_started_and_waited_for(client: Client) -> None:
    registered = client.register(definition("a", "b", b={"return": {"total": 3}}))
    started = client.start("flow", {"n": 1}, priority=7)
    work_off()
    done = client.wait(started.execution_id, timeout=10)

    assert (registered.workflow_id, registered.version) == ("flow", 1)
    assert (done.status, done.output, done.input) == ("completed", {"total": 3}, {"n": 1})
    assert done.node_results["a"].data == {"from": "a"}
    assert done.priority == 7
    assert done.created_at.tzinfo == UTC
    assert done.has_ended


@pytest.mark.django_db
def test_a_start_with_the_same_key_is_the_same_execution(client: Client) -> None:
    client.register(definition("a"))

    first = client.start("flow", idempotency_key="order-7")
    again = client.start("flow", idempotency_key="order-7")
    other = client.start("flow")

    assert first == again != other
    with pytest.raises(Conflict) as refused:
        client.start("flow", {"n": 2}, idempotency_key="order-7")
    assert refused.value.code == "idempotency_conflict"


@pytest.mark.django_db
def test_pages_are_fetched_one_after_the_other(client: Client) -> None:
    client.register(definition("a"))
    ids = [client.start("flow").execution_id for _ in range(120)]

    found = [each.execution_id for each in client.executions(workflow="flow")]

    assert found == ids[::-1]
    assert list(client.executions(status=["failed", "cancelled"])) == []
    assert len(list(client.executions(created_since=datetime(2020, 1, 1, tzinfo=UTC)))) == 120


@pytest.mark.django_db
def test_events_are_heard_to_the_end_and_from_where_one_was(client: Client) -> None:
    client.register(definition("a", "b", a={"log": "hello"}))
    started = client.start("flow", {"n": 1})
    work_off()

    events = list(client.events(started.execution_id))
    rest = list(client.events(started.execution_id, after=events[2].id))

    assert [event.event for event in events] == ["execution", "log", "node", "node", "end"]
    assert events[1].data["message"] == "hello"
    assert rest == events[3:]
    assert client.news(started.execution_id).has_ended


@pytest.mark.django_db
def test_what_has_not_ended_in_time_is_still_running(client: Client) -> None:
    client.register(definition("a"))
    started = client.start("flow")

    with pytest.raises(StillRunning):
        client.wait(started.execution_id, timeout=0.05)


@pytest.mark.django_db
def test_a_refusal_tells_its_code_and_every_fault(client: Client) -> None:
    raw = definition("a")
    raw["nodes"][0]["type"] = "no-such-type"

    with pytest.raises(Refused) as refused:
        client.register({**raw, "entryNodeId": "nowhere"})

    assert (refused.value.status, refused.value.code) == (422, "invalid_definition")
    assert {"entryNodeId", "nodes[0].type"} <= {fault.path for fault in refused.value.details}
    assert "nodes[0].type" in str(refused.value)


@pytest.mark.django_db
def test_what_is_not_there_or_not_allowed_has_errors_of_its_own(client: Client) -> None:
    with pytest.raises(NotFound):
        client.execution("0199c0de-0000-7000-8000-000000000000")
    ApiToken.objects.update(scope="read")
    with pytest.raises(Forbidden):
        client.register(definition("a"))
    ApiToken.objects.all().delete()
    with pytest.raises(Unauthorized):
        client.workflow("flow")


@pytest.mark.django_db
def test_operators_verbs_answer_what_the_api_answers(client: Client) -> None:
    client.register(definition("a", a={"fail": "away", "retries": 0}))
    failed = client.start("flow").execution_id
    work_off()

    (letter,) = client.dead_letters(workflow="flow")
    retried = client.retry_dead_letter(letter.id, reason="mended")
    paused = client.pause(failed, reason="lunch")
    completed = client.complete(failed, "a", {"by": "hand"})
    entries = {entry.verb: entry for entry in client.audit(execution=failed)}

    assert (letter.error, retried.resolution) == ("away", "retried")
    assert (paused.status, paused.reason) == ("paused", "lunch")
    assert completed.execution_id == failed
    assert entries["pause"].reason == "lunch"
    assert client.bulk("cancel", {"workflow": "flow"}).dry_run
    assert client.stats().executions


@pytest.mark.django_db
def test_definitions_leave_and_arrive(client: Client) -> None:
    client.register(definition("a", key="x"))

    raw, text = client.export("x"), client.export_yaml("x")
    imported = client.import_workflows([raw, {**raw, "id": "y"}], dry_run=True)

    assert raw == definition("a", key="x")
    assert text.startswith("id: x\n")
    assert imported.dry_run
    assert [each.workflow_id for each in imported.results] == ["x", "y"]
    assert [each.version for each in client.versions("x")] == [1]


@pytest.mark.django_db
def test_ids_may_hold_anything(client: Client) -> None:
    for odd in ("a/b", "a?b", "a#b", "{x}", "a%2Fb", "ü b"):
        with pytest.raises(NotFound):
            client.open_gate(odd)


@pytest.mark.django_db(transaction=True)
def test_the_asynchronous_client_does_the_same(
    make_async: MakeAsync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)

    async def use() -> tuple[str, list[str], list[str]]:
        async with make_async() as client:
            await client.register(definition("a", a={"return": 3}))
            started = await client.start("flow", {"n": 1})
            await asyncio.to_thread(_work)
            listed = [each.execution_id async for each in client.executions()]
            heard = [event.event async for event in client.events(started.execution_id)]
            done = await client.wait(started.execution_id, timeout=10)
            with pytest.raises(NotFound):
                await client.workflow("none")
            assert done.output == 3
            return started.execution_id, listed, heard

    started, listed, heard = asyncio.run(use())

    assert listed == [started]
    assert heard == ["execution", "node", "end"]
    assert str(Execution.objects.get().pk) == started


def _work() -> None:
    try:
        work_off()
    finally:
        connections.close_all()
