"""Who waits for whom on PostgreSQL: a lock is held, the other side waits, then the outcome."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError, connection, transaction

from spane_django.core.statuses import IllegalTransition
from spane_django.engine.by_hand import complete, skip
from spane_django.engine.claim import claim, take
from spane_django.engine.control import cancel, pause, resume
from spane_django.engine.db import dedicate, in_transaction, let_go_when_silent
from spane_django.engine.promote import promote
from spane_django.engine.retry import retry_dead_letter
from spane_django.engine.settle import settle
from spane_django.engine.sql import statements
from spane_django.engine.sweep import expire
from spane_django.models import DeadLetter, Execution, LogLine
from tests.engine.helpers import Machine, after, execution, outputs, status, statuses
from tests.engine.threads import DEADLINE, elsewhere, holding, somebody_waits_for_me, until

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

EXECUTION = "SELECT 1 FROM spane_django_execution WHERE id = %s FOR NO KEY UPDATE"
NODE_RUNS = "SELECT 1 FROM spane_django_noderun WHERE execution_id = %s FOR UPDATE"


@pytest.fixture(autouse=True)
def _postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one lock: the transaction")


def shown(setting: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {setting}")
        return str(cursor.fetchone()[0])


def test_settling_waits_for_a_cancel_and_is_refused(machine: Machine):
    key = machine.begin({"a": ["b"]})
    finished = machine.run(machine.claim())

    with elsewhere() as there:
        with transaction.atomic():
            cancel(key, now=machine.now)
            settled = there(lambda: settle(finished, now=machine.now))
            until(somebody_waits_for_me)
        refused = settled.result(DEADLINE)

    assert len(refused.lost) == 1
    assert (status(key), statuses(key)) == ("cancelled", {"a": "cancelled"})


def test_settling_waits_for_a_node_that_is_completed_by_hand_and_is_refused(machine: Machine):
    key = machine.begin({"a": ["b"]})
    finished = machine.run(machine.claim())

    with elsewhere() as there:
        with transaction.atomic():
            complete(key, "a", "by hand", now=machine.now)
            settled = there(lambda: settle(finished, now=machine.now))
            until(somebody_waits_for_me)
        refused = settled.result(DEADLINE)

    assert (len(refused.lost), outputs(key)) == (1, {"a": "by hand"})
    assert (statuses(key)["b"], execution(key).active_nodes) == ("ready", 1)


def test_a_node_that_an_operator_is_ending_is_not_claimed(machine: Machine):
    key = machine.begin({"a": [], "b": []})

    with elsewhere() as there, transaction.atomic():
        skip(key, "a", now=machine.now)
        claims = there(machine.claim).result(DEADLINE)

    assert [one.node_id for one in claims] == ["b"]


def test_a_node_that_is_claimed_meanwhile_is_skipped_all_the_same(machine: Machine):
    key = machine.begin({"a": []})

    with elsewhere() as there:
        with transaction.atomic():
            (claimed,) = take(machine.want(), 1, now=machine.now)
            skipped = there(lambda: skip(key, "a", now=machine.now))
            until(somebody_waits_for_me)
        skipped.result(DEADLINE)

    assert (status(key), execution(key).active_nodes) == ("completed", 0)
    assert len(machine.settle([machine.finish(claimed)]).lost) == 1


def test_settling_waits_for_a_pause_and_holds_what_it_releases(machine: Machine):
    key = machine.begin({"a": ["b"]})
    finished = machine.run(machine.claim())

    with elsewhere() as there:
        with transaction.atomic():
            pause(key, now=machine.now)
            settled = there(lambda: settle(finished, now=machine.now, want=machine.want()))
            until(somebody_waits_for_me)
        assert settled.result(DEADLINE).claims == []

    assert (status(key), statuses(key)) == ("paused", {"a": "completed", "b": "ready"})
    assert machine.claim() == []
    resume(key, now=machine.now)
    assert machine.drain() == ["b"]


@pytest.mark.parametrize("verb", [cancel, pause])
def test_an_operator_waits_for_who_moves_the_execution(machine: Machine, verb):
    key = machine.begin({"a": ["b"]})

    with elsewhere() as there:
        with holding(EXECUTION, key):
            done = there(lambda: verb(key, now=machine.now))
            until(somebody_waits_for_me)
            assert status(key) == "running"
        done.result(DEADLINE)

    assert status(key) == {cancel: "cancelled", pause: "paused"}[verb]


def test_of_two_operators_the_second_meets_what_the_first_has_done(machine: Machine):
    key = machine.begin({"a": []})

    with elsewhere() as there:
        with transaction.atomic():
            cancel(key, now=machine.now)
            second = there(lambda: pause(key, now=machine.now))
            until(somebody_waits_for_me)
        with pytest.raises(IllegalTransition, match="it is cancelled"):
            second.result(DEADLINE)


def test_two_retries_of_a_dead_letter_run_its_node_once(machine: Machine, does):
    def fail(ctx):
        raise ValueError("boom")

    does["a"] = fail
    key = machine.begin({"a": []}, nodes={"a": {"retries": 0}})
    machine.drain()
    letter = DeadLetter.objects.get().pk

    with elsewhere() as there:
        with transaction.atomic():
            retry_dead_letter(letter, now=machine.now)
            second = there(lambda: retry_dead_letter(letter, now=machine.now))
            until(somebody_waits_for_me)
        assert "retried already" in str(second.exception(DEADLINE))

    assert (execution(key).active_nodes, execution(key).failed_nodes) == (1, 0)


def test_pausing_waits_for_a_claim_and_leaves_it_in_flight(machine: Machine):
    key = machine.begin({"a": ["b"]})

    with elsewhere() as there:
        with transaction.atomic():
            (one,) = take(machine.want(), 5, now=machine.now)
            paused = there(lambda: pause(key, now=machine.now))
            until(somebody_waits_for_me)
        paused.result(DEADLINE)

    assert (status(key), statuses(key)) == ("paused", {"a": "running"})
    machine.settle(machine.run([one]))
    assert statuses(key) == {"a": "completed", "b": "ready"}


def test_cancelling_waits_for_a_claim_and_takes_it_back(machine: Machine):
    key = machine.begin({"a": ["b"]})

    with elsewhere() as there:
        with transaction.atomic():
            (one,) = take(machine.want(), 5, now=machine.now)
            cancelled = there(lambda: cancel(key, now=machine.now))
            until(somebody_waits_for_me)
        cancelled.result(DEADLINE)

    assert len(machine.settle(machine.run([one])).lost) == 1
    assert statuses(key) == {"a": "cancelled"}


def test_claiming_never_waits(machine: Machine):
    locked = machine.begin({"a": []})
    free = machine.start()

    with elsewhere() as there, holding(NODE_RUNS, locked):
        claimed = there(lambda: claim(machine.want(), now=machine.now))
        assert [one.execution_id for one in claimed.result(DEADLINE)] == [free]


def test_settling_one_execution_does_not_wait_for_another(machine: Machine):
    locked = machine.begin({"a": []})
    free = machine.start()
    finished = machine.run(machine.claim())
    mine = [one for one in finished if one.claim.execution_id == free]

    with elsewhere() as there, holding(EXECUTION, locked):
        there(lambda: settle(mine, now=machine.now)).result(DEADLINE)
        assert status(free) == "completed"


def test_what_refers_to_an_execution_is_written_while_the_engine_moves_it(machine: Machine):
    key = machine.begin({"a": []})

    def write():
        return LogLine.objects.create(
            execution_id=key, level="info", message="hello", created_at=machine.now
        )

    with elsewhere() as there, transaction.atomic():
        statements().lock([key])
        assert there(write).result(DEADLINE).pk


def test_executions_are_locked_in_the_order_of_their_ids(machine: Machine):
    machine.publish({"a": []})
    first, second = machine.start(), machine.start()
    finished = machine.run(machine.claim())
    # Written again, the first one lies behind the second in the table.
    Execution.objects.filter(pk=first).update(reason="moved")
    free = Execution.objects.select_for_update(skip_locked=True, no_key=True)

    with elsewhere() as there:
        with holding(EXECUTION, first):
            settled = there(lambda: settle(finished[::-1], now=machine.now))
            until(somebody_waits_for_me)
            assert free.filter(pk=second).exists()
        assert settled.result(DEADLINE).lost == []


def test_promoting_skips_what_somebody_else_is_promoting(machine: Machine):
    machine.publish({"a": []})
    busy, free = (machine.start(start_at=after(5)) for _ in range(2))

    with elsewhere() as there, holding(EXECUTION, busy):
        assert there(lambda: promote(now=after(5))).result(DEADLINE) == 1

    assert (status(busy), status(free)) == ("pending", "running")


def test_a_deadline_that_meets_an_execution_that_has_ended_changes_nothing(machine: Machine):
    key = machine.begin({"a": []}, timeout=1_000)

    with elsewhere() as there:
        with transaction.atomic():
            cancel(key, now=machine.now, reason="enough")
            expired = there(lambda: expire(now=after(5)))
            until(somebody_waits_for_me)
        assert expired.result(DEADLINE) == 0

    assert (status(key), execution(key).reason) == ("cancelled", "enough")


def test_who_falls_silent_amid_a_transaction_holds_up_nobody_for_longer_than_half_a_lease(
    machine: Machine, settings
):
    settings.SPANE = {**settings.SPANE, "LEASE_SECONDS": 0.6, "HEARTBEAT_SECONDS": 0.1}
    key = machine.begin({"a": []})
    frozen, thawed = threading.Event(), threading.Event()

    def lock_and_freeze() -> None:
        dedicate()
        assert shown("idle_in_transaction_session_timeout") == "300ms"

        def silence() -> None:
            statements().lock([key])
            frozen.set()
            thawed.wait(DEADLINE)
            statements().lock([key])

        in_transaction(silence)

    with elsewhere() as there:
        silent = there(lock_and_freeze)
        assert frozen.wait(DEADLINE)
        there(lambda: cancel(key, now=machine.now)).result(DEADLINE)
        thawed.set()
        with pytest.raises(OperationalError, match="idle-in-transaction"):
            silent.result(DEADLINE)

    assert status(key) == "cancelled"


def test_a_worker_waits_for_a_lock_no_longer_than_a_quarter_of_a_lease(machine: Machine, settings):
    settings.SPANE = {**settings.SPANE, "LEASE_SECONDS": 0.8, "HEARTBEAT_SECONDS": 0.1}
    key = machine.begin({"a": []})

    def lock() -> None:
        dedicate()
        assert shown("lock_timeout") == "200ms"
        in_transaction(lambda: statements().lock([key]))

    with elsewhere() as there, holding(EXECUTION, key):
        refused = there(lock).exception(DEADLINE)

    assert isinstance(refused, OperationalError)
    assert "lock timeout" in str(refused)


def test_a_transactional_node_that_falls_silent_lets_go_of_its_execution(settings):
    settings.SPANE = {**settings.SPANE, "LEASE_SECONDS": 0.6, "HEARTBEAT_SECONDS": 0.1}

    def timeouts() -> list[str]:
        return [shown("idle_in_transaction_session_timeout"), shown("lock_timeout")]

    def amid_and_after() -> tuple[list[str], list[str]]:
        with transaction.atomic():
            let_go_when_silent()
            amid = timeouts()
        return amid, timeouts()

    with elsewhere() as there:
        assert there(amid_and_after).result(DEADLINE) == (["300ms", "150ms"], ["0", "0"])


def test_a_transactional_node_waits_for_its_execution_no_longer_than_a_quarter_of_a_lease(
    machine: Machine, settings
):
    settings.SPANE = {**settings.SPANE, "LEASE_SECONDS": 0.8, "HEARTBEAT_SECONDS": 0.1}
    key = machine.begin({"write": []}, types={"write": "write"})
    claims = machine.claim()

    with elsewhere() as there, holding(EXECUTION, key):
        (finished,) = there(lambda: machine.run(claims)).result(DEADLINE)
    machine.settle([finished])
    machine.drain()

    assert finished.outcome.type == "TransactionLost"
    assert "lock timeout" in finished.outcome.reason
    assert status(key) == "completed"


def test_a_dedicated_connection_that_is_replaced_is_dedicated_again():
    def reconnected() -> str:
        dedicate()
        connection.close()
        return shown("enable_seqscan")

    with elsewhere() as there:
        assert there(reconnected).result(DEADLINE) == "off"
