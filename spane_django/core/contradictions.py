"""Options of a node that are sound each by itself and make no sense together.

Two families are known: what becomes of a failure (``onFail``, ``continueOnFail``,
``errorOutputs``), and what becomes of those that a join did not wait for (``losers``).  Each fault
points to the option that should go or change.  That an option is of the right shape is checked
before, by the schema in `options`; a node that failed there is not looked at here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .plan import JoinRule
from .schema import Fault

Raw = Mapping[str, Any]

_EARLY = (JoinRule.ANY, JoinRule.N_OF_M)


def contradictions(nodes: Sequence[Raw], broken: set[str]) -> Iterator[Fault]:
    """Return the faults of all nodes.

    Args:
        nodes: As the definition holds them.
        broken: Paths of the nodes that are not to be looked at.
    """
    for index, node in enumerate(nodes):
        path = f"nodes[{index}]"
        if path not in broken:
            yield from _error_output_faults(node, path)
            yield from _on_fail_faults(node, path)
            yield from _loser_faults(node, path)


def _error_output_faults(node: Raw, path: str) -> Iterator[Fault]:
    outputs = node.get("outputs", ())
    for place, child in enumerate(node.get("errorOutputs", ())):
        if child not in outputs:
            message = f"'{child}' is none of the outputs: add it there or remove it here"
            yield Fault(f"{path}.errorOutputs[{place}]", "unknown_error_output", message)


def _on_fail_faults(node: Raw, path: str) -> Iterator[Fault]:
    has_branch = bool(node.get("errorOutputs"))
    at, on_fail = _option(node, "onFail")
    if on_fail == "branch" and not has_branch:
        message = "list the outputs that a failure leads to in 'errorOutputs'"
        yield Fault(f"{path}.{at}", "no_error_outputs", message)
    if not has_branch:
        return
    message = "it has errorOutputs, so a failure takes these: remove this or the errorOutputs"
    if on_fail in ("fail", "continue"):
        yield Fault(f"{path}.{at}", "contradicts_error_outputs", message)
    for place, continues in _continuing(node):
        if continues:
            yield Fault(f"{path}.{place}", "contradicts_error_outputs", message)


def _loser_faults(node: Raw, path: str) -> Iterator[Fault]:
    _, join = _option(node, "join")
    rule = join.get("rule") if isinstance(join, Mapping) else join
    if "losers" in node and rule not in _EARLY:
        message = "only the joins 'any' and 'n_of_m' go on without some: change 'join' or remove it"
        yield Fault(f"{path}.losers", "no_losers", message)


def _continuing(node: Raw) -> Iterator[tuple[str, bool]]:
    at, policy = _option(node, "retryPolicy")
    yield f"{at}.continueOnFail", bool(policy and policy.get("continueOnFail"))
    at, continues = _option(node, "continueOnFail")
    yield at, bool(continues)


def _option(node: Raw, name: str) -> tuple[str, Any]:
    """Return where in a node an option stands, and its value; beside the config wins."""
    if name in node:
        return name, node[name]
    return f"config.{name}", (node.get("config") or {}).get(name)
