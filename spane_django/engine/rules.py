"""Which gate a node passes: its own, else that of its type; at most one.

A node's ``limit`` and ``circuitBreaker`` replace what is said of its type, and for a type the
setting ``LIMITS`` replaces what the class says.  Whoever prepares a version declares its rules
here, so that a worker that meets a gate knows what it must be; of two declarations the one of
the newer version holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..conf import settings
from ..core.definition import Definition
from ..core.lanes import gate_key, owned
from ..core.limits import Breaker, GateRow, Limit, breaker_from, limit_from
from ..nodes.base import Node, registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What limits a node.

    Attributes:
        base: The key of the gate; with ``per_key`` of all of its gates the beginning.
        source: The version that says so; 0: the node type or the settings.
    """

    base: str
    source: int
    limit: Limit
    breaker: Breaker | None

    @property
    def hands_over(self) -> bool:
        """Whether a node that ends may give its place to the next one, unasked."""
        return self.limit.rate is None

    def gate(self, execution_key: str) -> str:
        """Return the key of the gate that nodes of an execution with this key pass."""
        key = gate_key(self.base, execution_key if self.limit.per_key else "")
        _bases[key] = self.base
        return key

    def applied_to(self, gate: GateRow) -> bool:
        """Write what is declared into the row of a gate; say whether it has changed."""
        if self.source < gate.source:
            return False
        rate, breaker = self.limit.rate, self.breaker
        standard = Breaker()
        declared = {
            "source": self.source,
            "max_running": self.limit.max,
            "rate_count": rate.count if rate else None,
            "rate_seconds": rate.per.total_seconds() if rate else None,
            "failure_threshold": breaker.failures if breaker else None,
            "success_threshold": (breaker or standard).successes,
            "cooldown_seconds": (breaker or standard).cooldown.total_seconds(),
        }
        if all(getattr(gate, name) == value for name, value in declared.items()):
            return False
        for name, value in declared.items():
            setattr(gate, name, value)
        return True


def rule_for(
    node: Mapping[str, Any],
    node_type: Node | None,
    *,
    workflow: str,
    tenant: str,
    version_id: int,
    queue: str,
) -> Rule | None:
    """Return the rule of a node, or None: nothing limits it.

    Args:
        node: As its definition has it.
        node_type: None if this process does not know it.
        workflow: What tells its nodes from those of the same ids elsewhere.
        tenant: Whose workflow it is: a name of a limit is a tenant's own.
        queue: Where the node waits.
    """
    limit, breaker, base, source = _own(node, f"{workflow}/{node['id']}", version_id)
    if limit is None and breaker is None:
        limit, breaker, base, source = _of_type(node["type"], node_type)
    if limit is None and breaker is None:
        return None
    rule = _rule(limit, breaker, base, source, tenant=tenant)
    _queues.setdefault(rule.base, set()).add(queue)
    return declare(rule)


def rules_in(definition: Definition, version_id: int, *, tenant: str = "") -> list[Rule]:
    """Return what the nodes of a version say of themselves, without what is said of their types."""
    workflow = owned(tenant, definition.id)
    rules = []
    for node in definition.nodes.values():
        limit, breaker, base, source = _own(node.raw, f"{workflow}/{node.id}", version_id)
        if limit is not None or breaker is not None:
            rules.append(_rule(limit, breaker, base, source, tenant=tenant))
    return rules


def rules_of_types() -> list[Rule]:
    """Return what the settings and the node types of this process say of types."""
    known = {node_type.type: node_type for node_type in registry}
    words = [_of_type(name, known.get(name)) for name in {*known, *settings.LIMITS}]
    return [_rule(*said) for said in words if said[0] is not None or said[1] is not None]


def declare(rule: Rule) -> Rule:
    """Let a rule hold for its gates, unless a newer version has declared another one."""
    known = _rules.get(rule.base)
    if known is None or known.source <= rule.source:
        _rules[rule.base] = rule
    return rule


def rule_of(gate: str) -> Rule | None:
    """Return what holds for a gate; None if nobody in this process has declared it yet."""
    return _rules.get(_bases.get(gate, gate))


def is_known(gate: str) -> bool:
    """Say whether this process has met a gate."""
    return gate in _bases


def note(gate: str) -> None:
    """Take note of a gate that nothing declares any more, so that it is not asked after again."""
    _bases.setdefault(gate, gate)


def queues_of(gate: str) -> set[str]:
    """Return the queues in which, as far as this process knows, nodes of a gate may wait."""
    return _queues.get(_bases.get(gate, gate), set())


def forget() -> None:
    """Forget what has been declared: the settings have changed."""
    _rules.clear()
    _bases.clear()
    _queues.clear()


_rules: dict[str, Rule] = {}
_bases: dict[str, str] = {}
_queues: dict[str, set[str]] = {}

_Words = tuple[Limit | None, Breaker | None, str, int]


def _rule(
    limit: Limit | None, breaker: Breaker | None, base: str, source: int, *, tenant: str = ""
) -> Rule:
    limit = limit or Limit()
    base = f"limit:{owned(tenant, limit.name)}" if limit.name else base
    return Rule(base=base, source=source, limit=limit, breaker=breaker)


def _own(node: Mapping[str, Any], base: str, version_id: int) -> _Words:
    limit, breaker = node.get("limit"), node.get("circuitBreaker")
    return (
        None if limit is None else limit_from(limit),
        None if breaker is None else breaker_from(breaker),
        base,
        version_id,
    )


def _of_type(name: str, node_type: Node | None) -> _Words:
    base = f"type:{name}"
    if name in settings.LIMITS:
        given = settings.LIMITS[name]
        breaker = given.get("circuitBreaker")
        return limit_from(given), None if breaker is None else breaker_from(breaker), base, 0
    if node_type is None:
        return None, None, base, 0
    return node_type.limit, node_type.breaker, base, 0
