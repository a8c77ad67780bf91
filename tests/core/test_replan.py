"""The laws of going on in another graph, over random workflows and points of time."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from spane_django.core.graph import Graph
from spane_django.core.plan import Ended, Join, JoinRule
from spane_django.core.replan import passed_over, replan
from spane_django.core.statuses import NodeStatus
from tests.core.plots import CANCELLED, COMPLETED, FAILED, SKIPPED, Journey, Plot, orders, plots

thorough = settings(max_examples=300)
DONE = Ended("a", COMPLETED)


def midway(plot: Plot, random: Random) -> Journey:
    """Return an execution of which some part has been done."""
    journey = Journey(plot)
    for _ in range(random.randint(0, len(plot.children))):
        if journey.ready:
            journey.settle([random.choice(journey.ready)])
    return journey


def begun(journey: Journey) -> dict[str, Ended]:
    return {node: end for node, end in journey.ended.items() if end.status in (COMPLETED, FAILED)}


@thorough
@given(plots(), orders)
def test_in_the_same_graph_nothing_changes(plot: Plot, random: Random):
    journey = midway(plot, random)

    progress = replan(plot.graph, begun(journey), journey.ready, plot.joins)

    assert progress.released == []
    assert progress.lost == {}
    assert dict.fromkeys(progress.skipped, SKIPPED) | dict.fromkeys(
        progress.blocked, CANCELLED
    ) == {node: fate for node, fate in journey.fates.items() if fate in (SKIPPED, CANCELLED)}
    assert progress.waiting == {
        node: counts for node, counts in journey.stored.items() if counts is not None
    }


@given(plots(), orders)
def test_what_was_released_and_has_not_begun_is_released_again(plot: Plot, random: Random):
    journey = midway(plot, random)
    active = random.sample(journey.ready, random.randint(0, len(journey.ready)))

    progress = replan(plot.graph, begun(journey), active, plot.joins)

    assert sorted(progress.released) == sorted(set(journey.ready) - set(active))


@thorough
@given(plots(), orders, st.data())
def test_in_any_other_graph_every_node_that_has_not_begun_gets_one_fate(
    plot: Plot, random: Random, data: st.DataObject
):
    journey = midway(plot, random)
    other = data.draw(plots(size=10))
    ended = {node: end for node, end in begun(journey).items() if node in other.children}
    active = [node for node in journey.ready if node in other.children]

    progress = replan(other.graph, ended, active, other.joins)
    decided = [*progress.released, *progress.skipped, *progress.blocked, *progress.waiting]

    assert len(decided) == len(set(decided))
    assert not set(decided) & {*ended, *active}
    assert set(other.graph.roots) <= {*decided, *ended, *active}


@thorough
@given(plots(), orders, st.data())
def test_an_execution_that_goes_on_in_another_graph_ends(
    plot: Plot, random: Random, data: st.DataObject
):
    old = midway(plot, random)
    other = data.draw(plots(size=10))
    new = Journey(replace(other, ends={**other.ends}))
    new.ended = {node: end for node, end in begun(old).items() if node in other.children}
    new.ready = [node for node in old.ready if node in other.children]
    new.stored = dict.fromkeys((*new.ended, *new.ready))

    new._apply(replan(other.graph, new.ended, new.ready, other.joins))
    new.go(random)

    assert set(new.ended) == set(other.children)


@given(plots(), orders)
def test_a_failed_execution_stays_still(plot: Plot, random: Random):
    journey = midway(plot, random)

    progress = replan(plot.graph, begun(journey), [], plot.joins, is_halted=True)

    assert progress.released == []
    assert progress.waiting == {}
    assert {*begun(journey), *progress.skipped, *progress.blocked} == set(plot.children)


def test_a_node_that_was_added_behind_a_finished_one_is_released():
    graph = Graph({"a": ["new"], "new": []})

    assert replan(graph, {"a": DONE}, [], {}).released == ["new"]


def test_a_node_that_was_added_in_between_goes_first_unless_the_next_has_begun():
    graph = Graph({"a": ["new"], "new": ["b"], "b": []})

    assert replan(graph, {"a": DONE}, [], {}).released == ["new"]
    assert replan(graph, {"a": DONE}, ["b"], {}).released == ["new"]
    assert "b" not in replan(graph, {"a": DONE}, ["b"], {}).waiting


def test_a_branch_that_was_not_chosen_is_skipped_again_however_it_is_called():
    graph = Graph({"a": ["left", "right"], "left": [], "right": []})
    ended = {"a": DONE._replace(chosen=frozenset({"left"}))}

    progress = replan(graph, ended, [], {})

    assert (progress.released, progress.skipped) == (["left"], ["right"])


def test_what_a_join_has_gone_on_without_stays_lost():
    graph = Graph({"r": ["a", "b"], "a": ["j"], "b": ["c"], "c": ["j"], "j": []})
    joins = {"j": Join(JoinRule.ANY, cancels_losers=True)}
    ended = {node: Ended(node, NodeStatus.COMPLETED) for node in ("r", "a", "j")}

    progress = replan(graph, ended, ["b"], joins)

    assert progress.released == []
    assert progress.lost == {"b": "j", "c": "j"}


def test_what_was_inserted_before_nodes_that_have_begun_is_passed_over():
    graph = Graph({"a": ["x"], "x": ["y"], "y": ["b"], "b": ["c"], "c": []})

    assert passed_over(graph, {"a", "b", "c"}, {"a", "b"}) == ["x", "y"]
    assert passed_over(graph, {"a", "b", "c"}, {"a"}) == []


def test_a_new_node_that_leads_to_more_than_what_has_begun_is_not_passed_over():
    graph = Graph({"a": ["x"], "x": ["b", "c"], "b": [], "c": []})

    assert passed_over(graph, {"a", "b", "c"}, {"a", "b"}) == []


@given(plots(), orders)
def test_in_the_same_graph_nothing_is_passed_over(plot: Plot, random: Random):
    journey = midway(plot, random)

    assert passed_over(plot.graph, set(plot.children), begun(journey)) == []
