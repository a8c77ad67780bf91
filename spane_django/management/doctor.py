"""What the doctor looks at: everything between a start and its end, each finding with its fix.

An error keeps workflows from running now; a warning works and will hurt; the rest is said so
that a report is complete.  A part that cannot be examined because another is broken is left out,
the broken one being told.  Nothing here writes, and no finding holds a password.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

from django.conf import settings as django_settings
from django.core import checks
from django.db.models import Exists, OuterRef
from redis.exceptions import RedisError

from ..conf import faults_of, settings
from ..dispatch import rq
from ..dispatch.health import listeners
from ..engine.db import alias, connection
from ..engine.health import Check, Level, check_lag, check_scheduler, live_drains
from ..engine.stats import lags
from ..engine.versions import prepared
from ..models import DeadLetter, NodeRun, Worker, Workflow
from .base import unapplied_migrations
from .showing import lasting

OK, WARNING, ERROR = "ok", "warning", "error"
_LEVELS = {Level.WARN: WARNING, Level.FAIL: ERROR}
_PACKAGES = ("spane-django", "Django", "rq", "django-rq", "redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: ``settings``, ``database``, ``redis``, ``workers``, ``scheduler`` or ``work``.
        level: ``ok``, ``warning`` or ``error``.
        fix: What to do; empty if nothing is to be done.
    """

    area: str
    level: str
    message: str
    fix: str = ""


def examine(*, now: datetime) -> list[Finding]:
    """Look at everything."""
    found = list(_settings())
    given = getattr(django_settings, "SPANE", {})
    if not isinstance(given, dict) or faults_of(given):
        return found
    database = list(_database())
    found += database
    if any(finding.level == ERROR for finding in database):
        return found
    used = _used_queues(now)
    redis = {queue: _redis(queue, used) for queue in {**used, **django_settings.RQ_QUEUES}}
    found += redis.values()
    answering = {queue for queue, finding in redis.items() if finding.level == OK}
    found += _workers(used, answering, now=now)
    for area, check in (("scheduler", check_scheduler), ("work", _lag)):
        found.append(_of_check(area, check, now=now))
    found += _stuck(now)
    found += _dead_letters()
    return found


def _settings() -> Iterator[Finding]:
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{package} {version(package)}" for package in _PACKAGES if _is_known(package)]
    yield Finding(area="settings", level=OK, message=", ".join(versions))
    for told in checks.run_checks():
        if told.level >= checks.WARNING:
            yield _of_message("settings", told)
    if django_settings.DEBUG:
        yield Finding(
            area="settings", level=WARNING, message="DEBUG is on",
            fix="Right for development; turn it off where others can reach the site.",
        )  # fmt: skip


def _of_message(area: str, told: checks.CheckMessage) -> Finding:
    level = ERROR if told.level >= checks.ERROR else WARNING
    text = f"{told.msg} ({told.id})"
    return Finding(area=area, level=level, message=text, fix=told.hint or "")


def _is_known(package: str) -> bool:
    try:
        version(package)
    except ModuleNotFoundError:
        return False
    return True


def _database() -> Iterator[Finding]:
    here = connection()
    try:
        with here.cursor():
            yield Finding(area="database", level=OK, message=_described(here))
        missing = unapplied_migrations()
    except Exception as error:  # every driver has errors of its own
        yield Finding(
            area="database", level=ERROR, message=f"the database does not answer: {error}",
            fix=f"Start it, or correct DATABASES['{alias()}'].",
        )  # fmt: skip
        return
    if missing:
        message = f"{len(missing)} migrations have not been applied: {', '.join(missing[:5])}"
        yield Finding(area="database", level=ERROR, message=message, fix="manage.py migrate")
    for told in checks.run_checks(tags=[checks.Tags.database], databases=[alias()]):
        yield _of_message("database", told)


def _described(here: Any) -> str:
    number = ".".join(map(str, here.get_database_version()))
    if here.vendor != "sqlite":
        given = here.settings_dict
        place = f"{given['HOST'] or 'localhost'}:{given['PORT'] or 'default port'}"
        return f"{here.display_name} {number}, database '{given['NAME']}' at {place}"
    with here.cursor() as cursor:
        pragmas = {
            name: cursor.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "busy_timeout")
        }
    shown = ", ".join(f"{name}={value}" for name, value in pragmas.items())
    return f"SQLite {number} at {here.settings_dict['NAME']} ({shown})"


def _used_queues(now: datetime) -> dict[str, str]:
    """Return the queues that need workers, with who needs them."""
    used = {settings.QUEUE: "SPANE['QUEUE']"}
    current = Workflow.objects.filter(is_enabled=True, current_version__isnull=False)
    for key, version_id in current.values_list("key", "current_version_id"):
        for node in prepared(version_id).nodes.values():
            used.setdefault(node.queue, f"workflow '{key}'")
    for queue in lags(now=now):
        used.setdefault(queue, "nodes that are ready")
    return used


def _redis(queue: str, used: dict[str, str]) -> Finding:
    if queue not in django_settings.RQ_QUEUES:
        return Finding(
            area="redis", level=ERROR,
            message=f"queue '{queue}' of {used[queue]} is not in RQ_QUEUES",
            fix=f"Add RQ_QUEUES['{queue}'], and a worker: manage.py rqworker {queue}",
        )  # fmt: skip
    try:
        number = rq.redis_of(queue).info("server").get("redis_version")
    except (RedisError, OSError) as error:
        return Finding(
            area="redis", level=ERROR,
            message=f"the Redis of queue '{queue}' does not answer: {error}",
            fix="Start it, or correct RQ_QUEUES; for development, manage.py spane_run does.",
        )  # fmt: skip
    unused = "" if queue in used else "; no workflow uses the queue"
    return Finding(
        area="redis", level=OK, message=f"queue '{queue}': Redis {number} answers{unused}"
    )


def _workers(used: dict[str, str], answering: set[str], *, now: datetime) -> Iterator[Finding]:
    drains = live_drains(now=now)
    for queue, user in used.items():
        listening = listeners(queue) if queue in answering else None
        if listening or drains[queue]:
            message = (
                f"queue '{queue}': {listening or 0} RQ workers listen, "
                f"{drains[queue]} drains are at work"
            )
            yield Finding(area="workers", level=OK, message=message)
        elif queue in answering:
            message = f"no worker listens on queue '{queue}', which {user} uses"
            fix = f"manage.py rqworker {queue}"
            yield Finding(area="workers", level=ERROR, message=message, fix=fix)


def _of_check(area: str, check: Callable[..., Check], *, now: datetime) -> Finding:
    result = check(now=now)
    level = _LEVELS.get(result.level, OK)
    if level == OK:
        age = result.facts.get("ageSeconds")
        message = "nothing waits for long" if age is None else f"heard of {age:.0f} s ago"
        return Finding(area=area, level=OK, message=message)
    message, _, fix = result.message.partition(": ")
    return Finding(area=area, level=level, message=message, fix=fix)


def _lag(*, now: datetime) -> Check:
    return check_lag(lags(now=now))


def _stuck(now: datetime) -> Iterator[Finding]:
    at_work = Worker.objects.alive(now - settings.lease).filter(pk=OuterRef("worker_id"))
    orphans = NodeRun.objects.running().filter(~Exists(at_work))
    number = orphans.count()
    if number:
        since = orphans.order_by("started_at").values_list("started_at", flat=True)[0]
        age = f", the oldest since {lasting(now - since)}" if since else ""
        yield Finding(
            area="work", level=WARNING,
            message=f"{number:,} node runs belong to workers that are gone{age}",
            fix="The next sweep makes them run again: see that a scheduler or a worker runs.",
        )  # fmt: skip


def _dead_letters() -> Iterator[Finding]:
    number = DeadLetter.objects.open().count()
    if number:
        yield Finding(
            area="work", level=WARNING,
            message=f"{number:,} dead letters are open: nodes that failed for good",
            fix="manage.py spane_dlq list, then retry or discard them",
        )  # fmt: skip
