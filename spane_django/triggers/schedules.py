"""Schedules: making, changing, pausing and deleting them, and when they will run next.

A schedule is a periodic task of django-celery-beat and the row beside it that says what it
starts; both are written in one transaction, with an entry in the audit trail.  Whoever edits the
periodic task elsewhere, on the pages of django-celery-beat, needs nothing from here: the
scheduler reads the rows.

A pause is for good: what would have been due meanwhile is not made up for.  The same holds for a
timing that has changed: the new one begins now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.apps import apps

from ..clock import now as current_time
from ..core.errors import InvalidInput, SpaneError
from ..core.json import Json, UnstorableValue, encode
from ..core.misfire import Misfire
from ..core.schema import Fault
from ..core.starting import KEY_LENGTH
from ..engine.audit import Owned, record
from ..engine.db import atomic
from ..engine.naming import named
from ..engine.start import UnknownWorkflow
from ..models import Schedule, Workflow
from .timing import (
    InvalidTiming,
    Timing,
    describe,
    seconds_of,
    ticks_of,
    timing_faults,
    write_timing,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

# What a periodic task of ours names as its Celery task; nobody sends it to Celery.
TASK = "spane_django.start_workflow"
NAME_LENGTH = 200
_ROOM_FOR_NUMBER = NAME_LENGTH - 10
MOST_MISSED = 10_000
MOST_RUNS = 1_000


class UnknownSchedule(SpaneError):
    """There is no such schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a schedule is to be.

    Attributes:
        timing: When it is due; None: as it is.
        name: Of its periodic task, unique; "": made of the workflow and the timing.
        input: What executions receive; ``{{ scheduledFor }}`` in its strings becomes the time
            that was due, in ISO 8601.
        misfire: What becomes of times that were missed.
        cap: The most missed times that ``all`` starts.
        priority: None: the workflow's.
        key: "": what the workflow's key finds.
        is_enabled: False: it is paused.
        start_time: Nothing is due before; an interval counts from here.  None: from now.
        expires: Nothing is due from here on.
    """

    workflow: str
    timing: Timing | None = None
    name: str = ""
    input: Json = None
    misfire: Misfire | str = Misfire.ONCE
    cap: int = 100
    priority: int | None = None
    key: str = ""
    is_enabled: bool = True
    start_time: datetime | None = None
    expires: datetime | None = None


def create(
    wanted: Wanted,
    *,
    now: datetime,
    tenant: str = "",
    declared: str = "",
    by: AbstractBaseUser | None = None,
    task: Any = None,
) -> Schedule:
    """Make a schedule.

    Args:
        task: A periodic task that has no schedule yet, which gets one and keeps its timing if
            none is wanted; None: a new one.
        tenant: Who owns it and what it starts.
        declared: Which trigger of the workflow's definition it is; "": none.

    Raises:
        UnknownWorkflow: there is none of this id.
        InvalidInput: with every fault; nothing has been written.
    """
    if task is None:
        task = apps.get_model("django_celery_beat", "PeriodicTask")(task=TASK)
        wanted = replace(wanted, timing=wanted.timing or Timing())
    with atomic():
        schedule = Schedule(
            task=task, tenant=tenant, declared=declared, anchor_at=now, done_until=now,
            created_at=now,
        )  # fmt: skip
        _write(schedule, wanted, now=now)
        record(
            "create_schedule", now=now, by=by, target=target_of(schedule), after=_facts(schedule)
        )
    return schedule


def change(
    schedule_id: int, wanted: Wanted, *, now: datetime, by: AbstractBaseUser | None = None
) -> Schedule:
    """Make a schedule what is wanted; a timing that is not given stays.

    Locks:
        The schedule.

    Raises:
        UnknownSchedule, UnknownWorkflow: there is none.
        InvalidInput: with every fault; nothing has been written.
    """
    with atomic():
        schedule = locked(schedule_id)
        before = _facts(schedule)
        _write(schedule, wanted, now=now)
        record(
            "change_schedule", now=now, by=by, target=target_of(schedule),
            before=before, after=_facts(schedule),
        )  # fmt: skip
    return schedule


def delete(schedule_id: int, *, now: datetime, by: AbstractBaseUser | None = None) -> None:
    """Delete a schedule with its periodic task; executions that it started stay.

    Raises:
        UnknownSchedule: there is none.
    """
    with atomic():
        schedule = locked(schedule_id)
        record(
            "delete_schedule", now=now, by=by, target=target_of(schedule), before=_facts(schedule)
        )
        schedule.task.delete()


def pause(
    schedule_id: int, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> Schedule:
    """Let a schedule start nothing; one that is paused stays so.

    Raises:
        UnknownSchedule: there is none.
    """
    return _switch(schedule_id, False, now=now, by=by, reason=reason)


def resume(
    schedule_id: int, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> Schedule:
    """Let a schedule go on from now; what was due while it was paused is not made up for.

    Raises:
        UnknownSchedule: there is none.
    """
    return _switch(schedule_id, True, now=now, by=by, reason=reason)


def next_runs(schedule: Schedule, n: int = 5, *, now: datetime | None = None) -> list[datetime]:
    """Return the next times at which a schedule starts its workflow, in UTC; none if it is paused.

    They come from the code that fires, so that they are what will happen.

    Raises:
        InvalidTiming: its rows do not say when it is due.
    """
    if schedule.is_paused:
        return []
    most = min(n, 1 if schedule.task.one_off else MOST_RUNS)
    upcoming = runs_after(schedule, max(now or current_time(), schedule.done_until))
    return [tick for tick, _ in zip(upcoming, range(most), strict=False)]


def runs_after(schedule: Schedule, moment: datetime) -> Iterator[datetime]:
    """Yield the ticks of a schedule later than an instant, paused or not."""
    ticks = ticks_of(schedule)
    tick = ticks.after(moment)
    while tick is not None:
        yield tick
        tick = ticks.after(tick)


def problem(schedule: Schedule) -> str:
    """Say why a schedule that is not paused cannot run; empty: it can."""
    try:
        ticks_of(schedule)
    except InvalidTiming as error:
        return str(error)
    if schedule.workflow.current_version_id is None:
        return f"workflow '{schedule.workflow.key}' is archived"
    return "" if schedule.workflow.is_enabled else f"workflow '{schedule.workflow.key}' is disabled"


def wanted_of(schedule: Schedule) -> Wanted:
    """Return what a schedule is, without its timing."""
    task: Any = schedule.task
    return Wanted(
        workflow=schedule.workflow.key,
        name=task.name,
        input=schedule.input,
        misfire=schedule.misfire,
        cap=schedule.misfire_cap,
        priority=schedule.priority,
        key=schedule.key,
        is_enabled=task.enabled,
        start_time=task.start_time,
        expires=task.expires,
    )


def find(schedule_id: int) -> Schedule:
    """Return a schedule with everything that belongs to it.

    Raises:
        UnknownSchedule: there is none.
    """
    found = Schedule.objects.whole().filter(pk=schedule_id).first()
    if found is None:
        raise UnknownSchedule(f"there is no schedule {schedule_id}")
    return found


def name_for(workflow: str, timing: Timing, tenant: str = "") -> str:
    """Return how a schedule is called that has been given no name."""
    when = timing.cron or (timing.solar.event if timing.solar else "")
    if timing.at is not None:
        when = timing.at.isoformat()
    elif timing.every is not None:
        when = f"every {timing.every}"
    return called(workflow, f"{when} {timing.timezone or ''}".strip(), tenant)


def called(workflow: str, name: str, tenant: str) -> str:
    """Return the name of a periodic task that starts a workflow."""
    whose = f" ({tenant})" if tenant else ""
    return f"{workflow}: {name}{whose}"[:_ROOM_FOR_NUMBER]


def free_name(wished: str) -> str:
    """Return a name that no periodic task has: the one that is wished for, or a numbered one."""
    tasks = apps.get_model("django_celery_beat", "PeriodicTask")._default_manager
    found, number = wished, 1
    while tasks.filter(name=found).exists():
        number += 1
        found = f"{wished} #{number}"
    return found


def target_of(schedule: Schedule) -> Owned:
    """Return how the audit trail calls a schedule."""
    return Owned(f"schedule {schedule.pk} ({schedule.task.name})", schedule.tenant)


def locked(schedule_id: int) -> Schedule:
    """Return a schedule that nobody else fires or changes until the transaction ends.

    Raises:
        UnknownSchedule: there is none.
    """
    found = Schedule.objects.whole().select_for_update(of=("self",)).filter(pk=schedule_id).first()
    if found is None:
        raise UnknownSchedule(f"there is no schedule {schedule_id}")
    return found


def notice(schedule: Schedule, *, now: datetime) -> bool:
    """Take note of what has changed since the scheduler looked last; say whether anything has.

    A schedule that has another timing, or has been resumed, begins now: nothing of the past is
    due.
    """
    timing, is_enabled = describe(schedule), bool(schedule.task.enabled)
    if (timing, is_enabled) == (schedule.seen_timing, schedule.seen_enabled):
        return False
    if timing != schedule.seen_timing or is_enabled:
        schedule.done_until = max(schedule.done_until, now)
    schedule.seen_timing, schedule.seen_enabled = timing, is_enabled
    schedule.save(update_fields=["done_until", "seen_timing", "seen_enabled"])
    return True


def _switch(
    schedule_id: int, is_enabled: bool, *, now: datetime, by: AbstractBaseUser | None, reason: str
) -> Schedule:
    with atomic():
        schedule = locked(schedule_id)
        if schedule.task.enabled != is_enabled:
            schedule.task.enabled = is_enabled
            schedule.task.save()
            notice(schedule, now=now)
            verb = "resume_schedule" if is_enabled else "pause_schedule"
            record(verb, now=now, by=by, target=target_of(schedule), reason=reason)
    return schedule


def _write(schedule: Schedule, wanted: Wanted, *, now: datetime) -> None:
    workflow = _workflow(wanted.workflow, schedule.tenant)
    name = wanted.name or schedule.task.name
    if not name:
        name = free_name(name_for(wanted.workflow, wanted.timing or Timing(), schedule.tenant))
    faults = [*_faults(wanted), *_name_faults(name, schedule)]
    if not schedule.declared:
        # A definition of old may be published again; what it says has passed just never runs.
        faults += _past_faults(wanted, now=now)
    if faults:
        raise InvalidInput(faults)
    task: Any = schedule.task
    task.name, task.enabled = name, wanted.is_enabled
    task.start_time, task.expires = wanted.start_time, wanted.expires
    if wanted.timing is not None:
        for field, value in write_timing(wanted.timing).items():
            setattr(task, field, value)
        schedule.seconds = seconds_of(wanted.timing)
    task.save()
    schedule.task, schedule.workflow, schedule.input = task, workflow, wanted.input
    schedule.misfire, schedule.misfire_cap = str(Misfire(wanted.misfire)), wanted.cap
    schedule.priority, schedule.key = wanted.priority, wanted.key
    schedule.save()
    notice(schedule, now=now)


def _workflow(key: str, tenant: str) -> Workflow:
    found = named(key, tenant).first()
    if found is None:
        raise UnknownWorkflow(f"Workflow '{key}' not found: publish its definition first")
    return found


def _faults(wanted: Wanted) -> Iterator[Fault]:
    if wanted.timing is not None:
        yield from timing_faults(wanted.timing)
    try:
        encode(wanted.input)
    except UnstorableValue as error:
        yield Fault("input", "unstorable", str(error))
    yield from _option_faults(wanted)
    for path, at in (("startTime", wanted.start_time), ("expires", wanted.expires)):
        if at is not None and at.tzinfo is None:
            yield Fault(path, "no_timezone", "say of which time zone it is: 2030-01-31T12:00:00Z")


def _option_faults(wanted: Wanted) -> Iterator[Fault]:
    if wanted.misfire not in set(Misfire):
        message = f"'{wanted.misfire}' is none of {', '.join(Misfire)}"
        yield Fault("misfire", "unknown_misfire", message)
    if not 0 <= wanted.cap <= MOST_MISSED:
        yield Fault("cap", "out_of_range", f"use 0 to {MOST_MISSED:,}")
    if wanted.priority is not None and not 1 <= wanted.priority <= 10:
        yield Fault("priority", "out_of_range", "use 1 to 10")
    if len(wanted.key) > KEY_LENGTH or "\x00" in wanted.key:
        yield Fault("key", "out_of_range", f"a key has at most {KEY_LENGTH} characters, no NUL")


def _past_faults(wanted: Wanted, *, now: datetime) -> Iterator[Fault]:
    at = wanted.timing.at if wanted.timing else None
    if at is not None and at.tzinfo is not None and at <= now:
        yield Fault("at", "past", f"{at.isoformat()} has passed: give a time to come")


def _name_faults(name: str, schedule: Schedule) -> Iterator[Fault]:
    if len(name) > NAME_LENGTH or "\x00" in name:
        yield Fault("name", "out_of_range", f"a name has at most {NAME_LENGTH} characters, no NUL")
        return
    tasks = apps.get_model("django_celery_beat", "PeriodicTask")._default_manager
    if tasks.filter(name=name).exclude(pk=schedule.task.pk).exists():
        yield Fault("name", "name_taken", f"another periodic task is called '{name}'")


def _facts(schedule: Schedule) -> dict[str, Json]:
    return {
        "workflow": schedule.workflow.key,
        "timing": describe(schedule),
        "input": schedule.input,
        "misfire": schedule.misfire,
        "enabled": bool(schedule.task.enabled),
    }
