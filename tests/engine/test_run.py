"""Running a node: whatever its code does, an answer comes back that can be committed."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from spane_django.core.outcome import Delay, Failure, Result
from spane_django.engine.publish import publish
from spane_django.engine.run import run, run_async
from spane_django.models import Attempt, DeadLetter
from spane_django.nodes.base import Node, registry
from tests.engine.helpers import Machine, after, definition, node_run, outputs, status, statuses

pytestmark = pytest.mark.django_db


def ends(machine: Machine) -> str:
    """Begin a workflow of the one node ``a``, work, and return the type of its error."""
    key = machine.begin({"a": []}, nodes={"a": {"retries": 0}})
    machine.drain()
    return node_run(key, "a").error_type


@pytest.mark.parametrize(
    "output",
    [{1, 2}, ..., b"x", float("nan"), [float("inf")], "a\x00b", {"\x00": 1}, "\ud800",
     {"k": ["\udfff"]}, 1 + 2j],
    ids=repr,
)  # fmt: skip
def test_an_output_that_no_database_stores_fails_the_node(machine: Machine, does, output):
    does["a"] = lambda ctx: output

    assert ends(machine) == "UnstorableOutput"
    assert "the output of node 'a' cannot be stored" in DeadLetter.objects.get().error_message


def test_an_output_beyond_the_limit_fails_the_node(machine: Machine, does, settings):
    settings.SPANE = {**settings.SPANE, "MAX_PAYLOAD_BYTES": 1_000}
    does["a"] = lambda ctx: "x" * 999

    assert ends(machine) == "UnstorableOutput"
    assert "1,001 bytes; the limit is 1,000" in DeadLetter.objects.get().error_message


def test_an_unstorable_output_is_not_retried(machine: Machine, does):
    does["a"] = lambda ctx: {1}
    key = machine.begin({"a": []})

    machine.drain()

    assert (status(key), Attempt.objects.count()) == ("failed", 1)


@pytest.mark.parametrize("chosen", ["b", [1], ["\ud800"], ["\x00"]], ids=repr)
def test_a_choice_that_is_no_list_of_ids_fails_the_node(machine: Machine, does, chosen):
    does["a"] = lambda ctx: Result(1, next_nodes=chosen)

    assert ends(machine) == "UnstorableOutput"


def test_a_choice_may_be_anything_that_yields_ids(machine: Machine, does):
    does["a"] = lambda ctx: Result(1, next_nodes=(node for node in ("b",)))
    key = machine.begin({"a": ["b", "c"]})

    machine.drain()

    assert statuses(key) == {"a": "completed", "b": "completed", "c": "skipped"}
    assert node_run(key, "a").next_nodes == ["b"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SystemExit(3), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (RecursionError("deep"), "RecursionError"),
        (MemoryError(), "MemoryError"),
        (ValueError("nul \x00 and half \ud800"), "ValueError"),
        (ExceptionGroup("several", [ValueError("a"), OSError("b")]), "ExceptionGroup"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_a_node_raises_is_a_failure(machine: Machine, does, error, kind):
    def explode(ctx):
        raise error

    does["a"] = explode

    assert ends(machine) == kind
    assert "\x00" not in DeadLetter.objects.get().error_message


def test_a_node_cannot_exit_the_process(machine: Machine, does):
    does["a"] = lambda ctx: sys.exit(3)

    assert ends(machine) == "SystemExit"
    assert "tried to exit the process (status 3)" in DeadLetter.objects.get().error_message


def test_an_error_without_words_is_named(machine: Machine, does):
    def explode(ctx):
        raise ValueError

    does["a"] = explode
    ends(machine)

    assert DeadLetter.objects.get().error_message == "ValueError"


def test_an_error_that_cannot_even_speak_is_named(machine: Machine, does):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("mute")

    def explode(ctx):
        raise Mute

    does["a"] = explode

    assert ends(machine) == "Mute"
    assert DeadLetter.objects.get().error_message == "Mute"


def test_messages_and_tracebacks_are_bounded_and_hold_no_locals(machine: Machine, does):
    def explode(ctx):
        secret = "hunter" + "2"
        raise ValueError("x" * 100_000 if secret else "")

    does["a"] = explode
    ends(machine)

    letter = DeadLetter.objects.get()
    assert (len(letter.error_message), len(letter.traceback)) == (4_000, 8_000)
    assert "hunter2" not in letter.traceback


def test_a_foreign_error_with_a_wait_of_its_own_kind_is_an_ordinary_failure(machine: Machine, does):
    class Busy(Exception):
        retry_after = 30
        is_retryable = "perhaps"

    def explode(ctx):
        raise Busy

    does["a"] = explode
    key = machine.begin({"a": []})

    machine.drain()

    assert (statuses(key), node_run(key, "a").available_at) == ({"a": "ready"}, after(1))


@pytest.mark.parametrize(
    "failure",
    [
        Failure(message="nul \x00", type="x" * 300, is_retryable=False),
        Failure(message="half \ud800", is_retryable=False),
        Failure(message=None, is_retryable=False),
        Failure(message="soon", retry_after=5),
        Failure(message="long ago", retry_after=timedelta.min),
        Failure(message="late", retry_after=timedelta.max),
    ],
    ids=lambda failure: str(failure.message),
)
def test_a_returned_failure_can_be_stored_whatever_it_holds(machine: Machine, does, failure):
    does["a"] = lambda ctx: failure
    key = machine.begin({"a": []})

    machine.step()

    assert statuses(key)["a"] in ("failed", "ready")
    assert Attempt.objects.count() == 1


@pytest.mark.parametrize(
    "delay",
    [
        Delay(datetime(2030, 1, 1)),  # noqa: DTZ001 - that is the fault
        Delay("soon"),
        Delay(None),
        Delay(datetime(2030, 1, 1, tzinfo=UTC), {1, 2}),
        Delay(datetime(2030, 1, 1, tzinfo=UTC), "\x00"),
        Delay(datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))),
        Delay(datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))),
    ],
)
def test_a_delay_that_cannot_be_stored_fails_the_node(machine: Machine, does, delay):
    does["a"] = lambda ctx: delay

    assert ends(machine) == "UnstorableOutput"


def test_a_delay_into_the_past_means_at_once(machine: Machine, does):
    does["a"] = lambda ctx: "done" if ctx.checkpoint else Delay(after(-60), True)
    key = machine.begin({"a": []})

    assert machine.drain() == ["a", "a"]
    assert outputs(key) == {"a": "done"}


def test_an_unknown_type_fails_at_once_and_says_what_is_known(machine: Machine):
    raw = definition({"a": ["b"]}, types={"a": "no-such-type"})
    publish(raw, now=machine.now, check_nodes=False)
    key = machine.start()

    machine.drain()

    letter = DeadLetter.objects.get()
    assert statuses(key) == {"a": "failed", "b": "cancelled"}
    assert (letter.attempts, letter.error_type) == (1, "UnknownNodeType")
    assert "unknown node type 'no-such-type'" in letter.error_message
    assert "call" in letter.error_message


def test_a_config_that_does_not_fit_fails_at_once_with_every_fault(machine: Machine):
    raw = definition({"a": []}, types={"a": "delay"}, nodes={"a": {"config": {"long": 1}}})
    publish(raw, now=machine.now, check_nodes=False)
    key = machine.start()

    machine.drain()

    letter = DeadLetter.objects.get()
    assert (letter.attempts, letter.error_type) == (1, "InvalidConfig")
    assert "long" in letter.error_message
    assert status(key) == "failed"


@pytest.fixture
def sleepy() -> type[Node]:
    @registry.register
    class Sleepy(Node):
        type = "sleepy"

        async def execute(self, ctx):
            await asyncio.sleep(0)
            if ctx.input == "explode":
                raise ValueError("boom")
            return {"slept": ctx.input}

    return Sleepy


@pytest.mark.parametrize(
    ("data", "ended"), [(1, Result({"slept": 1})), ("explode", "boom")], ids=["ends", "raises"]
)
def test_an_async_node_answers_as_a_plain_one(machine: Machine, sleepy, data, ended):
    machine.begin({"a": []}, data, types={"a": "sleepy"})
    (work,) = machine.works(machine.claim())

    finished = asyncio.run(run_async(work, clock=lambda: after(1)))

    assert work.is_async
    assert getattr(finished.outcome, "message", finished.outcome) == ended
    assert (finished.started_at, finished.finished_at) == (after(1), after(1))


def test_an_attempt_is_timed_by_the_clock_it_is_given(machine: Machine):
    machine.begin({"a": []})
    ticks = iter([after(1), after(2), after(3)])
    (work,) = machine.works(machine.claim())

    finished = run(work, clock=lambda: next(ticks))

    assert (finished.started_at, finished.finished_at) == (after(1), after(2))
