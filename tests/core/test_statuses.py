"""The two tables of statuses: every line happens, every other pair is refused."""

from __future__ import annotations

from itertools import product

import pytest

from spane_django.core.statuses import (
    EXECUTION_TRANSITIONS,
    NODE_TRANSITIONS,
    ExecutionEvent,
    ExecutionStatus,
    IllegalTransition,
    NodeEvent,
    NodeStatus,
    after_execution,
    after_node,
    execution_sources,
    node_sources,
)

EXECUTION_LINES = """
    pending    started     running
    pending    paused      paused
    pending    failed      failed
    pending    cancelled   cancelled
    running    paused      paused
    running    completed   completed
    running    failed      failed
    running    cancelled   cancelled
    paused     resumed     running
    paused     postponed   pending
    paused     completed   completed
    paused     failed      failed
    paused     cancelled   cancelled
    completed  reopened    running
    failed     reopened    running
    cancelled  reopened    running
"""
NODE_LINES = """
    pending    released    ready
    pending    pruned      skipped
    pending    blocked     cancelled
    pending    cancelled   cancelled
    ready      claimed     running
    ready      cancelled   cancelled
    ready      reset       pending
    ready      skipped     skipped
    ready      completed-by-hand completed
    running    completed   completed
    running    failed      failed
    running    retried     ready
    running    deferred    waiting
    running    lost        ready
    running    returned    ready
    running    cancelled   cancelled
    running    reset       pending
    running    skipped     skipped
    running    completed-by-hand completed
    waiting    claimed     running
    waiting    cancelled   cancelled
    waiting    reset       pending
    waiting    skipped     skipped
    waiting    completed-by-hand completed
    completed  rerun       ready
    completed  reset       pending
    failed     rerun       ready
    failed     reset       pending
    skipped    rerun       ready
    skipped    reset       pending
    cancelled  rerun       ready
    cancelled  reset       pending
"""


def lines(drawing: str) -> dict[tuple[str, str], str]:
    """Read a drawing: status, event, status."""
    rows = (line.split() for line in drawing.strip().splitlines())
    return {(status, event): then for status, event, then in rows}


EXECUTIONS, NODES = lines(EXECUTION_LINES), lines(NODE_LINES)


@pytest.mark.parametrize(("status", "event"), [*product(ExecutionStatus, ExecutionEvent)])
def test_an_execution_becomes_what_its_table_says_or_refuses(
    status: ExecutionStatus, event: ExecutionEvent
):
    if (status, event) in EXECUTIONS:
        assert after_execution(status, event) == EXECUTIONS[status, event]
    else:
        with pytest.raises(IllegalTransition, match=f"cannot be {event}: it is {status}"):
            after_execution(status, event)


@pytest.mark.parametrize(("status", "event"), [*product(NodeStatus, NodeEvent)])
def test_a_node_becomes_what_its_table_says_or_refuses(status: NodeStatus, event: NodeEvent):
    if (status, event) in NODES:
        assert after_node(status, event) == NODES[status, event]
    else:
        with pytest.raises(IllegalTransition, match=f"cannot be {event}: it is {status}"):
            after_node(status, event)


def test_the_tables_hold_no_other_lines():
    assert EXECUTION_TRANSITIONS == EXECUTIONS
    assert NODE_TRANSITIONS == NODES


@pytest.mark.parametrize("event", ExecutionEvent)
def test_the_sources_of_an_event_are_the_executions_it_may_happen_to(event: ExecutionEvent):
    assert set(execution_sources(event)) == {now for now, known in EXECUTIONS if known == event}


@pytest.mark.parametrize("event", NodeEvent)
def test_the_sources_of_an_event_are_the_nodes_it_may_happen_to(event: NodeEvent):
    assert set(node_sources(event)) == {now for now, known in NODES if known == event}


def test_only_an_operator_leads_out_of_an_end():
    out_of_executions = {event for now, event in EXECUTIONS if ExecutionStatus(now).is_final}
    out_of_nodes = {event for now, event in NODES if NodeStatus(now).is_final}

    assert out_of_executions == {"reopened"}
    assert out_of_nodes == {"rerun", "reset"}


def test_every_status_but_the_first_can_be_reached_and_every_event_can_happen():
    assert {*EXECUTIONS.values()} == set(ExecutionStatus)
    assert {*NODES.values()} == set(NodeStatus)
    assert {event for _, event in EXECUTIONS} == set(ExecutionEvent)
    assert {event for _, event in NODES} == set(NodeEvent)
