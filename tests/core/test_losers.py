"""What a join that cancels its losers goes on without, and that nobody else notices."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from spane_django.core.graph import Graph
from spane_django.core.plan import Arrivals, Ended, Join, JoinRule, advance, reopen, rules, touched
from spane_django.core.statuses import NodeStatus
from tests.core.plots import CANCELLED, Journey, Plot, counted, ends_of, fates, orders, races

COMPLETED, FAILED = NodeStatus.COMPLETED, NodeStatus.FAILED
# Two ways to j: the short one over a, the long one over b and c.
RACE = Graph({"r": ["a", "b"], "a": ["j"], "b": ["c"], "c": ["j"], "j": ["k"], "k": []})
FIRST = rules(RACE, {"j": Join(JoinRule.ANY, cancels_losers=True)})
thorough = settings(max_examples=300)


def test_whatever_leads_only_to_the_join_is_lost():
    progress = advance(RACE, [Ended("a", COMPLETED)], FIRST, {})

    assert progress.released == ["j"]
    assert progress.lost == {"r": "j", "a": "j", "b": "j", "c": "j"}


def test_losers_are_left_alone_unless_the_join_cancels_them():
    progress = advance(RACE, [Ended("a", COMPLETED)], {"j": Join(JoinRule.ANY)}, {})

    assert (progress.released, progress.lost) == (["j"], {})


def test_what_leads_elsewhere_too_is_not_lost():
    graph = Graph({"r": ["a", "b"], "a": ["j"], "b": ["j", "x"], "j": [], "x": []})
    joins = rules(graph, {"j": Join(JoinRule.ANY, cancels_losers=True)})

    progress = advance(graph, [Ended("a", COMPLETED)], joins, {})

    assert progress.lost == {"a": "j"}


def test_a_loser_that_its_parent_releases_in_the_same_moment_is_not_released():
    progress = advance(RACE, [Ended("b", COMPLETED), Ended("a", COMPLETED)], FIRST, {})

    assert progress.released == ["j"]
    assert progress.lost["c"] == "j"


def test_a_loser_that_was_skipped_in_the_same_moment_stays_skipped():
    progress = advance(RACE, [Ended("b", COMPLETED, frozenset()), Ended("a", COMPLETED)], FIRST, {})

    assert progress.skipped == ["c"]
    assert "c" not in progress.lost


def test_a_join_that_is_blocked_loses_nobody():
    progress = advance(RACE, [Ended("a", FAILED), Ended("c", FAILED)], FIRST, {})

    assert (progress.blocked, progress.lost) == (["j", "k"], {})


def test_a_loser_with_one_parent_is_asked_for_as_it_may_be_decided_already():
    assert touched(RACE, [Ended("b", COMPLETED)], FIRST) == {"c"}
    assert touched(RACE, [Ended("b", COMPLETED)], {"j": Join(JoinRule.ANY)}) == set()


def test_a_parent_that_ends_later_does_not_wake_a_loser():
    progress = advance(RACE, [Ended("b", COMPLETED)], FIRST, {"c": None})

    assert (progress.released, progress.waiting) == ([], {})


def test_what_failed_behind_the_join_is_retried_without_the_losers():
    ended = {
        **{node: Ended(node, COMPLETED) for node in "raj"},
        **{node: Ended(node, CANCELLED) for node in "bc"},
        "k": Ended("k", FAILED),
    }

    progress = reopen(RACE, ended, [], FIRST, "k")

    assert (progress.released, progress.waiting, progress.lost) == ([], {}, {})


def test_a_join_that_is_made_to_run_goes_on_without_what_is_under_way():
    ended = {"r": Ended("r", COMPLETED), "j": Ended("j", CANCELLED), "a": Ended("a", FAILED)}

    progress = reopen(RACE, ended, ["b"], FIRST, "j")

    assert progress.lost == {"b": "j", "c": "j"}
    assert progress.waiting == {"k": Arrivals(open=1)}


@thorough
@given(races(), orders)
def test_a_loser_never_goes_on_once_the_join_was_released(plot: Plot, random: Random):
    journey = Journey(plot)

    while journey.ready:
        journey.settle(random.sample(journey.ready, random.randint(1, len(journey.ready))))
        for join in plot.losers.keys() & set(journey.ran):
            assert plot.losers[join] <= set(journey.ended)


@thorough
@given(races(), orders)
def test_nobody_but_the_losers_notices(plot: Plot, random: Random):
    journey = Journey(plot).go(random)

    told = fates(plot)
    won = plot.losers.keys() & set(journey.ran)
    lost = set().union(*(plot.losers[join] for join in won))
    assert set(journey.ended) == set(plot.children)
    for node, fate in journey.fates.items():
        assert fate is told[node] or (node in lost and fate is CANCELLED)


@thorough
@given(races(), orders)
def test_races_count_their_arrivals_as_if_afresh(plot: Plot, random: Random):
    journey = Journey(plot)

    while journey.ready:
        journey.settle([random.choice(journey.ready)])
        for node, counts in journey.stored.items():
            if counts is not None:
                assert counts == counted(plot, journey.ended, node)


@thorough
@given(races(), orders, st.data())
def test_a_retry_in_a_race_ends_and_runs_nothing_else_twice(
    plot: Plot, random: Random, data: st.DataObject
):
    journey = Journey(plot).go(random)
    node = data.draw(st.sampled_from(sorted(journey.ran)))

    journey.retry(node, data.draw(ends_of(node, plot.children[node])))
    journey.go(random)

    assert [other for other, runs in Counter(journey.ran).items() if runs > 1] == [node]
    assert set(journey.ended) == set(plot.graph.children)


@thorough
@given(races(), orders, st.data())
def test_a_retry_wakes_no_loser(plot: Plot, random: Random, data: st.DataObject):
    journey = Journey(plot).go(random)
    node = data.draw(st.sampled_from(sorted(journey.ran)))
    won = plot.losers.keys() & set(journey.ran)
    lost = set().union(*(plot.losers[join] for join in won)) - set(journey.ran)

    journey.retry(node, data.draw(ends_of(node, plot.children[node])))
    journey.go(random)

    assert not lost & set(journey.ran)
