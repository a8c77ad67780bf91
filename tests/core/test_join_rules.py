"""What the counts of a node's edges mean, rule by rule."""

from __future__ import annotations

import pytest

from spane_django.core.graph import Graph
from spane_django.core.plan import (
    Arrivals,
    Ended,
    Join,
    JoinRule,
    advance,
    decide,
    reopen,
    touched,
)
from spane_django.core.statuses import NodeStatus

ALL, ANY, DONE, NONE_FAILED = JoinRule.ALL, JoinRule.ANY, JoinRule.ALL_DONE, JoinRule.NONE_FAILED
TWO = JoinRule.N_OF_M
COMPLETED, FAILED, SKIPPED = NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.SKIPPED
CANCELLED = NodeStatus.CANCELLED
DIAMOND = Graph({"r": ["a", "b"], "a": ["j"], "b": ["j"], "j": ["k"], "k": []})


@pytest.mark.parametrize(
    ("rule", "open_", "live", "broken", "decision"),
    [
        (ALL, 1, 1, 0, "wait"),  # a parent has not ended
        (ALL, 0, 1, 0, "release"),  # the others chose another branch
        (ALL, 0, 2, 0, "release"),
        (ALL, 0, 0, 0, "skip"),  # all edges are dead
        (ALL, 1, 1, 1, "block"),  # nothing that is still open can mend it
        (ALL, 0, 0, 1, "block"),
        (ANY, 2, 0, 0, "wait"),
        (ANY, 2, 1, 0, "release"),  # the first live edge
        (ANY, 0, 1, 2, "release"),  # failures elsewhere do not count
        (ANY, 0, 0, 0, "skip"),
        (ANY, 1, 0, 1, "wait"),
        (ANY, 0, 0, 1, "block"),
        (TWO, 1, 1, 0, "wait"),
        (TWO, 1, 2, 0, "release"),
        (TWO, 0, 1, 0, "skip"),
        (TWO, 1, 0, 1, "block"),  # one is open, two are needed
        (TWO, 1, 0, 0, "wait"),  # cannot be met, but whether to blame a failure is open
        (DONE, 1, 1, 1, "wait"),
        (DONE, 0, 1, 1, "release"),
        (DONE, 0, 0, 1, "release"),  # a failed parent is done, too
        (DONE, 0, 0, 0, "skip"),
        (NONE_FAILED, 1, 0, 0, "wait"),
        (NONE_FAILED, 0, 0, 0, "release"),  # every parent was skipped
        (NONE_FAILED, 0, 1, 0, "release"),
        (NONE_FAILED, 1, 1, 1, "block"),
    ],
)
def test_a_join_rule_turns_counts_into_a_decision(
    rule: JoinRule, open_: int, live: int, broken: int, decision: str
):
    counts = Arrivals(open=open_, live=live, broken=broken)

    assert decide(Join(rule, needed=2), counts) == decision


def test_a_node_that_chose_nothing_chose_every_child():
    progress = advance(DIAMOND, [Ended("r", COMPLETED)], {}, {})

    assert progress.released == ["a", "b"]


def test_a_node_that_chose_no_child_skips_them_all_and_what_lies_behind():
    progress = advance(DIAMOND, [Ended("r", COMPLETED, frozenset())], {}, {})

    assert progress.skipped == ["a", "b", "j", "k"]


def test_ids_that_are_no_children_choose_nothing():
    progress = advance(DIAMOND, [Ended("r", COMPLETED, frozenset({"j", "ghost"}))], {}, {})

    assert progress.skipped == ["a", "b", "j", "k"]


def test_a_join_runs_although_one_branch_was_not_taken():
    chosen = Ended("r", COMPLETED, frozenset({"a"}))
    first = advance(DIAMOND, [chosen], {}, {})

    then = advance(DIAMOND, [Ended("a", COMPLETED)], {}, {"j": first.waiting["j"]})

    assert (first.released, first.skipped) == (["a"], ["b"])
    assert (then.released, then.waiting) == (["j"], {})


def test_a_failure_blocks_what_hangs_on_it_and_nothing_else():
    graph = Graph({"r": ["a", "b"], "a": ["c"], "b": ["d"], "c": [], "d": []})

    progress = advance(graph, [Ended("a", FAILED), Ended("b", COMPLETED)], {}, {})

    assert (progress.blocked, progress.released) == (["c"], ["d"])


def test_the_counts_that_were_handed_in_are_not_changed():
    stored = Arrivals(open=2)

    advance(DIAMOND, [Ended("a", COMPLETED)], {}, {"j": stored})

    assert stored == Arrivals(open=2)


def test_a_live_edge_touches_the_children_with_several_parents_only():
    assert touched(DIAMOND, [Ended("r", COMPLETED)], {}) == set()
    assert touched(DIAMOND, [Ended("a", COMPLETED)], {}) == {"j"}


def test_a_dead_edge_touches_all_that_lies_behind_it():
    assert touched(DIAMOND, [Ended("r", COMPLETED, frozenset())], {}) == {"j", "k"}


def test_a_second_end_touches_even_a_child_without_other_parents():
    assert touched(DIAMOND, [Ended("r", COMPLETED, has_run_before=True)], {}) == {"a", "b"}


def test_a_halt_touches_all_that_lies_behind_what_it_blocks():
    assert touched(DIAMOND, [Ended("r", COMPLETED)], {}, is_halted=True) == {"j", "k"}


def test_reopening_counts_anew_what_had_seen_a_failure_that_is_being_retried():
    joins = {"j": Join(ANY)}
    ended = {"r": Ended("r", COMPLETED), "b": Ended("b", FAILED)}

    progress = reopen(DIAMOND, ended, ["a"], joins, "b")

    assert progress.waiting["j"] == Arrivals(open=2)


def test_reopening_leaves_alone_what_another_failure_still_blocks():
    ended = {
        "r": Ended("r", COMPLETED),
        "a": Ended("a", FAILED),
        "b": Ended("b", FAILED),
        "j": Ended("j", CANCELLED),
        "k": Ended("k", CANCELLED),
    }

    progress = reopen(DIAMOND, ended, [], {}, "a")

    assert (progress.blocked, progress.waiting, progress.released) == (["j", "k"], {}, [])


def test_reopening_releases_what_was_cancelled_before_it_could_start():
    ended = {
        "r": Ended("r", COMPLETED),
        "a": Ended("a", FAILED),
        "b": Ended("b", CANCELLED),
        "j": Ended("j", CANCELLED),
        "k": Ended("k", CANCELLED),
    }

    progress = reopen(DIAMOND, ended, [], {}, "a")

    assert progress.released == ["b"]
    assert progress.waiting == {"j": Arrivals(open=2), "k": Arrivals(open=1)}


def test_reopening_skips_again_what_lies_behind_a_branch_that_stays_not_taken():
    graph = Graph({"r": ["a", "b"], "a": ["c"], "b": ["c"], "c": []})
    ended = {
        "r": Ended("r", COMPLETED, frozenset({"a"})),
        "a": Ended("a", FAILED),
        "b": Ended("b", SKIPPED),
        "c": Ended("c", CANCELLED),
    }

    progress = reopen(graph, ended, [], {}, "a")

    assert (progress.skipped, progress.waiting) == ([], {"c": Arrivals(open=1)})
