"""The text that Prometheus reads: what rows tell and what processes have counted.

What does not answer is left out and said so (`spane_database_up`, `spane_counters_up`): a scrape
that fails would hide the rest.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import accumulate

from django.db import DatabaseError, InterfaceError
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from redis.exceptions import RedisError

from ..conf import settings
from . import catalogue
from .catalogue import BUCKETS, COUNTERS, DURATION, GAUGES
from .counting import SUM
from .counts import Field, counts, totals
from .gauges import Gauges, Listeners, gauges

logger = logging.getLogger("spane_django.observability")

Sample = tuple[catalogue.Metric, tuple[str, ...], float]


class _Collected:
    """What `prometheus_client` asks for metrics when it writes them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def exposition(listeners: Listeners, *, accept: str, now: datetime) -> tuple[bytes, str]:
    """Return all metrics as text, and the type of the text.

    Args:
        listeners: Asked for each queue.
        accept: What the client takes: the header of that name.
    """
    encode, content_type = choose_encoder(accept)
    text: bytes = encode(_Collected(_metrics(listeners, now=now)))
    return text, content_type


def _metrics(listeners: Listeners, *, now: datetime) -> Iterator[Metric]:
    counted = _counted()
    samples = [
        *_rows(listeners, now=now),
        (catalogue.COUNTERS_UP, (), float(counted is not None)),
    ]
    yield from _gauges(samples)
    yield from _counters(counted or {})
    yield _durations(counted or {})


def _counted() -> dict[Field, float] | None:
    if not settings.METRICS:
        return None
    counts.flush()
    try:
        return totals()
    except (RedisError, OSError, KeyError) as error:
        logger.error("metrics: Redis does not answer: %s", error)
        return None


def _rows(listeners: Listeners, *, now: datetime) -> Iterator[Sample]:
    try:
        found = gauges(listeners, now=now)
    except (DatabaseError, InterfaceError) as error:
        logger.error("metrics: the database does not answer: %s", error)
        yield catalogue.DATABASE_UP, (), 0.0
        return
    yield catalogue.DATABASE_UP, (), 1.0
    yield from _of_queues(found)
    for status, count in found.executions.items():
        yield catalogue.EXECUTIONS, (status,), count
    yield catalogue.OPEN_LETTERS, (), found.open_dead_letters
    if found.scheduler_age_seconds is not None:
        yield catalogue.SCHEDULER_AGE, (), found.scheduler_age_seconds


def _of_queues(found: Gauges) -> Iterator[Sample]:
    for name, queue in found.queues.items():
        yield catalogue.READY, (name,), queue.ready
        yield catalogue.DELAYED, (name,), queue.delayed
        yield catalogue.ACTIVE, (name,), queue.active
        yield catalogue.OLDEST, (name,), queue.latency_seconds
        yield catalogue.DRAINS, (name,), queue.drains
        yield catalogue.WORKERS, (name,), queue.workers


def _gauges(samples: Iterable[Sample]) -> Iterator[Metric]:
    families = {
        metric: GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        for metric in GAUGES
    }
    for metric, labels, value in samples:
        families[metric].add_metric(labels, value)
    yield from families.values()


def _counters(counted: dict[Field, float]) -> Iterator[Metric]:
    families = {
        metric.name: CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        for metric in COUNTERS
    }
    for (name, *labels), value in sorted(counted.items()):
        # A field of another release may have other labels.
        if name in families and len(labels) == len(catalogue.labels_of(name)):
            families[name].add_metric(labels, value)
    yield from families.values()


def _durations(counted: dict[Field, float]) -> Metric:
    by_type: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for field, value in sorted(counted.items()):
        if field[0] == DURATION.name:
            _, node_type, part = field
            by_type[node_type][part] = value
    family = HistogramMetricFamily(DURATION.name, DURATION.help, labels=DURATION.labels)
    bounds = [*map(str, map(float, BUCKETS)), "+Inf"]
    for node_type, parts in by_type.items():
        numbers = accumulate(parts.get(str(place), 0.0) for place in range(len(bounds)))
        buckets = list(zip(bounds, numbers, strict=True))
        family.add_metric([node_type], buckets, sum_value=parts.get(SUM, 0.0))
    return family
