"""Tokens stand in no log, no error report, no job and no address."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.test import Client
from django.utils.log import AdminEmailHandler
from pytest_django import Settings

from spane_django.api import status
from spane_django.dispatch import rq
from spane_django.engine.run import utc_now
from spane_django.engine.tokens import issue
from spane_django.models import ApiToken, AuditEntry
from tests.api.conftest import EVERYTHING, Api, MakeApi, MakeUser, definition, run_flow

pytestmark = pytest.mark.django_db


def assert_told_nowhere(token: str, *texts: str) -> None:
    for text in texts:
        assert token not in text
        assert token.removeprefix("spane_") not in text


def test_no_log_line_of_a_request_holds_its_token(
    api_of: MakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api = api_of("view_execution")

    for path in ("/api/stats", "/api/executions/nobody", "/api/workflows", "/api/nowhere"):
        api.get(path)
        api.post(path, b"{")
        api.client.get(path, headers={"Authorization": f"Basic {api.token}"})
        api.client.get(path, headers={"Authorization": f"Bearer {api.token} more"})

    assert "django.request" in {record.name for record in caplog.records}
    told = [record.getMessage() + repr(record.args) for record in caplog.records]
    assert_told_nowhere(api.token, caplog.text, *told)


def test_no_report_of_a_crash_holds_the_token(
    api_of: MakeApi, settings: Settings, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    settings.DEBUG, settings.ADMINS = False, [("Ops", "ops@example.org")]
    handler = AdminEmailHandler(include_html=True)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("django.request").addHandler(handler)
    api = api_of("view_execution")
    api.client.raise_request_exception = False

    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(status.StatsView, "get", crash)
    try:
        answer = api.get("/api/stats")
    finally:
        logging.getLogger("django.request").removeHandler(handler)

    assert (answer.status_code, len(mail.outbox) > 0) == (500, True)
    for report in mail.outbox:
        pages = [str(body) for body, _kind in getattr(report, "alternatives", [])]
        assert "a fault of ours" in report.body
        assert_told_nowhere(api.token, report.body, report.subject, *pages)
    assert_told_nowhere(api.token, answer.text, caplog.text)


@pytest.mark.parametrize(
    "name", ["token", "access_token", "api_key", "authorization", "Authorization", "bearer", "key"]
)
def test_a_token_in_an_address_opens_nothing(api_of: MakeApi, name: str) -> None:
    token = api_of(*EVERYTHING).token

    for value in (token, f"Bearer {token}"):
        assert Client().get("/api/stats", {name: value}).status_code == 401
        assert Client().post("/api/workflows", {name: value}).status_code == 401


@pytest.mark.parametrize(
    "header", ["X-Api-Key", "X-Token", "Token", "Cookie", "Proxy-Authorization"]
)
def test_a_token_in_another_header_opens_nothing(api_of: MakeApi, header: str) -> None:
    token = api_of(*EVERYTHING).token

    for value in (token, f"Bearer {token}", f"token={token}", f"sessionid={token}"):
        assert Client().get("/api/stats", headers={header: value}).status_code == 401


def test_the_database_holds_a_hash_and_the_audit_trail_a_name(make_user: MakeUser) -> None:
    token, _ = issue(make_user(), "reports", now=utc_now())

    assert_told_nowhere(token, repr(list(ApiToken.objects.values())))
    assert_told_nowhere(token, repr(list(AuditEntry.objects.values())))


def test_a_token_is_shown_once_and_never_listed(api_of: MakeApi) -> None:
    api = api_of(*EVERYTHING, "own_apitoken")
    made = api.post("/api/tokens", {"name": "ci", "scope": "read"})

    listed = api.get("/api/tokens")

    assert made.status_code == 201, made.content
    assert made.json()["token"].startswith("spane_")
    assert_told_nowhere(made.json()["token"], listed.text)


def test_a_job_names_its_queue_and_nothing_else(
    api_of: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueued: list[dict[str, Any]] = []

    class Queue:
        key = "rq:queue:spane"

        def enqueue_call(self, function: Any, **job: Any) -> None:
            enqueued.append({"function": function.__name__, **job})

    monkeypatch.setattr(rq, "queue_of", lambda name: Queue())
    monkeypatch.setattr(rq, "_ring_script", lambda name: lambda **_: True)
    api: Api = api_of(*EVERYTHING)

    run_flow(api, definition("a"), {"card": "4111 1111 1111 1111"})
    rq.wake(["spane"])

    (job,) = enqueued
    assert (job["args"], job["description"]) == (("spane",), "drain of workflow nodes in 'spane'")
    assert not job.keys() & {"kwargs", "meta"}
    assert str(UUID(job["job_id"])) == job["job_id"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/workflows/a%0AERROR root forged",
        "/api/executions/%0D%0Ax",
        "/api/webhooks/x%0A2030-01-01 INFO forged",
        "/%0Aforged",
        "/api/executions/x/signal/a%0Ab",
        "/api/gates/a%0Ab/open",
    ],
)
def test_nothing_that_is_sent_begins_a_line_of_the_log(
    api_of: MakeApi, caplog: pytest.LogCaptureFixture, path: str
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    api = api_of(*EVERYTHING)

    api.get(path)
    api.post(path, {"reason": "a\nINFO forged"}, **{"Idempotency-Key": "a b", "User-Agent": "x\ty"})

    for record in caplog.records:
        assert "\n" not in record.getMessage()
        assert "\r" not in record.getMessage()
