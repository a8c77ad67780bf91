"""The options of workflows and nodes: Python's names and types, and what becomes of them in JSON.

Python says ``timeout=30`` (seconds, or a timedelta) and ``retry=Retry(attempts=5)``; the wire
says ``"timeout": 30000`` and ``"retryPolicy": {…}``.  An option that is None is left out, so that
the node type, the workflow and the settings decide.  What a value may be is checked where every
definition is, in `spane_django.core.definition`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypedDict, Unpack

from ..core.json import Json
from ..core.limits import Breaker, Limit
from ..core.plan import JoinRule
from ..core.retry import Retry
from ..core.starting import DuplicateRule, MaxExecutions, OnDuplicate
from ..core.triggers import Declared, raw_triggers


class NodeOptions(TypedDict, total=False):
    """How the engine runs a node.

    Attributes:
        retry: The whole policy; None: that of the node type.
        timeout: Seconds or a timedelta that one attempt may take; None: the node type's.
        join: With several parents: ``all`` (default), ``any``, ``all_done``, ``none_failed``, or
            a number: that many of them.
        losers: What becomes of parents, and all that leads only to them, that ``any`` or a number
            goes on without: ``leave`` (default) lets them end, ``cancel`` cancels them.
        continue_on_fail: Whether the children run even if this node fails for good; they
            receive ``{"error": …}`` as its data.
        queue: The queue whose workers run it; None: the node type's, else the workflow's.
        priority: 1 to 10, higher first; None: the execution's.
        limit: How many run or start at once; it replaces the node type's.
        breaker: When this node is held back because it keeps failing; it replaces the type's.
        undo: What undoes this node if the execution fails after it has completed: a :func:`body`.
    """

    retry: Retry | None
    timeout: float | timedelta | None
    join: str | int | None
    losers: Literal["cancel", "leave"] | None
    continue_on_fail: bool | None
    queue: str | None
    priority: int | None
    limit: Limit | None
    breaker: Breaker | None
    undo: Mapping[str, Any] | None


class WorkflowOptions(TypedDict, total=False):
    """What holds for a whole workflow.

    Attributes:
        description: For people who choose among workflows.
        entry: The id of the node that pictures begin with; None: the first one added that has
            no parents.  Every node without parents starts, whichever it is.
        queue: The queue of nodes that name none; None: the setting ``QUEUE``.
        priority: 1 to 10, higher first; None: 5.
        fail_fast: Whether a node that fails for good keeps independent branches from going on.
        timeout: Seconds or a timedelta that an execution may take from its start.
        input_schema: A JSON Schema that inputs must fit.
        key: An expression over the input that says whose an execution is, such as a tenant.
        max_concurrency: So many nodes of one execution run at once.
        on_error: The id of a workflow that is started when an execution has failed.
        finally_: What runs once an execution has ended, however it did: a :func:`body`.
        max_executions: So many run at once, the others wait as ``pending``; a `MaxExecutions`
            says more.
        on_duplicate: What becomes of a start while one with the same input has not ended:
            ``allow`` (default), ``reject``, ``return`` or ``replace``; a `DuplicateRule` says
            more.
        save_data: ``all`` (default) keeps inputs and outputs as long as their execution,
            ``failed`` only those of executions that did not complete, ``none`` no longer than
            it takes to read them.
        keep_days: Days that executions are kept after they ended, by status; without end: None.
            What is not named here is as the setting ``KEEP_DAYS`` says.
        triggers: What starts it by itself: `OnEvent`, `OnWorkflow`, or triggers as their JSON.
    """

    description: str | None
    entry: str | None
    queue: str | None
    priority: int | None
    fail_fast: bool | None
    timeout: float | timedelta | None
    input_schema: Mapping[str, Any] | bool | None
    key: str | None
    max_concurrency: int | None
    on_error: str | None
    finally_: Mapping[str, Any] | None
    max_executions: int | MaxExecutions | None
    on_duplicate: OnDuplicate | str | DuplicateRule | None
    save_data: Literal["all", "failed", "none"] | None
    keep_days: Mapping[Literal["completed", "failed", "cancelled"], float | None] | None
    triggers: Sequence[Declared | Mapping[str, Any]] | None


def body(
    type: str, config: Mapping[str, Any] | None = None, **options: Unpack[NodeOptions]
) -> dict[str, Json]:
    """Return a node that stands in another's config or options: what a map or a loop repeats,
    what undoes a node, what runs finally.

    Raises:
        TypeError: there is no such option.
    """
    return {"type": type, "config": dict(config or {}), **node_fields(options)}


def node_fields(options: NodeOptions) -> dict[str, Json]:
    """Return a node's options as its JSON holds them.

    Raises:
        TypeError: there is no such option.
    """
    return _fields(options, _NODE)


def workflow_fields(options: WorkflowOptions) -> dict[str, Json]:
    """Return a workflow's options as its JSON holds them.

    Raises:
        TypeError: there is no such option.
    """
    return _fields(options, _WORKFLOW)


def _fields(options: Mapping[str, Any], table: _Table) -> dict[str, Json]:
    unknown = options.keys() - table.keys()
    if unknown:
        names = ", ".join(sorted(unknown))
        raise TypeError(f"unknown option: {names}; the options are {', '.join(table)}")
    return {
        name: convert(options[option])
        for option, (name, convert) in table.items()
        if options.get(option) is not None
    }


def _same(value: Json) -> Json:
    return value


def _milliseconds(value: float | timedelta) -> float:
    length = value if isinstance(value, timedelta) else timedelta(seconds=value)
    milliseconds = length / timedelta(milliseconds=1)
    return int(milliseconds) if milliseconds.is_integer() else milliseconds


def _join(value: str | int) -> Json:
    return {"rule": JoinRule.N_OF_M.value, "n": value} if isinstance(value, int) else str(value)


def _retry_policy(retry: Retry) -> Json:
    return {
        "maxAttempts": retry.attempts,
        "backoff": {
            "type": retry.backoff.value,
            "delay": _milliseconds(retry.base),
            "maxDelay": _milliseconds(retry.ceiling),
            "factor": retry.factor,
            "jitter": retry.jitter,
        },
        "retryOn": list(retry.retry_on),
        "giveUpOn": list(retry.give_up_on),
    }


def _limit(limit: Limit) -> Json:
    rate = limit.rate
    fields: dict[str, Json] = {"perKey": True} if limit.per_key else {}
    if limit.name:
        fields["name"] = limit.name
    if limit.max is not None:
        fields["max"] = limit.max
    if rate is not None:
        fields["rate"] = {"count": rate.count, "perMs": _milliseconds(rate.per)}
    return fields


def _breaker(breaker: Breaker) -> Json:
    return {
        "failureThreshold": breaker.failures,
        "successThreshold": breaker.successes,
        "timeout": _milliseconds(breaker.cooldown),
    }


def _max_executions(given: int | MaxExecutions) -> Json:
    if isinstance(given, int):
        return given
    return {"max": given.most, "perKey": given.is_per_key, "overflow": str(given.overflow)}


def _on_duplicate(given: str | DuplicateRule) -> Json:
    if isinstance(given, str):
        return {"action": str(given)}
    fields: dict[str, Json] = {"action": str(given.action)}
    if given.key is not None:
        fields["key"] = given.key
    if given.wait is not None:
        fields["wait"] = _milliseconds(given.wait)
    return fields


_Table = Mapping[str, tuple[str, Callable[[Any], Json]]]

_NODE: _Table = {
    "retry": ("retryPolicy", _retry_policy),
    "timeout": ("timeout", _milliseconds),
    "join": ("join", _join),
    "losers": ("losers", _same),
    "continue_on_fail": ("continueOnFail", _same),
    "queue": ("queue", _same),
    "priority": ("priority", _same),
    "limit": ("limit", _limit),
    "breaker": ("circuitBreaker", _breaker),
    "undo": ("undo", dict),
}
_WORKFLOW: _Table = {
    "description": ("description", _same),
    "entry": ("entryNodeId", _same),
    "queue": ("queue", _same),
    "priority": ("priority", _same),
    "fail_fast": ("failFast", _same),
    "timeout": ("timeout", _milliseconds),
    "input_schema": ("inputSchema", _same),
    "key": ("key", _same),
    "max_concurrency": ("maxConcurrency", _same),
    "on_error": ("onError", lambda workflow: {"workflowId": workflow}),
    "finally_": ("finally", dict),
    "max_executions": ("maxExecutions", _max_executions),
    "on_duplicate": ("onDuplicate", _on_duplicate),
    "save_data": ("saveData", _same),
    "keep_days": ("keepDays", dict),
    "triggers": ("triggers", raw_triggers),
}
