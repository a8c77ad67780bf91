"""System checks: each fault is told with its id and a hint."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, run_checks
from django.db import connection, connections
from pytest_django import Settings

from spane_django import Workflow, checks


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An empty ``workflows`` module of an installed app, the only one that has any."""
    module = ModuleType("demo_project.workflows")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def found(*, deploy: bool = False) -> list[CheckMessage]:
    messages = run_checks(tags=[checks.TAG], include_deployment_checks=deploy)
    assert all(message.hint for message in messages)
    return messages


def ids() -> list[str | None]:
    return [message.id for message in found()]


def test_the_test_project_has_no_faults() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("not a dict", ["spane.E001"]),
        ({"QEUE": "spane", "BATCH": "many"}, ["spane.E001", "spane.E001"]),
        ({"HEARTBEAT_SECONDS": 20.0, "LEASE_SECONDS": 30.0}, ["spane.E002"]),
        ({"HEARTBEAT_SECONDS": 10.0, "LEASE_SECONDS": 30.0}, []),
        ({"QUEUE": "elsewhere"}, ["spane.E003"]),
        ({"CONCURRENCY": 0, "SLICE_SECONDS": -1.0}, ["spane.E004", "spane.E004"]),
        ({"DISPATCHER": "spane_django.dispatch.rq.no_such"}, ["spane.E007"]),
        ({"PAYLOAD_STORAGE": "nowhere"}, ["spane.E009"]),
        ({"PAYLOAD_STORAGE": "nowhere", "OFFLOAD_BYTES": 0}, []),
        ({"SECRET_KEYS": ["no key"]}, ["spane.E022"]),
        ({"OFFLOAD_BYTES": -1}, ["spane.E004"]),
        ({"KEEP_DAYS": {"completed": 7, "failed": 0.5}}, []),
        ({"KEEP_DAYS": {"completed": -1, "done": 7, "failed": "7"}}, ["spane.E001"] * 3),
        ({"KEEP_DAYS": 7}, ["spane.E001"]),
    ],
)
def test_settings_that_cannot_work_are_errors(
    given: Any, expected: list[str], settings: Settings
) -> None:
    settings.SPANE = given

    assert ids() == expected


def test_a_misspelt_setting_is_told_with_a_guess(settings: Settings) -> None:
    settings.SPANE = {"QEUE": "spane"}

    assert "did you mean 'QUEUE'?" in str(found()[0])


def test_large_payloads_need_a_directory_of_their_own(settings: Settings) -> None:
    settings.MEDIA_ROOT = ""

    assert "spane.W003" in [message.id for message in found(deploy=True)]
    assert ids() == []


def test_workflows_need_time_zones(settings: Settings) -> None:
    settings.USE_TZ = False

    assert ids() == ["spane.E008"]


def test_a_project_without_rq_queues_is_told_to_add_one(settings: Settings) -> None:
    settings.RQ_QUEUES = {}

    (message,) = found()

    assert message.id == "spane.E003"
    assert "manage.py rqworker spane" in str(message.hint)


def test_a_dispatcher_of_the_projects_own_needs_no_rq_queues(
    wakes: list[str], settings: Settings
) -> None:
    settings.RQ_QUEUES = {}

    assert ids() == []


def test_every_queue_that_a_workflow_names_must_exist(project: ModuleType) -> None:
    flow = Workflow("flow", queue="slow")
    flow.add("a", "log", {"message": "hello"}, queue="gpu")
    project.flow = flow  # type: ignore[attr-defined]

    messages = found()

    assert [message.id for message in messages] == ["spane.E003", "spane.E003"]
    assert {queue for queue in ("slow", "gpu") if f"'{queue}'" in str(messages)} == {"slow", "gpu"}


def test_every_fault_of_a_workflow_is_told(project: ModuleType) -> None:
    flow = Workflow("flow")
    flow.add("a", "no-such-type") >> flow.add("b", "log", {"messsage": 1})
    project.flow = flow  # type: ignore[attr-defined]

    messages = found()

    assert {message.id for message in messages} == {"spane.E010"}
    assert all("workflow 'flow': nodes[" in str(message) for message in messages)
    assert {place for place in ("nodes[0]", "nodes[1]") if place in str(messages)} == {
        "nodes[0]",
        "nodes[1]",
    }


def test_two_workflows_of_one_id_are_an_error(
    project: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ModuleType("spane_django.workflows")
    monkeypatch.setitem(sys.modules, other.__name__, other)
    for module in (project, other):
        flow = Workflow("same")
        flow.add("a", "log", {"message": "hello"})
        module.flow = flow  # type: ignore[attr-defined]

    assert ids() == ["spane.E011"]


class SpreadingRouter:
    """Sends the tables of this package to two databases."""

    def db_for_write(self, model: type, **_: Any) -> str:
        return "other" if model.__name__ == "NodeRun" else "default"


def test_tables_in_two_databases_are_an_error(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [SpreadingRouter()]

    assert ids() == ["spane.E005"]


def test_a_database_without_a_dialect_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(connections["default"]), "vendor", "oracle")

    assert ids() == ["spane.E006"]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite")
def test_sqlite_that_begins_transactions_as_a_reader_is_warned_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", {})

    assert ids() == ["spane.W001"]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite")
@pytest.mark.django_db(transaction=True)
def test_sqlite_without_a_write_ahead_log_is_warned_about() -> None:
    assert checks.check_sqlite_journal(databases=["default"]) == []

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode=DELETE")
    try:
        messages = checks.check_sqlite_journal(databases=["default"])
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")

    assert [message.id for message in messages] == ["spane.W002"]
    assert checks.check_sqlite_journal(databases=None) == []


def test_the_settings_of_the_demo_are_those_that_are_checked() -> None:
    assert django_settings.SPANE is not None
    assert "spane" in django_settings.RQ_QUEUES
