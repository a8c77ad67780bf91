"""What people read of alerts: a message for all that is due, as a mail and as JSON.

It names workflows, error classes, messages as the dead letters show them, and an execution to
look at; no input and no output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.json import Json
from ..models import Alert

_SUBJECT_CHARACTERS = 150


@dataclass(frozen=True, slots=True)
class Notice:
    """A message.

    Attributes:
        body: The same for programs; its ``text`` is what chats show.
    """

    subject: str
    text: str
    body: dict[str, Json]


def notice_of(alerts: Sequence[Alert]) -> Notice:
    """Return the message that tells of alerts, what happens most first."""
    alerts = sorted(alerts, key=lambda alert: -alert.count)
    heads = [_head(alert) for alert in alerts]
    more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
    # A name may hold line breaks, a header must not.
    first = " ".join(heads[0].split())[:_SUBJECT_CHARACTERS]
    text = "\n\n".join(map(_paragraph, heads, alerts))
    body: dict[str, Json] = {"text": text, "alerts": [_present(alert) for alert in alerts]}
    return Notice(subject=f"[workflows] {first}{more}", text=text, body=body)


def _head(alert: Alert) -> str:
    over = "over: " if alert.resolved_at else ""
    if alert.rule == Alert.Rule.FAILURES:
        whose = f" of tenant '{alert.tenant}'" if alert.tenant else ""
        why = alert.error_type or "no dead letter"
        return f"{over}workflow '{alert.workflow_key}'{whose} fails: {why}"
    what = "has no worker" if alert.rule == Alert.Rule.NO_WORKER else "is behind"
    return f"{over}queue '{alert.queue}' {what}"


def _paragraph(head: str, alert: Alert) -> str:
    lines = [head]
    if alert.resolved_at is not None:
        lines.append(f"last seen {alert.last_at:%Y-%m-%d %H:%M:%S} UTC")
        return "\n".join(lines)
    if alert.rule == Alert.Rule.FAILURES:
        number = f"{alert.count:,} execution{'s' if alert.count > 1 else ''} in the last hour"
        lines.append(f"{number}, the last at {alert.last_at:%Y-%m-%d %H:%M:%S} UTC")
        lines.append(f"look at it: manage.py spane_show {alert.execution_id}")
    lines.append(alert.message)
    return "\n".join(lines)


def _present(alert: Alert) -> dict[str, Json]:
    return {
        "rule": alert.rule,
        "status": "resolved" if alert.resolved_at else "open",
        "tenant": alert.tenant or None,
        "workflowId": alert.workflow_key or None,
        "errorType": alert.error_type or None,
        "queue": alert.queue or None,
        "message": alert.message,
        "count": alert.count,
        "executionId": str(alert.execution_id) if alert.execution_id else None,
        "openedAt": alert.opened_at.isoformat(),
        "lastAt": alert.last_at.isoformat(),
        "resolvedAt": alert.resolved_at.isoformat() if alert.resolved_at else None,
    }
