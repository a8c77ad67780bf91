"""What a node sees of its execution: input, config with templates filled in, results, a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Model

from .. import subjects
from ..conf import settings
from ..core.expressions import ROOTS, render
from ..core.json import Json, UnstorableValue, encode, printable
from ..core.statuses import NodeStatus
from ..models import Execution, NodeRun
from ..models.payloads import is_form, load
from ..nodes.base import Context, Node
from .approvals import approval_of
from .children import children_of
from .claim import Claim
from .delivery import signal_of
from .finished import Line
from .inputs import Received
from .opened import Opened
from .payloads import load_text
from .reading import read
from .versions import prepared


class Journal:
    """Collects a node's log lines until its attempt is settled.  Implements `nodes.base.Log`.

    Attributes:
        secrets: What the node has opened, none of which the lines show once they are `kept`.
    """

    def __init__(self, claim: Claim, clock: Callable[[], datetime]) -> None:
        self._claim = claim
        self._clock = clock
        self._dropped = 0
        self.secrets = Opened(claim.execution_id)
        self.lines: list[Line] = []

    def debug(self, message: str, **data: Json) -> None:
        self._add("debug", message, data)

    def info(self, message: str, **data: Json) -> None:
        self._add("info", message, data)

    def warning(self, message: str, **data: Json) -> None:
        self._add("warning", message, data)

    def error(self, message: str, **data: Json) -> None:
        self._add("error", message, data)

    def kept(self) -> list[Line]:
        """Return the lines as they are to be stored."""
        return self.secrets.hide_in_lines(self.lines)

    def _add(self, level: str, message: str, data: dict[str, Json]) -> None:
        if len(self.lines) >= settings.MAX_LOG_LINES:
            # The first time, a line that was kept makes room for the note.
            self._dropped += 1 if self._dropped else 2
            message = f"{self._dropped} further lines of this attempt were not kept"
            level, data = "warning", {}
            self.lines.pop()
        self.lines.append(
            Line(
                execution_id=self._claim.execution_id,
                node_id=self._claim.node_id,
                attempt=self._claim.attempt,
                level=level,
                message=printable(str(message)),
                data=_storable(data, self.secrets.hide),
                created_at=self._clock(),
            )
        )


class Results(Mapping[str, Json]):
    """Every finished node's data by node id, read from the database when asked for."""

    def __init__(self, claim: Claim, received: Received) -> None:
        self._execution_id = claim.execution_id
        self._read: dict[str, Json] = {}
        self._parents = {
            node_id: row
            for node_id, row in received.parents.items()
            if row.status is NodeStatus.COMPLETED
        }

    def __getitem__(self, node_id: str) -> Json:
        if node_id not in self._read:
            self._read[node_id] = self._fetch(node_id)
        return self._read[node_id]

    def __iter__(self) -> Iterator[str]:
        return iter(read(lambda: list(self._finished().values_list("node_id", flat=True))))

    def __len__(self) -> int:
        return int(read(self._finished().count))

    def _fetch(self, node_id: str) -> Json:
        row = self._parents.get(node_id)
        if row is not None:
            return None if row.output is None else load_text(row.output)
        try:
            outputs = self._finished().values_list("output", flat=True)
            return read(lambda: load(outputs.get(node_id=node_id)))
        except NodeRun.DoesNotExist:
            raise KeyError(node_id) from None

    def _finished(self) -> Any:
        return NodeRun.objects.completed().filter(execution_id=self._execution_id)


def context_of(
    claim: Claim,
    received: Received,
    node: Node,
    journal: Journal,
    *,
    now: datetime,
    deadline: datetime | None,
    is_cancelled: Callable[[], bool],
) -> Context:
    """Return the context of one attempt."""
    version = prepared(claim.version_id)
    prepared_node = version.nodes[claim.node_id]
    ctx = Context(
        execution_id=claim.execution_id,
        workflow_id=version.workflow_key,
        node_id=claim.node_id,
        node_type=node.type,
        config={},
        input=received.decode(claim),
        previous_results=Results(claim, received),
        attempt=claim.attempt,
        checkpoint=_checkpoint(claim),
        now=now,
        deadline=deadline,
        log=journal,
        secrets=journal.secrets,
        round=claim.round,
        is_cancelled=is_cancelled,
        read_children=lambda first: read(lambda: children_of(claim, first)),
        read_signal=lambda: read(lambda: signal_of(claim)),
        read_approval=lambda: read(lambda: approval_of(claim)),
        read_initial_data=lambda: _initial_data(claim, received),
        read_subject=lambda: read(lambda: _subject(claim)),
    )
    if prepared_node.secrets:
        journal.secrets.open(prepared_node.secrets)
    # A copy of the node's own, whether or not there are templates in it.
    ctx.config = node.load(render(prepared_node.config, _Scope(ctx)))
    return ctx


def _checkpoint(claim: Claim) -> Json:
    kept = claim.checkpoint
    return read(lambda: load(kept)) if is_form(kept) else kept


def _initial_data(claim: Claim, received: Received) -> Json:
    if received.initial_data is not None:
        return load_text(received.initial_data)
    inputs = Execution.objects.values_list("input", flat=True)
    return read(lambda: load(inputs.get(pk=claim.execution_id)))


def _subject(claim: Claim) -> Model | None:
    named = Execution.objects.values_list("subject_type", "subject_id")
    subject_type, subject_id = named.get(pk=claim.execution_id)
    return subjects.load(subject_type, subject_id) if subject_type else None


class _Scope(Mapping[str, Json]):
    """The roots that a template may name, looked up when it does."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def __getitem__(self, root: str) -> Json:
        ctx = self._ctx
        match root:
            case "input":
                return ctx.input
            case "results":
                return ctx.previous_results
            case "initial":
                return ctx.initial_data
            case "execution":
                return {
                    "id": str(ctx.execution_id),
                    "workflowId": ctx.workflow_id,
                    "attempt": ctx.attempt,
                }
            case "secrets":
                return ctx.secrets
        raise KeyError(root)

    def __iter__(self) -> Iterator[str]:
        return iter(ROOTS)

    def __len__(self) -> int:
        return len(ROOTS)


def _storable(data: dict[str, Json], hide: Callable[[str], str]) -> Json:
    try:
        encode(data, limit_bytes=settings.MAX_PAYLOAD_BYTES)
    except UnstorableValue:
        return {key: printable(hide(repr(value)))[:1_000] for key, value in data.items()}
    return data
