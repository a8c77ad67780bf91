"""What ``SPANE["ALERTS"]`` may hold: whom alerts go to, and what they are about."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """Alerts as the settings want them.

    Attributes:
        MAIL: Addresses, written to by Django's mail from ``SERVER_EMAIL``.
        WEBHOOKS: Addresses that get them as JSON, with a ``text`` as chats want it.
        FAILED_EXECUTIONS: Tell of executions that fail.
        DEAD_LETTERS: Tell of nodes that fail for good though their execution goes on.
        NO_WORKER_SECONDS: Tell of a queue whose work waits so long and that no worker serves;
            None: do not.
        LATENCY_SECONDS: Tell of a queue whose work waits so long, workers or not; None: do not.
        REPEAT_SECONDS: What goes on is told again after so long, not before.
        RESOLVE_SECONDS: What has not happened for so long is over.
        TELL_RESOLVED: Tell also when it is over.
    """

    MAIL: tuple[str, ...] = ()
    WEBHOOKS: tuple[str, ...] = ()
    FAILED_EXECUTIONS: bool = True
    DEAD_LETTERS: bool = True
    NO_WORKER_SECONDS: float | None = field(default=60.0, metadata={"exclusiveMinimum": 0})
    LATENCY_SECONDS: float | None = field(default=300.0, metadata={"exclusiveMinimum": 0})
    REPEAT_SECONDS: float = field(default=3_600.0, metadata={"minimum": 60})
    RESOLVE_SECONDS: float = field(default=600.0, metadata={"minimum": 60})
    TELL_RESOLVED: bool = True

    @property
    def goes_anywhere(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.MAIL or self.WEBHOOKS)
