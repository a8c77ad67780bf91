"""The settings: one dict, ``SPANE``, with every key typed and documented here.

Read live, so that tests may override them.  Unknown keys are an error, with a guess at what was
meant: a misspelt setting must not be ignored.  Redis is configured once, in ``RQ_QUEUES``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .core.alerting import AlertSettings
from .core.json import UnstorableValue, decode, encode
from .core.options import LIMITS
from .core.schema import faults_in, schema_of

# Settings that None turns off.
_OPTIONAL = frozenset({"TENANT_MODEL", "TENANT_RESOLVER", "API_RATE"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What ``SPANE = {...}`` may hold, with the defaults.

    Attributes:
        QUEUE: The queue of nodes whose type and workflow name none; must be in ``RQ_QUEUES``.
        CONCURRENCY: Plain nodes that one worker runs at once, on threads.
        ASYNC_CONCURRENCY: ``async`` nodes that one worker runs at once, on one event loop.
        BATCH: The most nodes that one transaction claims or settles.  Larger batches commit
            less often but hold an execution longer.
        LINGER_SECONDS: How long a drain without work waits before its RQ job ends.
        SLICE_SECONDS: How long a drain works before it hands over to a fresh RQ job, so that
            deploys and other jobs get their turn.
        HEARTBEAT_SECONDS: How often a worker says that it lives.
        LEASE_SECONDS: A worker silent for so long is taken for dead and its nodes run again.
        MAX_LOSSES: A node is given up when so many of its attempts were lost, with their workers,
            (transactional ones) with their transactions, or with the database as they read from it.
        SWEEP_SECONDS: How often the scheduler looks for what nobody woke.
        SHUTDOWN_SECONDS: How long a stopping worker waits for its nodes in flight.
        MAX_NODES: The most nodes of a definition.
        MAX_DEFINITION_BYTES: The largest definition, as JSON.
        MAX_PAYLOAD_BYTES: The largest input of an execution or output of a node, as JSON.  The
            node that receives it holds all of it in memory.
        OFFLOAD_BYTES: An input or an output that is larger, as JSON, goes to the file storage,
            so that rows stay small.  0: never.
        PAYLOAD_STORAGE: Which of Django's ``STORAGES``: a private one, which all workers and
            web servers share.
        KEEP_DAYS: How long executions are kept after they ended, by status, such as
            ``{"completed": 30, "failed": 90}``; without end if theirs is not named.  A
            workflow's ``keepDays`` wins.
        AUDIT_KEEP_DAYS: How long audit entries are kept; 0: for ever.
        ROLLUP_KEEP_DAYS: How long the hourly sums behind the dashboard are kept.
        LIMITS: By node type, what limits its nodes, in the words of a definition: ``max``,
            ``rate``, ``perKey``, ``name`` and ``circuitBreaker``.  It replaces what the type
            says of itself.
        MAX_DEPTH: How deep executions may be nested in each other.
        MAX_CHILDREN: The most executions that one node starts, such as a map its items.
        SCHEDULE_GRACE_SECONDS: A time of a schedule that is noticed so late, or earlier, is
            started whatever becomes of missed ones: another scheduler took over, or it was busy.
        SCHEDULE_DAYS: How long it is remembered which times of schedules were started.
        MAX_BACKFILL: The most times of a schedule that one backfill starts.
        SIGNAL_DAYS: How long a signal is kept that nobody waits for yet.
        MAX_LOG_LINES: The most log lines kept of one attempt; the rest are counted.
        HTTP_ALLOWED_HOSTS: Host names, addresses and networks (CIDR) that ``http`` nodes may
            reach although they are not public.  Empty: public addresses only.
        HTTP_MAX_RESPONSE_BYTES: The largest response that an ``http`` node reads.
        SECRET_KEYS: Fernet keys that secrets are sealed with: the first seals, all of them open.
            Empty: derived from Django's ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS``.
        PREPARE_STATEMENTS: Prepare the engine's statements on PostgreSQL.  False for a PgBouncer
            before 1.21 in transaction mode, which cannot keep them.
        STREAMS: The most event streams that one web server process keeps open; each costs about
            a query a second.
        STREAMS_PER_USER: The most of them that one user has.
        WAITERS: The most requests of one process that wait for the end of what they start; one
            more is answered at once.  Each holds a thread of the web server.  0: none waits.
        DISPATCHER: Dotted path of what wakes workers.
        TENANT_MODEL: The model of tenants, as ``app_label.Model``: the project's own, or the
            built-in ``spane_django.Tenant``.  None: there are no tenants, at no cost.
        TENANT_RESOLVER: Dotted path of a function that takes a user and returns the primary
            keys of the tenants that they may touch, or None for all.  None: the ``users`` of the
            built-in tenants; superusers may touch all.
        TRUSTED_PROXIES: Addresses and networks (CIDR) of proxies whose ``X-Forwarded-For`` is
            believed when a webhook looks at who sends; ``unix`` stands for a local socket.
        WEBHOOK_MAX_BYTES: The largest body that a webhook reads.
        WEBHOOK_KEEP_DAYS: How long what webhooks took in is kept; so long a request that comes
            again is known, too.
        WEBHOOK_MAX_WAIT_SECONDS: The longest that a webhook waits for a result; a web server's
            thread waits with it.
        API_RATE: The most requests of one token, or of one session's user, such as
            ``600/minute``; per second, minute, hour or day.  None: any number.
        METRICS: Count what happens, for ``/metrics``.  Without it there is only what rows tell.
        METRICS_NETWORKS: Networks (CIDR) from which ``/metrics`` and ``/api/autoscaling`` are
            open to whoever connects directly, not through a proxy.  Empty: to nobody.
        TRACING: Trace starts, nodes and settlements with OpenTelemetry.
        ALERTS: Whom the scheduler tells of what goes wrong, and of what; see
            `core.alerting.AlertSettings`.
    """

    QUEUE: str = "spane"
    CONCURRENCY: int = 8
    ASYNC_CONCURRENCY: int = 200
    BATCH: int = 200
    LINGER_SECONDS: float = 5.0
    SLICE_SECONDS: float = 60.0
    HEARTBEAT_SECONDS: float = 5.0
    LEASE_SECONDS: float = 30.0
    MAX_LOSSES: int = 3
    SWEEP_SECONDS: float = 5.0
    SHUTDOWN_SECONDS: float = 20.0
    MAX_NODES: int = 5_000
    MAX_DEFINITION_BYTES: int = 4_194_304
    MAX_PAYLOAD_BYTES: int = 33_554_432
    OFFLOAD_BYTES: int = 262_144
    PAYLOAD_STORAGE: str = "default"
    KEEP_DAYS: Mapping[str, float] = field(default_factory=dict)
    AUDIT_KEEP_DAYS: float = 0.0
    ROLLUP_KEEP_DAYS: float = 90.0
    LIMITS: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    MAX_DEPTH: int = 10
    MAX_CHILDREN: int = 100_000
    SCHEDULE_GRACE_SECONDS: float = 60.0
    SCHEDULE_DAYS: float = 90.0
    MAX_BACKFILL: int = 1_000
    SIGNAL_DAYS: float = 7.0
    MAX_LOG_LINES: int = 1_000
    HTTP_ALLOWED_HOSTS: tuple[str, ...] = ()
    HTTP_MAX_RESPONSE_BYTES: int = 1_048_576
    SECRET_KEYS: tuple[str, ...] = ()
    PREPARE_STATEMENTS: bool = True
    STREAMS: int = 200
    STREAMS_PER_USER: int = 20
    WAITERS: int = 8
    DISPATCHER: str = "spane_django.dispatch.rq.wake"
    TENANT_MODEL: str | None = None
    TENANT_RESOLVER: str | None = None
    TRUSTED_PROXIES: tuple[str, ...] = ()
    WEBHOOK_MAX_BYTES: int = 1_048_576
    WEBHOOK_KEEP_DAYS: float = 30.0
    WEBHOOK_MAX_WAIT_SECONDS: float = 30.0
    API_RATE: str | None = "18000/minute"
    METRICS: bool = False
    METRICS_NETWORKS: tuple[str, ...] = ()
    TRACING: bool = False
    ALERTS: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.LEASE_SECONDS)


@lru_cache(maxsize=1)
def current() -> Settings:
    """Return the settings as they are now.

    Raises:
        ImproperlyConfigured: a key is unknown or a value has the wrong type; all are listed.
    """
    given: dict[str, Any] = getattr(django_settings, "SPANE", {})
    faults = faults_of(given)
    if faults:
        raise ImproperlyConfigured("SPANE: " + "; ".join(faults))
    return Settings(**given)


def faults_of(given: dict[str, Any]) -> list[str]:
    """Return what is wrong with the keys and types of ``SPANE``, as sentences."""
    known = {setting.name: getattr(Settings(), setting.name) for setting in fields(Settings)}
    faults = []
    for key, value in given.items():
        if key not in known:
            guess = difflib.get_close_matches(str(key).upper(), known, n=1)
            hint = f", did you mean '{guess[0]}'?" if guess else ""
            faults.append(f"unknown setting '{key}'{hint}")
        elif value is None and key in _OPTIONAL:
            continue
        elif not _fits(value, known[key]):
            wanted = type("" if known[key] is None else known[key]).__name__
            faults.append(f"'{key}' takes {wanted}, not {type(value).__name__}")
        elif key in _CHECKS:
            faults += _CHECKS[key](value)
    return faults


def _keep_faults(days: dict[str, Any]) -> list[str]:
    """Return what is wrong with days by status."""
    known = ("completed", "failed", "cancelled")
    return [
        f"'KEEP_DAYS' takes days by status ({', '.join(known)}), not {status!r}: {kept!r}"
        for status, kept in days.items()
        if status not in known
        or isinstance(kept, bool)
        or not isinstance(kept, int | float)
        or kept < 0
    ]


def _rate_faults(rate: str) -> list[str]:
    """Return what is wrong with a rate."""
    if re.fullmatch(r"[1-9][0-9]{0,8}/(second|minute|hour|day)", rate):
        return []
    return [f"'API_RATE' takes a rate such as '600/minute', not {rate!r}"]


def _network_faults(networks: Iterable[Any]) -> list[str]:
    """Return what is wrong with networks."""
    faults = []
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            faults.append(f"'METRICS_NETWORKS' takes networks such as '10.0.0.0/8': {error}")
    return faults


def _limit_faults(limits: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with limits by node type."""
    return [str(fault) for fault in faults_in(LIMITS, dict(limits), "LIMITS")]


def _alert_faults(alerts: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with alerts."""
    try:
        value = decode(encode(dict(alerts)))
    except UnstorableValue as error:
        return [f"'ALERTS': {error}"]
    return [str(fault) for fault in faults_in(schema_of(AlertSettings) or {}, value, "ALERTS")]


_CHECKS: dict[str, Callable[[Any], list[str]]] = {
    "KEEP_DAYS": _keep_faults,
    "API_RATE": _rate_faults,
    "METRICS_NETWORKS": _network_faults,
    "LIMITS": _limit_faults,
    "ALERTS": _alert_faults,
}


def _fits(value: object, default: object) -> bool:
    if default is None:
        return isinstance(value, str)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, type(default))
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, type(default))


class _Live:
    """Reads each setting when it is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(current(), name)


settings: Settings = _Live()  # type: ignore[assignment]  # the same names, read live


def alert_settings() -> AlertSettings:
    """Return ``ALERTS`` with the defaults filled in."""
    return AlertSettings(**settings.ALERTS)


def wake_function() -> Any:
    """Return the function that wakes workers: ``wake(queues)``."""
    return import_string(settings.DISPATCHER)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "SPANE":
        current.cache_clear()


setting_changed.connect(_forget, dispatch_uid="spane_django.conf")
