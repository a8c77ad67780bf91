"""Every rule against every way in which up to four parents may stand, alone and nested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations, product
from pathlib import Path
from random import Random

import pytest

from spane_django.core.plan import Decision, Ended, Join, JoinRule
from spane_django.core.truth_table import Parent, decision, table, written
from tests.core.plots import CANCELLED, COMPLETED, FAILED, SKIPPED, Journey, Plot, fates

DOCUMENT = Path(__file__).parents[2] / "docs" / "joins.md"
RULES = [
    *(Join(rule) for rule in JoinRule if rule is not JoinRule.N_OF_M),
    *(Join(JoinRule.N_OF_M, needed=needed) for needed in (1, 2, 3, 4)),
]
FEW_RULES = [
    *(Join(rule) for rule in JoinRule if rule is not JoinRule.N_OF_M),
    Join(JoinRule.N_OF_M, needed=2),
]
ENDS = [parent for parent in Parent if parent is not Parent.OPEN]
MEANS = {SKIPPED: Decision.SKIP, CANCELLED: Decision.BLOCK}


def name(join: Join) -> str:
    return f"{join.rule.value}-{join.needed}"


def plot_of(join: Join, parents: Sequence[Parent]) -> Plot:
    """Return a plot with a join whose parents come to stand like this; one that is open completes.

    A parent that is skipped or cancelled lies behind a root that chose others or failed.
    """
    children: dict[str, list[str]] = {"join": [], "other": []}
    ends = {"join": Ended("join", COMPLETED), "other": Ended("other", COMPLETED)}
    for place, parent in enumerate(parents):
        node, root = f"p{place}", f"r{place}"
        children |= {node: ["join", "other"]}
        chosen = frozenset({"other"}) if parent is Parent.CHOSE_OTHERS else None
        ends[node] = Ended(node, FAILED if parent is Parent.FAILED else COMPLETED, chosen)
        if parent in (Parent.SKIPPED, Parent.CANCELLED):
            children |= {root: [node]}
            status = FAILED if parent is Parent.CANCELLED else COMPLETED
            ends[root] = Ended(root, status, frozenset())
    return Plot(children, {"join": join}, ends)


def expected(join: Join, parents: Sequence[Parent]) -> Decision:
    """Return what the oracle says once all have ended; the join runs if it is not ruled out."""
    return MEANS.get(fates(plot_of(join, parents))["join"], Decision.RELEASE)


def ends_to_come(parents: Sequence[Parent]) -> Iterator[list[Parent]]:
    """Return every way in which the open parents may still end."""
    yield from (
        list(ways)
        for ways in product(*(ENDS if parent is Parent.OPEN else [parent] for parent in parents))
    )


@pytest.mark.parametrize("join", RULES, ids=name)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_parents_that_have_ended_make_of_a_join_what_the_oracle_says(join: Join, count: int):
    for parents in product(ENDS, repeat=count):
        assert decision(join, parents) is expected(join, parents), parents


@pytest.mark.parametrize("join", RULES, ids=name)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_join_is_decided_early_only_if_nothing_to_come_could_change_it(join: Join, count: int):
    for parents in product(Parent, repeat=count):
        told = decision(join, parents)

        possible = {expected(join, ways) for ways in ends_to_come(parents)}

        assert told is Decision.WAIT or possible == {told}, parents


@pytest.mark.parametrize("join", RULES, ids=name)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_early_joins_wait_no_longer_than_they_must(join: Join, count: int):
    is_early = join.rule in (JoinRule.ANY, JoinRule.N_OF_M)
    for parents in product(Parent, repeat=count):
        possible = {expected(join, ways) for ways in ends_to_come(parents)}

        if possible == {Decision.BLOCK} and join.rule is not JoinRule.ALL_DONE:
            assert decision(join, parents) is Decision.BLOCK, parents
        elif is_early and len(possible) == 1:
            assert decision(join, parents) in possible, parents


@pytest.mark.parametrize("join", FEW_RULES, ids=name)
def test_no_order_of_ends_changes_a_join(join: Join):
    for parents in product(ENDS, repeat=3):
        plot = plot_of(join, parents)
        told = fates(plot)
        for order in permutations(range(3)):
            journey = Journey(plot)
            for place in order:
                for node in (f"r{place}", f"p{place}"):
                    if node in journey.ready:
                        journey.settle([node])
            journey.go(Random(0))
            assert journey.fates == told, (parents, order)


@pytest.mark.parametrize("outer", FEW_RULES, ids=name)
@pytest.mark.parametrize("middle", FEW_RULES, ids=name)
def test_a_join_behind_a_join_behind_a_join_ends_as_the_oracle_says(middle: Join, outer: Join):
    ways = (Parent.COMPLETED, Parent.CHOSE_OTHERS, Parent.FAILED)
    for inner, *parents in product(FEW_RULES, *[ways] * 4):
        children = {
            "p0": ["inner", "other"], "p1": ["inner", "other"], "p2": ["middle", "other"],
            "p3": ["outer", "other"], "inner": ["middle"], "middle": ["outer"], "outer": [],
            "other": [],
        }  # fmt: skip
        joins = {"inner": inner, "middle": middle, "outer": outer}
        plot = Plot(children, joins, dict(_ends(children, parents)))

        assert Journey(plot).go(Random(1)).fates == fates(plot), (inner, parents)


@pytest.mark.parametrize("outer", FEW_RULES, ids=name)
@pytest.mark.parametrize("inner", FEW_RULES, ids=name)
def test_a_branch_inside_a_branch_inside_a_branch_ends_as_the_oracle_says(inner: Join, outer: Join):
    children = {
        "one": ["two", "c"], "two": ["three", "b"], "three": ["a1", "a2"], "a1": ["in"],
        "a2": ["in"], "in": ["mid"], "b": ["mid"], "mid": ["out"], "c": ["out"], "out": [],
    }  # fmt: skip
    choosers = ["one", "two", "three"]
    choices = [[*_choices(node, children[node]), Ended(node, FAILED)] for node in choosers]
    for middle, *ends in product(FEW_RULES, *choices):
        told = {node: Ended(node, COMPLETED) for node in children}
        told |= dict(zip(choosers, ends, strict=True))
        plot = Plot(children, {"in": inner, "mid": middle, "out": outer}, told)

        assert Journey(plot).go(Random(2)).fates == fates(plot), (middle, ends)


def test_the_document_holds_the_table_that_the_code_gives():
    document = DOCUMENT.read_text()

    assert written(document) == document
    assert table() in document


def test_a_document_without_a_place_for_the_table_is_refused():
    with pytest.raises(ValueError, match="needs the lines"):
        written("# Joins")


def _ends(children: dict[str, list[str]], parents: Sequence[Parent]) -> Iterator[tuple[str, Ended]]:
    for place, node in enumerate(children):
        parent = parents[place] if place < len(parents) else Parent.COMPLETED
        chosen = frozenset({"other"}) if parent is Parent.CHOSE_OTHERS else None
        yield node, Ended(node, FAILED if parent is Parent.FAILED else COMPLETED, chosen)


def _choices(node: str, children: Sequence[str]) -> Iterator[Ended]:
    for count in range(len(children) + 1):
        for chosen in combinations(children, count):
            yield Ended(node, COMPLETED, frozenset(chosen))
