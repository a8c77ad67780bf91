"""The laws of progress, over random workflows, rules, failures, choices and orders of work."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from spane_django.core.plan import JoinRule, Progress, advance, touched
from tests.core.plots import (
    CANCELLED,
    COMPLETED,
    SKIPPED,
    Journey,
    Plot,
    counted,
    ends_of,
    fates,
    orders,
    plots,
)

thorough = settings(max_examples=300)
failures_stop = [rule for rule in JoinRule if rule is not JoinRule.ALL_DONE]


@thorough
@given(plots(), orders)
def test_who_runs_is_what_the_oracle_says(plot: Plot, random: Random):
    journey = Journey(plot).go(random)

    assert journey.fates == fates(plot)


@given(plots(), orders, orders)
def test_every_order_of_work_ends_in_the_same_place(plot: Plot, one: Random, other: Random):
    assert Journey(plot).go(one).fates == Journey(plot).go(other).fates


@given(plots(), orders)
def test_every_execution_ends_and_no_node_runs_twice(plot: Plot, random: Random):
    journey = Journey(plot).go(random)

    assert set(journey.ended) == set(plot.graph.children)
    assert max(Counter(journey.ran).values()) == 1


@given(plots(kinds=[JoinRule.ALL]), orders)
def test_no_node_is_released_before_all_of_its_parents_have_ended(plot: Plot, random: Random):
    journey = Journey(plot)

    while journey.ready:
        progress = journey.settle([random.choice(journey.ready)])
        for node in progress.released:
            assert set(plot.graph.parents[node]) <= set(journey.ended)


@given(plots(), orders)
def test_no_node_is_released_without_a_parent_that_allows_it(plot: Plot, random: Random):
    journey = Journey(plot)

    while journey.ready:
        progress = journey.settle([random.choice(journey.ready)])
        for node in progress.released:
            counts = counted(plot, journey.ended, node)
            join = plot.joins.get(node)
            if join and join.rule is JoinRule.N_OF_M:
                assert counts.live >= join.needed
            elif not join or join.rule in (JoinRule.ALL, JoinRule.ANY):
                assert counts.live >= 1


@given(plots(), orders)
def test_what_is_decided_stays_decided(plot: Plot, random: Random):
    journey = Journey(plot).go(random)
    again = random.sample(sorted(journey.ended), len(journey.ended))

    progress = advance(
        plot.graph, [journey.ended[node] for node in again], plot.joins, journey.stored
    )

    assert progress == Progress()


@thorough
@given(plots(), orders)
def test_counting_arrivals_one_by_one_equals_counting_them_afresh(plot: Plot, random: Random):
    journey = Journey(plot)

    while journey.ready:
        journey.settle([random.choice(journey.ready)])
        for node, counts in journey.stored.items():
            if counts is not None:
                assert counts == counted(plot, journey.ended, node)


@given(plots(), orders)
def test_one_batch_of_all_that_is_ready_equals_its_nodes_one_by_one(plot: Plot, random: Random):
    together, singly = Journey(plot), Journey(plot)

    while together.ready:
        batch = list(together.ready)
        together.settle(batch)
        for node in random.sample(batch, len(batch)):
            singly.settle([node])
        assert sorted(together.ready) == sorted(singly.ready)

    assert together.fates == singly.fates


@given(plots(), orders)
def test_a_halted_execution_releases_nothing_and_ends(plot: Plot, random: Random):
    journey = Journey(plot)

    while journey.ready:
        assert journey.settle([random.choice(journey.ready)], is_halted=True).released == []

    assert set(journey.ended) == set(plot.graph.children)


@given(plots(), orders)
def test_planning_needs_to_know_only_the_joins_that_it_names(plot: Plot, random: Random):
    journey = Journey(plot)

    while journey.ready:
        node = random.choice(journey.ready)
        named = touched(plot.graph, [plot.ends[node]], plot.joins)
        progress = journey.settle([node])
        joins = {child for child in progress.waiting if len(plot.graph.parents[child]) > 1}
        assert joins <= named


@thorough
@given(plots(kinds=failures_stop), orders, st.data())
def test_retrying_all_that_failed_ends_where_a_fresh_run_ends(
    plot: Plot, random: Random, data: st.DataObject
):
    journey = Journey(plot).go(random)
    failed = [node for node in journey.ran if journey.ended[node].status.value == "failed"]

    for node in random.sample(failed, len(failed)):
        journey.retry(node, data.draw(ends_of(node, plot.children[node])))
    journey.go(random)

    assert journey.fates == fates(journey.plot)


@thorough
@given(plots(), orders, st.data())
def test_a_retry_runs_nothing_twice_but_what_was_retried(
    plot: Plot, random: Random, data: st.DataObject
):
    journey = Journey(plot).go(random)
    node = data.draw(st.sampled_from(sorted(journey.ran)))

    journey.retry(node, data.draw(ends_of(node, plot.children[node])))
    journey.go(random)

    assert Counter(journey.ran)[node] == 2
    assert [other for other, runs in Counter(journey.ran).items() if runs > 1] == [node]
    assert set(journey.ended) == set(plot.graph.children)


@given(plots(), orders, st.data())
def test_a_retry_leaves_what_has_run_as_it_is(plot: Plot, random: Random, data: st.DataObject):
    journey = Journey(plot).go(random)
    node = data.draw(st.sampled_from(sorted(journey.ran)))
    kept = {other: journey.ended[other].status for other in journey.ran if other != node}

    journey.retry(node, data.draw(ends_of(node, plot.children[node])))

    assert {other: journey.fates.get(other) for other in kept} == kept
    assert not set(journey.fates.values()) - {COMPLETED, SKIPPED, CANCELLED, *kept.values()}
