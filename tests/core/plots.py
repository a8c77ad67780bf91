"""Random workflows for the planner: who waits for whom, by which rule, and how each node ends.

`fates` is the oracle: the specification of who runs, written from the rules of progress and not
from the code.  A `Journey` takes a plot through the planner and stores no more than the engine
stores: the counts of joins that are undecided, and who is decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random

from hypothesis import strategies as st

from spane_django.core.graph import Graph
from spane_django.core.plan import (
    Arrivals,
    Ended,
    Join,
    JoinRule,
    Progress,
    advance,
    reopen,
    rules,
    touched,
)
from spane_django.core.statuses import NodeStatus

COMPLETED, FAILED = NodeStatus.COMPLETED, NodeStatus.FAILED
SKIPPED, CANCELLED = NodeStatus.SKIPPED, NodeStatus.CANCELLED
DEFAULT = Join()
EARLY = (JoinRule.ANY, JoinRule.N_OF_M)


@dataclass(frozen=True)
class Plot:
    """A graph, the joins that have another rule than ``all``, and how each node ends if it runs."""

    children: Mapping[str, list[str]]
    joins: Mapping[str, Join]
    ends: Mapping[str, Ended]

    @cached_property
    def graph(self) -> Graph:
        return Graph(self.children)

    @cached_property
    def losers(self) -> dict[str, set[str]]:
        """What each join that cancels its losers goes on without, found by trying every path."""
        return {
            node: {other for other in self.children if other != node and self._only(other, node)}
            for node, join in self.joins.items()
            if join.cancels_losers
        }

    def chose(self, parent: str, child: str) -> bool:
        chosen = self.ends[parent].chosen
        return chosen is None or child in chosen

    def _only(self, node: str, goal: str) -> bool:
        """Say whether every path from ``node`` goes through ``goal``."""
        children = self.children[node]
        return node == goal or (bool(children) and all(self._only(one, goal) for one in children))


orders = st.integers(0, 2**32).map(Random)
"""An order of work: a plain generator of random numbers, as each draw of Hypothesis's own costs."""


@st.composite
def plots(draw: st.DrawFn, kinds: Sequence[JoinRule] = tuple(JoinRule), size: int = 8) -> Plot:
    ids = [f"n{index}" for index in range(draw(st.integers(1, size)))]
    rows = draw(_numbers(len(ids), 2**size))
    children = {
        node: [other for place, other in enumerate(ids) if place > index and row >> place & 1]
        for index, (node, row) in enumerate(zip(ids, rows, strict=True))
    }
    numbers = draw(_numbers(len(ids), 4 * len(kinds)))
    joins = {
        node: Join(kinds[number % len(kinds)], needed=number // len(kinds))
        for node, number in zip(ids, numbers, strict=True)
        if number >= len(kinds)
    }
    numbers = draw(_numbers(len(ids), 2**size))
    ends = {
        node: _end(node, children[node], number) for node, number in zip(ids, numbers, strict=True)
    }
    return Plot(children, joins, ends)


@st.composite
def races(draw: st.DrawFn, size: int = 7) -> Plot:
    """Return plots in which most leaves race to a goal, and early joins cancel what is late."""
    plot = draw(plots([JoinRule.ANY, JoinRule.N_OF_M, JoinRule.ALL, JoinRule.ALL_DONE], size))
    away = draw(st.sets(st.sampled_from(sorted(plot.children)), max_size=2))
    racers = set(plot.graph.leaves) - away
    children = {
        **{node: ["goal"] if node in racers else to for node, to in plot.children.items()},
        "goal": ["after"],
        "after": [],
    }
    joins = {**plot.joins, "goal": Join(draw(st.sampled_from(EARLY)), draw(st.integers(1, 2)))}
    joins = {
        node: replace(join, cancels_losers=join.rule in EARLY and node not in away)
        for node, join in joins.items()
        if node != "goal" or racers
    }
    ends = {**plot.ends, "goal": Ended("goal", COMPLETED), "after": Ended("after", COMPLETED)}
    return Plot(children, rules(Graph(children), joins), ends)


def ends_of(node: str, children: Sequence[str]) -> st.SearchStrategy[Ended]:
    return st.integers(0, 255).map(lambda number: _end(node, children, number))


def _numbers(count: int, below: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, below - 1), min_size=count, max_size=count)


def _end(node: str, children: Sequence[str], number: int) -> Ended:
    """Read a number as an end: a quarter each fails and chooses, the rest chooses all."""
    if number % 4 == 1:
        return Ended(node, FAILED)
    chosen = frozenset(child for place, child in enumerate(children) if number >> place + 2 & 1)
    return Ended(node, COMPLETED, chosen if number % 4 == 2 else None)


def fates(plot: Plot) -> dict[str, NodeStatus]:
    """Return how every node ends: the oracle."""
    known: dict[str, NodeStatus] = {}

    def fate(node: str) -> NodeStatus:
        if node not in known:
            known[node] = plot.ends[node].status if runs(node) else undone(node)
        return known[node]

    def live(node: str) -> int:
        parents = plot.graph.parents[node]
        return sum(fate(parent) is COMPLETED and plot.chose(parent, node) for parent in parents)

    def broken(node: str) -> int:
        return sum(fate(parent) in (FAILED, CANCELLED) for parent in plot.graph.parents[node])

    def runs(node: str) -> bool:
        join = plot.joins.get(node, DEFAULT)
        return (
            not plot.graph.parents[node]
            or {
                JoinRule.ALL: live(node) > 0 and not broken(node),
                JoinRule.ANY: live(node) > 0,
                JoinRule.N_OF_M: live(node) >= join.needed,
                JoinRule.ALL_DONE: live(node) + broken(node) > 0,
                JoinRule.NONE_FAILED: not broken(node),
            }[join.rule]
        )

    def undone(node: str) -> NodeStatus:
        return CANCELLED if broken(node) else SKIPPED

    return {node: fate(node) for node in plot.graph.children}


def counted(plot: Plot, ended: Mapping[str, Ended], node: str) -> Arrivals:
    """Return what a node has seen, counted afresh from the parents that have ended."""
    parents = plot.graph.parents[node]
    ends = [ended[parent] for parent in parents if parent in ended]
    return Arrivals(
        open=len(parents) - len(ends),
        live=sum(end.status is COMPLETED and plot.chose(end.node_id, node) for end in ends),
        broken=sum(end.status in (FAILED, CANCELLED) for end in ends),
    )


class Journey:
    """One execution of a plot.

    Attributes:
        ready: Released and not ended yet.
        ran: Every release, in order.
        ended: What has ended, by id.
        stored: Undecided joins with their counts; None for what is decided.
    """

    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        self.ready = list(plot.graph.roots)
        self.ran = list(plot.graph.roots)
        self.ended: dict[str, Ended] = {}
        self.stored: dict[str, Arrivals | None] = dict.fromkeys(self.ready)

    @property
    def fates(self) -> dict[str, NodeStatus]:
        return {node: end.status for node, end in self.ended.items()}

    def settle(self, nodes: Iterable[str], *, is_halted: bool = False) -> Progress:
        """Let a batch of ready nodes end."""
        ends = [self._end(node) for node in nodes]
        plot = self.plot
        needed = touched(plot.graph, ends, plot.joins, is_halted=is_halted)
        seen = {node: self.stored[node] for node in needed if node in self.stored}
        progress = advance(plot.graph, ends, plot.joins, seen, is_halted=is_halted)
        self._apply(progress)
        return progress

    def go(self, random: Random) -> Journey:
        """Settle in random batches and orders until nothing is ready."""
        while self.ready:
            self.settle(random.sample(self.ready, random.randint(1, len(self.ready))))
        return self

    def retry(self, node: str, end: Ended) -> None:
        """Run a node again that has ended, as an operator does; this time it ends as ``end``."""
        self.plot = plot = replace(self.plot, ends={**self.plot.ends, node: end})
        progress = reopen(plot.graph, self.ended, self.ready, plot.joins, node)
        assert all(self.ended[key].status is CANCELLED for key in progress.blocked)
        for key in (node, *progress.released, *progress.waiting):
            self.ended.pop(key, None)
        self.ready.append(node)
        self.ran.append(node)
        self._apply(progress)

    def _end(self, node: str) -> Ended:
        self.ready.remove(node)
        end = self.plot.ends[node]
        self.ended[node] = end._replace(has_run_before=self.ran.count(node) > 1)
        return self.ended[node]

    def _apply(self, progress: Progress) -> None:
        self.ready += progress.released
        self.ran += progress.released
        lost = [node for node in progress.lost if node not in self.ended]
        self.ready = [node for node in self.ready if node not in lost]
        self.ended |= {node: Ended(node, CANCELLED) for node in lost}
        self.stored |= dict.fromkeys(lost)
        self.stored |= progress.waiting
        for status, nodes in ((SKIPPED, progress.skipped), (CANCELLED, progress.blocked)):
            self.ended |= {node: Ended(node, status) for node in nodes}
        decided = (*progress.released, *progress.skipped, *progress.blocked)
        self.stored |= dict.fromkeys(decided)
