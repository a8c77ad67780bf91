"""How many statements the hot path costs, whatever the size of the batch."""

from __future__ import annotations

import pytest
from django.db import connection

from spane_django.engine.db import dedicate
from spane_django.engine.start import start_many
from tests.engine.helpers import Machine
from tests.engine.statements import counted

pytestmark = pytest.mark.django_db(transaction=True)

# A chain goes straight on in one statement, which is a transaction of its own.
STRAIGHT = 1
# The version, the executions with their roots.
START = 2
# BEGIN, claim, COMMIT.
CLAIM = 3
# BEGIN, lock, complete, put, COMMIT: the long way.
CHAIN = 5
# An arrival is read, too.
JOIN = 6
# The execution's row is written when it ends, nothing is put, and triggers that it sets off are
# asked for.
END = 6


@pytest.fixture
def set_based() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite takes the rows of a batch one at a time")


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spane_django.engine.settle.part", lambda finished, _: ([], [*finished]))


def cost(machine: Machine, claims, *, fill: bool = False) -> int:
    finished = machine.run(claims)
    want = machine.want(fill=fill)
    with counted() as statements:
        machine.settle(finished, want=want)
    return len(statements)


@pytest.mark.postgresql
def test_a_chain_goes_on_in_one_statement(machine: Machine, set_based: None):
    machine.publish({"a": ["b"], "b": ["c"]})
    machine.start()
    warm = machine.settle(machine.run(machine.claim()), want=machine.want(fill=False))

    assert cost(machine, warm.claims) == STRAIGHT
    for _ in range(10):
        machine.start()
    assert cost(machine, machine.claim()) == STRAIGHT


def test_a_chain_that_goes_the_long_way_goes_on_in_five(machine: Machine, long_way: None):
    machine.begin({"a": ["b"], "b": ["c"]})

    assert cost(machine, machine.claim()) == CHAIN


def test_arriving_at_a_join_costs_one_statement_more(machine: Machine):
    machine.begin({"a": ["j"], "b": ["j"]})
    a, b = machine.claim()

    # The number of active nodes shrinks, so the execution's row is written as well.
    assert cost(machine, [a]) == JOIN + 1
    assert cost(machine, [b]) == JOIN


def test_the_last_node_of_an_execution_costs_six_statements(machine: Machine):
    machine.begin({"a": []})

    assert cost(machine, machine.claim()) == END


@pytest.mark.postgresql
def test_a_batch_costs_no_more_than_one_node(machine: Machine, set_based: None):
    machine.publish({"a": ["b"], "b": []})
    for _ in range(50):
        machine.start()

    assert cost(machine, machine.claim(50)) == STRAIGHT


@pytest.mark.postgresql
def test_a_batch_that_goes_the_long_way_costs_no_more_than_one_node(
    machine: Machine, set_based: None, long_way: None
):
    machine.publish({"a": ["b"], "b": []})
    for _ in range(50):
        machine.start()

    assert cost(machine, machine.claim(50)) == CHAIN


@pytest.mark.postgresql
def test_who_goes_straight_on_and_looks_for_others_pays_for_a_claim(
    machine: Machine, set_based: None
):
    machine.begin({"a": ["b"]})

    assert cost(machine, machine.claim(), fill=True) == STRAIGHT + CLAIM


@pytest.mark.postgresql
def test_a_fan_out_costs_no_more_than_its_count(machine: Machine, set_based: None):
    machine.begin({"r": [f"m{index}" for index in range(50)]})

    assert cost(machine, machine.claim()) == CHAIN + 1


@pytest.mark.postgresql
def test_claiming_costs_three_statements(machine: Machine, set_based: None):
    machine.begin({"a": []})

    with counted() as statements:
        machine.claim()

    assert len(statements) == CLAIM


@pytest.mark.postgresql
def test_starting_many_costs_no_more_than_starting_one(machine: Machine, set_based: None):
    machine.publish({"a": [], "b": []})
    machine.start()

    with counted() as one:
        start_many("w", [1], now=machine.now)
    with counted() as many:
        start_many("w", list(range(100)), now=machine.now)

    assert len(one) == len(many) == START


@pytest.mark.postgresql
def test_a_start_is_soon_planned_no_more_and_reads_no_other_execution(
    machine: Machine, set_based: None
):
    machine.publish({"a": []})
    # A connection that has prepared nothing yet, while the tables are empty.
    connection.close()
    for _ in range(10):
        machine.start()

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, cardinality(parameter_types), generic_plans FROM pg_prepared_statements "
            "WHERE statement LIKE '%INSERT INTO spane_django_execution%'"
        )
        ((name, count, generic),) = cursor.fetchall()
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute(f"EXPLAIN EXECUTE {name} ({', '.join(['NULL'] * count)})")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    connection.close()

    assert generic >= 4
    assert "Function Scan" in plan
    assert "on spane_django_execution p" not in plan


@pytest.mark.postgresql
def test_a_table_without_an_index_is_read_as_it_is_not_by_a_compiled_plan(set_based: None):
    with connection.cursor() as cursor:
        cursor.execute("SET jit = on")
        dedicate()

        cursor.execute("EXPLAIN SELECT min(blocked_until) FROM spane_django_gate")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    connection.close()

    assert "Seq Scan" in plan
    assert "JIT" not in plan
