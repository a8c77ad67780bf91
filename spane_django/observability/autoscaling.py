"""The signal for autoscalers: how far behind the workers of each queue are.

Latency, the age of the oldest node run that a worker could take, is what users feel, and the same
for quick and slow nodes; depth is neither.  The estimate is how long what is ready now would take
at the queue's recent throughput, which is known where metrics are counted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from redis.exceptions import RedisError

from ..conf import settings
from .counts import settled_per_second
from .gauges import Listeners, QueueGauges, gauges

logger = logging.getLogger("spane_django.observability")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How a queue is.

    Attributes:
        per_second: Attempts settled per second in the last minute or two; None: nobody counts.
        estimated_seconds: How long what is ready would take at that pace; None: nobody knows.
    """

    queue: QueueGauges
    per_second: float | None = None

    @property
    def estimated_seconds(self) -> float | None:
        if not self.queue.ready:
            return 0.0
        return self.queue.ready / self.per_second if self.per_second else None


def loads(listeners: Listeners, *, now: datetime) -> dict[str, Load]:
    """Return the load of each queue in use."""
    queues = gauges(listeners, now=now).queues
    paces = _paces(list(queues), now=now)
    return {name: Load(queue=queue, per_second=paces.get(name)) for name, queue in queues.items()}


def _paces(queues: list[str], *, now: datetime) -> dict[str, float]:
    if not settings.METRICS:
        return {}
    try:
        return settled_per_second(queues, timestamp=now.timestamp())
    except (RedisError, OSError, KeyError) as error:
        logger.error("autoscaling: Redis does not answer: %s", error)
        return {}
