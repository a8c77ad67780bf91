"""An ``async`` node reads what a plain one reads, on a real worker's event loop."""

from __future__ import annotations

from typing import Any

from tests.end_to_end.plant import plant, until

CONFIG = {"said": "{{ initial.word }} from {{ results.first.node }}"}


def test_an_async_node_reads_the_input_and_results_of_nodes_that_are_no_parents():
    nodes: list[dict[str, Any]] = [
        {"id": "first", "type": "storm-work", "inputs": [], "outputs": ["second"]},
        {"id": "second", "type": "storm-work", "inputs": ["first"], "outputs": ["reader"]},
        {"id": "reader", "type": "reads-asynchronously", "inputs": ["second"], "outputs": []},
    ]
    nodes[2]["config"] = CONFIG
    definition = {"id": "reading", "name": "Reading", "entryNodeId": "first", "nodes": nodes}
    output = (
        "SELECT output FROM spane_django_noderun WHERE execution_id = %s AND node_id = 'reader'"
    )

    with plant() as running:
        running.start("worker", "rqworker", "spane")
        (execution,) = running.begin(definition, [{"word": "hello"}])

        assert until(lambda: running.value(output, execution)), running.log("worker")
        assert running.value(output, execution) == {
            "config": "hello from first",
            "initial": {"word": "hello"},
            "first": "first",
            "all": ["first", "second"],
            "count": 2,
        }
