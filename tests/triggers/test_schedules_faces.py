"""Schedules over HTTP, from the command line and in Python: one of each kind, one truth."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django_celery_beat.models import PeriodicTask

import spane_django
from spane_django import InvalidInput, Solar
from spane_django.clock import telling
from spane_django.models import AuditEntry, Execution, Schedule, ScheduledStart
from spane_django.triggers.fire import fire
from spane_django.triggers.schedules import find
from tests.api.conftest import Api, MakeApi, api_of, make_user  # noqa: F401 - fixtures
from tests.management.conftest import ask
from tests.triggers.clockwork_stage import BEGIN, DAY, HOUR, MINUTE, SECOND, flow, made, starts

pytestmark = pytest.mark.django_db

URL = "/api/triggers/schedules"
RIGHTS = (
    "view_schedule", "add_schedule", "change_schedule", "delete_schedule", "run_schedule",
    "view_payload",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _published(wakes: list[str]) -> Any:
    flow()
    with telling(lambda: BEGIN):
        yield


@pytest.fixture
def api(api_of: MakeApi) -> Api:  # noqa: F811 - the fixture of that name
    return api_of(*RIGHTS)


def send(api: Api, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {api.token}"}
    data = b"" if body is None else json.dumps(body).encode()
    return api.client.generic(method, path, data, "application/json", headers=headers)


def test_a_schedule_is_made_shown_changed_and_deleted_over_http(api: Api):
    body = {
        "workflowId": "flow", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "cap": 7,
        "input": {"a": 1}, "misfire": "all", "expires": "2031-01-01T00:00:00Z",
    }  # fmt: skip
    created = send(api, "POST", URL, body)
    assert created.status_code == 201, created.content
    one = f"{URL}/{created.json()['id']}"

    changed = send(api, "PATCH", one, {"timezone": "Asia/Kolkata", "name": "report"}).json()
    listed = send(api, "GET", f"{URL}?workflow=flow").json()["results"]
    gone = send(api, "DELETE", one)

    shown = created.json()
    assert {key: shown[key] for key in body} == body
    assert shown["nextRuns"][0] == "2030-01-02T01:30:00Z"
    assert len(shown["nextRuns"]) == 5
    assert (changed["cron"], changed["name"]) == ("30 2 * * *", "report")
    assert changed["nextRuns"][0] == "2030-01-01T21:00:00Z"
    assert listed == [changed]
    assert gone.status_code == 204
    assert send(api, "GET", one).status_code == 404
    assert not PeriodicTask.objects.exists()


@pytest.mark.parametrize(
    ("timing", "first"),
    [
        ({"every": 1500}, "2030-01-01T12:00:01.500000Z"),
        ({"at": "2030-02-01T00:00:00+01:00"}, "2030-01-31T23:00:00Z"),
        ({"solar": {"event": "solar_noon", "latitude": 0, "longitude": 0}}, "2030-01-01T12:03"),
        ({"cron": "15 0 12 1 1 *"}, "2030-01-01T12:00:15Z"),
    ],
)
def test_every_kind_of_timing_goes_over_the_wire(api: Api, timing: dict[str, Any], first: str):
    shown = send(api, "POST", URL, {"workflowId": "flow", **timing}).json()

    assert shown["nextRuns"][0].startswith(first)
    assert shown["problem"] == ""


def test_a_schedule_is_paused_resumed_and_run_over_http(api: Api):
    schedule = made()
    one = f"{URL}/{schedule.pk}"

    paused = send(api, "POST", f"{one}/pause", {"reason": "holidays"}).json()
    run = send(api, "POST", f"{one}/run")
    resumed = send(api, "POST", f"{one}/resume").json()

    assert (paused["enabled"], paused["nextRuns"]) == (False, [])
    assert resumed["enabled"] is True
    assert run.status_code == 202
    assert Execution.objects.get().trigger == f"schedule:{schedule.pk}"
    assert AuditEntry.objects.filter(reason="holidays").exists()


def test_what_was_started_last_is_told(api: Api):
    schedule = made()
    fire(schedule.pk, now=BEGIN + 30 * MINUTE)
    execution = Execution.objects.get()

    shown = send(api, "GET", f"{URL}/{schedule.pk}").json()
    rows = send(api, "GET", f"{URL}/{schedule.pk}/starts").json()["results"]

    wanted = {
        "scheduledFor": "2030-01-01T12:30:00Z", "executionId": str(execution.pk), "error": "",
    }  # fmt: skip
    assert shown["lastStart"] == wanted
    assert wanted.items() <= rows[0].items()


def test_next_runs_are_told_in_any_number(api: Api):
    schedule = made()

    runs = send(api, "GET", f"{URL}/{schedule.pk}/next-runs?count=30").json()["nextRuns"]

    assert len(runs) == 30
    assert send(api, "GET", f"{URL}/{schedule.pk}/next-runs?count=0").status_code == 400
    assert send(api, "GET", f"{URL}/{schedule.pk}/next-runs?count=x").status_code == 400


def test_a_backfill_is_previewed_and_starts_each_time_once(api: Api):
    schedule = made(input="{{ scheduledFor }}")
    one = f"{URL}/{schedule.pk}/backfill"
    day = {"start": "2029-12-31T00:00:00Z", "end": "2029-12-31T05:00:00Z"}

    asked = send(api, "POST", one, {**day, "dryRun": True}).json()
    nothing_yet = Execution.objects.count()
    first = send(api, "POST", one, day).json()
    second = send(api, "POST", one, {**day, "end": "2029-12-31T06:00:00Z"}).json()

    assert asked == {"missing": 5, "known": 0, "started": 0, "refused": 0}
    assert nothing_yet == 0
    assert (first["started"], second["started"], second["known"]) == (5, 1, 5)
    inputs = set(Execution.objects.values_list("input", flat=True))
    assert inputs == {f"2029-12-31T0{hour}:30:00Z" for hour in range(6)}
    assert set(ScheduledStart.objects.values_list("is_backfill", flat=True)) == {True}


def test_a_backfill_that_is_too_long_or_makes_no_sense_starts_nothing(api: Api, settings: Any):
    settings.SPANE = {**settings.SPANE, "MAX_BACKFILL": 3}
    one = f"{URL}/{made().pk}/backfill"

    for start, end, code in (
        ("2029-12-31T00:00:00Z", "2029-12-31T04:00:00Z", "too_many_times"),
        ("2029-12-31T04:00:00Z", "2029-12-31T04:00:00Z", "empty_range"),
        ("2031-12-31T00:00:00Z", "2031-12-31T04:00:00Z", "ahead"),
        ("2029-12-31T00:00:00", "2029-12-31T04:00:00Z", "invalid_time"),
    ):
        answer = send(api, "POST", one, {"start": start, "end": end})
        assert (answer.status_code, answer.json()["error"]["details"][0]["code"]) == (400, code)
    assert not Execution.objects.exists()


def test_what_was_backfilled_ahead_of_the_scheduler_is_not_fired_again(api: Api):
    schedule = made()
    late = BEGIN + 31 * MINUTE
    with telling(lambda: late):
        spane_django.backfill_schedule(schedule, BEGIN, late)

    fire(schedule.pk, now=late)

    assert starts(schedule) == [BEGIN + 30 * MINUTE]
    assert Execution.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"workflowId": "flow"},
        {"workflowId": "flow", "cron": "* * * * *", "every": 1000},
        {"workflowId": "flow", "cron": "nonsense"},
        {"workflowId": "flow", "every": 1},
        {"workflowId": "flow", "every": True},
        {"workflowId": "flow", "at": "tomorrow"},
        {"workflowId": "flow", "at": "2000-01-01T00:00:00Z"},
        {"workflowId": "flow", "at": "9999-12-31T23:59:59-12:00"},
        {"workflowId": "flow", "cron": "* * * * *", "timezone": "Nowhere"},
        {"workflowId": "flow", "cron": "* * * * *", "colour": "red"},
        {"workflowId": "flow", "cron": "* * * * *", "startTime": "0001-01-01T00:00:00+12:00"},
        {"workflowId": "flow", "solar": {"event": "sunrise", "latitude": 1e300, "longitude": 0}},
    ],
)
def test_a_body_that_makes_no_sense_is_refused_with_its_faults(api: Api, body: dict[str, Any]):
    answer = send(api, "POST", URL, body)

    assert answer.status_code == 400, answer.content
    assert answer.json()["error"]["details"]
    assert not Schedule.objects.exists()


def test_an_unknown_workflow_or_schedule_is_not_found(api: Api):
    body = {"workflowId": "none", "cron": "* * * * *"}

    assert send(api, "POST", URL, body).status_code == 404
    assert send(api, "POST", f"{URL}/99/pause").status_code == 404
    assert send(api, "GET", f"{URL}/x").status_code == 404


def test_the_input_is_shown_to_those_who_may_see_payloads(api_of: MakeApi):  # noqa: F811
    made(input={"secret": 1})

    (shown,) = send(api_of("view_schedule"), "GET", URL).json()["results"]

    assert (shown["input"], shown["payloadsHidden"]) == (None, True)


def test_the_command_lists_schedules_with_their_next_five_runs():
    made(name="often")
    made(name="rests", is_enabled=False)

    told, as_json = ask("spane_schedules"), ask("spane_schedules", "list", "--json").json

    assert told.out.count("2030-01-01 1") == 5
    assert "paused" in told.out
    assert [len(row["nextRuns"]) for row in as_json] == [5, 0]


def test_the_command_makes_pauses_runs_backfills_and_deletes():
    added = ask(
        "spane_schedules", "add", "flow", "--cron", "0 * * * *", "--timezone", "UTC", "--json"
    ).json
    key = added["id"]

    assert ask("spane_schedules", "pause", key, "--json").json["enabled"] is False
    assert ask("spane_schedules", "resume", key).out.count("2030-01-01 1") == 5
    assert ask("spane_schedules", "run", key).code == 0
    span = ("--from", "2029-12-31T00:00", "--until", "2029-12-31T02:30")
    assert "3 would be started" in ask("spane_schedules", "backfill", key, *span, "--dry-run").out
    assert "3 started" in ask("spane_schedules", "backfill", key, *span).out
    assert Execution.objects.count() == 4
    assert ask("spane_schedules", "delete", key).code == 0
    assert not Schedule.objects.exists()


def test_the_command_says_what_is_wrong():
    assert ask("spane_schedules", "pause").code == 2
    assert ask("spane_schedules", "pause", "x").code == 2
    assert ask("spane_schedules", "pause", "9").code == 1
    assert "at least" not in ask("spane_schedules", "add", "flow").err
    assert "give one of cron" in ask("spane_schedules", "add", "flow").err
    assert ask("spane_schedules", "backfill", "1").code == 2
    assert ask("spane_schedules", "add", "flow", "--at", "tomorrow").code == 2


def test_said_twice_in_python_it_is_one_schedule():
    first = spane_django.schedule("flow", cron="0 9 * * 1", timezone="UTC")
    spane_django.pause_schedule(first)

    second = spane_django.schedule("flow", cron="0 9 * * 1", timezone="UTC")

    assert second == first
    assert second.is_paused
    assert AuditEntry.objects.filter(verb="change_schedule").count() == 0


def test_said_differently_under_its_name_it_changes():
    first = spane_django.schedule("flow", every=HOUR, name="mine", input={"n": 1})

    second = spane_django.schedule("flow", cron="0 9 * * 1", timezone="UTC", name="mine")

    assert second == first
    assert spane_django.next_runs(find(first.pk), 1) == [datetime(2030, 1, 7, 9, tzinfo=UTC)]
    assert (find(first.pk).input, PeriodicTask.objects.count()) == (None, 1)


def test_python_runs_resumes_and_deletes_schedules():
    schedule = spane_django.schedule("flow", solar=Solar("sunset", 52.5, 13.4), key="berlin")

    execution = spane_django.run_schedule(schedule)
    spane_django.pause_schedule(schedule.pk)
    spane_django.resume_schedule(schedule)
    spane_django.delete_schedule(schedule)

    assert execution.key == "berlin"
    assert not Schedule.objects.exists()
    with pytest.raises(InvalidInput):
        spane_django.schedule("flow", every=SECOND / 3)


DECLARED: dict[str, Any] = {"type": "schedule", "config": {"every": 60_000, "name": "beat"}}


def test_a_definition_declares_its_schedules_and_the_next_version_replaces_them():
    flow(triggers=[DECLARED, {"type": "schedule", "config": {"cron": "0 9 * * *"}}])
    beat = Schedule.objects.get(declared="beat")
    spane_django.pause_schedule(beat)
    by_hand = made(name="by hand")

    flow(triggers=[{"type": "schedule", "config": {"every": 90_000, "name": "beat"}}])

    (kept,) = Schedule.objects.whole().exclude(declared="")
    assert kept == beat
    assert kept.is_paused
    assert kept.task.interval.every == 90
    assert Schedule.objects.filter(pk=by_hand.pk).exists()
    assert PeriodicTask.objects.count() == 2


def test_an_archived_workflow_declares_nothing_any_more():
    flow(triggers=[DECLARED])

    spane_django.archive_workflow("flow")

    assert not PeriodicTask.objects.exists()


def test_an_earlier_version_that_is_activated_brings_its_schedules_back():
    flow(triggers=[DECLARED])
    flow(triggers=[])
    assert not Schedule.objects.exists()

    spane_django.activate_version("flow", 2)

    assert Schedule.objects.get().declared == "beat"


def test_a_definition_with_a_faulty_schedule_is_refused_with_its_path():
    with pytest.raises(spane_django.InvalidDefinition) as refused:
        flow(triggers=[DECLARED, {"type": "schedule", "config": {"cron": "99 * * * *"}}])

    assert [fault.path for fault in refused.value.faults] == ["triggers[1].config.cron"]


def test_a_declared_time_that_has_passed_can_be_published_and_never_runs():
    flow(triggers=[{"type": "schedule", "config": {"at": "2000-01-01T00:00:00Z"}}])

    schedule = Schedule.objects.whole().get()
    fire(schedule.pk, now=BEGIN + DAY)

    assert starts(schedule) == []
    assert spane_django.next_runs(schedule) == []


def test_a_backfill_can_reach_far_before_an_interval_was_made():
    schedule = spane_django.schedule("flow", every=timedelta(hours=6))

    spane_django.backfill_schedule(schedule, BEGIN - DAY, BEGIN)

    assert starts(schedule) == [BEGIN - DAY + n * 6 * HOUR for n in range(4)]
