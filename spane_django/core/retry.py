"""When a failed node is run again: the policy, and the arithmetic of its waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from .outcome import Failure


class Backoff(StrEnum):
    """How the wait grows from one attempt to the next."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a failed node is run again.

    Attributes:
        attempts: Runs in all, the first included; at least 1.
        backoff: Exponential multiplies the wait by ``factor`` each time, linear adds ``base``,
            fixed keeps it.
        base: Wait before the second attempt.
        factor: Of the exponential backoff.
        ceiling: No wait is longer than this.
        jitter: Up to this fraction of the wait is taken off at random, so that nodes that
            failed together do not come back together.  0 (default): none.
        retry_on: Names of exception classes (bases count); empty: every failure is retried.
        give_up_on: Names of exception classes that are never retried; wins over ``retry_on``.

    The defaults, three attempts and exponential waits from one second, are the seed's.
    """

    attempts: int = 3
    backoff: Backoff = Backoff.EXPONENTIAL
    base: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    ceiling: timedelta = timedelta(hours=1)
    jitter: float = 0.0
    retry_on: tuple[str, ...] = ()
    give_up_on: tuple[str, ...] = ()

    def allows(self, failure: Failure, *, failures: int) -> bool:
        """Say whether a node that has now failed ``failures`` times may run again."""
        if not failure.is_retryable or failures >= self.attempts:
            return False
        names = set(failure.exception_types) | {failure.type}
        if names & set(self.give_up_on):
            return False
        return not self.retry_on or bool(names & set(self.retry_on))

    def wait(self, *, failures: int, chance: float = 0.0) -> timedelta:
        """Return the wait after the ``failures``-th failure (1 = the first).

        Args:
            chance: A random number in [0, 1), which the jitter is measured by.
        """
        match self.backoff:
            case Backoff.EXPONENTIAL:
                seconds = self.base.total_seconds() * self.factor ** min(failures - 1, 64)
            case Backoff.LINEAR:
                seconds = self.base.total_seconds() * failures
            case Backoff.FIXED:
                seconds = self.base.total_seconds()
        seconds = min(seconds, self.ceiling.total_seconds())
        return timedelta(seconds=seconds * (1 - self.jitter * chance))


DEFAULT = Retry()


def retry_from(config: Mapping[str, Any], default: Retry = DEFAULT) -> Retry:
    """Read a node's policy from its JSON, ``retryPolicy`` or the shorter ``retries``.

    ``retries: n`` means n more runs after the first; ``retryPolicy.maxAttempts`` counts all of
    them.  Waits are milliseconds, as everywhere on the wire.  What is absent keeps ``default``.
    """
    given = config.get("retryPolicy") or {}
    backoff = given.get("backoff") or {}
    attempts = given.get("maxAttempts")
    if attempts is None:
        attempts = config["retries"] + 1 if "retries" in config else default.attempts
    return Retry(
        attempts=attempts,
        backoff=Backoff(backoff.get("type", default.backoff)),
        base=_milliseconds(backoff.get("delay"), default.base),
        factor=backoff.get("factor", default.factor),
        ceiling=_milliseconds(backoff.get("maxDelay"), default.ceiling),
        jitter=backoff.get("jitter", default.jitter),
        retry_on=tuple(given.get("retryOn", default.retry_on)),
        give_up_on=tuple(given.get("giveUpOn", default.give_up_on)),
    )


def _milliseconds(value: float | None, default: timedelta) -> timedelta:
    return default if value is None else timedelta(milliseconds=value)
