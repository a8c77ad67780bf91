"""What a workflow is: the JSON of the wire, read into something to reason about.

The JSON is the truth and survives to the letter, extra keys included; a `Definition` is a
reading of it.  :func:`read` lists *every* fault of a document with its path.  What only the
process's node types can tell (unknown types, configs that do not fit) is checked in
`spane_django.nodes.checks`.

What the engine's options may be stands in `options`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from .contradictions import contradictions
from .errors import InvalidDefinition
from .graph import Graph
from .json import UnstorableValue, encode
from .options import DEFINITION_SCHEMA, NODE_OPTIONS
from .plan import ALL, Join, JoinRule, rules
from .retry import DEFAULT, Retry, retry_from
from .schema import Fault, Schema, faults_in, schema_faults
from .starting import (
    DuplicateRule,
    MaxExecutions,
    duplicate_rule_from,
    max_executions_from,
    starting_faults,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a definition may be."""

    nodes: int = 5_000
    size_bytes: int = 4_194_304


@dataclass(frozen=True)
class NodeDefinition:
    """One node of a definition."""

    raw: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.raw["id"])

    @property
    def type(self) -> str:
        return str(self.raw["type"])

    @property
    def inputs(self) -> list[str]:
        return list(self.raw.get("inputs", ()))

    @property
    def outputs(self) -> list[str]:
        return list(self.raw.get("outputs", ()))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config without the engine's options: what belongs to the node type."""
        config = self.raw.get("config") or {}
        return {key: value for key, value in config.items() if key not in NODE_OPTIONS}

    @cached_property
    def options(self) -> dict[str, Any]:
        """The engine's options, wherever they were written."""
        given = {**(self.raw.get("config") or {}), **self.raw}
        return {key: given[key] for key in NODE_OPTIONS if key in given}

    @cached_property
    def join(self) -> Join:
        given = self.options.get("join", "all")
        cancels_losers = self.raw.get("losers") == "cancel"
        if isinstance(given, str):
            return Join(JoinRule(given), cancels_losers=cancels_losers)
        return Join(JoinRule(given["rule"]), given.get("n", 1), cancels_losers)

    @cached_property
    def continues_on_fail(self) -> bool:
        """Whether a final failure becomes data for the children instead."""
        policy = self.options.get("retryPolicy") or {}
        says_so = policy.get("continueOnFail") or self.options.get("continueOnFail")
        return bool(says_so) or self.options.get("onFail") == "continue"

    @property
    def error_outputs(self) -> list[str]:
        """The children that run if it fails for good, and only then."""
        return list(self.raw.get("errorOutputs", ()))

    @property
    def usual_outputs(self) -> tuple[str, ...] | None:
        """The children that it leads to if it succeeds and chooses none; None: all of them."""
        errors = self.error_outputs
        return tuple(node for node in self.outputs if node not in errors) if errors else None

    @property
    def priority(self) -> int | None:
        """1 to 10, higher first; None: that of the execution."""
        given = self.options.get("priority")
        return None if given is None else int(given)

    @property
    def timeout(self) -> timedelta | None:
        given = self.options.get("timeout")
        return None if given is None else timedelta(milliseconds=given)

    def retry(self, default: Retry = DEFAULT) -> Retry:
        """Return the policy: what the node says, over what its type says."""
        return retry_from(self.options, default)


@dataclass(frozen=True)
class Definition:
    """A workflow, read from its JSON.  Build one with :func:`parse`."""

    raw: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.raw["id"])

    @property
    def name(self) -> str:
        return str(self.raw["name"])

    @cached_property
    def nodes(self) -> dict[str, NodeDefinition]:
        return {node["id"]: NodeDefinition(node) for node in self.raw["nodes"]}

    @cached_property
    def graph(self) -> Graph:
        return Graph({node.id: node.outputs for node in self.nodes.values()})

    @cached_property
    def joins(self) -> dict[str, Join]:
        """The rules of the nodes that have another than ``all``, as `plan.rules` completes them."""
        return rules(
            self.graph,
            {node.id: node.join for node in self.nodes.values() if node.join != ALL},
        )

    @property
    def queue(self) -> str | None:
        return self.raw.get("queue")

    @property
    def priority(self) -> int:
        """1 to 10, higher first; 5 unless it says otherwise."""
        return int(self.raw.get("priority", 5))

    @property
    def is_fail_fast(self) -> bool:
        return bool(self.raw.get("failFast", False))

    @property
    def timeout(self) -> timedelta | None:
        """How long an execution may take from its start."""
        given = self.raw.get("timeout")
        return None if given is None else timedelta(milliseconds=given)

    @property
    def key(self) -> str | None:
        """The expression over the input that says whose an execution is."""
        return self.raw.get("key")

    @property
    def max_concurrency(self) -> int | None:
        """How many nodes of one execution may run at once; None: any number."""
        given = self.raw.get("maxConcurrency")
        return None if given is None else int(given)

    @property
    def max_executions(self) -> MaxExecutions | None:
        """How many executions may run at once; None: any number."""
        given = self.raw.get("maxExecutions")
        return None if given is None else max_executions_from(given)

    @property
    def duplicates(self) -> DuplicateRule | None:
        """What is a duplicate of an execution; None: nothing is."""
        given = self.raw.get("onDuplicate")
        return None if given is None else duplicate_rule_from(given)

    @property
    def error_handler(self) -> str | None:
        """The workflow that is started when an execution has failed."""
        given = self.raw.get("onError")
        return None if given is None else str(given["workflowId"])

    @cached_property
    def has_undo(self) -> bool:
        """Whether some node names what undoes it."""
        return any("undo" in node.raw for node in self.nodes.values())

    @property
    def has_ending(self) -> bool:
        """Whether something may run once an execution has ended."""
        return self.has_undo or "finally" in self.raw

    @property
    def save_data(self) -> str:
        """Whose data are kept: of ``all`` executions, of those that ``failed``, of ``none``."""
        return str(self.raw.get("saveData", "all"))

    @property
    def keep_days(self) -> dict[str, float | None]:
        """Days that executions are kept, by status; None: without end.  Else the settings say."""
        return dict(self.raw.get("keepDays", {}))

    @property
    def input_schema(self) -> Schema | None:
        return self.raw.get("inputSchema")


def parse(raw: Any, *, limits: Limits = Limits()) -> Definition:
    """Read a definition.

    Raises:
        InvalidDefinition: with every fault of the document.
    """
    definition, faults = read(raw, limits=limits)
    if faults or definition is None:
        raise InvalidDefinition(faults)
    return definition


def read(raw: Any, *, limits: Limits) -> tuple[Definition | None, list[Fault]]:
    """Return the definition, if the document has the shape of one, and all of its faults."""
    faults = list(_size_faults(raw, limits))
    if faults:
        return None, faults
    faults = list(faults_in(DEFINITION_SCHEMA, raw, ""))
    faults += _input_schema_faults(raw)
    if not _has_shape(raw):
        return None, faults
    broken = {fault.path.partition(".")[0] for fault in faults}
    faults += contradictions(raw["nodes"], broken)
    faults += starting_faults(raw)
    faults += _id_faults(raw["nodes"])
    faults += _edge_faults(raw["nodes"])
    faults += _entry_faults(raw)
    definition = Definition(raw)
    faults += _path_faults(definition)
    return definition, faults


def _size_faults(raw: Any, limits: Limits) -> Iterator[Fault]:
    nodes = raw.get("nodes") if isinstance(raw, dict) else None
    if isinstance(nodes, list) and len(nodes) > limits.nodes:
        message = f"{len(nodes):,} nodes are too many: at most {limits.nodes:,} are allowed"
        yield Fault("nodes", "too_many_nodes", message + "; move a part into a sub-workflow")
    try:
        encode(raw, limit_bytes=limits.size_bytes)
    except UnstorableValue as error:
        yield Fault("", "too_large" if "measures" in str(error) else "not_json", str(error))


def _input_schema_faults(raw: Any) -> Iterator[Fault]:
    schema = raw.get("inputSchema") if isinstance(raw, dict) else None
    if isinstance(schema, dict):
        yield from schema_faults(schema, "inputSchema")


def _has_shape(raw: Any) -> bool:
    """Say whether the document can be reasoned about: its nodes have ids and lists of edges."""
    if not isinstance(raw, dict) or not isinstance(raw.get("nodes"), list):
        return False
    return all(
        isinstance(node, dict)
        and isinstance(node.get("id"), str)
        and isinstance(node.get("config", {}), dict)
        and all(_is_strings(node.get(edges, [])) for edges in ("inputs", "outputs"))
        for node in raw["nodes"]
    )


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _id_faults(nodes: list[dict[str, Any]]) -> Iterator[Fault]:
    counts = Counter(node["id"] for node in nodes)
    for index, node in enumerate(nodes):
        if counts[node["id"]] > 1:
            message = f"Duplicate node id '{node['id']}': give each node an id of its own"
            yield Fault(f"nodes[{index}].id", "duplicate_id", message)


def _edge_faults(nodes: list[dict[str, Any]]) -> Iterator[Fault]:
    edges = {
        (side, node["id"], other)
        for node in nodes
        for side in ("inputs", "outputs")
        for other in node.get(side, ())
    }
    known = {node["id"] for node in nodes}
    for index, node in enumerate(nodes):
        for side, mirror in (("inputs", "outputs"), ("outputs", "inputs")):
            listed: set[str] = set()
            for place, other in enumerate(node.get(side, ())):
                path = f"nodes[{index}].{side}[{place}]"
                if other not in known:
                    message = f"there is no node '{other}': add it or remove the edge"
                    yield Fault(path, "dangling_edge", message)
                elif (mirror, other, node["id"]) not in edges:
                    message = f"one-sided edge: add '{node['id']}' to the {mirror} of '{other}'"
                    yield Fault(path, "one_sided_edge", message)
                if other in listed:
                    yield Fault(path, "duplicate_edge", f"'{other}' is listed twice")
                listed.add(other)


def _entry_faults(raw: Mapping[str, Any]) -> Iterator[Fault]:
    entry = raw.get("entryNodeId")
    if not isinstance(entry, str):
        return
    found = next((node for node in raw["nodes"] if node["id"] == entry), None)
    if found is None:
        message = f"Entry node '{entry}' not found in workflow nodes"
        yield Fault("entryNodeId", "unknown_entry", message)
    elif found.get("inputs"):
        message = f"Entry node '{entry}' has inputs, so nothing would start it"
        yield Fault("entryNodeId", "entry_with_inputs", message)


def _path_faults(definition: Definition) -> Iterator[Fault]:
    known = set(definition.nodes)
    graph = Graph(
        {
            node.id: [child for child in dict.fromkeys(node.outputs) if child in known]
            for node in definition.nodes.values()
        }
    )
    cycle = graph.cycle()
    if cycle:
        message = f"Workflow contains a cycle: {' → '.join(cycle)}; remove one of its edges"
        yield Fault("nodes", "cycle", message)
    reachable = graph.reachable(graph.roots) | set(cycle or ())
    for index, node_id in enumerate(graph.children):
        if node_id in reachable:
            continue
        message = f"no path leads to node '{node_id}' from a node without inputs"
        yield Fault(f"nodes[{index}]", "unreachable", message)
