"""What the sender of a delivery is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connections
from pytest_django import Settings

from spane_django.clock import now
from spane_django.engine.control import cancel
from spane_django.engine.enable import disable
from spane_django.engine.publish import publish
from spane_django.models import Execution
from spane_django.triggers.webhooks import change
from tests.admin.stage import work

from .conftest import MakeHook

ECHO: dict[str, Any] = {
    "id": "echo",
    "name": "Echo",
    "entryNodeId": "greet",
    "nodes": [
        {
            "id": "greet", "type": "set", "inputs": [], "outputs": [],
            "config": {"values": {"greeting": "hello {{ input.name }}"}},
        }
    ],
}  # fmt: skip
WAIT = {"mode": "wait", "waitSeconds": 20}


@contextmanager
def beside(deed: Any) -> Iterator[None]:
    """Do something on another thread as soon as there is an execution."""

    def run() -> None:
        for _ in range(2_000):
            if Execution.objects.exists():
                break
            threading.Event().wait(0.01)
        deed()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


def cancel_it() -> None:
    cancel(Execution.objects.get().pk, now=now())


@pytest.fixture(autouse=True)
def _echo(flow: None) -> None:
    publish(ECHO, now=now())


@pytest.mark.django_db(transaction=True)
def test_a_sender_that_waits_is_told_the_result(hook: MakeHook) -> None:
    sent = hook(workflowId="echo", input="body", response=WAIT)

    with beside(work):
        answer = sent.send({"name": "Ada"})

    assert answer.status_code == 200
    assert answer.json() == {
        "deliveryId": str(sent.delivery().pk),
        "executionId": str(Execution.objects.get().pk),
        "status": "completed",
        "output": {"name": "Ada", "greeting": "hello Ada"},
    }


@pytest.mark.django_db(transaction=True)
def test_an_execution_that_did_not_complete_is_told_as_what_it_is(hook: MakeHook) -> None:
    sent = hook(workflowId="echo", response=WAIT)

    with beside(cancel_it):
        answer = sent.send({})

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["output"]) == ("cancelled", None)


@pytest.mark.django_db(transaction=True)
def test_nobody_is_locked_out_while_a_sender_waits(hook: MakeHook) -> None:
    sent = hook(response=WAIT)

    def change_both() -> None:
        change(sent.webhook.pk, {"name": "renamed meanwhile"}, now=now())
        cancel_it()

    with beside(change_both):
        answer = sent.send({})

    sent.webhook.refresh_from_db()
    assert sent.webhook.name == "renamed meanwhile"
    assert answer.json()["status"] == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_who_waits_in_vain_is_told_where_it_will_be_found(
    hook: MakeHook, settings: Settings
) -> None:
    settings.SPANE = {**settings.SPANE, "WEBHOOK_MAX_WAIT_SECONDS": 0.05}

    answer = hook(response=WAIT).send({})

    assert answer.status_code == 202
    assert answer.json()["executionId"] == str(Execution.objects.get().pk)


@pytest.mark.django_db
def test_an_answer_may_be_written(hook: MakeHook) -> None:
    response = {
        "mode": "custom",
        "status": 201,
        "headers": {"X-Order": "{{ input.id }}", "Content-Type": "text/html"},
        "body": "<b>{{ input.id }}</b> is {{ execution.status }}",
    }

    answer = hook(input="body", response=response).send({"id": 17})

    assert (answer.status_code, answer.content) == (201, b"<b>17</b> is running")
    assert answer["X-Order"] == "17"
    assert answer["Content-Type"] == "text/html"
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"


@pytest.mark.django_db
@pytest.mark.parametrize(("given", "status"), [(409, 409), (7, 202), (500, 202), ("x", 202)])
def test_a_status_may_be_found_and_is_never_ours_to_blame(
    hook: MakeHook, given: Any, status: int
) -> None:
    response = {"mode": "custom", "status": "{{ input.status }}"}

    answer = hook(input="body", response=response).send({"status": given})

    assert answer.status_code == status


@pytest.mark.django_db(transaction=True)
def test_a_written_answer_may_wait_for_results(hook: MakeHook) -> None:
    body = {"text": "{{ results.greet.greeting }}!", "status": "{{ execution.status }}"}
    response = {"mode": "custom", "waitSeconds": 20, "body": body}
    sent = hook(workflowId="echo", input="body", response=response)

    with beside(work):
        answer = sent.send({"name": "Ada"})

    assert answer.json() == {"text": "hello Ada!", "status": "completed"}


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b=1", "a\n\n<script>", "\x0b\x7f", "ü€"])
def test_what_was_sent_never_begins_a_header(hook: MakeHook, value: str) -> None:
    headers = {"X-Echo": "{{ input }}"}
    sent = hook(input="query.x", response={"mode": "custom", "headers": headers})

    answer = sent.send({}, query=f"?{urlencode({'x': value})}")

    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert not {"\r", "\n"} & set(answer["X-Echo"])


@pytest.mark.django_db
def test_a_template_that_fails_falls_back_to_the_plain_answer(hook: MakeHook) -> None:
    response = {"mode": "custom", "body": "{{ join(',', input) }}"}

    answer = hook(input="body", response=response).send(7)

    assert answer.status_code == 202
    assert answer.json()["executionId"] == str(Execution.objects.get().pk)


@pytest.mark.django_db
def test_what_has_started_nothing_gets_the_plain_answer(hook: MakeHook) -> None:
    sent = hook(response={"mode": "custom", "body": "fine"})
    disable("flow", now=now())

    answer = sent.send({})

    assert answer.status_code == 202
    assert answer.json()["executionId"] is None
