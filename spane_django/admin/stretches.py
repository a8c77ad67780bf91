"""The time of one node, cut into stretches: in a queue, waiting for something, at work.

A node run keeps when it last became available and when its last attempt began; attempts that
failed keep their own times.  What lies before an attempt is told from these: from the end of the
attempt before it, or from the node's release, until it was available it waited; from then on it
was queued.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from ..core.statuses import NodeStatus
from ..models import Execution, NodeRun
from ..models.story import Span
from .present import WORDS, spelled
from .scale import WHOLE, Scale, percent

QUEUED, WAITED = "queued", "waited"
# A settlement takes some time: what is shorter was no wait.
_SLACK = timedelta(milliseconds=100)
_NARROWEST = 0.5
_APPROVAL, _SIGNAL, _CHILDREN = "approval", "wait", {"sub-workflow", "map", "loop"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch as it is drawn: ``text`` says what it was.

    Attributes:
        look: The class that gives it its look; empty: that of the row.
    """

    kind: str
    look: str
    x: str
    width: str
    text: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time: ``kind`` is `QUEUED`, `WAITED` or the status of an attempt.

    Attributes:
        attempt: The attempt that it is, or leads to.
        text: What it was, in words and without its length.
    """

    kind: str
    begin: datetime
    end: datetime
    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class Stretches:
    """All of a node's time, in its order."""

    all: list[Stretch] = field(default_factory=list)

    def of(self, attempt: int) -> Stretches:
        """Return what belongs to one attempt."""
        return Stretches([one for one in self.all if one.attempt == attempt])

    def sums(self) -> tuple[timedelta | None, timedelta | None, timedelta | None]:
        """Return how long it was queued, waited and was at work; None: not at all."""
        spent: list[timedelta | None] = [None, None, None]
        for one in self.all:
            place = _PLACES.get(one.kind, 2)
            spent[place] = (spent[place] or timedelta()) + (one.end - one.begin)
        return spent[0], spent[1], spent[2]

    @classmethod
    def of_execution(cls, execution: Execution, now: datetime) -> Stretches:
        """Return the time of a child: until it started, and from then on."""
        begun, ended = execution.started_at, execution.finished_at or now
        found = []
        if (begun or ended) > execution.created_at:
            until = begun or ended
            found.append(Stretch(QUEUED, execution.created_at, until, 1, _("not started")))
        if begun is not None:
            said = str(WORDS[execution.status])
            found.append(Stretch(execution.status, begun, max(begun, ended), 1, said))
        return cls(found)


_PLACES = {QUEUED: 0, WAITED: 1}
# Short: there are many of them.
_LOOKS = {QUEUED: "q", WAITED: "w"}


def drawn(times: Stretches, scale: Scale, status: str) -> list[Bar]:
    """Return stretches as bars; the shortest can still be seen.

    Args:
        status: The row's.
    """
    return [_bar(one, scale, status) for one in times.all]


def _bar(one: Stretch, scale: Scale, status: str) -> Bar:
    look = "" if one.kind == status else _LOOKS.get(one.kind, f"spane-{one.kind}")
    left, right = scale.place(one.begin), scale.place(one.end)
    width = max(right - left, _NARROWEST)
    text = f"{one.text}: {spelled(one.end - one.begin)}"
    return Bar(one.kind, look, percent(min(left, WHOLE - width)), percent(width), text)


def stretches_of(
    run: NodeRun, spans: Sequence[Span], *, released_at: datetime, now: datetime
) -> Stretches:
    """Return the time of a node.

    Args:
        spans: Its attempts.
        released_at: When the last of its parents had ended.
    """
    found: list[Stretch] = []
    # A rerun of what had completed leaves no trace of the time before it.
    is_whole = run.attempt <= len(spans) + (run.status == NodeStatus.READY)
    before = released_at if is_whole else None
    for index, span in enumerate(spans):
        is_waiting = span.status == NodeStatus.WAITING
        due = span.started_at if index else before
        if span.attempt == run.attempt and not is_waiting:
            due = run.available_at or due
        found += _lead(_Lead(run, span.attempt, index > 0), before, due, span.started_at)
        end = max(span.ended_at or now, span.started_at)
        kind, text = (WAITED, wait_of(run)) if is_waiting else (span.status, _said(span))
        found.append(Stretch(kind, span.started_at, end, span.attempt, text))
        before = span.ended_at
    if run.status == NodeStatus.READY:
        lead = _Lead(run, run.attempt, bool(spans))
        found += _lead(lead, before, run.available_at, now)
    return Stretches(found)


@dataclass(frozen=True, slots=True)
class _Lead:
    """The time before an attempt."""

    run: NodeRun
    attempt: int
    is_retry: bool


def _lead(
    lead: _Lead, begin: datetime | None, due: datetime | None, end: datetime
) -> Iterator[Stretch]:
    """Yield what happened between ``begin`` and ``end``; from ``due`` on it was available."""
    due = due or begin
    slack = timedelta() if lead.is_retry else _SLACK
    if begin is not None and due is not None and due - begin > slack:
        text = _("waited for its next attempt") if lead.is_retry else wait_of(lead.run)
        yield Stretch(WAITED, begin, min(due, max(end, begin)), lead.attempt, text)
    if due is not None and end > due:
        yield Stretch(QUEUED, due, end, lead.attempt, _("queued"))


def wait_of(run: NodeRun) -> str:
    """Say what a node waits or has waited for."""
    if run.node_type == _APPROVAL:
        return _("waited for an approval")
    if run.node_type in _CHILDREN or run.failures_tolerated is not None:
        return _("waited for its children")
    if run.node_type == _SIGNAL or run.signal_name:
        return _("waited for a signal")
    return _("waited for a timer")


def _said(span: Span) -> str:
    what = _("worker lost") if span.status == "lost" else WORDS.get(span.status, span.status)
    return _("attempt %(number)d %(what)s") % {"number": span.attempt, "what": what}
