"""Workflows that keep no data lose them soon after the end, and only then."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.core.files.storage import storages
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from spane_django.core.outcome import Child, Delay, StartChildren
from spane_django.engine.clear import ClearedData, clear
from spane_django.engine.control import cancel
from spane_django.engine.retry import replay, rerun, retry_failed
from spane_django.engine.start import StartOptions, start
from spane_django.models import Attempt, DeadLetter, Execution, LogLine, NodeRun, Payload
from tests.engine.helpers import NOON, Machine, after, execution, node_run, outputs, status

SECRET = {"card": "4111"}


def boom(ctx: Any) -> None:
    ctx.log.info("trying", card="4111")
    raise ValueError("boom")


def run(machine: Machine, save_data: str, **more: Any) -> UUID:
    """Run one execution with an input to its end."""
    key = machine.begin({"a": ["b"]}, SECRET, saveData=save_data, **more)
    machine.drain()
    return key


def kept(key: UUID) -> list[Any]:
    """Return whatever data there are of an execution."""
    runs = NodeRun.objects.filter(execution_id=key)
    found = [execution(key).input, *runs.values_list("output", flat=True)]
    found += DeadLetter.objects.filter(execution_id=key).values_list("input", flat=True)
    found += LogLine.objects.filter(execution_id=key).values_list("data", flat=True)
    return [data for data in found if data is not None]


def test_nothing_is_cleared_of_a_workflow_that_does_not_say_so(machine: Machine):
    key = run(machine, "all")

    assert clear(now=after(86_400)) == 0
    assert len(kept(key)) == 3


@pytest.mark.parametrize(("save_data", "is_kept"), [("none", False), ("failed", False)])
def test_a_completed_execution_is_cleared(machine: Machine, save_data: str, is_kept: bool):
    key = run(machine, save_data)

    clear(now=after(61))

    assert bool(kept(key)) is is_kept
    assert execution(key).cleared_at == after(61)
    assert execution(key).output is None
    assert status(key) == "completed"


def test_whoever_waited_has_a_minute_to_read_the_output(machine: Machine):
    key = run(machine, "none")

    assert clear(now=after(59)) == 0
    assert execution(key).output == {"from": "b"}


@pytest.mark.parametrize(("save_data", "is_kept"), [("none", False), ("failed", True)])
@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_what_did_not_complete_is_cleared_only_if_nothing_is_kept(
    machine: Machine, does: dict[str, Any], save_data: str, is_kept: bool, end: str
):
    does["b"] = boom if end == "failed" else lambda ctx: Delay(after(9_999), checkpoint=SECRET)
    key = run(machine, save_data, nodes={"b": {"retries": 0}})
    if end == "cancelled":
        cancel(key, now=NOON)

    clear(now=after(61))

    assert status(key) == end
    assert bool(kept(key)) is is_kept
    assert (node_run(key, "b").checkpoint is None) is (end == "failed" or not is_kept)


def test_errors_messages_and_choices_stay(machine: Machine, does: dict[str, Any]):
    does["b"] = boom
    key = run(machine, "none", nodes={"b": {"retries": 0}})

    clear(now=after(61))

    assert node_run(key, "b").error_message == "boom"
    assert DeadLetter.objects.get().error_message == "boom"
    assert "boom" in Attempt.objects.get().traceback
    assert [entry.message for entry in execution(key).logs() if entry.node_id == "b"][1] == "trying"


def test_what_has_been_cleared_never_runs_again(machine: Machine, does: dict[str, Any]):
    does["b"] = boom
    key = run(machine, "none", nodes={"b": {"retries": 0}})
    clear(now=after(61))

    for refused in (
        lambda: replay(key, now=NOON),
        lambda: rerun(key, "a", now=NOON),
        lambda: retry_failed(key, now=NOON),
    ):
        with pytest.raises(ClearedData, match=f"the data of execution {key} were cleared"):
            refused()
    assert (status(key), Execution.objects.count()) == ("failed", 1)


def test_what_is_opened_again_in_time_keeps_its_data_until_it_ends_again(
    machine: Machine, does: dict[str, Any]
):
    does["b"] = boom
    key = run(machine, "none", nodes={"b": {"retries": 0}})
    retry_failed(key, now=after(30))
    clear(now=after(61))
    still = len(kept(key))
    does.pop("b")
    machine.now = after(100)
    machine.drain()

    clear(now=after(161))

    assert still > 0
    assert kept(key) == []


def test_what_failed_after_it_was_opened_again_keeps_its_data(
    machine: Machine, does: dict[str, Any]
):
    key = run(machine, "failed", nodes={"b": {"retries": 0}})
    does["b"] = boom
    rerun(key, "b", now=NOON)
    machine.drain()

    clear(now=after(61))

    assert status(key) == "failed"
    assert kept(key)
    assert clear(now=after(9_999)) == 0


def test_a_child_keeps_its_data_until_its_parent_has_ended(machine: Machine, does: dict[str, Any]):
    def ask(ctx):
        if ctx.checkpoint is None:
            return StartChildren(children=[Child(workflow="w", input=SECRET)], checkpoint=1)
        return {"child": ctx.children()[0].output}

    does["ask"], does["later"] = ask, lambda ctx: Delay(after(500)) if ctx.now < after(500) else 1
    machine.publish({"a": ["b"]}, saveData="none")
    parent = machine.begin({"ask": ["later"]}, id="parent")
    machine.drain()
    child = Execution.objects.get(parent_id=parent).pk
    clear(now=after(61))
    clear(now=after(200))
    before = len(kept(child))

    machine.now = after(500)
    machine.drain()
    clear(now=after(500))
    clear(now=after(4_000))

    assert status(parent) == "completed"
    assert (before, kept(child)) == (3, [])
    assert outputs(parent)["ask"] == {"child": {"from": "b"}}


def test_the_children_of_what_is_cleared_are_cleared_at_once(
    machine: Machine, does: dict[str, Any]
):
    def ask(ctx):
        if ctx.checkpoint is None:
            return StartChildren(children=[Child(workflow="w", input=SECRET)], checkpoint=1)
        return Delay(after(3_000), checkpoint=1) if ctx.now < after(3_000) else 1

    does["ask"] = ask
    machine.publish({"a": []}, saveData="none")
    parent = machine.begin({"ask": []}, id="parent", saveData="none")
    machine.drain()
    clear(now=after(2_900))
    machine.now = after(3_000)
    machine.drain()

    clear(now=after(3_061))
    clear(now=after(3_061))

    child = Execution.objects.get(parent_id=parent).pk
    assert (kept(parent), kept(child)) == ([], [])


def test_an_execution_keeps_its_data_while_a_sequel_runs(machine: Machine, does: dict[str, Any]):
    does["b"] = boom
    machine.publish({"fix": []}, id="handler")
    key = run(machine, "none", nodes={"b": {"retries": 0}}, onError={"workflowId": "handler"})
    sequel = Execution.objects.get(parent_id=key)
    assert sequel.status == "completed"
    Execution.objects.filter(pk=sequel.pk).update(status="running", finished_at=None)
    clear(now=after(61))
    before = kept(key)
    Execution.objects.filter(pk=sequel.pk).update(status="completed", finished_at=after(70))

    clear(now=after(9_999))

    assert before
    assert kept(key) == []


def test_the_files_go_with_the_data(
    machine: Machine,
    settings: Settings,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
):
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "large": memory}
    settings.SPANE = {**settings.SPANE, "OFFLOAD_BYTES": 5, "PAYLOAD_STORAGE": "large"}
    run(machine, "none")
    names = list(Payload.objects.values_list("name", flat=True))

    with django_capture_on_commit_callbacks(execute=True):
        clear(now=after(61))

    assert len(names) == 3
    assert not any(storages["large"].exists(name) for name in names)
    assert not Payload.objects.exists()


def test_batches_are_bounded_and_in_the_order_of_time(machine: Machine):
    machine.publish({"a": []}, saveData="none")
    keys = []
    for second in range(5):
        machine.now = after(second)
        keys.append(machine.start(SECRET))
        machine.drain()

    looked_at = [clear(now=after(99), batch=2) for _ in range(4)]

    assert looked_at == [2, 2, 1, 0]
    assert [kept(key) for key in keys] == [[]] * 5


def test_a_key_gives_the_first_execution_back_even_if_its_input_is_gone(machine: Machine):
    machine.publish({"a": []}, saveData="none")
    options = StartOptions(idempotency_key="k")
    first = start("w", SECRET, now=NOON, options=options)
    machine.drain()
    clear(now=after(61))

    assert start("w", SECRET, now=after(62), options=options) == first


def test_clearing_with_nothing_to_clear_is_one_query(
    machine: Machine, django_assert_max_num_queries: Any
):
    run(machine, "all")

    with django_assert_max_num_queries(4):
        clear(now=after(99))
