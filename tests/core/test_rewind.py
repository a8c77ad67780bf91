"""Running a part anew ends where a fresh run ends, whatever had ended before."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from spane_django.core.plan import Ended
from spane_django.core.replan import replan
from spane_django.core.rewind import Rewound, carried, rewind
from tests.core.plots import (
    CANCELLED,
    COMPLETED,
    SKIPPED,
    Journey,
    Plot,
    ends_of,
    fates,
    orders,
    plots,
    races,
)

thorough = settings(max_examples=300, deadline=None)


def go_back(journey: Journey, nodes: list[str], ends: dict[str, Ended]) -> Rewound:
    """Run nodes and all behind them again; this time the nodes end as ``ends`` says."""
    journey.plot = plot = replace(journey.plot, ends={**journey.plot.ends, **ends})
    back = rewind(plot.graph, journey.ended, journey.ready, plot.joins, nodes)
    progress = back.progress
    for key in (*back.first, *back.undone, *progress.released, *progress.waiting):
        journey.ended.pop(key, None)
    journey.ready = [node for node in journey.ready if node not in back.undone] + back.first
    journey.ran += back.first
    journey._apply(progress)
    return back


def some_of(data: st.DataObject, nodes: list[str]) -> list[str]:
    return sorted(data.draw(st.sets(st.sampled_from(sorted(nodes)), min_size=1)))


def new_ends(data: st.DataObject, plot: Plot, nodes: list[str]) -> dict[str, Ended]:
    return {node: data.draw(ends_of(node, plot.children[node])) for node in nodes}


def steps(journey: Journey, random: Random, count: int) -> Journey:
    for _ in range(count):
        if journey.ready:
            journey.settle([random.choice(journey.ready)])
    return journey


@thorough
@given(plots(), orders, st.data())
def test_running_a_part_anew_ends_where_a_fresh_run_ends(
    plot: Plot, random: Random, data: st.DataObject
):
    journey = Journey(plot).go(random)
    nodes = some_of(data, journey.ran)

    go_back(journey, nodes, new_ends(data, plot, nodes))
    journey.go(random)

    assert journey.fates == fates(journey.plot)


@thorough
@given(plots(), orders, st.data())
def test_it_does_so_in_the_middle_of_a_run_too(plot: Plot, random: Random, data: st.DataObject):
    journey = steps(Journey(plot), random, data.draw(st.integers(1, 8)))
    nodes = some_of(data, list(journey.ended)) if journey.ended else []
    nodes = [node for node in nodes if journey.ended[node].status not in (SKIPPED, CANCELLED)]

    if nodes:
        go_back(journey, nodes, new_ends(data, plot, nodes))
    journey.go(random)

    assert journey.fates == fates(journey.plot)


@thorough
@given(plots(), orders, st.data())
def test_only_the_chosen_and_what_lies_behind_them_runs_twice(
    plot: Plot, random: Random, data: st.DataObject
):
    journey = Journey(plot).go(random)
    nodes = some_of(data, journey.ran)
    behind = set().union(*(plot.graph.descendants(node) for node in nodes))

    back = go_back(journey, nodes, {})
    journey.go(random)

    twice = {node for node, runs in Counter(journey.ran).items() if runs > 1}
    assert set(back.first) <= twice <= {*nodes, *behind}
    assert set(back.first) == set(nodes) - behind


@thorough
@given(races(), orders, st.data())
def test_where_joins_cancel_what_is_late_everything_still_ends(
    plot: Plot, random: Random, data: st.DataObject
):
    journey = Journey(plot).go(random)
    nodes = some_of(data, journey.ran)

    go_back(journey, nodes, new_ends(data, plot, nodes))
    journey.go(random)

    assert set(journey.ended) == set(plot.graph.children)


@thorough
@given(plots(), orders, st.data())
def test_another_execution_that_takes_results_over_ends_where_a_fresh_run_ends(
    plot: Plot, random: Random, data: st.DataObject
):
    journey = Journey(plot).go(random)
    nodes = some_of(data, list(plot.children))
    finished = {node: end for node, end in journey.ended.items() if end.status is COMPLETED}

    kept = carried(plot.graph, finished, plot.joins, nodes)
    other = Journey(replace(plot, ends={**plot.ends, **new_ends(data, plot, nodes)}))
    other.ready, other.ran = [], []
    other.ended = {node: end._replace(has_run_before=True) for node, end in kept.items()}
    other.stored = dict.fromkeys(kept)
    other._apply(replan(plot.graph, kept, (), plot.joins))
    other.go(random)

    assert not set(kept) & {*nodes, *plot.graph.reachable(nodes)}
    assert other.fates == fates(other.plot)
    assert not set(kept) & set(other.ran)


@thorough
@given(plots(), plots(), orders)
def test_what_is_taken_over_lies_behind_nothing_that_is_still_to_run(
    old: Plot, new: Plot, random: Random
):
    journey = Journey(old).go(random)
    finished = {
        node: end
        for node, end in journey.ended.items()
        if end.status is COMPLETED and node in new.children
    }

    kept = carried(new.graph, finished, new.joins, ())
    progress = replan(new.graph, kept, (), new.joins)

    open_again = {*progress.released, *progress.waiting}
    assert not set(kept) & set().union(*map(new.graph.descendants, open_again))
    assert not set(kept) & {*progress.skipped, *progress.blocked, *open_again}
