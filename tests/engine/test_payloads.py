"""Payloads too large for a row lie in the file storage; nodes and people need not know."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, storages
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from spane_django.core.errors import InvalidInput
from spane_django.core.outcome import Child, Delay, Result, StartChildren
from spane_django.engine.db import atomic
from spane_django.engine.payloads import orphans
from spane_django.engine.prune import FINAL, prunable, prune
from spane_django.engine.retry import replay
from spane_django.engine.run import run_async
from spane_django.engine.start import IdempotencyConflict, start_many
from spane_django.models import DeadLetter, Execution, NodeRun, Payload
from spane_django.models.payloads import KEY, PayloadUnavailable, load, shown
from spane_django.nodes.base import Node, registry
from tests.engine.helpers import Machine, after, execution, node_run, outputs, status

LIMIT = 1_000
LARGE = {"text": "ü" * LIMIT}
SMALL = {"text": "ü"}


@pytest.fixture(autouse=True)
def files(settings: Settings) -> Iterator[InMemoryStorage]:
    """A storage of the test's own, for whatever is longer than a thousand bytes."""
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "large": memory}
    settings.SPANE = {**settings.SPANE, "OFFLOAD_BYTES": LIMIT, "PAYLOAD_STORAGE": "large"}
    storage = storages["large"]
    assert isinstance(storage, InMemoryStorage)
    return storage


def names(storage: InMemoryStorage) -> list[str]:
    """Return every file of the storage."""
    if not storage.exists("spane"):
        return []
    days = storage.listdir("spane")[0]
    return [f"spane/{day}/{name}" for day in days for name in storage.listdir(f"spane/{day}")[1]]


def test_a_large_output_reaches_the_children_and_a_small_row_stays(
    machine: Machine, does: dict[str, Any], files: InMemoryStorage
):
    seen = {}
    does["a"] = lambda ctx: LARGE
    does["b"] = lambda ctx: seen.update(input=ctx.input, results=ctx.previous_results["a"])

    key = machine.begin({"a": ["b"]})
    machine.drain()

    assert seen == {"input": LARGE, "results": LARGE}
    raw = node_run(key, "a").output
    (payload,) = Payload.objects.filter(execution_id=key)
    assert raw == {KEY: {"name": payload.name, "bytes": 2_011, "preview": raw[KEY]["preview"]}}
    assert raw[KEY]["preview"].startswith('{"text":"üü')
    assert (names(files), payload.size_bytes) == ([payload.name], 2_011)


def test_a_join_receives_large_and_small_outputs_alike(machine: Machine, does: dict[str, Any]):
    does["a"], does["b"] = lambda ctx: LARGE, lambda ctx: SMALL
    does["j"] = lambda ctx: {"same": ctx.input == {"a": LARGE, "b": SMALL}}

    key = machine.begin({"a": ["j"], "b": ["j"]})
    machine.drain()

    assert outputs(key)["j"] == {"same": True}


def test_a_large_input_reaches_roots_and_whoever_asks_for_it(
    machine: Machine, does: dict[str, Any]
):
    does["a"] = lambda ctx: {"same": ctx.input == LARGE}
    does["b"] = lambda ctx: {"same": ctx.initial_data == LARGE}

    key = machine.begin({"a": ["b"]}, LARGE)
    machine.drain()

    assert outputs(key) == {"a": {"same": True}, "b": {"same": True}}
    assert Payload.objects.filter(execution_id=key).count() == 1
    assert load(execution(key).input) == LARGE


def test_the_output_of_an_execution_is_the_whole_of_it(machine: Machine, does: dict[str, Any]):
    does["a"] = lambda ctx: LARGE
    key = machine.begin({"a": []})
    machine.drain()

    assert execution(key).output == LARGE


def test_what_fits_stays_in_the_row(machine: Machine, does: dict[str, Any], files):
    fits = "x" * (LIMIT - 2)
    does["a"], does["b"] = lambda ctx: fits, lambda ctx: fits + "x"

    key = machine.begin({"a": [], "b": []}, fits)
    machine.drain()

    assert execution(key).input == node_run(key, "a").output == fits
    assert len(names(files)) == 1
    assert KEY in node_run(key, "b").output


def test_nothing_is_offloaded_if_the_limit_is_zero(
    machine: Machine, does: dict[str, Any], files, settings: Settings
):
    settings.SPANE = {**settings.SPANE, "OFFLOAD_BYTES": 0}
    does["a"] = lambda ctx: LARGE

    key = machine.begin({"a": []}, LARGE)
    machine.drain()

    assert node_run(key, "a").output == execution(key).input == LARGE
    assert names(files) == []


def test_a_checkpoint_may_be_large_too(machine: Machine, does: dict[str, Any]):
    def wait(ctx):
        return Delay(after(5), checkpoint=LARGE) if ctx.checkpoint is None else ctx.checkpoint

    does["a"] = wait
    key = machine.begin({"a": []})
    machine.drain()
    kept = node_run(key, "a").checkpoint
    machine.wait(5)
    machine.drain()

    assert KEY in kept
    assert execution(key).output == LARGE
    assert Payload.objects.filter(execution_id=key).count() == 2


def test_a_retry_finds_the_large_checkpoint_of_the_last_delay(
    machine: Machine, does: dict[str, Any]
):
    seen = []

    def fail_once(ctx):
        seen.append(ctx.checkpoint)
        if ctx.checkpoint is None:
            return Delay(machine.now, checkpoint=LARGE)
        if ctx.attempt == 1:
            raise ValueError("boom")
        return {}

    does["a"] = fail_once
    machine.begin({"a": []}, nodes={"a": {"retries": 1}})
    for _ in range(3):
        machine.drain()
        machine.wait(60)

    assert seen == [None, LARGE, LARGE]
    assert Payload.objects.count() == 1


def test_a_dead_letter_shows_a_large_input_without_reading_it(
    machine: Machine, does: dict[str, Any], files: InMemoryStorage
):
    def boom(ctx):
        raise ValueError("boom")

    does["a"], does["b"], does["j"] = (lambda ctx: LARGE), (lambda ctx: SMALL), boom
    machine.begin({"a": ["j"], "b": ["j"]}, nodes={"j": {"retries": 0}})
    machine.drain()

    stored = DeadLetter.objects.get().input

    assert load(stored) == {"a": LARGE, "b": SMALL}
    assert len(names(files)) == 1
    (name,) = names(files)
    files.delete(name)
    assert shown(stored)["b"] == SMALL
    assert shown(stored)["a"].keys() == {"sizeBytes", "preview"}


@pytest.mark.parametrize("form", ["reference", "literal", "parts"])
def test_no_data_of_a_node_pass_for_a_reference(
    machine: Machine, does: dict[str, Any], files: InMemoryStorage, form: str
):
    files.save("secret.json", ContentFile(b'"secret"'))
    stolen = files.save(f"spane/2030-01-01/{'0' * 32}.json", ContentFile(b'"secret"'))
    forged = {
        "reference": {KEY: {"name": stolen, "bytes": 8, "preview": ""}},
        "literal": {KEY: {"literal": 1}},
        "parts": {KEY: {"parts": {"a": {KEY: {"name": stolen, "bytes": 1, "preview": ""}}}}},
    }[form]
    seen = []
    does["a"] = lambda ctx: seen.append(ctx.input) or ctx.input
    does["b"] = lambda ctx: seen.append(ctx.input) or {"beside": 1, **ctx.input}
    does["c"] = lambda ctx: seen.append(ctx.input) or {"inside": ctx.input}
    does["d"] = lambda ctx: seen.append(ctx.input) or ctx.initial_data

    key = machine.begin({"a": ["b"], "b": ["c"], "c": ["d"]}, forged)
    machine.drain()

    beside = {"beside": 1, **forged}
    assert seen == [forged, forged, beside, {"inside": beside}]
    assert execution(key).output == forged
    assert not Payload.objects.exists()


def test_a_node_may_be_called_as_the_key_of_references(machine: Machine, does: dict[str, Any]):
    def boom(ctx):
        raise ValueError("boom")

    does["j"] = boom
    machine.begin({KEY: ["j"], "b": ["j"]}, nodes={"j": {"retries": 0}})
    machine.drain()

    assert load(DeadLetter.objects.get().input) == {KEY: {"from": KEY}, "b": {"from": "b"}}


@pytest.mark.parametrize("name", ["secret.json", "../spane/x.json", "spane/2030-01-01/x.json"])
def test_no_file_is_read_that_the_engine_has_not_named(files: InMemoryStorage, name: str):
    with pytest.raises(PayloadUnavailable, match="is no name that a payload has"):
        load({KEY: {"name": name, "bytes": 1, "preview": ""}})


def test_a_storage_that_is_away_fails_the_attempt_and_it_is_tried_again(
    machine: Machine, does: dict[str, Any], files: InMemoryStorage, settings: Settings
):
    does["a"] = lambda ctx: LARGE
    key = machine.begin({"a": ["b"]}, nodes={"a": {"retries": 3}, "b": {"retries": 3}})
    broken = {"BACKEND": "tests.engine.test_payloads.Broken"}
    settings.STORAGES = {**settings.STORAGES, "broken": broken}
    working, settings.SPANE = settings.SPANE, {**settings.SPANE, "PAYLOAD_STORAGE": "broken"}
    machine.drain()
    waits = node_run(key, "a")

    settings.SPANE = working
    machine.wait(60)
    machine.drain()

    assert (waits.status, waits.error_type) == ("ready", "PayloadUnavailable")
    assert "a payload of 2,011 bytes cannot be written to the storage 'broken'" in (
        waits.error_message
    )
    assert status(key) == "completed"


def test_a_file_that_is_gone_fails_whoever_needs_it_with_its_name(
    machine: Machine, does: dict[str, Any], files: InMemoryStorage
):
    does["a"] = lambda ctx: LARGE
    key = machine.begin({"a": ["b"]}, nodes={"b": {"retries": 0}})
    machine.step()
    (name,) = names(files)
    files.delete(name)

    machine.drain()

    message = node_run(key, "b").error_message
    assert f"the payload '{name}' cannot be read from the storage 'large'" in message


def test_a_start_that_is_rolled_back_leaves_no_row_and_its_file_is_an_orphan(
    machine: Machine, files: InMemoryStorage
):
    machine.publish({"a": []}, inputSchema={"type": "object"})

    with pytest.raises(RuntimeError, match="rolled back"):
        _start_and_fail(machine)

    assert not Payload.objects.exists()
    assert list(orphans(now=after(86_400))) == []
    assert [name for page in orphans(now=after(3 * 86_400)) for name in page] == names(files)
    assert len(names(files)) == 1


def _start_and_fail(machine: Machine) -> None:
    with atomic():
        machine.start(LARGE)
        raise RuntimeError("rolled back")


def test_of_many_inputs_with_a_fault_no_file_is_written(machine: Machine, files: InMemoryStorage):
    machine.publish({"a": []}, inputSchema={"type": "object"})

    with pytest.raises(InvalidInput):
        start_many("w", [LARGE, "no object"], now=machine.now)

    assert names(files) == []


def test_the_same_key_and_the_same_large_input_give_the_first_execution(machine: Machine):
    machine.publish({"a": []})
    first = machine.start(LARGE, idempotency_key="k")

    assert machine.start(LARGE, idempotency_key="k") == first
    with pytest.raises(IdempotencyConflict):
        machine.start({**LARGE, "more": 1}, idempotency_key="k")


def test_files_go_with_their_execution_and_a_replay_keeps_its_own(
    machine: Machine,
    does: dict[str, Any],
    files: InMemoryStorage,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
):
    does["a"] = lambda ctx: {"same": ctx.input == LARGE}
    old = machine.begin({"a": []}, LARGE)
    machine.drain()
    machine.now = after(100)
    young = replay(old, now=machine.now).pk

    with django_capture_on_commit_callbacks(execute=True):
        list(prune(prunable(before=after(50), statuses=FINAL)))
    machine.drain()

    assert outputs(young) == {"a": {"same": True}}
    assert names(files) == [Payload.objects.get().name]


def test_a_file_that_two_executions_need_goes_with_the_last(
    machine: Machine,
    files: InMemoryStorage,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
):
    old = machine.begin({"a": []}, LARGE)
    machine.drain()
    machine.now = after(100)
    young = machine.start()
    payload = Payload.objects.get(execution_id=old)
    Payload.objects.create(
        execution_id=young, name=payload.name, size_bytes=1, created_at=machine.now
    )
    machine.drain()

    with django_capture_on_commit_callbacks(execute=True):
        list(prune(prunable(before=after(50), statuses=FINAL)))
    kept = names(files)
    with django_capture_on_commit_callbacks(execute=True):
        list(prune(prunable(before=after(500), statuses=FINAL)))

    assert (kept, names(files)) == ([payload.name], [])


def test_large_data_reach_children_and_come_back(machine: Machine, does: dict[str, Any]):
    def ask(ctx):
        if ctx.checkpoint is None:
            return StartChildren(children=[Child(workflow="child", input=LARGE)], checkpoint=1)
        return {"same": ctx.children()[0].output == LARGE}

    does["ask"], does["echo"] = ask, lambda ctx: ctx.input
    machine.publish({"echo": []}, id="child")
    key = machine.begin({"ask": []})

    machine.drain()

    child = Execution.objects.get(parent_id=key)
    assert outputs(key) == {"ask": {"same": True}}
    assert (Payload.objects.filter(execution=child).count(), KEY in child.input) == (2, True)


def test_a_sequel_needs_the_files_of_what_it_follows_as_long_as_it_is_kept(
    machine: Machine,
    does: dict[str, Any],
    files: InMemoryStorage,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
):
    def boom(ctx):
        raise ValueError("boom")

    seen = []
    does["a"], does["fix"] = boom, lambda ctx: seen.append(ctx.input["input"])
    machine.publish({"fix": []}, id="handler")
    handled = {"workflowId": "handler"}
    key = machine.begin({"a": []}, LARGE, nodes={"a": {"retries": 0}}, onError=handled)

    machine.drain()

    sequel = Execution.objects.get(parent_id=key)
    shared = {payload.name for payload in Payload.objects.filter(execution=sequel)}
    assert (seen, shared) == ([LARGE], set(names(files)))
    with django_capture_on_commit_callbacks(execute=True):
        list(prune(prunable(before=after(50), statuses=FINAL)))
    assert names(files) == []


def test_an_async_node_writes_and_reads_large_payloads(machine: Machine, does: dict[str, Any]):
    does["a"] = lambda ctx: LARGE
    machine.begin({"a": ["b"]}, types={"b": "async-echo"})
    machine.step()
    (work,) = machine.works(machine.claim())

    finished = asyncio.run(run_async(work, clock=lambda: machine.now))

    assert isinstance(finished.outcome, Result)
    machine.settle([finished])
    assert load(NodeRun.objects.get(node_id="b").output) == LARGE


def test_an_output_over_the_hard_limit_fails_the_node_and_says_what_to_do(
    machine: Machine, does: dict[str, Any], files: InMemoryStorage, settings: Settings
):
    settings.SPANE = {**settings.SPANE, "MAX_PAYLOAD_BYTES": 2_000}
    does["a"] = lambda ctx: LARGE
    key = machine.begin({"a": []})
    machine.drain()

    run = node_run(key, "a")
    assert (run.status, run.attempt, names(files)) == ("failed", 1, [])
    assert run.error_message == (
        "the output of node 'a' cannot be stored: the value measures 2,011 bytes; the limit is "
        "2,000 (MAX_PAYLOAD_BYTES): keep large data elsewhere and hand on where they are"
    )


def test_names_of_files_are_dated_and_cannot_be_guessed(machine: Machine, files: InMemoryStorage):
    machine.publish({"a": []})
    machine.start(LARGE)
    machine.start(LARGE)

    first, second = names(files)

    assert first != second
    assert first.startswith("spane/2030-01-01/")


class Broken(InMemoryStorage):
    """A storage that takes nothing and gives nothing."""

    def _save(self, name: str, content: Any) -> str:
        raise ConnectionError("away")

    def _open(self, name: str, mode: str = "rb") -> Any:
        raise ConnectionError("away")


@registry.register
class AsyncEcho(Node):
    """Hands on what it receives."""

    type = "async-echo"

    async def execute(self, ctx: Any) -> Any:
        return ctx.input
