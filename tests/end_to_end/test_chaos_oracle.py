"""The oracle of the chaos runner finds out what is wrong, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.chaos.oracle import Ended, Run, faults

DIAMOND = {
    "nodes": [
        {"id": "r", "outputs": ["a", "b"]},
        {"id": "a", "inputs": ["r"], "outputs": ["j"]},
        {"id": "b", "inputs": ["r"], "outputs": ["j"]},
        {"id": "j", "inputs": ["a", "b"]},
    ]
}


def ended(status: str = "completed", *, join: str = "all", **more: Any) -> Ended:
    """Return a diamond in which every node has completed."""
    nodes = [{**node, "join": join} if node["id"] == "j" else node for node in DIAMOND["nodes"]]
    runs = {
        node["id"]: Run(id=place, node_id=str(node["id"]), type="x", status="completed")
        for place, node in enumerate(nodes)
    }
    return Ended("e", status, "", {"nodes": nodes}, runs, **more)


def test_an_execution_that_is_right_has_no_fault():
    assert list(faults(ended())) == []


def test_a_join_that_ran_although_it_had_not_to_is_found_out():
    one = ended("failed", failed_nodes=1)
    one.runs["a"].status = "failed"

    (fault,) = faults(one)

    assert fault.startswith("'j' ran and had to be cancelled")


def test_a_join_that_did_not_run_although_it_had_to_is_found_out():
    one = ended("failed", join="any", failed_nodes=1)
    one.runs["a"].status, one.runs["j"].status = "failed", "cancelled"

    (fault,) = faults(one)

    assert fault.startswith("'j' had to run and is cancelled")


def test_what_no_branch_leads_to_must_be_skipped():
    one = ended()
    one.runs["r"].next_nodes = ["b"]

    (fault,) = faults(one)

    assert fault.startswith("'a' ran and had to be skipped")


def test_a_node_that_is_open_in_what_has_ended_is_found_out():
    one = ended()
    one.runs["j"].status = "pending"

    assert any("j have not" in fault for fault in faults(one))


def test_a_counter_that_is_wrong_is_found_out():
    assert list(faults(ended(active_nodes=1))) == ["it has ended and counts 1 active nodes"]


@pytest.mark.parametrize("wanted", [True, False])
def test_a_cancel_that_nobody_wanted_is_found_out(wanted: bool):
    assert bool(list(faults(ended("cancelled", may_be_cancelled=wanted)))) is not wanted


def test_an_execution_that_has_not_ended_is_found_out():
    assert list(faults(ended("running"))) == ["it is running and has not ended"]
