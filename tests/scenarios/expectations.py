"""Compares what a case expects with what happened; every difference is a sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spane_django.core.json import Json
from spane_django.models import DeadLetter, Execution
from spane_django.models.story import logs, trace
from tests.scenarios.behaviours import stage
from tests.scenarios.compare import Differences, contains, same, text_of, unless
from tests.scenarios.of_executions import Expect, of_execution
from tests.scenarios.snapshot import Snapshot, take
from tests.scenarios.world import World

_EXECUTION = re.compile(r"e\d+")


def differences(expect: Expect, world: World) -> list[str]:
    """Return what is not as a case expects it."""
    return list(_differences(expect, world))


def _differences(expect: Expect, world: World) -> Differences:
    if world.refused and not any(key.startswith(("register", "any_of")) for key in expect):
        yield f"the definition was refused: {world.refused}"
        return
    for key, wanted in expect.items():
        if _EXECUTION.fullmatch(key):
            yield from _execution_named(key, wanted, world)
        elif key in _CHECKS:
            yield from (f"{key}: {said}" for said in _CHECKS[key](wanted, world))
        else:
            yield f"unknown expectation '{key}'"


def _execution_named(name: str, wanted: Expect, world: World) -> Differences:
    key = world.executions.get(name)
    if key is None:
        yield f"{name} was not started" + (f": {world.refused}" if world.refused else "")
        return
    yield from (f"{name}: {said}" for said in of_execution(take(key), wanted, world.executions))


def _any_of(wanted: Sequence[Expect], world: World) -> Differences:
    tried = [differences(one, world) for one in wanted]
    if all(tried):
        yield " or ".join("; ".join(said) for said in tried)


def _dead_letters(wanted: Sequence[Expect], world: World) -> Differences:
    letters = list(DeadLetter.objects.open())
    for one in wanted:
        found = next((letter for letter in letters if _is_letter(letter, one)), None)
        if found is None:
            yield f"none is {one}"
        else:
            letters.remove(found)
    yield from (f"nobody expects {letter}" for letter in letters)


def _is_letter(letter: DeadLetter, wanted: Expect) -> bool:
    fits_node = wanted.get("node") in (None, letter.node_id)
    fits_input = "input" not in wanted or same(letter.input, wanted["input"])
    return fits_node and fits_input and wanted.get("error_contains", "") in letter.error_message


def _checkpoints(wanted: Mapping[str, Expect], world: World) -> Differences:
    for name, expected in wanted.items():
        seen = world.checkpoints.get(name)
        if seen is None:
            yield f"'{name}' was never reached"
            continue
        is_many = any(_EXECUTION.fullmatch(key) for key in expected)
        for execution, one in (expected if is_many else {"e1": expected}).items():
            yield from (
                f"{name}: {said}" for said in of_execution(seen[execution], one, world.executions)
            )


def _children(wanted: Sequence[Expect], world: World) -> Differences:
    known = set(world.executions.values())
    children = [take(key) for key in Execution.objects.values_list("pk", flat=True)]
    children = [child for child in children if child.row.pk not in known]
    for one in wanted:
        found = next((child for child in children if _is_child(child, one)), None)
        if found is None:
            said = [(child.row.workflow.key, child.row.status) for child in children]
            yield f"none of {said} is {one}"
        else:
            children.remove(found)
    yield from (f"nobody expects {child.row.workflow.key}" for child in children)


def _is_child(child: Snapshot, wanted: Expect) -> bool:
    row = child.row
    return (
        wanted.get("workflow") in (None, row.workflow.key)
        and wanted.get("status") in (None, row.status)
        and ("depth" not in wanted or getattr(row, "depth", None) == wanted["depth"])
        and ("input" not in wanted or same(row.input, wanted["input"]))
    )


def _child_runs(wanted: Mapping[str, int], world: World) -> Differences:
    known = set(world.executions.values())
    runs = Counter(record.node_id for record in stage.records if record.execution_id not in known)
    yield from _counts(wanted, runs)


def _node_depth(wanted: Mapping[str, int], world: World) -> Differences:
    for node, depth in wanted.items():
        keys = [record.execution_id for record in stage.runs_of(node)]
        rows = Execution.objects.filter(pk__in=keys)
        found = list({getattr(row, "depth", None) for row in rows})
        yield from unless(found == [depth], node, found, depth)


def _counts(wanted: Mapping[str, int], found: Mapping[str, int]) -> Differences:
    for node, runs in wanted.items():
        yield from unless(found.get(node, 0) == runs, node, found.get(node, 0), runs)


def _node_runs(wanted: Any, world: World) -> Differences:
    found = Counter(record.node_id for record in stage.records)
    if isinstance(wanted, dict):
        yield from _counts(wanted, found)
    else:
        yield from unless(found.total() == wanted, "in all", found.total(), wanted)


def _start_order(wanted: Any, world: World) -> Differences:
    """The inputs in the order in which they were begun with: of a node, or of all roots."""
    roots = {
        (key, node)
        for key in Execution.objects.values_list("pk", flat=True)
        for node, view in take(key).nodes.items()
        if not view.parents
    }
    of_roots = [one for one in stage.records if (one.execution_id, one.node_id) in roots]
    pairs = (
        [(stage.runs_of(node), inputs) for node, inputs in wanted.items()]
        if isinstance(wanted, dict)
        else [(of_roots, wanted)]
    )
    for records, inputs in pairs:
        found = [record.input for record in sorted(records, key=lambda record: record.began)]
        yield from unless(same(found, inputs), "inputs", found, inputs)


def _inputs_of(wanted: Mapping[str, Sequence[Json]], world: World) -> Differences:
    for node, inputs in wanted.items():
        found = [record.input for record in stage.runs_of(node)]
        is_same = sorted(map(text_of, found)) == sorted(map(text_of, inputs))
        yield from unless(is_same, node, found, inputs)


def _bulk_ids(wanted: Any, world: World) -> Differences:
    """A list says for each start whether it has an id, a number how many have one."""
    found = world.bulk_ids
    ids = [key for key in found if key]
    if isinstance(wanted, list):
        is_as_wanted = list(map(bool, found)) == list(map(bool, wanted))
    else:
        count = wanted.get("count", len(ids)) if isinstance(wanted, dict) else int(wanted)
        is_as_wanted = len(ids) == count
    yield from unless(is_as_wanted and len(set(ids)) == len(ids), "ids", found, wanted)


def _logs(wanted: Sequence[str], world: World) -> Differences:
    rows = Execution.objects.select_related("workflow")
    text = "\n".join(entry.message for row in rows for entry in logs(row))
    yield from (f"nothing says '{part}'" for part in wanted if part not in text)


def _spans(wanted: Any, world: World) -> Differences:
    """A number says how many there are; an object, how each node's ends; a list, what some have."""
    rows = Execution.objects.select_related("workflow")
    spans = [_span(span) for row in rows for span in trace(row).spans]
    if isinstance(wanted, int):
        yield from unless(len(spans) == wanted, "spans", len(spans), wanted)
        return
    if isinstance(wanted, dict):
        wanted = [{"node": node, "status": status} for node, status in wanted.items()]
    for one in wanted:
        parts = {"node": one} if isinstance(one, str) else one
        if not any(contains(span, parts) for span in spans):
            yield f"none of {spans} has {parts}"


def _span(span: Any) -> dict[str, Json]:
    return {
        "node": span.node_id,
        "nodeId": span.node_id,
        "name": span.name,
        "status": span.status,
        "attempt": span.attempt,
        "error": span.error,
    }


def _total(compare: Callable[[int, int], bool]) -> Callable[[int, World], Differences]:
    def check(wanted: int, world: World) -> Differences:
        found = Execution.objects.count()
        yield from unless(compare(found, wanted), "executions", found, wanted)

    return check


def _refused(wanted: bool, world: World) -> Differences:
    yield from unless(bool(world.refused) == wanted, "refused", world.refused or False, wanted)


def _refusal_has(wanted: Any, world: World) -> Differences:
    for part in wanted if isinstance(wanted, list) else [wanted]:
        if part not in world.refused:
            yield f"'{part}' is not in '{world.refused}'"


def _webhook_counts(wanted: Sequence[int], world: World) -> Differences:
    found = world.webhook_counts
    yield from unless(found == wanted, "webhook_counts", found, wanted)


def _schedules(wanted: int, world: World) -> Differences:
    yield from unless(world.schedules == wanted, "counted", world.schedules, wanted)


_CHECKS: dict[str, Callable[[Any, World], Differences]] = {
    "any_of": _any_of,
    "dlq": _dead_letters,
    "checkpoints": _checkpoints,
    "children": _children,
    "child_runs": _child_runs,
    "node_depth": _node_depth,
    "node_runs": _node_runs,
    "executions_total": _total(lambda found, wanted: found == wanted),
    "executions_total_min": _total(lambda found, wanted: found >= wanted),
    "executions_total_max": _total(lambda found, wanted: found <= wanted),
    "start_order_of_inputs": _start_order,
    "inputs_of": _inputs_of,
    "bulk_ids": _bulk_ids,
    "logs_contain": _logs,
    "spans": _spans,
    "register_error": _refused,
    "register_error_contains": _refusal_has,
    "register_error_contains_all": _refusal_has,
    "webhook_counts": _webhook_counts,
    "schedules": _schedules,
}
