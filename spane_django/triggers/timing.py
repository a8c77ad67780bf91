"""When a schedule is due: between what people write, the tables of django-celery-beat, and ticks.

* `Timing` is what somebody asks for: one of a crontab, an interval, a time or a solar event.
* `write_timing` keeps it as a row of django-celery-beat, one that is there already if it can.
* `ticks_of` reads a schedule's rows, whoever wrote them, into the ticks that fire.

Crontabs mean what they mean to Celery, whose parser reads them: day of month *and* day of week
must fit, Sunday is 0.  Six fields begin with the seconds, which the schedule keeps itself.  Only
Celery's arithmetic of patterns is used: no app, no broker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from celery.schedules import ParseException, crontab, crontab_parser
from django.apps import apps
from django.conf import settings as django_settings

from ..core.errors import SpaneError
from ..core.schema import Fault
from ..core.ticks import Cron, Every, Once, Ticks, Within
from ..models import Schedule
from .solar import NoEphemeris, Solar

SHORTEST = timedelta(seconds=1)
# In microseconds, a longer one does not fit the column of django-celery-beat.
_FINE = timedelta(minutes=30)
_LONGEST = timedelta(days=36_525)
_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
_MICROSECOND = timedelta(microseconds=1)


class InvalidTiming(SpaneError):
    """The rows of a schedule do not say when it is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When something is to happen; exactly one of the first four is given.

    Attributes:
        cron: Five fields (minute, hour, day of month, month, day of week), or six with the
            seconds before them.
        every: The length of an interval, at least a second.
        at: One instant, aware.
        solar: An event of the sun.
        timezone: Of the crontab, by its IANA name; None: the project's ``TIME_ZONE``.
    """

    cron: str | None = None
    every: timedelta | None = None
    at: datetime | None = None
    solar: Solar | None = None
    timezone: str | None = None


def timing_faults(timing: Timing) -> Iterator[Fault]:
    """Yield what is wrong with a timing."""
    given = [name for name in ("cron", "every", "at", "solar") if getattr(timing, name) is not None]
    if len(given) != 1:
        told = f"not {' and '.join(given)}" if given else "none is given"
        yield Fault("", "one_timing", f"give one of cron, every, at and solar; {told}")
    if timing.cron is not None:
        yield from _cron_faults(timing.cron)
    if timing.every is not None:
        yield from _every_faults(timing.every)
    if timing.at is not None and timing.at.tzinfo is None:
        yield Fault("at", "no_timezone", "say of which time zone it is: 2030-01-31T12:00:00Z")
    if timing.solar is not None:
        yield from _solar_faults(timing.solar)
    if timing.timezone is not None:
        yield from _zone_faults(timing.timezone, has_cron=timing.cron is not None)


def write_timing(timing: Timing) -> dict[str, Any]:
    """Keep a timing without faults; return the fields of the periodic task that point to it."""
    fields: dict[str, Any] = dict.fromkeys(("crontab", "interval", "clocked", "solar"))
    fields["one_off"] = timing.at is not None
    if timing.cron is not None:
        zone = ZoneInfo(timing.timezone or django_settings.TIME_ZONE)
        parts = dict(zip(_FIELDS, timing.cron.split()[-5:], strict=True))
        fields["crontab"] = _kept("CrontabSchedule", **parts, timezone=zone)
    elif timing.every is not None:
        fields["interval"] = _kept("IntervalSchedule", **_periods(timing.every))
    elif timing.at is not None:
        fields["clocked"] = _kept("ClockedSchedule", clocked_time=timing.at)
    elif timing.solar is not None:
        sun = timing.solar
        place = {"latitude": round(sun.latitude, 6), "longitude": round(sun.longitude, 6)}
        fields["solar"] = _kept("SolarSchedule", event=sun.event, **place)
    return fields


def seconds_of(timing: Timing) -> str:
    """Return the seconds of the minute in which a crontab is due: "0" unless it has six fields."""
    fields = (timing.cron or "").split()
    return fields[0] if len(fields) == 6 else "0"


def read_timing(schedule: Schedule) -> Timing | None:
    """Return the timing that a schedule's rows hold; None: they hold none."""
    task: Any = schedule.task
    if task.crontab is not None:
        row = task.crontab
        fields = [schedule.seconds] if schedule.seconds != "0" else []
        fields += [getattr(row, name).replace(" ", "") for name in _FIELDS]
        return Timing(cron=" ".join(fields), timezone=str(row.timezone))
    if task.interval is not None:
        return Timing(every=timedelta(**{task.interval.period: task.interval.every}))
    if task.clocked is not None:
        return Timing(at=task.clocked.clocked_time)
    if task.solar is not None:
        return Timing(solar=_sun(task.solar))
    return None


def is_timed(schedule: Schedule, timing: Timing) -> bool:
    """Say whether a schedule's rows hold this timing already."""
    if timing.cron is not None:
        fields = timing.cron.split()
        fields = fields[1:] if len(fields) == 6 and fields[0] == "0" else fields
        zone = timing.timezone or django_settings.TIME_ZONE
        timing = replace(timing, cron=" ".join(fields), timezone=zone)
    return read_timing(schedule) == timing


def ticks_of(schedule: Schedule) -> Ticks:
    """Return all ticks of a schedule, past ones included, within its start and its end.

    Raises:
        InvalidTiming: its rows cannot be read, or solar events cannot be computed.
    """
    task: Any = schedule.task
    try:
        ticks = _unbounded(schedule)
        ticks.after(schedule.anchor_at)
    except (ValueError, TypeError, ParseException, NoEphemeris) as error:
        raise InvalidTiming(f"schedule '{task.name}': {error}") from error
    return Within(ticks, task.start_time, task.expires)


def describe(schedule: Schedule) -> str:
    """Return when a schedule is due, in a line; another text means another timing."""
    task: Any = schedule.task
    text = _described(schedule)
    if task.start_time is not None:
        text += f", from {task.start_time.isoformat()}"
    if task.expires is not None:
        text += f", until {task.expires.isoformat()}"
    return text


def _described(schedule: Schedule) -> str:
    timing = read_timing(schedule)
    if timing is None:
        return "never"
    if timing.cron is not None:
        return f"{timing.cron} ({timing.timezone})"
    if timing.at is not None:
        return f"at {timing.at.isoformat()}"
    if timing.solar is not None:
        sun = timing.solar
        return f"{sun.event} at {sun.latitude:g}, {sun.longitude:g}"
    row: Any = schedule.task.interval
    return f"every {row.every} {row.period}" if row.every != 1 else f"every {row.period[:-1]}"


def _unbounded(schedule: Schedule) -> Ticks:
    task: Any = schedule.task
    if task.crontab is not None:
        return _cron(task.crontab, schedule.seconds)
    if task.interval is not None:
        period = timedelta(**{task.interval.period: task.interval.every})
        if period < SHORTEST:
            raise ValueError("its interval is shorter than a second")
        return Every(period, task.start_time or schedule.anchor_at)
    if task.clocked is not None:
        return Once(task.clocked.clocked_time)
    if task.solar is not None:
        return _sun(task.solar)
    raise ValueError("it has no crontab, interval, time or solar event")


def _cron(row: Any, seconds: str) -> Cron:
    parsed = crontab(**{name: getattr(row, name).replace(" ", "") for name in _FIELDS})
    return Cron(
        seconds=frozenset(crontab_parser(60).parse(seconds)),
        minutes=frozenset(parsed.minute),
        hours=frozenset(parsed.hour),
        days=frozenset(parsed.day_of_month),
        months=frozenset(parsed.month_of_year),
        weekdays=frozenset(parsed.day_of_week),
        zone=row.timezone if not isinstance(row.timezone, str) else ZoneInfo(row.timezone),
    )


def _cron_faults(text: str) -> Iterator[Fault]:
    fields = text.split()
    if len(fields) not in (5, 6):
        message = (
            f"'{text}' has {len(fields)} fields: give minute, hour, day of month, month and day "
            "of week, and seconds before them if need be"
        )
        yield Fault("cron", "invalid_cron", message)
        return
    limits = {name: _model("CrontabSchedule")._meta.get_field(name).max_length for name in _FIELDS}
    if any(len(field) > limits[name] for name, field in zip(_FIELDS, fields[-5:], strict=True)):
        yield Fault("cron", "invalid_cron", "a field of the crontab is too long")
        return
    try:
        crontab(**dict(zip(_FIELDS, fields[-5:], strict=True)))
        crontab_parser(60).parse(fields[0] if len(fields) == 6 else "0")
    except (ValueError, TypeError, ParseException) as error:
        yield Fault("cron", "invalid_cron", f"'{text}' is no crontab: {error}")


def _every_faults(every: timedelta) -> Iterator[Fault]:
    if not SHORTEST <= every <= _LONGEST:
        yield Fault("every", "out_of_range", "an interval has 1 second to 100 years")
    elif every > _FINE and every % SHORTEST:
        yield Fault("every", "too_fine", "an interval beyond half an hour is of whole seconds")


def _zone_faults(zone: str, *, has_cron: bool) -> Iterator[Fault]:
    if not has_cron:
        yield Fault("timezone", "no_cron", "only a crontab has a time zone")
    elif zone not in available_timezones():
        message = f"'{zone}' is no time zone: use a name such as Europe/Berlin"
        yield Fault("timezone", "unknown_timezone", message)


def _solar_faults(sun: Solar) -> Iterator[Fault]:
    events = dict(_model("SolarSchedule")._meta.get_field("event").choices)
    if sun.event not in events:
        message = f"'{sun.event}' is none of {', '.join(sorted(events))}"
        yield Fault("solar.event", "unknown_event", message)
    for name, value, limit in (("latitude", sun.latitude, 90), ("longitude", sun.longitude, 180)):
        if not -limit <= value <= limit:
            yield Fault(f"solar.{name}", "out_of_range", f"use -{limit} to {limit} degrees")


def _sun(row: Any) -> Solar:
    return Solar(row.event, float(row.latitude), float(row.longitude))


def _periods(length: timedelta) -> dict[str, Any]:
    """Return a length in the largest unit that measures it without a rest."""
    units = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
    for period, seconds in units.items():
        if not length % timedelta(seconds=seconds):
            return {"every": length // timedelta(seconds=seconds), "period": period}
    return {"every": length // _MICROSECOND, "period": "microseconds"}


def _kept(name: str, **values: Any) -> Any:
    """Return the row of these values, one of several if need be, or a new one."""
    rows = _model(name)._default_manager
    return rows.filter(**values).first() or rows.create(**values)


def _model(name: str) -> Any:
    return apps.get_model("django_celery_beat", name)
