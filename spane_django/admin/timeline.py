"""The nodes of one execution in the order of its graph, each with its place in time.

A row exists for every node of the definition: one that nothing has reached yet has no run.  Bars
are parts of one scale, from the start of the execution to its end or to now; they are drawn with
SVG attributes, so that the page needs no style and no script of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils.safestring import SafeString

from ..core.statuses import NodeStatus
from ..engine.versions import prepared
from ..models import Execution, NodeRun
from ..models.story import Span
from .present import brief, chip, length

MOST_ROWS = 150
"""Of the table, those that need a look first; the list of node runs shows the others."""

DONE = (NodeStatus.COMPLETED, NodeStatus.SKIPPED)
SCALE = 1_000.0
_NARROWEST = 4.0
_UNREAD = ("output", "checkpoint", "next_nodes")


@dataclass(frozen=True)
class Bar:
    """A part of the scale: ``kind`` is a status, or ``queued`` for time without a worker."""

    kind: str
    x: str
    width: str


@dataclass
class Row:
    """One node: what became of it and when."""

    node_id: str
    node_type: str
    run: NodeRun | None = None
    chip: SafeString | None = None
    waited: SafeString | None = None
    ran: SafeString | None = None
    error: str = ""
    bars: list[Bar] = field(default_factory=list)


@dataclass
class Timeline:
    """The nodes of an execution.

    Attributes:
        rows: At most `MOST_ROWS`.
        hidden: How many nodes there are beyond them.
        chips: How many node runs there are of each status.
        total: How many nodes the definition has.
        done: How many of them need no more work: completed or skipped.
        length: How long the scale is.
    """

    rows: list[Row]
    hidden: int
    chips: list[SafeString]
    total: int
    done: int
    length: SafeString | None


def timeline_of(execution: Execution, *, now: datetime) -> Timeline:
    """Return the timeline of an execution in a few queries, however many nodes it has."""
    version = prepared(execution.version_id)
    runs = {run.node_id: run for run in execution.node_runs.defer(*_UNREAD)}
    spans: dict[str, list[Span]] = defaultdict(list)
    for span in execution.trace().spans:
        spans[span.node_id].append(span)
    scale = _Scale.of(execution, now)
    ids = version.graph.order()
    chosen = set(sorted(ids, key=lambda node: _is_settled(runs.get(node)))[:MOST_ROWS])
    shown = [Row(node_id, version.nodes[node_id].type) for node_id in ids if node_id in chosen]
    for row in shown:
        if row.node_id in runs:
            _fill(row, runs[row.node_id], spans[row.node_id], scale)
    statuses = Counter(NodeStatus(run.status) for run in runs.values())
    return Timeline(
        rows=shown,
        hidden=len(ids) - len(shown),
        chips=[chip(status, count=statuses[status]) for status in NodeStatus if statuses[status]],
        total=len(ids),
        done=sum(statuses[status] for status in DONE),
        length=length(scale.end - scale.begin) if execution.started_at else None,
    )


def _is_settled(run: NodeRun | None) -> bool:
    return run is None or run.status not in _NEEDS_A_LOOK


_NEEDS_A_LOOK = frozenset(
    {NodeStatus.FAILED, NodeStatus.RUNNING, NodeStatus.WAITING, NodeStatus.READY}
)


def waited(run: NodeRun, now: datetime) -> timedelta | None:
    """Return how long a node run was ready before its last attempt began, or has been so far."""
    if run.available_at is None or run.status in _NEVER_READY:
        return None
    until = now if run.status == NodeStatus.READY else run.started_at
    return None if until is None or until < run.available_at else until - run.available_at


def ran(run: NodeRun, now: datetime) -> timedelta | None:
    """Return how long the last attempt of a node run took, or has taken so far."""
    if run.started_at is None or run.status == NodeStatus.READY:
        return None
    return (run.finished_at or now) - run.started_at


_NEVER_READY = frozenset({NodeStatus.PENDING, NodeStatus.SKIPPED})


@dataclass(frozen=True)
class _Scale:
    begin: datetime
    end: datetime

    @classmethod
    def of(cls, execution: Execution, now: datetime) -> _Scale:
        begin = execution.started_at or execution.created_at
        return cls(begin, max(execution.finished_at or now, begin))

    def bar(self, kind: str, begin: datetime, end: datetime | None) -> Bar:
        left, right = self._place(begin), self._place(end or self.end)
        width = max(right - left, _NARROWEST)
        return Bar(kind, f"{min(left, SCALE - width):.1f}", f"{width:.1f}")

    def _place(self, at: datetime) -> float:
        whole = (self.end - self.begin).total_seconds() or 1.0
        share = (at - self.begin).total_seconds() / whole
        return min(max(share, 0.0), 1.0) * SCALE


def _fill(row: Row, run: NodeRun, spans: Iterable[Span], scale: _Scale) -> None:
    row.run = run
    row.chip = chip(run.status)
    row.waited = length(waited(run, scale.end))
    row.ran = length(ran(run, scale.end))
    row.error = brief(run.error_message or run.reason)
    row.bars = list(_bars(run, spans, scale))


def _bars(run: NodeRun, spans: Iterable[Span], scale: _Scale) -> Iterator[Bar]:
    for span in spans:
        if span.waited:
            yield scale.bar("queued", span.started_at - span.waited, span.started_at)
        yield scale.bar(span.status, span.started_at, span.ended_at)
    if run.status == NodeStatus.READY and run.available_at and run.available_at < scale.end:
        yield scale.bar("queued", run.available_at, scale.end)
