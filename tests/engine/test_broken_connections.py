"""A connection to PostgreSQL that breaks under a node is no failure of the node."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection, transaction

from spane_django.core.errors import SpaneError
from spane_django.engine.reading import read
from spane_django.models import Attempt, Execution
from spane_django.nodes.base import Context
from tests.engine.helpers import Machine, outputs, status
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
