"""Random workflows that hold every kind of node, rule and option the runner knows.

A shape is a directed acyclic graph of a few nodes with random kinds and joins.  What a node of a
kind needs in its config stands in one function per kind.  Workflows that others start come first:
a child, an error handler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

Definition = dict[str, Any]

CHILD, HANDLER = "chaos-child", "chaos-handler"
GATE_MAX, MOST_NODES, MOST_EXECUTIONS = 3, 2, 3
WAITS = ("wait", "approval")

_FATES = {"fails": 0.05, "raises": 0.12}


def workflows(random: Random, count: int, service: str) -> list[Definition]:
    """Return so many random workflows, after those that they start.

    Args:
        service: The address of the web service that ``http`` nodes call.
    """
    made = [_small(CHILD, ["chaos-work", "chaos-async", "chaos-work"]), _small(HANDLER, ["set"])]
    return made + [_workflow(random, f"chaos-{index:02}", service) for index in range(count)]


def _small(key: str, kinds: list[str]) -> Definition:
    nodes = [
        {
            "id": f"n{index}",
            "type": kind,
            "inputs": [f"n{index - 1}"] if index else [],
            "outputs": [f"n{index + 1}"] if index + 1 < len(kinds) else [],
            "config": {"values": {"told": True}} if kind == "set" else dict(_FATES),
        }
        for index, kind in enumerate(kinds)
    ]
    return {"id": key, "name": key, "entryNodeId": "n0", "nodes": nodes}


def _workflow(random: Random, key: str, service: str) -> Definition:
    children = _edges(random, random.randint(3, 10))
    nodes = [_node(random, index, children, service) for index in children]
    made = {"id": key, "name": key, "entryNodeId": "n0", "nodes": nodes, **_options(random)}
    if "maxConcurrency" in made:
        # A node that goes on after a wait may, by design, find all places taken.
        for node in nodes:
            node["type"] = "chaos-async" if node["type"] in _GOES_ON else node["type"]
            if node["type"] == "chaos-async":
                node["config"] = dict(_FATES)
    return made


def _edges(random: Random, count: int) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {index: [] for index in range(count)}
    for index in range(1, count):
        for parent in random.sample(range(index), min(index, random.choice((1, 1, 1, 2, 3)))):
            children[parent].append(index)
    return children


def _options(random: Random) -> dict[str, Any]:
    """Draw a few of the options that a workflow as a whole may have."""
    chances: Mapping[str, tuple[float, Any]] = {
        "failFast": (0.1, True),
        "maxConcurrency": (0.12, MOST_NODES),
        "maxExecutions": (0.1, {"max": MOST_EXECUTIONS, "perKey": True}),
        "key": (0.4, "owner"),
        "priority": (0.4, random.randint(1, 10)),
        "onError": (0.25, {"workflowId": HANDLER}),
        "finally": (0.2, {"type": "chaos-work", "config": {"ms": 2}}),
    }
    return {name: value for name, (chance, value) in chances.items() if random.random() < chance}


def _node(
    random: Random, index: int, children: Mapping[int, list[int]], service: str
) -> dict[str, Any]:
    outputs = [f"n{child}" for child in children[index]]
    parents = [parent for parent in children if index in children[parent]]
    kind = random.choices(list(_KINDS), [weight for weight, _ in _KINDS.values()])[0]
    if kind == "condition" and not outputs:
        kind = "set"
    node = {
        "id": f"n{index}",
        "type": kind,
        "inputs": [f"n{parent}" for parent in parents],
        "outputs": outputs,
        "config": _KINDS[kind][1](random, outputs, service),
    }
    if len(parents) > 1:
        node |= _join(random, len(parents))
    return node | _of_node(random, kind, outputs)


def _join(random: Random, parents: int) -> dict[str, Any]:
    rule = random.choice(("all", "all", "any", "n_of_m", "all_done", "none_failed"))
    join: dict[str, Any] = {"join": rule}
    if rule == "n_of_m":
        join = {"join": {"rule": rule, "n": random.randint(1, parents)}}
    if rule in ("any", "n_of_m") and random.random() < 0.4:
        join["losers"] = "cancel"
    return join


def _of_node(random: Random, kind: str, outputs: list[str]) -> dict[str, Any]:
    """Draw what becomes of failures, a limit, a priority, an undo."""
    options: dict[str, Any] = {}
    drawn = random.random()
    if drawn < 0.12:
        options["onFail"] = "continue"
    elif drawn < 0.25 and len(outputs) > 1 and kind != "condition":
        options["errorOutputs"] = outputs[-1:]
    if kind in ("chaos-work", "chaos-async", "chaos-slow") and random.random() < 0.15:
        options["limit"] = {"name": "chaos", "max": GATE_MAX}
    if random.random() < 0.15:
        options["priority"] = random.randint(1, 10)
    if kind == "chaos-work" and random.random() < 0.1:
        options["undo"] = {"type": "chaos-work", "config": {"ms": 2}}
    return options


def _body(random: Random, outputs: list[str], service: str) -> dict[str, Any]:
    chooses = len(outputs) > 1 and random.random() < 0.5
    return {**_FATES, "chooses": chooses, "children": outputs}


def _http(random: Random, outputs: list[str], service: str) -> dict[str, Any]:
    return {
        "url": f"{service}/{random.randint(0, 9)}",
        "method": "POST",
        "json": {"seed": "{{ initial.seed }}"},
        "retryPolicy": {"maxAttempts": 4, "backoff": {"type": "fixed", "delay": 150}},
    }


def _map(random: Random, outputs: list[str], service: str) -> dict[str, Any]:
    body = {"type": random.choice(("chaos-work", "chaos-async")), "config": {"raises": 0.1}}
    items = list(range(random.randint(0, 6)))
    config = {"items": f"`{items}`", "shared": "seed", "toleratedFailures": 1, "node": body}
    return config if random.random() < 0.5 else {**config, "parallelism": 2}


def _wait(random: Random, outputs: list[str], service: str) -> dict[str, Any]:
    config: dict[str, Any] = {"signal": "go", "key": f"{{{{ initial.seed }}}}/{random.random()}"}
    if random.random() < 0.3:
        config |= {"deadline": 1_500, "default": {"late": True}}
    return config


def _approval(random: Random, outputs: list[str], service: str) -> dict[str, Any]:
    return {"title": "May it go on?", "users": ["operator"], "allowsStarter": True}


def _condition(random: Random, outputs: list[str], service: str) -> dict[str, Any]:
    return {"expression": "flag", "then": outputs[:1], "else": outputs[1:]}


def _fixed(config: dict[str, Any]) -> Callable[[Random, list[str], str], dict[str, Any]]:
    return lambda random, outputs, service: dict(config)


_LOOP = {"until": "done", "maxTurns": 5, "node": {"type": "chaos-turn", "config": {}}}
_GOES_ON = ("delay", "wait", "approval", "map", "loop", "sub-workflow")
_KINDS: dict[str, tuple[int, Callable[[Random, list[str], str], dict[str, Any]]]] = {
    "chaos-work": (40, _body),
    "chaos-async": (10, _body),
    "chaos-slow": (5, _body),
    "chaos-effect": (8, _body),
    "chaos-late": (2, _body),
    "http": (6, _http),
    "set": (3, _fixed({"values": {"told": True}})),
    "transform": (2, _fixed({"expression": "@"})),
    "condition": (4, _condition),
    "delay": (4, _fixed({"duration": 400})),
    "wait": (4, _wait),
    "approval": (2, _approval),
    "sub-workflow": (4, _fixed({"workflowId": CHILD})),
    "map": (4, _map),
    "loop": (2, _fixed(_LOOP)),
}
