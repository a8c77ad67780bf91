"""What can be done to many executions at once: each verb, what it takes, and whom it can change.

A verb's arguments are JSON in the names of the wire.  Whom it can change is a filter for plans and
for choosing by filter; whether a row really changes is decided by the verb, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from ..core.schema import Fault, Schema
from ..core.statuses import ExecutionEvent, ExecutionStatus, NodeStatus, execution_sources
from ..models import DeadLetter, NodeRun
from ..models.execution import ExecutionQuerySet
from . import by_hand, control, letters, operate, retry
from .rerun import UNCHANGED, From, In, Rerun, fitting_faults, rerun_from

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

Arguments = Mapping[str, Any]


class Who(TypedDict):
    """Who wants it, when and why."""

    now: datetime
    by: AbstractBaseUser | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class BulkVerb:
    """A verb for many executions.

    Attributes:
        apply: Changes the execution of this id, or raises a `SpaneError` that says why not.
        narrow: Returns those executions that it looks able to change.
        check: Yields why arguments that fit the schema do not fit together.
        arguments: The JSON Schemas of what it takes, by name.
        permission: What it takes to be allowed to, without the app's label.
    """

    apply: Callable[..., object]
    narrow: Callable[[ExecutionQuerySet, Arguments], ExecutionQuerySet]
    permission: str
    check: Callable[[Arguments], Iterable[Fault]] = lambda arguments: ()
    arguments: dict[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    @property
    def schema(self) -> Schema:
        """The JSON Schema of its arguments."""
        return {
            "type": "object",
            "properties": self.arguments,
            "required": list(self.required),
            "additionalProperties": False,
        }


def read_rerun(arguments: Arguments) -> Rerun:
    """Return what arguments of a rerun ask for."""
    node_id = arguments.get("nodeId")
    default = From.FAILED if node_id is None else From.NODE
    return Rerun(
        start=From(arguments.get("from", default)),
        node_id=node_id,
        version=In(arguments.get("version", In.SAME)),
        input=arguments.get("input", UNCHANGED),
        output=arguments.get("output", UNCHANGED),
        next_nodes=arguments.get("nextNodes"),
    )


def _plain(verb: Callable[..., object]) -> Callable[..., object]:
    def apply(execution_id: UUID, arguments: Arguments, **who: Unpack[Who]) -> object:
        return verb(execution_id, **who)

    return apply


def _of_node(verb: Callable[..., object]) -> Callable[..., object]:
    def apply(execution_id: UUID, arguments: Arguments, **who: Unpack[Who]) -> object:
        return verb(execution_id, arguments["nodeId"], **who)

    return apply


def _complete(execution_id: UUID, arguments: Arguments, **who: Unpack[Who]) -> object:
    node_id, output = arguments["nodeId"], arguments["output"]
    chosen = arguments.get("nextNodes")
    return by_hand.complete(execution_id, node_id, output, next_nodes=chosen, **who)


def _reassign(execution_id: UUID, arguments: Arguments, **who: Unpack[Who]) -> object:
    return operate.reassign(
        execution_id,
        queue=arguments.get("queue"),
        priority=arguments.get("priority"),
        node_id=arguments.get("nodeId"),
        **who,
    )


def _rerun(execution_id: UUID, arguments: Arguments, **who: Unpack[Who]) -> object:
    return rerun_from(execution_id, read_rerun(arguments), **who)


def _rerun_faults(arguments: Arguments) -> Iterable[Fault]:
    return fitting_faults(read_rerun(arguments))


def _reassign_faults(arguments: Arguments) -> Iterable[Fault]:
    return operate.reassign_faults(arguments.get("queue"), arguments.get("priority"))


def _in(event: ExecutionEvent) -> Callable[[ExecutionQuerySet, Arguments], ExecutionQuerySet]:
    sources = execution_sources(event)
    return lambda chosen, arguments: chosen.filter(status__in=sources)


def _final(chosen: ExecutionQuerySet, arguments: Arguments) -> ExecutionQuerySet:
    return chosen.filter(status__in=[status for status in ExecutionStatus if status.is_final])


def _with_letters(chosen: ExecutionQuerySet, arguments: Arguments) -> ExecutionQuerySet:
    return chosen.filter(Exists(DeadLetter.objects.open().filter(execution=OuterRef("pk"))))


def _with_active(chosen: ExecutionQuerySet, arguments: Arguments) -> ExecutionQuerySet:
    return _at(chosen, arguments, Q(status__in=_ACTIVE) | Q(status=NodeStatus.PENDING))


def _with_timer(chosen: ExecutionQuerySet, arguments: Arguments) -> ExecutionQuerySet:
    waits = Q(status__in=[NodeStatus.READY, NodeStatus.WAITING], available_at__isnull=False)
    return _at(chosen, arguments, waits)


def _with_endable(chosen: ExecutionQuerySet, arguments: Arguments) -> ExecutionQuerySet:
    return _at(chosen, arguments, Q(status__in=[*_ACTIVE, NodeStatus.FAILED]))


def _rerunnable(chosen: ExecutionQuerySet, arguments: Arguments) -> ExecutionQuerySet:
    rerun = read_rerun(arguments)
    if rerun.version is In.LATEST:
        chosen = _final(chosen, arguments)
    if rerun.start is From.FAILED:
        return chosen.filter(failed_nodes__gt=0)
    if rerun.start is From.START:
        return _final(chosen, arguments)
    return _at(chosen, arguments, ~Q(status__in=[*_ACTIVE, NodeStatus.PENDING]))


def _at(chosen: ExecutionQuerySet, arguments: Arguments, which: Q) -> ExecutionQuerySet:
    runs = NodeRun.objects.filter(which, execution=OuterRef("pk"))
    if "nodeId" in arguments:
        runs = runs.filter(node_id=arguments["nodeId"])
    return chosen.filter(Exists(runs))


_ACTIVE = [NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.WAITING]
_NODE: dict[str, Schema] = {"nodeId": {"type": "string", "minLength": 1, "maxLength": 100}}
_CHOICE: dict[str, Schema] = {"nextNodes": {"type": "array", "items": {"type": "string"}}}

VERBS: dict[str, BulkVerb] = {
    "pause": BulkVerb(
        apply=_plain(control.pause), narrow=_in(ExecutionEvent.PAUSED),
        permission="pause_execution",
    ),
    "resume": BulkVerb(
        apply=_plain(control.resume), narrow=_in(ExecutionEvent.RESUMED),
        permission="pause_execution",
    ),
    "cancel": BulkVerb(
        apply=_plain(control.cancel), narrow=_in(ExecutionEvent.CANCELLED),
        permission="cancel_execution",
    ),
    "replay": BulkVerb(
        apply=_plain(retry.replay), narrow=_final, permission="replay_execution"
    ),
    "retry": BulkVerb(
        apply=_plain(retry.retry_failed), narrow=_with_letters, permission="retry_execution"
    ),
    "retry-letters": BulkVerb(
        apply=letters.retry_letters, narrow=letters.with_letters, permission="retry_execution",
        check=letters.filter_faults, arguments=letters.FILTER,
    ),
    "discard-letters": BulkVerb(
        apply=letters.discard_letters, narrow=letters.with_letters, permission="retry_execution",
        check=letters.filter_faults, arguments=letters.FILTER,
    ),
    "retry-now": BulkVerb(
        apply=_of_node(operate.retry_now), narrow=_with_timer, permission="retry_execution",
        arguments=_NODE, required=("nodeId",),
    ),
    "skip": BulkVerb(
        apply=_of_node(by_hand.skip), narrow=_with_endable, permission="skip_node",
        arguments=_NODE, required=("nodeId",),
    ),
    "complete": BulkVerb(
        apply=_complete, narrow=_with_endable, permission="complete_node",
        arguments={**_NODE, **_CHOICE, "output": {}}, required=("nodeId", "output"),
    ),
    "reassign": BulkVerb(
        apply=_reassign, narrow=_with_active, permission="reassign_execution",
        check=_reassign_faults,
        arguments={
            **_NODE, "queue": {"type": "string", "minLength": 1, "maxLength": 100},
            "priority": {"type": "integer", "minimum": 1, "maximum": 10},
        },
    ),
    "rerun": BulkVerb(
        apply=_rerun, narrow=_rerunnable, permission="retry_execution",
        check=_rerun_faults,
        arguments={
            **_NODE, **_CHOICE, "from": {"enum": list(From)}, "version": {"enum": list(In)},
            "input": {}, "output": {},
        },
    ),
}  # fmt: skip
