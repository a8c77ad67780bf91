"""Transactional nodes: what a node writes is committed with its result, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, OperationalError, transaction

from spane_django.core.outcome import Delay, Result
from spane_django.engine.control import cancel
from spane_django.engine.db import in_transaction
from spane_django.models import NodeRun
from spane_django.nodes.base import Context, Node, Registry, node, registry
from tests.doubles import bodies
from tests.engine.helpers import Machine, after, node_run, outputs, status

pytestmark = pytest.mark.django_db


@registry.register
class LedgerNode(Node):
    """Runs what the test says, in the transaction of its settlement."""

    type = "ledger"
    is_transactional = True

    def execute(self, ctx: Context) -> Any:
        Group.objects.create(name=f"{ctx.node_id} {ctx.attempt}")
        return bodies.get(ctx.node_id, lambda ctx: {"written": True})(ctx)


def begin(machine: Machine, **more: Any) -> Any:
    return machine.begin({"write": ["next"]}, types={"write": "ledger"}, **more)


def written() -> list[str]:
    return list(Group.objects.order_by("name").values_list("name", flat=True))


def test_the_writes_and_the_result_are_both_there(machine):
    key = begin(machine)

    machine.drain()

    assert (status(key), written()) == ("completed", ["write 1"])
    assert outputs(key)["write"] == {"written": True}


def test_the_attempt_is_settled_before_it_is_handed_in(machine):
    key = begin(machine)

    (finished,) = machine.run(machine.claim())

    assert node_run(key, "write").status == "completed"
    assert finished.settled == {"spane"}
    assert machine.settle([finished]).lost == []
    assert machine.drain() == ["next"]


def test_a_lost_claim_rolls_the_body_back(machine):
    key = begin(machine)
    claims = machine.claim()
    cancel(key, now=machine.now)

    (finished,) = machine.run(claims)

    assert (written(), finished.settled) == ([], None)
    assert machine.settle([finished]).lost == claims


def test_a_claim_that_is_lost_while_the_body_runs_rolls_it_back(machine, does):
    key = begin(machine)
    claims = machine.claim()
    does["write"] = lambda ctx: cancel(key, now=machine.now) and None

    (finished,) = machine.run(claims)

    # The cancel was made in the same transaction, so it is rolled back with the rest.
    assert (written(), status(key), finished.settled) == ([], "running", None)


def test_a_failure_rolls_the_body_back_and_is_retried_like_any_other(machine, does):
    tries = []

    def body(ctx: Context) -> Any:
        tries.append(ctx.attempt)
        if len(tries) == 1:
            raise ConnectionError("not now")
        return {"tries": len(tries)}

    does["write"] = body
    key = begin(machine)

    machine.drain()
    assert written() == []
    machine.wait(2)
    machine.drain()

    assert (status(key), written()) == ("completed", ["write 2"])


@pytest.mark.parametrize("answer", [Result.failure("no"), Delay(after(60))])
def test_whatever_is_no_result_keeps_no_writes(machine, does, answer):
    does["write"] = lambda ctx: answer
    begin(machine)

    machine.drain()

    assert written() == []


def test_a_body_that_broke_its_transaction_fails_alone(machine, does):
    def body(ctx: Context) -> Any:
        try:
            with transaction.atomic():
                Group.objects.create(name=f"{ctx.node_id} {ctx.attempt}")
        except IntegrityError:
            return {"handled": True}
        return None

    does["write"] = body
    key = begin(machine)

    machine.drain()

    assert (status(key), outputs(key)["write"]) == ("completed", {"handled": True})


def test_a_crash_before_the_commit_leaves_nothing_and_the_node_runs_again(machine):
    key = begin(machine)
    claims = machine.claim()

    class Died(BaseException):
        pass

    def dies() -> None:
        machine.run(claims)
        raise Died

    with pytest.raises(Died):
        in_transaction(dies)

    assert (written(), node_run(key, "write").status) == ([], "running")
    assert NodeRun.objects.filter(status="completed").count() == 0


def test_an_async_node_cannot_be_transactional():
    with pytest.raises(TypeError, match="async"):

        @node("both", transactional=True)
        async def both(ctx: Context) -> None: ...

    assert "both" not in registry
    assert isinstance(registry, Registry)


def test_a_database_that_refuses_the_commit_fails_the_attempt_and_not_the_worker(
    machine, monkeypatch
):
    key = begin(machine)
    claims = machine.claim()

    def refuses(*_: Any, **__: Any) -> Any:
        raise OperationalError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("spane_django.engine.transactional.apply", refuses)
        (finished,) = machine.run(claims)

    assert (finished.outcome.type, written()) == ("OperationalError", [])
    machine.settle([finished])
    machine.wait(2)
    machine.drain()
    assert (status(key), written()) == ("completed", ["write 2"])
