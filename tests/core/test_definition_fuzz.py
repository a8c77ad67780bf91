"""Whatever is handed in as a definition, reading it answers."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from spane_django.core.definition import Limits, read
from spane_django.core.options import NODE_OPTIONS

IDS = st.sampled_from(["a", "b", "c", "ghost", ""])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | IDS
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(IDS | st.text(max_size=3), inner),
    max_leaves=6,
)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return good | good | good | junk


edges = mostly(st.lists(mostly(IDS), max_size=4))
options = st.dictionaries(
    st.sampled_from(sorted(NODE_OPTIONS)),
    junk | st.sampled_from(["continue", "any", 1, 5, True, {"rule": "n_of_m", "n": 2}]),
    max_size=3,
)
nodes = st.fixed_dictionaries(
    {"id": mostly(IDS), "type": mostly(st.just("t"))},
    optional={"inputs": edges, "outputs": edges, "config": mostly(options), "extra": junk},
)
documents = st.fixed_dictionaries(
    {
        "id": mostly(st.just("w")),
        "name": mostly(st.just("W")),
        "entryNodeId": mostly(IDS),
        "nodes": mostly(st.lists(mostly(nodes), max_size=4)),
    },
    optional={
        "priority": junk,
        "timeout": junk,
        "inputSchema": junk,
        "failFast": junk,
        "queue": junk,
    },
)


@settings(max_examples=300)
@given(junk | documents)
def test_reading_never_raises_and_what_has_no_fault_can_be_used(raw: Any):
    definition, faults = read(raw, limits=Limits())

    assert all(fault.code and fault.message for fault in faults)
    if not faults:
        assert definition is not None
        assert len(definition.graph.order()) == len(definition.nodes)
        assert definition.graph.roots
        for node in definition.nodes.values():
            assert node.retry().attempts >= 1
            assert node.join.needed >= 1
            assert node.timeout is None or node.timeout.total_seconds() > 0
        assert 1 <= definition.priority <= 10


def test_a_hundred_thousand_edges_of_one_node_are_read_in_seconds():
    many = [f"n{index}" for index in range(100_000)]
    node = {"id": "a", "type": "t", "outputs": many}

    started = time.process_time()
    _, faults = read({"id": "w", "name": "W", "entryNodeId": "a", "nodes": [node]}, limits=Limits())

    assert len(faults) == 100_000
    assert time.process_time() - started < 5
