"""The checks: what the engine has recorded against what everyone else says.

`oracle` knows the rules; the record of the bodies says what was answered, the history of the
database what was committed, the journal what was asked for.  Each check yields violations with
all that is needed to look at them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import psycopg
from psycopg.rows import dict_row

from . import oracle
from .history import Change
from .load import Journal
from .nodes import LATE_SECONDS, RECORDED
from .oracle import Ended, Run
from .record import Body, answered
from .servers import Answers

# What bodies raise, what timeouts and the built-in nodes make of what went wrong.
_EXPECTED_ERRORS = frozenset(
    {"ChaosError", "ChaosFailure", "NodeTimeout", "NodeError", "HttpError", "HttpStatusError",
     "Permanent", "ChildFailed", "TooManyFailures", "Rejected"}
)  # fmt: skip
_LOST = frozenset({"WorkerLost", "TransactionLost", "DatabaseLost"})
_CHILD = "child"


@dataclass
class Evidence:
    """All that is known after a run."""

    executions: dict[str, Ended]
    rows: dict[str, dict[str, Any]]
    bodies: dict[tuple[str, str], list[Body]]
    changes: list[Change]
    journal: Journal
    answers: Answers
    pids: dict[Any, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be."""

    check: str
    what: str
    execution: str = ""
    node: str = ""


def all_violations(known: Evidence, database: psycopg.Connection[Any]) -> Iterator[Violation]:
    """Yield everything that is wrong."""
    yield from _ends(known)
    yield from _starts(known)
    yield from _answers(known)
    yield from _attempts(database)
    yield from _inputs(known)
    yield from _changes(known)
    yield from _queries(database)
    yield from _signals(known, database)
    yield from _children(known)
    yield from _sequels(known)


def story(known: Evidence, key: str) -> dict[str, Any]:
    """Return all that is known of one execution."""
    ended = known.executions.get(key)
    if ended is None:
        return {}
    return {
        "row": known.rows[key],
        "definition": ended.definition,
        "runs": [asdict(run) for run in ended.runs.values()],
        "bodies": [
            asdict(body) for (of, _), runs in known.bodies.items() if of == key for body in runs
        ],
        "history": [asdict(one) for one in known.changes if str(one.execution_id) == key],
    }


def _ends(known: Evidence) -> Iterator[Violation]:
    for key, ended in known.executions.items():
        for fault in oracle.faults(ended):
            yield Violation("oracle", fault, key)


def _starts(known: Evidence) -> Iterator[Violation]:
    for key in known.journal.started:
        if str(key) not in known.executions:
            yield Violation("lost", "its start was answered, and it is not there", str(key))
    for name, ids in known.journal.keys.items():
        if len(ids) > 1:
            yield Violation("idempotency", f"{name} has led to {sorted(map(str, ids))}")
    keys = Counter(row["idempotency_key"] for row in known.rows.values() if row["idempotency_key"])
    for name, count in keys.items():
        if count > 1:
            yield Violation("idempotency", f"{count} executions have the key {name}")


def _answers(known: Evidence) -> Iterator[Violation]:
    """What is recorded of a node is what a body of that very attempt has answered."""
    for key, ended in known.executions.items():
        for run in ended.runs.values():
            if run.status not in oracle.RAN:
                continue
            if run.type in RECORDED:
                fault = _answer_fault(run, known.bodies.get((key, run.node_id), []))
            elif run.type == "http":
                fault = _web_fault(run, known.answers.given.get(f"{key}:{run.node_id}", []))
            else:
                fault = ""
            if fault:
                yield Violation("answer", fault, key, run.node_id)


def _answer_fault(run: Run, bodies: list[Body]) -> str:
    mine = [body for body in bodies if body.attempt == run.attempt]
    if not mine:
        return f"attempt {run.attempt} is recorded as {run.status}, and no body has run it"
    if run.status == "failed" or _is_handled(run):
        error = _error_of(run)
        if error in _LOST:
            return "it was given up because its attempts were lost"
        bad = {"", "fail", "raise"}
        is_told = any(body.answer in bad for body in mine)
        if error == "NodeTimeout":
            # Its own word comes too late: of a process that was frozen, say.
            is_told |= any(body.seconds >= LATE_SECONDS for body in mine)
        return "" if is_told else f"it failed ({error}), but its bodies said ok"
    said = run.output.get("run") if isinstance(run.output, dict) else None
    body = answered(mine, said)
    if body is None:
        return f"its output is of run {said}, which no body of attempt {run.attempt} was"
    if body.answer != "ok":
        return f"it completed with the output of a body that said '{body.answer}'"
    if body.chosen is not None and body.chosen != run.next_nodes:
        return f"it chose {run.next_nodes}, its body {body.chosen}"
    return ""


def _web_fault(run: Run, given: list[str]) -> str:
    if run.status == "failed" or _is_handled(run):
        return ""
    said = run.output.get("body", {}).get("run") if isinstance(run.output, dict) else None
    return "" if said in given else f"its output says {said}, which the service never answered"


def _is_handled(run: Run) -> bool:
    """Say whether a failure was turned into data."""
    return isinstance(run.output, dict) and "_metadata" in run.output


def _error_of(run: Run) -> str:
    """Return the name of the error that a node run ended with, or its message in the data."""
    if run.error_type or not isinstance(run.output, dict):
        return run.error_type
    message = str(run.output.get("error", ""))
    return "NodeTimeout" if message.startswith("Node execution timed out") else message


def _inputs(known: Evidence) -> Iterator[Violation]:
    """A join was given what led to it, and nothing else."""
    for key, ended in known.executions.items():
        if ended.is_reopened or ended.status == "cancelled":
            continue
        for run in ended.runs.values():
            node = ended.nodes[run.node_id]
            if run.type not in RECORDED or len(node.get("inputs", ())) < 2:
                continue
            if node.get("join", "all") not in ("all", "none_failed"):
                continue
            wanted = sorted(oracle.live_parents(ended, run.node_id))
            for body in known.bodies.get((key, run.node_id), []):
                if body.parents != wanted:
                    said = f"a body was given {body.parents}, and {wanted} lead there"
                    yield Violation("input", said, key, run.node_id)


def _changes(known: Evidence) -> Iterator[Violation]:
    """Final is final, each step is legal, and who settles is who holds the claim."""
    by_row: dict[Any, list[Change]] = defaultdict(list)
    for change in known.changes:
        by_row[change.execution_id, change.run_id].append(change)
    for (execution_id, _), steps in by_row.items():
        key = str(execution_id)
        ended = known.executions.get(key)
        reopened = ended is not None and ended.is_reopened
        for before, step in pairwise(steps):
            if fault := _step_fault(before, step, reopened):
                yield Violation("history", fault, key, step.node_id or "")
        for step in steps:
            if fault := _settler_fault(known, step):
                yield Violation("fence", fault, key, step.node_id or "")


def _step_fault(before: Change, step: Change, is_reopened: bool) -> str:
    if step.was != before.became:
        return f"it was {before.became} and then was {step.was} before it became {step.became}"
    final = oracle.FINAL if step.run_id is not None else {"completed", "failed", "cancelled"}
    if step.was in final and not is_reopened:
        return f"it had ended ({step.was}) and became {step.became}"
    if step.was in oracle.RAN and step.became in oracle.RAN:
        return f"it ended twice: {step.was}, then {step.became}"
    return ""


def _settler_fault(known: Evidence, step: Change) -> str:
    """A completed node's output was made by a body in the process that held the claim."""
    if step.was != "running" or step.became != "completed":
        return ""
    ended = known.executions.get(str(step.execution_id))
    run = ended.runs.get(step.node_id or "") if ended else None
    if run is None or run.type not in RECORDED or run.attempt != step.attempt:
        return ""
    said = run.output.get("run") if isinstance(run.output, dict) else None
    body = answered(known.bodies.get((str(step.execution_id), run.node_id), []), said)
    pid = known.pids.get(step.was_worker_id)
    if body is None or pid is None or body.pid == pid:
        return ""
    return f"process {pid} held the claim, the output is of process {body.pid}"


_QUERIES = {
    "recorded twice": (
        "SELECT a.number AS what, r.execution_id, r.node_id FROM spane_django_attempt a"
        " JOIN spane_django_noderun r ON r.id = a.node_run_id"
        " GROUP BY r.execution_id, r.node_id, a.node_run_id, a.number HAVING count(*) > 1"
    ),
    "attempt not over": (
        "SELECT a.number AS what, r.execution_id, r.node_id FROM spane_django_attempt a"
        " JOIN spane_django_noderun r ON r.id = a.node_run_id WHERE a.number > r.attempt"
    ),
    "failed without a dead letter": (
        "SELECT r.error_type AS what, r.execution_id, r.node_id FROM spane_django_noderun r"
        " WHERE r.status = 'failed' AND 1 <> (SELECT count(*) FROM spane_django_deadletter d"
        "  WHERE d.node_run_id = r.id AND d.resolved_at IS NULL)"
    ),
    "dead letter of a node that has not failed": (
        "SELECT r.status AS what, r.execution_id, r.node_id FROM spane_django_deadletter d"
        " JOIN spane_django_noderun r ON r.id = d.node_run_id"
        " WHERE d.resolved_at IS NULL AND r.status <> 'failed'"
    ),
    "effect": (
        "SELECT count(e.id) AS what, r.execution_id, r.node_id FROM spane_django_noderun r"
        " LEFT JOIN chaos_effect e ON e.execution_id = r.execution_id AND e.node_id = r.node_id"
        "  AND e.attempt = r.attempt"
        " WHERE r.node_type = 'chaos-effect' AND r.status = 'completed'"
        "  AND NOT coalesce(r.output ? '_metadata', false)"
        " GROUP BY r.execution_id, r.node_id HAVING count(e.id) <> 1"
    ),
    "effect without a result": (
        "SELECT r.status AS what, r.execution_id, r.node_id FROM chaos_effect e"
        " JOIN spane_django_noderun r ON r.execution_id = e.execution_id"
        "  AND r.node_id = e.node_id WHERE NOT EXISTS (SELECT FROM chaos_history h"
        "   WHERE h.run_id = r.id AND h.became = 'completed' AND h.attempt = e.attempt)"
    ),
    "child twice": (
        "SELECT item AS what, parent_id AS execution_id, '' AS node_id"
        " FROM spane_django_execution WHERE parent_run_id IS NOT NULL AND relation = 'child'"
        " GROUP BY parent_id, parent_run_id, parent_round, item HAVING count(*) > 1"
    ),
    "claim left": (
        "SELECT status AS what, execution_id, node_id FROM spane_django_noderun"
        " WHERE claim_token IS NOT NULL AND status <> 'running'"
    ),
}


def _queries(database: psycopg.Connection[Any]) -> Iterator[Violation]:
    for check, query in _QUERIES.items():
        for row in database.cursor(row_factory=dict_row).execute(query):
            yield Violation(check, str(row["what"]), str(row["execution_id"]), row["node_id"])


def _attempts(database: psycopg.Connection[Any]) -> Iterator[Violation]:
    """Attempts failed because of what they did, not because of what was done to the engine."""
    query = (
        "SELECT a.error_type, a.error_message, r.execution_id, r.node_id"
        " FROM spane_django_attempt a JOIN spane_django_noderun r ON r.id = a.node_run_id"
        " WHERE NOT a.error_type = ANY(%s)"
    )
    for name, message, execution_id, node_id in database.execute(
        query, [[*_EXPECTED_ERRORS, *_LOST]]
    ):
        yield Violation("error", f"{name}: {message[:300]}", str(execution_id), node_id)


def _signals(known: Evidence, database: psycopg.Connection[Any]) -> Iterator[Violation]:
    """Each signal is taken once, by a wait for it, and what a wait hands on is what it took."""
    taken: dict[str, str] = {}
    for key, ended in known.executions.items():
        for run in ended.runs.values():
            sent = run.output.get("sent") if isinstance(run.output, dict) else None
            if run.type != "wait" or run.status != "completed" or sent is None:
                continue
            if sent not in known.journal.sent:
                yield Violation("signal", f"it took {sent}, which nobody sent", key, run.node_id)
            if sent in taken:
                said = f"{sent} was taken by {taken[sent]}, too"
                yield Violation("signal", said, key, run.node_id)
            taken[sent] = f"{key}/{run.node_id}"
    count = "SELECT payload->>'sent', count(*) FROM spane_django_signal GROUP BY 1"
    for sent, rows in database.execute(count):
        if sent is not None and rows > 1:
            yield Violation("signal", f"{sent} was sent once and is there {rows} times")


def _children(known: Evidence) -> Iterator[Violation]:
    """A map hands on one result per item, in order, of the children of its round."""
    children: dict[Any, dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in known.rows.values():
        if row["relation"] == _CHILD:
            children[row["parent_run_id"], row["parent_round"]][row["item"]] = row
    for key, ended in known.executions.items():
        for run in ended.runs.values():
            if run.type == "map" and run.status == "completed" and isinstance(run.output, list):
                mine = children[run.id, run.attempt - run.losses]
                yield from _map_faults(known, key, run, mine)


def _map_faults(
    known: Evidence, key: str, run: Run, children: dict[int, dict[str, Any]]
) -> Iterator[Violation]:
    if sorted(children) != list(range(len(run.output))):
        said = f"{len(run.output)} results of the items {sorted(children)}"
        yield Violation("map", said, key, run.node_id)
        return
    for item, result in enumerate(run.output):
        child = known.executions.get(str(children[item]["id"]))
        outputs = [made.output for made in child.runs.values()] if child else []
        is_error = isinstance(result, dict) and "error" in result
        if result not in outputs and not is_error:
            yield Violation("map", f"result {item} is of another execution", key, run.node_id)


def _sequels(known: Evidence) -> Iterator[Violation]:
    """Each end that calls for an error handler or an ending has started exactly one."""
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    for change in known.changes:
        if change.run_id is None and change.became in ("completed", "failed", "cancelled"):
            ends[str(change.execution_id)][change.became] += 1
    followed: dict[str, Counter[str]] = defaultdict(Counter)
    for row in known.rows.values():
        followed[str(row["parent_id"])][row["relation"]] += 1
    for key, ended in known.executions.items():
        made = followed[key]
        handlers = ends[key]["failed"] if "onError" in ended.definition else 0
        if made["error_handler"] != handlers:
            said = f"{made['error_handler']} error handlers for {handlers} failed ends"
            yield Violation("sequel", said, key)
        endings = made["ending"] + made["compensation"]
        if "finally" in ended.definition and endings != ends[key].total():
            yield Violation("sequel", f"{endings} endings of {ends[key].total()} ends", key)
