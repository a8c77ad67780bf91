"""The catalogue: every metric that is exported, its labels and what it means.

Labels are names that people gave to a bounded number of things (a workflow, a node type, a
queue) or one of a few words; never an id.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Attributes:
        name: As it is exported; that of a counter without its ending ``_total``.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()


# How long nodes take, in seconds: from what only computes to what waits for people.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800)

# What there may be too many of; see `counts`.
NAMES = frozenset({"workflow", "node_type", "queue"})

STARTED = Metric("spane_executions_started", "Executions that have begun.", ("workflow",))
FINISHED = Metric(
    "spane_executions_finished", "Executions that have ended.", ("workflow", "status")
)
ATTEMPTS = Metric(
    "spane_node_attempts",
    "Attempts of nodes that have ended: completed, failed (for good), retried, lost (with their "
    "worker) or waiting (they go on later).",
    ("queue", "node_type", "outcome"),
)
RETRIES = Metric(
    "spane_node_retries", "Attempts after which a node runs again.", ("workflow", "node_type")
)
DEAD_LETTERS = Metric(
    "spane_dead_letters", "Nodes that have failed for good.", ("workflow", "node_type")
)
LEASE_LOSSES = Metric(
    "spane_lease_losses", "Nodes taken back from workers that died.", ("queue", "node_type")
)
REFUSED = Metric(
    "spane_answers_refused", "Answers that came after somebody else had taken the node over."
)
COUNTERS = (STARTED, FINISHED, ATTEMPTS, RETRIES, DEAD_LETTERS, LEASE_LOSSES, REFUSED)

DURATION = Metric("spane_node_duration_seconds", "How long attempts of nodes took.", ("node_type",))

READY = Metric("spane_queue_ready", "Node runs that are due, up to a bound.", ("queue",))
DELAYED = Metric(
    "spane_queue_delayed", "Node runs that wait for a time: a retry, a delay.", ("queue",)
)
ACTIVE = Metric("spane_queue_active", "Node runs that workers hold, up to a bound.", ("queue",))
OLDEST = Metric(
    "spane_queue_latency_seconds",
    "How long the oldest node run that a worker could take has been waiting; 0: none is.",
    ("queue",),
)
DRAINS = Metric("spane_drains", "Workers at work, by their heartbeats.", ("queue",))
WORKERS = Metric(
    "spane_workers", "Workers at work or listening, as far as Redis answers.", ("queue",)
)
EXECUTIONS = Metric(
    "spane_executions", "Executions that have not ended, up to a bound.", ("status",)
)
OPEN_LETTERS = Metric(
    "spane_dead_letters_open", "Dead letters that nobody has dealt with, up to a bound."
)
SCHEDULER_AGE = Metric(
    "spane_scheduler_age_seconds", "Since when the leading scheduler has been silent."
)
DATABASE_UP = Metric("spane_database_up", "Whether the database answers.")
COUNTERS_UP = Metric("spane_counters_up", "Whether counters are kept and Redis answers.")
GAUGES = (
    READY, DELAYED, ACTIVE, OLDEST, DRAINS, WORKERS, EXECUTIONS, OPEN_LETTERS, SCHEDULER_AGE,
    DATABASE_UP, COUNTERS_UP,
)  # fmt: skip

_BY_NAME = {metric.name: metric for metric in (*COUNTERS, DURATION)}


def labels_of(name: str) -> tuple[str, ...]:
    """Return the labels of a counter or a histogram; none if it is not known (any more)."""
    return _BY_NAME[name].labels if name in _BY_NAME else ()
