"""What happens to an execution, as events read from its rows: nothing is written for them.

Each :meth:`Follower.read` compares the rows with what its listener has been told, and tells the
difference.  What is guaranteed, also to a listener that went away and came back with its cursor:

* every change of a node or of the execution is told at least as what it led to: states that
  lasted shorter than the time between two readings may be passed over, the last one never is;
* log lines are told exactly once and in order (they are written under the lock of their
  execution, so their numbers follow their commits), those of an attempt before its end;
* ``end`` comes when the execution has ended and all of this has been told.

A reading is one query while nothing has changed, whatever the number of nodes, and three or four
otherwise.  When a running execution is moved to another version its nodes are told afresh, after
an ``execution`` event with the new version: whoever keeps nodes forgets those of the old one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import xor
from uuid import UUID

from ..core.statuses import ExecutionStatus
from ..engine.control import UnknownExecution
from ..models import Execution, LogLine, NodeRun
from .position import BUCKETS, Position, fingerprint

# So many nodes, and so many lines, are told by one reading.
PAGE = 500

_EXECUTION = ("status", "reason", "version_id", "finished_at")
_NODE = ("id", "status", "attempt", "reason", "available_at", "started_at", "finished_at")
_SHOWN = (
    *_NODE, "created_at", "execution_id", "node_id", "node_type", "next_nodes", "error_type",
    "error_message",
)  # fmt: skip

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that the listener did not know.

    Attributes:
        cursor: With it a listener goes on behind this event.
        subject: What it tells of, as it is now: the execution, a node, a log line.
        is_end: Whether it is the last one, of an execution that has ended.
    """

    cursor: str
    subject: Execution | NodeRun | LogLine
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at the rows has found.

    Attributes:
        has_more: Whether another look would find more at once.
        has_ended: Whether the execution has ended and everything is told.
        cursor: Behind all of it.
    """

    events: list[Event]
    has_more: bool
    has_ended: bool
    cursor: str


class Follower:
    """Tells one listener of one execution.

    Args:
        position: What the listener knows already.
    """

    def __init__(self, execution_id: UUID, position: Position | None = None) -> None:
        self.execution_id = execution_id
        self._position = position or Position()
        self._told: dict[int, Row] = {}
        self._prints: dict[int, int] = {}
        self._is_resumed = position is not None

    def read(self) -> Reading:
        """Return what is new.

        Raises:
            UnknownExecution: there is no such execution, or no longer.
        """
        execution, nodes = self._look()
        if self._is_resumed:
            self._recognise(execution, nodes)
        is_new = fingerprint(execution) != self._position.execution
        events = [self._execution_event()] if is_new else []
        changed = sorted(key for key, row in nodes.items() if self._told.get(key) != row)
        is_final = ExecutionStatus(str(execution[0])).is_final
        lines = self._lines() if is_new or changed or is_final else []
        events += map(self._line_event, lines[:PAGE])
        has_more = len(lines) > PAGE
        if not has_more:
            events += self._node_events(changed[:PAGE])
            has_more = len(changed) > PAGE
        has_ended = is_final and not has_more
        if has_ended and not self._position.has_ended:
            events.append(self._end_event())
        return Reading(events, has_more, has_ended, self._position.write(self.execution_id))

    def _look(self) -> tuple[Row, dict[int, Row]]:
        """Return the execution and its nodes, as far as they are compared.  One query."""
        found = Execution.objects.filter(pk=self.execution_id).order_by()
        columns = (*_EXECUTION, *(f"node_runs__{name}" for name in _NODE))
        rows = list(found.values_list(*columns))
        if not rows:
            raise UnknownExecution(f"there is no execution {self.execution_id}")
        width = len(_EXECUTION)
        nodes = {row[width]: row[width:] for row in rows if row[width] is not None}
        return rows[0][:width], nodes

    def _recognise(self, execution: Row, nodes: dict[int, Row]) -> None:
        """Find out which nodes a listener that has come back knows as they are."""
        self._is_resumed = False
        if self._position.version != _version_print(execution[2]):
            self._forget_nodes()
            return
        buckets: dict[int, dict[int, int]] = defaultdict(dict)
        for key, row in nodes.items():
            buckets[key % BUCKETS][key] = fingerprint(row)
        for number in range(BUCKETS):
            prints = buckets[number]
            if reduce(xor, prints.values(), 0) == self._position.nodes[number]:
                self._prints |= prints
                self._told |= {key: nodes[key] for key in prints}
            else:
                self._position.nodes[number] = 0

    def _forget_nodes(self) -> None:
        self._told.clear()
        self._prints.clear()
        self._position.nodes = [0] * BUCKETS

    def _event(self, subject: Execution | NodeRun | LogLine) -> Event:
        self._position.has_ended = False
        return Event(self._position.write(self.execution_id), subject)

    def _execution_event(self) -> Event:
        execution = self._whole()
        version = _version_print(execution.version_id)
        if self._position.version != version:
            self._forget_nodes()
            self._position.version = version
        told = tuple(getattr(execution, name) for name in _EXECUTION)
        self._position.execution = fingerprint(told)
        return self._event(execution)

    def _end_event(self) -> Event:
        self._position.has_ended = True
        return Event(self._position.write(self.execution_id), self._whole(), is_end=True)

    def _whole(self) -> Execution:
        found = Execution.objects.select_related("workflow", "version")
        found = found.defer("input", "version__definition")
        execution = found.filter(pk=self.execution_id).first()
        if execution is None:
            raise UnknownExecution(f"there is no execution {self.execution_id}")
        return execution

    def _lines(self) -> list[LogLine]:
        later = LogLine.objects.filter(execution_id=self.execution_id, pk__gt=self._position.line)
        return list(later.order_by("pk")[: PAGE + 1])

    def _line_event(self, line: LogLine) -> Event:
        self._position.line = line.pk
        return self._event(line)

    def _node_events(self, keys: list[int]) -> Iterator[Event]:
        """Tell nodes as they are now, which may be newer than what was looked at."""
        runs = NodeRun.objects.filter(pk__in=keys).only(*_SHOWN) if keys else ()
        for run in sorted(runs, key=_moment):
            row = tuple(getattr(run, name) for name in _NODE)
            found = fingerprint(row)
            self._position.nodes[run.pk % BUCKETS] ^= self._prints.get(run.pk, 0) ^ found
            self._told[run.pk], self._prints[run.pk] = row, found
            yield self._event(run)


def _moment(run: NodeRun) -> tuple[object, int]:
    """Return what orders nodes: when they came to where they are, as far as they know."""
    return run.finished_at or run.started_at or run.created_at, run.pk


def _version_print(version_id: object) -> int:
    return fingerprint((version_id,))
