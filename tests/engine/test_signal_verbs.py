"""Signals and the nodes that wait for them: one takes one, early or late, never too late."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Event
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection

from spane_django.core.outcome import WaitFor
from spane_django.engine import delivery
from spane_django.engine import settle as settling
from spane_django.engine.control import UnknownExecution, cancel, pause, resume
from spane_django.engine.db import atomic
from spane_django.engine.rerun import From, Rerun, rerun_from
from spane_django.engine.retry import retry_failed
from spane_django.engine.signals import EndedExecution, InvalidSignal, signal
from spane_django.engine.sweep import sweep
from spane_django.models import AuditEntry, Execution, NodeRun, Signal
from tests.engine.helpers import (
    NOON,
    Machine,
    after,
    execution,
    node_run,
    outputs,
    status,
    statuses,
)
from tests.engine.threads import elsewhere, holding, in_threads

pytestmark = pytest.mark.django_db(transaction=True)

CHAIN = {"w": ["z"]}


def waiting(machine: Machine, **config):
    """Start an execution whose node ``w`` waits for ``paid``, and let it begin to wait."""
    nodes = {"w": {"config": {"signal": "paid", **config}}}
    key = machine.begin(CHAIN, types={"w": "wait"}, nodes=nodes)
    machine.drain()
    return key


def postgresql_only():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer: nothing is committed at the same moment")


def test_a_node_that_waits_goes_on_with_the_payload(machine: Machine, wakes):
    key = waiting(machine)
    assert statuses(key) == {"w": "waiting"}
    wakes.clear()

    sent = signal("paid", {"cents": 5}, now=machine.now, execution_id=key)

    assert wakes == ["spane"]
    assert sent.node_run_id == node_run(key, "w").pk
    assert machine.drain() == ["w", "z"]
    assert outputs(key)["w"] == {"cents": 5}


def test_a_signal_that_comes_early_is_taken_when_somebody_begins_to_wait(machine: Machine):
    machine.publish(CHAIN, types={"w": "wait"}, nodes={"w": {"config": {"signal": "paid"}}})
    key = machine.start()
    signal("paid", 1, now=machine.now, execution_id=key)

    assert machine.drain() == ["w", "w", "z"]

    assert outputs(key)["w"] == 1


def test_an_early_signal_is_taken_in_the_transaction_that_begins_the_wait(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    machine.publish(CHAIN, types={"w": "wait"}, nodes={"w": {"config": {"signal": "paid"}}})
    key = machine.start()
    signal("paid", 1, now=machine.now, execution_id=key)
    monkeypatch.setattr(settling, "follow_up_or_leave", lambda todo, now: set())

    settlement = machine.settle(machine.run(machine.claim()))

    assert settlement.left == {"spane"}
    assert machine.drain() == ["w", "z"]


def test_each_signal_is_taken_by_one_wait_the_oldest(machine: Machine):
    first, second = waiting(machine, key="7"), waiting(machine, key="7")

    signal("paid", "a", now=machine.now, key="7")
    machine.drain()

    assert (status(first), status(second)) == ("completed", "running")
    signal("paid", "b", now=machine.now, key="7")
    machine.drain()
    assert (outputs(first)["w"], outputs(second)["w"]) == ("a", "b")


def test_of_several_kept_signals_the_oldest_is_taken_first(machine: Machine):
    for number in range(3):
        signal("paid", number, now=machine.now, key="7")

    keys = [waiting(machine, key="7") for _ in range(3)]

    assert [outputs(key)["w"] for key in keys] == [0, 1, 2]


def test_a_key_from_a_template_tells_waits_apart(machine: Machine):
    nodes = {"w": {"config": {"signal": "paid", "key": "{{ input.order }}"}}}
    machine.publish(CHAIN, types={"w": "wait"}, nodes=nodes)
    seven, eight = machine.start({"order": 7}), machine.start({"order": 8})
    machine.drain()

    signal("paid", now=machine.now, key="8")
    machine.drain()

    assert (status(seven), status(eight)) == ("running", "completed")


def test_signals_of_another_name_key_or_execution_are_left_alone(machine: Machine):
    key, other = waiting(machine), waiting(machine)

    signal("refunded", now=machine.now, execution_id=key)
    signal("paid", now=machine.now, key="7")
    signal("paid", now=machine.now)
    signal("paid", now=machine.now, execution_id=other)

    assert machine.drain() == ["w", "z"]
    assert status(key) == "running"


def test_a_signal_goes_with_the_transaction_that_it_was_sent_in(machine: Machine, wakes):
    key = waiting(machine)
    wakes.clear()

    def fails():
        with atomic():
            signal("paid", now=machine.now, execution_id=key)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()

    assert (Signal.objects.count(), wakes, machine.drain()) == (0, [], [])


def test_when_the_time_is_over_the_default_is_handed_on(machine: Machine):
    key = waiting(machine, deadline="PT5M", default={"paid": False})

    machine.wait(299)
    assert machine.drain() == []
    machine.wait(1)

    assert machine.drain() == ["w", "z"]
    assert outputs(key)["w"] == {"paid": False}


def test_without_a_default_the_end_of_the_time_is_a_failure_for_good(machine: Machine):
    key = waiting(machine, deadline=1_000)
    machine.wait(1)

    machine.drain()

    run = node_run(key, "w")
    assert (status(key), run.failures, run.error_type) == ("failed", 1, "SignalTimeout")
    assert "'paid' has not come in time" in run.error_message


def test_a_wait_whose_time_is_over_takes_nothing_that_was_sent_later(machine: Machine):
    key = waiting(machine, deadline=1_000, default="late")
    machine.wait(2)

    sent = signal("paid", now=machine.now, execution_id=key)
    sweep(now=machine.now)

    assert sent.node_run_id is None
    machine.drain()
    assert outputs(key)["w"] == "late"
    assert Signal.objects.untaken().count() == 1


def test_what_was_sent_in_time_is_taken_though_nobody_delivered_it_before_the_time_was_over(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    key = waiting(machine, deadline=1_000, default="late")
    row = {"name": "paid", "key": str(key), "expires_at": after(99)}
    Signal.objects.create(payload="late, too", created_at=after(1.5), **row)
    Signal.objects.create(payload="in time", created_at=after(0.5), **row)
    Signal.objects.filter(payload="late, too").update(id=10**6)
    machine.wait(2)

    sweep(now=machine.now)

    machine.drain()
    assert outputs(key)["w"] == "in time"


def test_of_two_waits_whose_time_is_over_one_takes_what_was_sent_in_time(machine: Machine):
    keys = [waiting(machine, key="7", deadline=1_000, default="late") for _ in range(2)]
    for sent_at in (0.5, 1.5):
        Signal.objects.create(
            name="paid", key="7", payload=sent_at, created_at=after(sent_at), expires_at=after(99)
        )
    machine.wait(2)

    sweep(now=machine.now)

    machine.drain()
    assert [outputs(key)["w"] for key in keys] == [0.5, "late"]


def test_a_wait_whose_time_is_over_does_not_stand_in_the_way_of_the_next(machine: Machine):
    over = waiting(machine, key="7", deadline=1_000)
    pause(over, now=machine.now)
    machine.wait(2)
    key = waiting(machine, key="7")

    signal("paid", now=machine.now, key="7")

    assert machine.drain() == ["w", "z"]
    assert (status(over), status(key)) == ("paused", "completed")


def test_a_timeout_of_nothing_takes_what_is_kept_and_waits_for_nothing(machine: Machine):
    signal("paid", "kept", now=machine.now, key="7")

    first = waiting(machine, key="7", deadline=0, default="none")
    second = waiting(machine, key="7", deadline=0, default="none")

    assert (outputs(first)["w"], outputs(second)["w"]) == ("kept", "none")


def test_a_paused_wait_takes_its_signal_and_goes_on_when_it_is_resumed(machine: Machine):
    key = waiting(machine, deadline="PT1H")
    pause(key, now=machine.now)

    sent = signal("paid", 5, now=machine.now, execution_id=key)

    assert sent.node_run_id is not None
    assert machine.drain() == []
    resume(key, now=machine.now)
    assert machine.drain() == ["w", "z"]
    assert outputs(key)["w"] == 5


def test_a_cancelled_wait_takes_nothing(machine: Machine):
    cancelled, waits = waiting(machine, key="7"), waiting(machine, key="7")
    cancel(cancelled, now=machine.now)

    signal("paid", now=machine.now, key="7")
    machine.drain()

    assert (status(cancelled), status(waits)) == ("cancelled", "completed")


def test_an_expired_signal_is_taken_by_nobody(machine: Machine):
    signal("paid", now=machine.now, key="7", keep=timedelta(seconds=1))
    machine.wait(1)

    key = waiting(machine, key="7")

    assert statuses(key) == {"w": "waiting"}
    assert delivery.unmatched(now=machine.now) == set()


def test_a_signal_is_kept_for_the_days_of_the_setting(machine: Machine, settings):
    settings.SPANE = {**settings.SPANE, "SIGNAL_DAYS": 2.0}

    sent = signal("paid", now=NOON)

    assert sent.expires_at == NOON + timedelta(days=2)


def test_a_retry_waits_anew_for_another_signal(machine: Machine):
    key = waiting(machine, deadline=1_000)
    machine.wait(1)
    machine.drain()

    retry_failed(key, now=machine.now)
    machine.drain()

    assert statuses(key)["w"] == "waiting"
    assert node_run(key, "w").available_at == after(2)
    signal("paid", "again", now=machine.now, execution_id=key)
    machine.drain()
    assert outputs(key)["w"] == "again"


def test_a_rerun_waits_anew_although_it_had_a_signal_before(machine: Machine):
    key = waiting(machine)
    signal("paid", "first", now=machine.now, execution_id=key)
    machine.drain()

    rerun_from(key, Rerun(start=From.NODE, node_id="w"), now=machine.now)
    machine.drain()

    assert statuses(key)["w"] == "waiting"
    signal("paid", "second", now=machine.now, execution_id=key)
    machine.drain()
    assert outputs(key)["w"] == "second"


def test_a_lost_worker_finds_the_signal_that_its_node_has_taken(machine: Machine):
    key = waiting(machine)
    signal("paid", "kept", now=machine.now, execution_id=key)
    machine.claim_one()
    machine.now += timedelta(hours=1)
    sweep(now=machine.now)

    after_loss = Machine()
    after_loss.now = machine.now

    assert after_loss.drain() == ["w", "z"]
    assert outputs(key)["w"] == "kept"


def test_a_node_that_waits_twice_sees_the_signal_of_its_last_wait(machine: Machine, does):
    seen = []

    def body(ctx):
        seen.append(ctx.signal and ctx.signal.payload)
        match ctx.checkpoint:
            case None:
                return WaitFor(signal="one", checkpoint=1)
            case 1:
                return WaitFor(signal="two", checkpoint=2, until=after(5))
        return "done"

    does["w"] = body
    key = machine.begin({"w": []})
    machine.drain()
    signal("one", "first", now=machine.now, execution_id=key)
    machine.drain()
    machine.wait(5)
    machine.claim_one()
    machine.now += timedelta(hours=1)
    sweep(now=machine.now)

    again = Machine()
    again.now = machine.now
    again.drain()

    assert seen == [None, "first", None]


def test_a_wait_that_no_column_takes_is_a_failure_of_its_node_alone(machine: Machine, does):
    does["a"] = lambda ctx: WaitFor(signal="s" * 101)
    does["b"] = lambda ctx: WaitFor(signal="ok", key="\x00")
    key = machine.begin({"a": [], "b": [], "c": []})

    machine.drain()

    assert statuses(key) == {"a": "failed", "b": "failed", "c": "completed"}
    assert "a signal's name is a text of 1 to 100 characters" in node_run(key, "a").error_message


def test_a_signal_that_is_refused_lists_every_fault_and_is_not_sent(machine: Machine):
    with pytest.raises(InvalidSignal) as raised:
        signal("", {1}, now=NOON, key="k" * 201)

    assert [fault.path for fault in raised.value.faults] == ["signal", "key", "payload"]
    assert str(raised.value).startswith("Signal refused: ")
    with pytest.raises(InvalidSignal, match="leave one of them out"):
        signal("paid", now=NOON, key="7", execution_id=waiting(machine))
    assert not Signal.objects.exists()


def test_a_signal_to_an_execution_that_can_take_none_is_refused(machine: Machine):
    key = waiting(machine)
    cancel(key, now=machine.now)

    with pytest.raises(EndedExecution, match="has ended \\(cancelled\\)"):
        signal("paid", now=machine.now, execution_id=key)
    with pytest.raises(UnknownExecution):
        signal("paid", now=machine.now, execution_id=uuid4())


def test_what_a_user_sends_is_audited_and_told_to_the_node(machine: Machine, does):
    ada = User.objects.create(username="ada")
    does["w"] = lambda ctx: ctx.signal.sent_by if ctx.signal else WaitFor(signal="paid")
    key = machine.begin({"w": []})
    machine.drain()

    signal("paid", now=machine.now, execution_id=key, by=ada)
    signal("paid", now=machine.now, key="machine")
    machine.drain()

    entry = AuditEntry.objects.get(verb="signal")
    assert (entry.user, entry.execution_id, entry.target) == (ada, key, "paid")
    assert outputs(key)["w"] == "ada"


def test_a_signal_that_is_committed_after_its_wait_began_unseen_is_matched_by_its_sender(
    machine: Machine, wakes
):
    postgresql_only()
    machine.publish(CHAIN, types={"w": "wait"}, nodes={"w": {"config": {"signal": "paid"}}})
    key = machine.start()
    (finished,) = machine.run(machine.claim())

    with elsewhere() as do, atomic():
        signal("paid", "mine", now=machine.now, execution_id=key)
        do(lambda: machine.settle([finished])).result()
        assert statuses(key) == {"w": "waiting"}
        assert Signal.objects.untaken().count() == 1

    assert wakes[-1:] == ["spane"]
    assert Signal.objects.untaken().count() == 0
    machine.drain()
    assert outputs(key)["w"] == "mine"


def test_a_wait_that_is_committed_after_its_signal_was_sent_unseen_is_matched_by_its_worker(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    postgresql_only()
    machine.publish(CHAIN, types={"w": "wait"}, nodes={"w": {"config": {"signal": "paid"}}})
    key = machine.start()
    (finished,) = machine.run(machine.claim())
    registered, may_commit = Event(), Event()
    register = settling.register

    def slow(waits, now):
        todo = register(waits, now=now)
        registered.set()
        assert may_commit.wait(timeout=10)
        return todo

    monkeypatch.setattr(settling, "register", slow)
    with elsewhere() as do:
        settled = do(lambda: machine.settle([finished]))
        assert registered.wait(timeout=10)
        signal("paid", "mine", now=machine.now, execution_id=key)
        assert Signal.objects.untaken().count() == 1
        may_commit.set()

        assert settled.result().left == {"spane"}

    machine.drain()
    assert outputs(key)["w"] == "mine"


def test_the_sweep_matches_what_a_process_that_died_left_unmatched(machine: Machine):
    key = waiting(machine)
    Signal.objects.create(
        name="paid", key=str(key), payload=5, created_at=machine.now, expires_at=after(99)
    )
    assert machine.drain() == []

    swept = sweep(now=machine.now)

    assert swept.queues == {"spane"}
    machine.drain()
    assert outputs(key)["w"] == 5


def test_who_held_a_wait_for_nothing_looks_again_for_what_was_sent_meanwhile(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    postgresql_only()
    key = waiting(machine, key="7")
    row = {"name": "paid", "key": "7", "created_at": machine.now, "expires_at": after(99)}
    held = Signal.objects.create(payload="held", **row)
    look, meanwhile = delivery._look, [lambda: signal("paid", "new", now=NOON, key="7")]

    def slow(*args, **named):
        found = look(*args, **named)
        if meanwhile:
            do(meanwhile.pop()).result()
        return found

    statement = "SELECT 1 FROM spane_django_signal WHERE id = %s FOR UPDATE"
    with elsewhere() as do, holding(statement, held.pk):
        monkeypatch.setattr(delivery, "_look", slow)

        assert do(
            lambda: delivery.match(delivery.Awaited("paid", "7"), now=machine.now)
        ).result() == {"spane"}

    machine.drain()
    assert outputs(key)["w"] == "new"


def test_waits_and_signals_of_one_key_at_the_same_instant_all_find_each_other(machine: Machine):
    postgresql_only()
    nodes = {"w": {"config": {"signal": "paid", "key": "7"}}}
    machine.publish({"w": []}, types={"w": "wait"}, nodes=nodes)
    for _ in range(15):
        count = 4
        for _ in range(count):
            machine.start()
        finished = machine.run(machine.claim())
        ready = Barrier(2 * count)

        def begin(one, ready=ready):
            ready.wait(timeout=10)
            machine.settle([one])

        def send(ready=ready):
            ready.wait(timeout=10)
            signal("paid", now=machine.now, key="7")

        in_threads([lambda one=one: begin(one) for one in finished] + [send] * count)

        assert not Signal.objects.untaken().exists()
        machine.drain()
    assert set(Execution.objects.values_list("status", flat=True)) == {"completed"}


def test_two_senders_at_once_and_one_wait_give_it_one_signal(machine: Machine):
    key = waiting(machine, key="7")
    ready = Barrier(2)

    def send(payload):
        ready.wait(timeout=10)
        signal("paid", payload, now=machine.now, key="7")

    in_threads([lambda: send("a"), lambda: send("b")])

    (kept,) = Signal.objects.untaken().values_list("payload", flat=True)
    machine.drain()
    assert {outputs(key)["w"], kept} == {"a", "b"}


def test_a_sender_who_waits_for_its_commit_holds_no_more_waits_than_it_has_signals(
    machine: Machine,
):
    postgresql_only()
    keys = [waiting(machine, key="7") for _ in range(3)]

    with elsewhere() as do, atomic():
        signal("paid", "slow", now=machine.now, key="7")
        do(lambda: signal("paid", "quick", now=machine.now, key="7")).result()
        assert NodeRun.objects.filter(signals__payload="quick").count() == 1

    machine.drain()
    assert [status(key) for key in keys] == ["completed", "completed", "running"]
    assert execution(keys[1]).output == {"from": "z"}
