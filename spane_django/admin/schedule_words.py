"""When a schedule is due, for people: in words, and its next runs by the clocks of its zone.

The runs are those that the scheduler will start.  A run before which the clocks have been changed
says so: what is due at 2:30 may be shown as 3:30 on that day, or be an hour nearer to the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from cron_descriptor import FormatException, Options, get_description
from django.apps import apps
from django.utils.timezone import get_current_timezone
from django.utils.translation import get_language, ngettext, to_locale
from django.utils.translation import gettext as _

from ..models import Schedule
from ..triggers.schedules import next_runs
from ..triggers.timing import InvalidTiming, Timing, read_timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A time at which a schedule will run.

    Attributes:
        day: By the calendar of the schedule's time zone.
        time: By its clocks.
        note: That the clocks are changed before it; "": they are not.
    """

    at: datetime
    day: str
    time: str
    note: str


def in_words(schedule: Schedule) -> str:
    """Return when a schedule is due in words; "": its rows do not say."""
    timing = read_timing(schedule)
    if timing is None:
        return ""
    if timing.cron is not None:
        return _cron(timing)
    if timing.at is not None:
        return _("Once")
    if timing.solar is not None:
        row = apps.get_model("django_celery_beat", "SolarSchedule")
        events = dict(row._meta.get_field("event").flatchoices)
        place = f"{timing.solar.latitude:g}°, {timing.solar.longitude:g}°"
        return f"{events.get(timing.solar.event, timing.solar.event)} ({place})"
    return _every(timing.every or timedelta())


def upcoming(schedule: Schedule, count: int, *, now: datetime) -> list[Run]:
    """Return the next runs of a schedule; none if it is paused or its rows cannot be read."""
    try:
        found = next_runs(schedule, count, now=now)
    except InvalidTiming:
        return []
    return list(_marked(found, zone_of(schedule), now))


def zone_of(schedule: Schedule) -> tzinfo:
    """Return the time zone in which people think of a schedule."""
    task: Any = schedule.task
    return task.crontab.timezone if task.crontab is not None else get_current_timezone()


def _marked(runs: list[datetime], zone: tzinfo, now: datetime) -> Iterator[Run]:
    before = now.astimezone(zone).utcoffset()
    for run in runs:
        here = run.astimezone(zone)
        offset = here.utcoffset()
        note = "" if offset == before else _changed(before, offset)
        yield Run(at=run, day=f"{here:%a %Y-%m-%d}", time=f"{here:%H:%M:%S %Z}", note=note)
        before = offset


def _changed(before: timedelta | None, after: timedelta | None) -> str:
    step = (after or timedelta()) - (before or timedelta())
    minutes = abs(int(step.total_seconds() // 60))
    if step > timedelta():
        return _("clocks go forward by %d min before it") % minutes
    return _("clocks go back by %d min before it") % minutes


def _cron(timing: Timing) -> str:
    options = Options()
    options.use_24hour_time_format = True
    locale = to_locale(get_language() or "en")
    options.locale_code = locale if "_" in locale else f"{locale}_{locale.upper()}"
    try:
        return str(get_description(timing.cron, options))
    except FormatException:
        return ""


def _every(length: timedelta) -> str:
    days, rest = divmod(length, timedelta(days=1))
    if not rest:
        return ngettext("Every day", "Every %(count)d days", days) % {"count": days}
    hours, rest = divmod(length, timedelta(hours=1))
    if not rest:
        return ngettext("Every hour", "Every %(count)d hours", hours) % {"count": hours}
    minutes, rest = divmod(length, timedelta(minutes=1))
    if not rest:
        return ngettext("Every minute", "Every %(count)d minutes", minutes) % {"count": minutes}
    seconds = length.total_seconds()
    return _("Every second") if seconds == 1 else _("Every %g seconds") % seconds
