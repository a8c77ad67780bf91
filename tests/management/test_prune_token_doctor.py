"""Housekeeping: old executions go, tokens are shown once, the doctor finds what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings
from redis import Redis
from rq import Queue, Worker

from spane_django.dispatch import embedded
from spane_django.engine.start import start
from spane_django.engine.tokens import find
from spane_django.engine.workers import enlist, lead, step_down
from spane_django.models import ApiToken, DeadLetter, Execution, LogLine, NodeRun, Signal
from tests.management.conftest import ask

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_what_ended_long_ago_is_deleted_with_all_that_belongs_to_it(
    completed: Execution, failed: Execution
) -> None:
    at = datetime.now(UTC)
    running = start("line", now=at - timedelta(days=90))
    _age(failed, timedelta(days=31))

    answer = ask("spane_prune", "--older-than", "30d")

    assert answer.out == "deleted 1 executions\n"
    assert set(Execution.objects.all()) == {completed, running}
    for model in (NodeRun, DeadLetter, LogLine):
        assert not model.objects.filter(execution_id=failed.pk).exists()


def test_a_dry_run_deletes_nothing(completed: Execution) -> None:
    _age(completed, timedelta(days=31))

    answer = ask("spane_prune", "--older-than", "30d", "--dry-run", "--json")

    assert answer.json == {"prunable": 1, "pruned": 0, "dryRun": True}
    assert Execution.objects.exists()


def test_status_workflow_and_batches(completed: Execution, failed: Execution) -> None:
    _age(completed, timedelta(days=9))
    _age(failed, timedelta(days=9))

    other = ask("spane_prune", "--older-than", "1w", "--workflow", "other", "--json").json
    some = ask("spane_prune", "--older-than", "1w", "--status", "completed", "--json").json
    rest = ask("spane_prune", "--older-than", "1w", "--batch", 1, "--json").json

    assert [other["pruned"], some["pruned"], rest["pruned"]] == [0, 1, 1]


@pytest.mark.parametrize(
    "arguments",
    [["--older-than", "long"], ["--older-than", "1d", "--status", "running"],
     ["--older-than", "1d", "--batch", "0"], ["--orphans", "--workflow", "line"]],
)  # fmt: skip
def test_pruning_refuses_what_makes_no_sense(arguments: list[str]) -> None:
    assert ask("spane_prune", *arguments).code == 2


def test_without_options_what_has_outlived_its_keep_is_deleted(
    completed: Execution, failed: Execution, settings: Settings
) -> None:
    settings.SPANE = {**settings.SPANE, "KEEP_DAYS": {"completed": 7}}
    at = datetime.now(UTC)
    _age(completed, timedelta(days=8))
    _age(failed, timedelta(days=8))
    Signal.objects.create(name="old", created_at=at, expires_at=at - timedelta(days=1))

    dry = ask("spane_prune", "--dry-run")
    answer = ask("spane_prune", "--json")

    assert dry.out == "would delete 1 executions and 1 expired signals\n"
    assert answer.json == {"prunable": 1, "pruned": 1, "signals": 1, "dryRun": False}
    assert list(Execution.objects.all()) == [failed]


def test_files_without_an_execution_are_deleted_when_they_are_old(
    db: None, tmp_path: Path, settings: Settings
) -> None:
    settings.MEDIA_ROOT = tmp_path
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for day in ("2020-01-01", today):
        (tmp_path / "spane" / day).mkdir(parents=True)
        (tmp_path / "spane" / day / "x.json").write_text("1")

    dry = ask("spane_prune", "--orphans", "--dry-run")
    answer = ask("spane_prune", "--orphans", "--json")

    assert dry.out == "would delete 1 files\n"
    assert answer.json == {"orphans": 1, "deleted": 1, "dryRun": False}
    assert [path.parent.name for path in tmp_path.rglob("*.json")] == [today]


def test_a_token_is_printed_once_and_only_its_hash_is_kept() -> None:
    user = User.objects.create_user("alice")

    answer = ask("spane_token", "alice", "--name", "import", "--days", 7)

    token = answer.out.strip()
    record = find(token, now=datetime.now(UTC))
    assert re.fullmatch(r"spane_[A-Za-z0-9_-]{43}", token)
    assert record is not None
    assert (record.user, record.name) == (user, "import")
    assert find(token, now=datetime.now(UTC) + timedelta(days=8)) is None
    assert token not in str(ApiToken.objects.values().get())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody"], 1, "There is no user 'nobody'"),
        (["retired"], 1, "not active"),
        (["retired", "--days", "-1"], 2, "above 0"),
    ],
)
def test_a_token_that_would_be_of_no_use_is_not_made(
    arguments: list[str], code: int, said: str
) -> None:
    User.objects.create_user("retired", is_active=False)

    answer = ask("spane_token", *arguments)

    assert (answer.code, said in answer.err) == (code, True)
    assert not ApiToken.objects.exists()


@pytest.fixture
def redis(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """A Redis of the test's own, which ``RQ_QUEUES`` names."""
    with embedded.start(tmp_path) as server, Redis.from_url(server.url) as client:
        settings.RQ_QUEUES = {"spane": {"URL": server.url}}
        yield client


def test_a_queue_without_a_worker_is_told_how_to_get_one(line: str, redis: Redis) -> None:
    found = {item["area"]: item for item in ask("spane_doctor", "--json").json}

    assert found["workers"]["level"] == "error"
    assert found["workers"]["fix"] == "manage.py rqworker spane"


def test_a_site_without_redis_and_scheduler_is_told_how_to_get_them(
    line: str, tmp_path: Path, settings: Settings
) -> None:
    settings.RQ_QUEUES = {"spane": {"URL": f"unix://{tmp_path}/no.sock"}}

    answer = ask("spane_doctor", "--json")

    found = {(item["area"], item["level"]): item for item in answer.json}
    assert answer.code == 1
    assert "does not answer" in found["redis", "error"]["message"]
    assert "spane_run" in found["redis", "error"]["fix"]
    assert "spane_scheduler" in found["scheduler", "warning"]["fix"]


def test_a_site_that_is_well_has_no_errors(line: str, redis: Redis) -> None:
    now = datetime.now(UTC)
    lead("scheduler", "me", now=now, duration=timedelta(seconds=15))
    worker = Worker([Queue("spane", connection=redis)], connection=redis)
    worker.register_birth()  # type: ignore[no-untyped-call]

    answer = ask("spane_doctor", "--json")

    assert answer.code == 0, answer.out
    said = " ".join(item["message"] for item in answer.json)
    assert "Redis" in said
    assert "1 RQ workers listen" in said
    assert str(connection.settings_dict["NAME"]) in said


def test_a_drain_at_work_is_a_worker_without_redis(line: str, redis: Redis) -> None:
    enlist("a-drain", "spane", pid=1, now=datetime.now(UTC))

    levels = {item["area"]: item["level"] for item in ask("spane_doctor", "--json").json}

    assert levels["workers"] == "ok"


def test_a_queue_that_nobody_configured_is_an_error(line: str, redis: Redis) -> None:
    start(line, now=datetime.now(UTC))
    NodeRun.objects.update(queue="gpu")

    answer = ask("spane_doctor")

    assert answer.code == 1
    assert "queue 'gpu' of nodes that are ready is not in RQ_QUEUES" in answer.out
    assert "Add RQ_QUEUES['gpu']" in answer.out


def test_a_silent_scheduler_is_an_error(line: str, redis: Redis) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    lead("scheduler", "me", now=long_ago, duration=timedelta(seconds=15))
    step_down("scheduler", "me", now=long_ago)

    levels = {item["area"]: item["level"] for item in ask("spane_doctor", "--json").json}

    assert levels["scheduler"] == "error"


def test_orphans_dead_letters_and_lag_are_found(failed: Execution, redis: Redis) -> None:
    at = datetime.now(UTC)
    waiting = start("line", now=at - timedelta(hours=2))
    orphan = start("line", now=at)
    NodeRun.objects.filter(execution=orphan).update(
        status="running", worker_id=orphan.pk, claim_token=orphan.pk, started_at=at
    )
    NodeRun.objects.filter(execution=waiting).update(available_at=at - timedelta(hours=2))

    said = ask("spane_doctor").out

    assert "1 node runs belong to workers that are gone" in said
    assert "1 dead letters are open" in said
    assert "node runs wait for 7200 s in 'spane'" in said


def test_faulty_settings_are_all_that_is_told(settings: Settings) -> None:
    settings.SPANE = {"CONCURENCY": 8}

    answer = ask("spane_doctor")

    assert answer.code == 1
    assert "did you mean 'CONCURRENCY'?" in answer.out
    assert "database" not in answer.out


def test_missing_tables_are_told(line: str) -> None:
    applied = MigrationRecorder(connection).migration_qs.filter(app="spane_django")
    before = list(applied)
    applied.delete()
    try:
        answer = ask("spane_doctor")
    finally:
        applied.bulk_create(before)

    assert answer.code == 1
    assert "spane_django.0001_initial" in answer.out
    assert "manage.py migrate" in answer.out


def _age(execution: Execution, age: timedelta) -> None:
    Execution.objects.filter(pk=execution.pk).update(finished_at=datetime.now(UTC) - age)
