"""Finding what to alert of: what has gone wrong lately, grouped, read from rows.

Failures are looked for in the last hour, among the newest `MOST`, so a scheduler that was away for
less misses none and a flood costs no more than a few; dead letters that somebody has dealt with
are none.  What fails for one reason in one workflow is one finding, however often.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from ..core.alerting import AlertSettings
from ..core.statuses import ExecutionStatus
from ..engine.health import live_drains
from ..engine.stats import lags
from ..models import Alert, DeadLetter, Execution
from .gauges import Listeners

LOOK_BACK = timedelta(hours=1)
MOST = 1_000

_MESSAGE_CHARACTERS = 500


@dataclass(slots=True, kw_only=True)
class Finding:
    """One kind of trouble.

    Attributes:
        last_at: When it was last seen.
        executions: In which it was seen, with the last one first.
    """

    rule: str
    last_at: datetime
    tenant: str = ""
    workflow: str = ""
    error_type: str = ""
    queue: str = ""
    message: str = ""
    executions: list[UUID] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The same for the same kind of trouble."""
        parts = (self.rule, self.tenant, self.workflow, self.error_type, self.queue)
        return "|".join(part.replace("|", "||") for part in parts)


@dataclass(frozen=True, slots=True)
class _Failure:
    tenant: str
    workflow: str
    error_type: str
    message: str
    execution_id: UUID
    at: datetime


def find(options: AlertSettings, listeners: Listeners, *, now: datetime) -> list[Finding]:
    """Return everything that is or was wrong lately."""
    return [*_grouped(_failures(options, now=now)), *_queues(options, listeners, now=now)]


def _failures(options: AlertSettings, *, now: datetime) -> Iterator[_Failure]:
    letters = list(_letters(now))
    failed = list(_failed(now)) if options.FAILED_EXECUTIONS else []
    ids = {failure.execution_id for failure in failed}
    # Of what has failed as a whole, its dead letters say why.
    reasons = {letter.execution_id: letter for letter in letters if letter.execution_id in ids}
    yield from (reasons.get(failure.execution_id, failure) for failure in failed)
    if options.DEAD_LETTERS:
        yield from (letter for letter in letters if letter.execution_id not in ids)


def _letters(now: datetime) -> Iterator[_Failure]:
    newest = DeadLetter.objects.open().order_by("-id")[:MOST]
    columns = (
        "execution__tenant", "execution__workflow__key", "error_type", "error_message",
        "execution_id", "created_at",
    )  # fmt: skip
    rows = [_Failure(*row) for row in newest.values_list(*columns)]
    return (row for row in rows if row.at >= now - LOOK_BACK)


def _failed(now: datetime) -> Iterator[_Failure]:
    """Yield executions that have failed and have no dead letter, or an open one."""
    failed = Execution.objects.filter(
        status=ExecutionStatus.FAILED, finished_at__gte=now - LOOK_BACK
    )
    newest = failed.order_by("-finished_at")[:MOST]
    rows = list(newest.values_list("tenant", "workflow__key", "reason", "id", "finished_at"))
    letters = DeadLetter.objects.filter(execution_id__in=[row[3] for row in rows])
    is_dealt_with: dict[UUID, bool] = {}
    for key, resolved_at in letters.values_list("execution_id", "resolved_at"):
        is_dealt_with[key] = is_dealt_with.get(key, True) and resolved_at is not None
    for tenant, workflow, reason, key, at in rows:
        if at is not None and not is_dealt_with.get(key, False):
            yield _Failure(tenant, workflow, "", reason, key, at)


def _grouped(failures: Iterable[_Failure]) -> Iterator[Finding]:
    groups: defaultdict[tuple[str, str, str], list[_Failure]] = defaultdict(list)
    for failure in failures:
        groups[failure.tenant, failure.workflow, failure.error_type].append(failure)
    for (tenant, workflow, error_type), group in groups.items():
        group.sort(key=lambda failure: failure.at, reverse=True)
        yield Finding(
            rule=Alert.Rule.FAILURES,
            tenant=tenant,
            workflow=workflow,
            error_type=error_type,
            message=group[0].message[:_MESSAGE_CHARACTERS],
            executions=list(dict.fromkeys(failure.execution_id for failure in group)),
            last_at=group[0].at,
        )


def _queues(options: AlertSettings, listeners: Listeners, *, now: datetime) -> Iterator[Finding]:
    waited = lags(now=now)
    drains = live_drains(now=now)
    for queue, seconds in waited.items():
        is_served = drains[queue] or listeners(queue)
        if not is_served and _is_over(seconds, options.NO_WORKER_SECONDS):
            said = f"no worker serves the queue, and work has waited for {seconds:.0f} s"
            yield Finding(rule=Alert.Rule.NO_WORKER, queue=queue, message=said, last_at=now)
        elif _is_over(seconds, options.LATENCY_SECONDS):
            said = f"work has waited for {seconds:.0f} s: start more workers"
            yield Finding(rule=Alert.Rule.LATENCY, queue=queue, message=said, last_at=now)


def _is_over(seconds: float, limit: float | None) -> bool:
    return limit is not None and seconds > limit
