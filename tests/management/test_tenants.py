"""Commands act for a tenant when they are told one, and for what all share when not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from spane_django.engine.run import utc_now
from spane_django.engine.tokens import find
from spane_django.models import ApiToken, Execution, Signal, Tenant, Workflow
from tests.management.conftest import ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wakes")]

FLOW = {"id": "flow", "name": "Flow", "entryNodeId": "a"}


@pytest.fixture(autouse=True)
def tenancy(settings: Settings, db: None) -> None:
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}
    for key in ("acme", "other"):
        Tenant.objects.create(key=key, name=key.title())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    node = {"id": "a", "type": "log", "config": {"message": "hello"}}
    path = tmp_path / "flow.json"
    path.write_text(json.dumps({**FLOW, "nodes": [node]}))
    return path


def test_a_workflow_is_published_started_listed_and_exported_for_a_tenant(file: Path) -> None:
    ask("spane_publish", str(file))
    ask("spane_publish", str(file), "--tenant", "acme")

    started = ask("spane_start", "flow", "--tenant", "acme", "--json").json
    shared = ask("spane_start", "flow", "--tenant", "other", "--json").json
    mine = ask("spane_list", "executions", "--tenant", "acme", "--json").json
    listed = ask("spane_list", "workflows", "--json").json
    exported = ask("spane_export", "--all", "--tenant", "acme", "--format", "json").json

    own, theirs = (Execution.objects.get(pk=one["executionId"]) for one in (started, shared))
    assert (own.tenant, own.workflow.tenant) == ("acme", "acme")
    assert (theirs.tenant, theirs.workflow.tenant) == ("other", "")
    assert [one["executionId"] for one in mine] == [started["executionId"]]
    assert [one.get("tenant") for one in listed] == [None, "acme"]
    assert [one["id"] for one in exported] == ["flow"]


def test_versions_and_signals_are_those_of_the_tenant(file: Path) -> None:
    ask("spane_publish", str(file), "--tenant", "acme")

    unknown = ask("spane_versions", "list", "flow")
    archived = ask("spane_versions", "archive", "flow", "--yes", "--tenant", "acme")
    ask("spane_signal", "paid", "--key", "7", "--tenant", "acme")

    assert (unknown.code, archived.code) == (1, 0)
    assert Workflow.objects.get().current_version is None
    assert Signal.objects.get().tenant == "acme"


def test_executions_of_one_tenant_are_pruned_alone(file: Path) -> None:
    ask("spane_publish", str(file))
    for tenant in ("acme", "other"):
        ask("spane_start", "flow", "--tenant", tenant)
    Execution.objects.update(status="completed", finished_at="2020-01-01T00:00Z", active_nodes=0)

    answer = ask("spane_prune", "--older-than", "1d", "--tenant", "acme", "--json")

    assert answer.json["pruned"] == 1
    assert Execution.objects.get().tenant == "other"


@pytest.mark.parametrize("command", [("spane_start", "flow"), ("spane_prune",), ("spane_list",)])
def test_a_tenant_that_is_none_is_told(command: tuple[str, ...]) -> None:
    answer = ask(*command, "--tenant", "nobody")

    assert (answer.code, "There is no tenant 'nobody'" in answer.err) == (2, True)


def test_a_token_has_a_scope_and_a_tenant_and_is_listed_rotated_and_revoked() -> None:
    User.objects.create_user("alice")
    made = ask(
        "spane_token", "alice", "--scope", "execute", "--tenant", "acme", "--name", "import"
    ).out.strip()
    token = ApiToken.objects.get()

    (listed,) = ask("spane_token", "--list", "alice", "--json").json
    rotated = ask("spane_token", "--rotate", str(token.pk), "--grace-hours", "1").out.strip()
    both = [find(secret, now=utc_now()) for secret in (made, rotated)]
    shown = ask("spane_token", "--list").out
    revoked = ask("spane_token", "--revoke", str(token.pk))
    again = ask("spane_token", "--revoke", str(token.pk))

    assert (listed["scope"], listed["tenant"], listed["name"]) == ("execute", "acme", "import")
    assert both == [token, token]
    assert "import" in shown
    assert made not in shown
    assert (revoked.code, again.code) == (0, 1)
    assert [find(secret, now=utc_now()) for secret in (made, rotated)] == [None, None]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["alice", "--tenant", "nobody"], 1),
        (["alice", "--scope", "root"], 2),
        (["--rotate", "99"], 1),
        (["--list", "--revoke", "1"], 2),
    ],
)
def test_a_token_that_cannot_be_is_not_made(arguments: list[str], code: int) -> None:
    User.objects.create_user("alice")

    assert ask("spane_token", *arguments).code == code
    assert not ApiToken.objects.exists()
