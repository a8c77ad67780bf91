"""Schedules that a definition declares: ``{"type": "schedule", "config": {"cron": "0 9 * * 1"}}``.

The config says when (``cron`` with ``timezone``, ``every`` in milliseconds, ``at`` or ``solar``)
and may say ``name``, ``input``, ``misfire``, ``cap``, ``priority``, ``key``, ``startTime`` and
``expires``.  A trigger is recognised in the next version by its name, else by its place among
the schedules: it keeps its row, whether it is paused, and what it has started.  One that is no
longer declared is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ..core.misfire import Misfire
from ..core.options import NAME
from ..core.schema import Fault, Schema, faults_in
from ..core.starting import KEY_LENGTH
from ..models import Schedule, Workflow
from . import schedules
from .schedules import MOST_MISSED, Wanted
from .solar import Solar
from .timing import Timing, is_timed, timing_faults

_INSTANT: Schema = {"type": "string", "maxLength": 40}
TIMING_PROPERTIES: dict[str, Schema] = {
    "cron": {"type": "string", "minLength": 1, "maxLength": 1_000},
    "timezone": {"type": "string", "minLength": 1, "maxLength": 63},
    "every": {"type": "number", "exclusiveMinimum": 0, "maximum": 3_155_760_000_000},
    "at": _INSTANT,
    "solar": {
        "type": "object",
        "properties": {
            "event": {"type": "string", "maxLength": 24},
            "latitude": {"type": "number"},
            "longitude": {"type": "number"},
        },
        "required": ["event", "latitude", "longitude"],
        "additionalProperties": False,
    },
}
OPTION_PROPERTIES: dict[str, Schema] = {
    "input": {},
    "misfire": {"enum": [policy.value for policy in Misfire]},
    "cap": {"type": "integer", "minimum": 0, "maximum": MOST_MISSED},
    "priority": {"type": ["integer", "null"], "minimum": 1, "maximum": 10},
    "key": {"type": "string", "maxLength": KEY_LENGTH},
    "startTime": {**_INSTANT, "type": ["string", "null"]},
    "expires": {**_INSTANT, "type": ["string", "null"]},
}
_CONFIG: Schema = {
    "type": "object",
    "properties": {"name": NAME, **TIMING_PROPERTIES, **OPTION_PROPERTIES},
    "additionalProperties": False,
}


class ScheduleKind:
    """The triggers of type ``schedule``; see `engine.declared.TriggerKind`."""

    def faults(self, config: Mapping[str, Any], path: str) -> Iterable[Fault]:
        """Return what is wrong with a config."""
        found = [*faults_in(_CONFIG, config, path)]
        found += (_below(fault, path) for fault in instant_faults(config))
        if not found:
            found += (_below(fault, path) for fault in timing_faults(timing_of(config) or Timing()))
        return found

    def align(
        self, workflow: Workflow, configs: Sequence[Mapping[str, Any]], *, now: datetime
    ) -> None:
        """Make the declared schedules of a workflow these."""
        known = {
            schedule.declared: schedule
            for schedule in Schedule.objects.whole().filter(workflow=workflow).exclude(declared="")
        }
        for declared, config in _named(configs):
            found = known.pop(declared, None)
            if found is None:
                _make(workflow, declared, config, now=now)
            else:
                _renew(found, config, now=now)
        for schedule in known.values():
            schedules.delete(schedule.pk, now=now)


def timing_of(given: Mapping[str, Any]) -> Timing | None:
    """Return the timing that JSON says, its instants being without faults; None: it says none."""
    if not TIMING_PROPERTIES.keys() & given.keys():
        return None
    every, sun = given.get("every"), given.get("solar")
    return Timing(
        cron=given.get("cron"),
        timezone=given.get("timezone"),
        every=None if every is None else timedelta(milliseconds=every),
        at=instant_of(given["at"]) if "at" in given else None,
        solar=None if sun is None else Solar(**sun),
    )


def options_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON says of a schedule beside its timing, by the names of `Wanted`."""
    said = {key: given[key] for key in ("name", *OPTION_PROPERTIES) if key in given}
    for wire, name in (("startTime", "start_time"), ("expires", "expires")):
        if wire in said:
            text = said.pop(wire)
            said[name] = None if text is None else instant_of(text)
    return said


def instant_of(text: str) -> datetime:
    """Return the instant of an ISO 8601 text without faults."""
    return datetime.fromisoformat(text).astimezone(UTC)


def instant_faults(
    given: Mapping[str, Any], names: Sequence[str] = ("at", "startTime", "expires")
) -> Iterator[Fault]:
    """Yield the instants of these names that are none, or have no time zone."""
    for name in names:
        text = given.get(name)
        if not isinstance(text, str):
            continue
        try:
            has_zone = datetime.fromisoformat(text).tzinfo is not None
            instant_of(text)
        except (ValueError, OverflowError):
            has_zone = False
        if not has_zone:
            message = "give a time in ISO 8601 with its time zone, such as 2030-01-31T12:00:00Z"
            yield Fault(name, "invalid_time", message)


def _make(workflow: Workflow, declared: str, config: Mapping[str, Any], *, now: datetime) -> None:
    name = schedules.free_name(schedules.called(workflow.key, declared, workflow.tenant))
    wanted = Wanted(
        workflow=workflow.key, timing=timing_of(config), **{**options_of(config), "name": name}
    )
    schedules.create(wanted, now=now, tenant=workflow.tenant, declared=declared)


def _renew(schedule: Schedule, config: Mapping[str, Any], *, now: datetime) -> None:
    """Make a schedule what its config says now; paused, it stays so."""
    before = schedules.wanted_of(schedule)
    wanted = Wanted(
        workflow=before.workflow,
        timing=_changed_timing(schedule, config),
        **{**options_of(config), "name": before.name, "is_enabled": before.is_enabled},
    )
    if wanted != before:
        schedules.change(schedule.pk, wanted, now=now)


def _changed_timing(schedule: Schedule, config: Mapping[str, Any]) -> Timing | None:
    timing = timing_of(config)
    return None if timing is None or is_timed(schedule, timing) else timing


def _named(configs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    taken: set[str] = set()
    for number, config in enumerate(configs, start=1):
        name = str(config.get("name", number))
        while name in taken:
            name = f"{name}'"
        taken.add(name)
        yield name, config


def _below(fault: Fault, path: str) -> Fault:
    return Fault(f"{path}.{fault.path}" if fault.path else path, fault.code, fault.message)
