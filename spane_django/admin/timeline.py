"""What each node of an execution did and when: the rows of its timeline.

There is a row for each node that has been reached, in the order in which they began, then one for
each of the others.  A row is made of bars, one for each stretch of its time:

* queued: it was ready and no worker had taken it;
* waited: for a timer, a signal, an approval, its children, or its next attempt;
* an attempt, in the colour of what became of it.

Of a node that has waited and gone on, the wait is told from its release on.  The scale is that of
`scale`: stretches in which nothing ran are shortened.  What a node has started (sub-workflows,
items of a map) stands under it when it is opened, `MOST_CHILDREN` at most.

What is shown is said by the address, see `Asked`: `?attempt=`, `?finished=`, `?gaps=`, `?rows=`,
`?nested=`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ..core.statuses import ExecutionStatus, NodeStatus
from ..engine.versions import PreparedVersion, prepared
from ..models import Execution, NodeRun
from ..models.story import Span, failures, spans
from .present import ICONS, WORDS, brief, chip, length, page_of, query, short_id, spelled
from .scale import Break, Label, Scale
from .stretches import Bar, Stretches, drawn, stretches_of

MOST_ROWS = 250
MOST_CHILDREN = 50
_MOST_ATTEMPTS = 12

DONE = (NodeStatus.COMPLETED, NodeStatus.SKIPPED)
_READ = (
    "execution_id", "node_id", "node_type", "status", "reason", "attempt", "signal_name",
    "failures_tolerated", "error_message", "created_at", "available_at", "started_at",
    "finished_at",
)  # fmt: skip
_ANCHOR = "#spane-timeline"


@dataclass(frozen=True)
class Asked:
    """What the address says about the timeline.

    Attributes:
        attempt: Only this attempt of each node; None: all.
        hides_finished: Leave out what needs no more work.
        is_even: Draw long stretches in which nothing ran as long as they were.
        part: Which `MOST_ROWS` rows, from 1; 0: those with the node that is looked at.
        nested: Nodes whose children are shown.
    """

    request: HttpRequest
    site: str
    selected: str = ""
    attempt: int | None = None
    hides_finished: bool = False
    is_even: bool = False
    part: int = 0
    nested: frozenset[str] = frozenset()

    @classmethod
    def by(cls, request: HttpRequest, site: str, selected: str) -> Asked:
        """Return what a request asks for; what makes no sense is as if it were not there."""
        given = request.GET
        return cls(
            request,
            site,
            selected,
            attempt=number(given.get("attempt", "")) or None,
            hides_finished=given.get("finished") == "hide",
            is_even=given.get("gaps") == "show",
            part=number(given.get("rows", "")),
            nested=frozenset(given.getlist("nested")),
        )

    def url(self, anchor: str = _ANCHOR, **changes: Any) -> str:
        """Return the page's address with some of it changed."""
        return f"{query(self.request, **changes)}{anchor}"


def number(text: str) -> int:
    """Return a number of the address that no database finds too large; 0: it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


@dataclass
class Row:
    """One node: what became of it and when.

    Attributes:
        url: Of the page with this node looked at.
        children: Those of its children that are shown.
        nested: How many it has of each status; empty: none.
        nested_url: Shows them, or no longer.
        is_plain: Its columns say all that its bars do.
    """

    node_id: str
    node_type: str
    url: str
    status: str = ""
    icon: str = ""
    said: str = ""
    attempts: int = 0
    queued: str = ""
    waited: str = ""
    ran: str = ""
    error: str = ""
    bars: list[Bar] = field(default_factory=list)
    children: list[Row] = field(default_factory=list)
    nested: list[SafeString] = field(default_factory=list)
    nested_url: str = ""
    is_opened: bool = False
    is_plain: bool = True
    more: int = 0


@dataclass
class Choice:
    """A link that changes what the timeline shows; ``is_on``: it shows that now."""

    text: str
    url: str
    is_on: bool = False


@dataclass
class Timeline:
    """The nodes of an execution.

    Attributes:
        total: How many nodes the definition has.
        done: How many of them need no more work: completed or skipped.
        chips: How many node runs there are of each status.
        length: How long the scale is.
        begin: When it begins.
        choices: Links that change what is shown.
        parts: Links to the other rows, if there are more than `MOST_ROWS`.
        hidden: How many rows the choices leave out.
    """

    rows: list[Row]
    total: int
    done: int
    chips: list[SafeString]
    length: SafeString | None
    begin: datetime
    labels: list[Label]
    breaks: list[Break]
    choices: list[Choice]
    parts: list[Choice]
    hidden: int


def timeline_of(execution: Execution, asked: Asked, *, now: datetime) -> Timeline:
    """Return the timeline of an execution in a few queries, however many nodes it has."""
    known = _Known(execution, prepared(execution.version_id), now)
    wanted = [node for node in known.order() if known.is_wanted(node, asked)]
    part = asked.part or _part_with(asked.selected, wanted)
    scale = known.scale(is_even=asked.is_even)
    shown = wanted[(part - 1) * MOST_ROWS : part * MOST_ROWS]
    rows = [known.row(node, asked, scale) for node in shown]
    known.nest(rows, asked, scale)
    statuses = Counter(NodeStatus(run.status) for run in known.runs.values())
    return Timeline(
        rows=rows,
        total=len(known.version.nodes),
        done=sum(statuses[status] for status in DONE),
        chips=[chip(status, count=statuses[status]) for status in NodeStatus if statuses[status]],
        length=length(scale.end - scale.begin) if execution.started_at else None,
        begin=scale.begin,
        labels=scale.labels(),
        breaks=scale.breaks(),
        choices=list(_choices(asked, known, scale)),
        parts=_parts(asked, len(wanted), part),
        hidden=len(known.version.nodes) - len(wanted),
    )


def _part_with(node_id: str, wanted: list[str]) -> int:
    return 1 + wanted.index(node_id) // MOST_ROWS if node_id in wanted else 1


def _parts(asked: Asked, count: int, part: int) -> list[Choice]:
    firsts = range(0, count, MOST_ROWS) if count > MOST_ROWS else ()
    return [
        Choice(
            f"{first + 1}\u2013{min(first + MOST_ROWS, count)}",
            asked.url(rows=str(index)),
            is_on=index == part,
        )
        for index, first in enumerate(firsts, start=1)
    ]


def _choices(asked: Asked, known: _Known, scale: Scale) -> Iterator[Choice]:
    finished = [] if asked.hides_finished else "hide"
    yield Choice(_("Hide finished"), asked.url(finished=finished, rows=[]), asked.hides_finished)
    if scale.long:
        gaps = [] if asked.is_even else "show"
        yield Choice(_("Full length of pauses"), asked.url(gaps=gaps), asked.is_even)
    most = max(known.attempts(), asked.attempt or 1)
    if most > 1:
        yield Choice(_("All attempts"), asked.url(attempt=[], rows=[]), asked.attempt is None)
    for attempt in range(1, min(most, _MOST_ATTEMPTS) + 1) if most > 1 else ():
        url = asked.url(attempt=str(attempt), rows=[])
        yield Choice(_("Attempt %d") % attempt, url, asked.attempt == attempt)


class _Known:
    """What the rows of an execution say, read once."""

    def __init__(self, execution: Execution, version: PreparedVersion, now: datetime) -> None:
        self.execution = execution
        self.version = version
        self.end = execution.finished_at or now
        self.runs: dict[str, NodeRun] = {
            run.node_id: run for run in execution.node_runs.only(*_READ)
        }
        failed = failures(execution)
        self.spans: dict[str, list[Span]] = {
            node: spans(run, failed) for node, run in self.runs.items()
        }
        self.children = _count_children(execution)

    def order(self) -> list[str]:
        """Return the nodes in the order in which they began, then those that have not."""
        began = {node: spans[0].started_at for node, spans in self.spans.items() if spans}
        far = self.end + timedelta(days=1)

        def first(node: str) -> datetime:
            run = self.runs.get(node)
            ready = run.available_at if run is not None and run.status in _COMES else None
            return began.get(node) or max(ready or far, self.end)

        return sorted(self.version.graph.order(), key=first)

    def is_wanted(self, node: str, asked: Asked) -> bool:
        run = self.runs.get(node)
        if asked.hides_finished and run is not None and run.status in DONE:
            return False
        tried = (span.attempt for span in self.spans.get(node, ()))
        return asked.attempt is None or asked.attempt in tried

    def attempts(self) -> int:
        """Return the highest number that an attempt of any node has."""
        return max((span.attempt for found in self.spans.values() for span in found), default=0)

    def scale(self, *, is_even: bool) -> Scale:
        begin = self.execution.started_at or self.execution.created_at
        work = [
            (span.started_at, span.ended_at or self.end)
            for found in self.spans.values()
            for span in found
            if span.status != NodeStatus.WAITING
        ]
        work += [
            (found.first, found.last or self.end) for found in self.children.values() if found.first
        ]
        return Scale(begin, self.end, work, is_even=is_even)

    def row(self, node: str, asked: Asked, scale: Scale) -> Row:
        """Return the row of a node, without its children."""
        row = Row(node, self.version.nodes[node].type, asked.url("#spane-node", node=node))
        run = self.runs.get(node)
        if run is None:
            return row
        found = self.spans[node]
        times = stretches_of(run, found, released_at=self._released_at(node), now=self.end)
        if asked.attempt is not None:
            found = [span for span in found if span.attempt == asked.attempt]
            times = times.of(asked.attempt)
        _tell(row, times, scale)
        _say(row, run.status)
        row.attempts = len(found)
        row.error = brief(_error(run, found, asked))
        if run.pk in self.children:
            row.nested = self.children[run.pk].chips()
            row.is_opened = node in asked.nested
            row.nested_url = asked.url(nested=sorted(asked.nested ^ {node}))
        return row

    def nest(self, rows: Iterable[Row], asked: Asked, scale: Scale) -> None:
        """Add the children of those rows that are opened."""
        for row in rows:
            if row.is_opened:
                run = self.runs[row.node_id]
                found = run.children.select_related("workflow").defer("input")
                first = found.order_by("parent_round", "item", "id")[:MOST_CHILDREN]
                row.children = [_child(child, asked.site, scale) for child in first]
                row.more = self.children[run.pk].count - len(row.children)

    def _released_at(self, node: str) -> datetime:
        """Return when a node was reached by the last of its parents."""
        run = self.runs[node]
        parents = self.version.graph.parents[node]
        if len(parents) < 2:
            return run.created_at
        ends = (self.runs[parent].finished_at for parent in parents if parent in self.runs)
        return max((end for end in ends if end), default=run.created_at)


_COMES = (NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.WAITING)


def _error(run: NodeRun, found: list[Span], asked: Asked) -> str:
    if asked.attempt is not None:
        return found[0].error if found else ""
    return run.error_message or run.reason


def _say(row: Row, status: str) -> None:
    row.status, row.icon, row.said = status, ICONS[status], str(WORDS[status])


def _tell(row: Row, times: Stretches, scale: Scale) -> None:
    row.bars = drawn(times, scale, row.status)
    row.queued, row.waited, row.ran = (
        "" if span is None else spelled(span) for span in times.sums()
    )
    row.is_plain = len({bar.kind for bar in row.bars}) == len(row.bars)


def _child(child: Execution, site: str, scale: Scale) -> Row:
    name = short_id(child.pk) if child.item is None else f"#{child.item}"
    row = Row(name, child.workflow.name, page_of(Execution, child.pk, site))
    _say(row, child.status)
    row.error = brief(child.reason)
    _tell(row, Stretches.of_execution(child, scale.end), scale)
    return row


@dataclass
class _Children:
    """The executions that one node has started."""

    counts: dict[str, int] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    is_open: bool = False

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def chips(self) -> list[SafeString]:
        return [chip(status, count=count) for status, count in self.counts.items()]


def _count_children(execution: Execution) -> Mapping[int, _Children]:
    found: dict[int, _Children] = defaultdict(_Children)
    counted = execution.children.filter(parent_run__isnull=False).order_by("parent_run", "status")
    for run, status, count, first, last in counted.values_list("parent_run", "status").annotate(
        Count("pk"), Min("started_at"), Max("finished_at")
    ):
        children = found[run]
        children.counts[status] = count
        children.is_open |= not ExecutionStatus(status).is_final
        children.first = min(filter(None, (children.first, first)), default=None)
        children.last = max(filter(None, (children.last, last)), default=None)
    for children in found.values():
        if children.is_open:
            children.last = None
    return found


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
