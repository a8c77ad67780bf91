"""A connection to PostgreSQL that breaks under a node is no failure of the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from spane_django.core.errors import SpaneError
from spane_django.engine.db import drop_broken_connections
from spane_django.engine.reading import read
from spane_django.models import Attempt, Execution
from spane_django.nodes.base import Context
from tests.engine.helpers import Machine, node_run, outputs, status
from tests.engine.threads import DEADLINE, elsewhere

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection that could break")


def cut() -> None:
    """End this thread's connection from another one."""
    pid = connection.connection.info.backend_pid

    def terminate() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    with elsewhere() as there:
        there(terminate).result(DEADLINE)


def test_a_node_reads_results_whatever_happens_to_its_connection(machine: Machine, does):
    def reads(ctx: Context) -> object:
        assert len(ctx.previous_results) == 2
        cut()
        return ctx.previous_results["a"]

    does["a"], does["c"] = lambda ctx: {"n": 1}, reads
    key = machine.begin({"a": ["b"], "b": ["c"]}, nodes={"c": {"config": {"retries": 0}}})

    machine.drain()

    assert (status(key), outputs(key)["c"]) == ("completed", {"n": 1})
    assert not Attempt.objects.exists()


@contextmanager
def away() -> Iterator[None]:
    """The server is not to be reached meanwhile."""
    cut()
    where = connection.settings_dict
    port, where["PORT"] = where["PORT"], "1"
    try:
        yield
    finally:
        where["PORT"] = port


@pytest.mark.parametrize("is_amid", [False, True])
def test_a_node_that_may_not_read_what_came_before_it_runs_again_and_has_not_failed(
    machine: Machine, does, settings, is_amid: bool
):
    settings.SPANE = {**settings.SPANE, "LEASE_SECONDS": 0.1, "HEARTBEAT_SECONDS": 0.01}

    def reads(ctx: Context) -> object:
        if ctx.attempt == 1:
            with transaction.atomic() if is_amid else nullcontext(), away():
                return ctx.previous_results["a"]
        return ctx.previous_results["a"]

    does["a"], does["c"] = lambda ctx: {"n": 1}, reads
    key = machine.begin({"a": ["b"], "b": ["c"]}, nodes={"c": {"config": {"retries": 0}}})

    machine.drain()

    assert (status(key), outputs(key)["c"]) == ("completed", {"n": 1})
    assert (node_run(key, "c").failures, node_run(key, "c").losses) == (0, 1)
    lost = Attempt.objects.get()
    assert lost.error_type == "DatabaseLost"
    assert lost.error_message.startswith("the database stayed away: ")


def test_what_a_node_asks_the_database_itself_is_its_own_to_answer_for(machine: Machine, does):
    def body(ctx: Context) -> object:
        with away():
            return Group.objects.count()

    does["a"] = body
    key = machine.begin({"a": []}, nodes={"a": {"config": {"retries": 0}}})

    machine.drain()

    assert (status(key), node_run(key, "a").error_type) == ("failed", "OperationalError")


def _asks_in_vain() -> object:
    cut()
    return Group.objects.count()


def _hears_of_nothing() -> object:
    cut()
    return {"said": "ok"}


def _goes_on_regardless() -> object:
    with suppress(OperationalError):
        _asks_in_vain()
    return {"said": "ok"}


@pytest.mark.parametrize("ends", [_asks_in_vain, _hears_of_nothing, _goes_on_regardless])
def test_a_transactional_node_whose_transaction_ended_runs_again_and_has_not_failed(
    machine: Machine, does, ends: Callable[[], object]
):
    def body(ctx: Context) -> object:
        Group.objects.create(name=f"{ctx.node_id} {ctx.attempt}")
        return ends() if ctx.attempt == 1 else {"said": "ok"}

    does["write"] = body
    key = machine.begin(
        {"write": []}, types={"write": "write"}, nodes={"write": {"config": {"retries": 0}}}
    )

    machine.drain()

    assert (status(key), outputs(key)["write"]) == ("completed", {"said": "ok"})
    assert list(Group.objects.values_list("name", flat=True)) == ["write 2"]
    assert (node_run(key, "write").failures, node_run(key, "write").losses) == (0, 1)
    assert Attempt.objects.get().error_type == "TransactionLost"


def test_a_transactional_node_that_fails_of_itself_has_failed_whatever_became_of_its_connection(
    machine: Machine, does
):
    def body(ctx: Context) -> object:
        _goes_on_regardless()
        raise ValueError("no such thing")

    does["write"] = body
    key = machine.begin(
        {"write": []}, types={"write": "write"}, nodes={"write": {"config": {"retries": 0}}}
    )

    machine.drain()

    run = node_run(key, "write")
    assert (status(key), run.error_type, run.losses) == ("failed", "ValueError", 0)


def test_a_transactional_node_that_ends_its_own_connection_is_given_up(machine: Machine, does):
    does["write"] = lambda ctx: cut()
    key = machine.begin({"write": []}, types={"write": "write"})

    machine.drain()

    run = node_run(key, "write")
    assert (status(key), run.error_type, run.losses) == ("failed", "TransactionLost", 3)
    assert run.error_message.startswith("the database ended its transaction: ")


@pytest.fixture
def breaks_as_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next connection that is opened breaks before Django has told it the time zone."""
    ready = BaseDatabaseWrapper.init_connection_state

    def breaking(opened: Any) -> None:
        monkeypatch.setattr(BaseDatabaseWrapper, "init_connection_state", ready)
        with suppress(DatabaseError), opened.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid(), 5000)")
        ready(opened)
        opened.connection.execute("SELECT 1")

    monkeypatch.setattr(BaseDatabaseWrapper, "init_connection_state", breaking)


@pytest.mark.usefixtures("breaks_as_it_opens")
def test_what_is_read_for_a_node_is_read_though_the_connection_breaks_as_it_opens(settings):
    settings.SPANE = {**settings.SPANE, "LEASE_SECONDS": 1.0}

    with elsewhere() as there:
        assert there(lambda: read(Execution.objects.count)).result(DEADLINE) == 0


@pytest.mark.usefixtures("breaks_as_it_opens")
def test_a_connection_that_broke_as_it_opened_for_one_node_is_none_of_the_next_ones_business():
    def one_after_another() -> int:
        with pytest.raises(OperationalError):
            Group.objects.count()
        drop_broken_connections()
        return Group.objects.count()

    with elsewhere() as there:
        assert there(one_after_another).result(DEADLINE) == 0


def test_amid_a_transaction_nothing_is_asked_again():
    def ask() -> int:
        cut()
        return Execution.objects.count()

    @transaction.atomic
    def reading_in_one() -> int:
        return read(ask)

    with pytest.raises(OperationalError):
        reading_in_one()


def test_another_error_is_told_at_once():
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        raise SpaneError("no such thing")

    with pytest.raises(SpaneError):
        read(ask)

    assert asked == [1]
