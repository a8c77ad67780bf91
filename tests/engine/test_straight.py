"""Going straight on: what one statement writes is what the long way would have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import OperationalError, connection

from spane_django import signals
from spane_django.core.outcome import Failure, Result
from spane_django.engine import settle as settling
from spane_django.engine import straight
from spane_django.engine.claim import claimed
from spane_django.engine.control import cancel, pause
from spane_django.engine.finished import Finished, Line
from spane_django.engine.settle import Settlement
from spane_django.models import NodeRun
from spane_django.models.payloads import MARK
from tests.doubles import Body
from tests.engine.helpers import Machine, execution, node_run, statuses
from tests.engine.statements import counted
from tests.engine.threads import elsewhere, holding, somebody_waits_for_me, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

NODES = 12
PAUSE = "UPDATE spane_django_execution SET status = 'paused' WHERE id = %s"
TAKE_AWAY = "UPDATE spane_django_noderun SET claim_token = gen_random_uuid() WHERE id = %s"


@pytest.fixture(autouse=True)
def _one_statement() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite a statement costs no round trip, and everything goes the long way")


def settle(machine: Machine, finished: Sequence[Finished], *, is_straight: bool) -> Settlement:
    """Settle, and see to it that one statement did, or was not enough."""
    with counted() as statements:
        settlement = machine.settle(finished, want=machine.want(fill=False))
    assert (len(statements) == 1) is is_straight, statements
    return settlement


def edges(random: Random) -> dict[str, list[str]]:
    """Return a random graph of chains that part and meet again."""
    names = [f"n{index:02}" for index in range(NODES)]
    children: dict[str, list[str]] = {name: [] for name in names}
    for index, name in enumerate(names[1:], start=1):
        for _ in range(random.choice((1, 1, 1, 1, 2))):
            parent = random.choice(names[max(0, index - 3) : index])
            if name not in children[parent]:
                children[parent].append(name)
    return children


def options(random: Random) -> dict[str, Any]:
    """Return what the definition says of a node; of most it says nothing."""
    return random.choice(
        (
            *[{}] * 8,
            {"priority": random.randint(1, 10)},
            {"queue": "other"},
            {"limit": {"max": 1}},
            {"join": {"rule": "any"}},
            {"continueOnFail": True},
        )
    )


def body(random: Random, children: Sequence[str]) -> Body:
    """Return what a node does; most only hand something on."""

    def fails_once(ctx: Any) -> Any:
        return Result({"tries": ctx.attempt}) if ctx.attempt > 1 else Failure(message="once")

    answers: tuple[Body, ...] = (
        *[lambda ctx: {"from": ctx.node_id}] * 8,
        lambda ctx: ctx.log.info("said"),
        lambda ctx: Result("chose", next_nodes=list(children[:1])),
        lambda ctx: Failure(message="for good", is_retryable=False),
        lambda ctx: {"$spanePayload": "mine"},
        fails_once,
    )
    return random.choice(answers)


def course(machines: Mapping[str, Machine], key: UUID, random: Random) -> list[Any]:
    """Run an execution to its end in random batches; return its rows after each of them."""
    seen = []
    while work := {queue: machine.claim() for queue, machine in machines.items()}:
        if not any(work.values()):
            return seen
        for queue, machine in machines.items():
            claims = sorted(work[queue], key=lambda one: one.node_id)
            while claims:
                batch = random.sample(claims, random.randint(1, len(claims)))
                finished = machine.run(batch)
                fill, yields = random.random() < 0.2, random.random() < 0.2
                want = replace(machine.want(random.choice((1, 5)), fill=fill), yields=yields)
                settled = machine.settle(finished, want=want)
                assert settled.lost == []
                rest = [one for one in claims if one not in batch]
                claims = sorted(rest + settled.claims, key=lambda one: one.node_id)
                seen.append(rows(key))
    return seen


def rows(key: UUID) -> list[dict[str, Any]]:
    """Return all that is stored of an execution and its nodes, but for what tells two apart."""
    runs = NodeRun.objects.filter(execution_id=key).order_by("node_id").values()
    stored = [*runs, {**execution(key).__dict__}]
    for row in stored:
        row["is_claimed"] = row.pop("claim_token", None) is not None
        row["worker_id"] = row.pop("worker_id", None) is not None
        for other in ("id", "execution_id", "_state"):
            row.pop(other, None)
    return stored


@pytest.mark.parametrize("seed", range(25))
def test_one_statement_writes_what_the_long_way_writes(seed: int, machine, does, monkeypatch):
    random = Random(seed)
    children = edges(random)
    does |= {node: body(random, targets) for node, targets in children.items()}
    retries = {"retryPolicy": {"maxAttempts": 2, "backoff": {"type": "fixed", "delay": 0}}}
    nodes = {node: {**retries, **options(random)} for node in children}
    machine.publish(children, nodes=nodes, failFast=random.random() < 0.5)
    machines = {"spane": machine, "other": Machine("other")}
    chosen: dict[str, Any] = random.choice(({}, {"key": "customer"}))

    monkeypatch.setattr(straight, "FEW", random.choice((1, 3)))
    short = machine.start({"n": 1}, priority=7, **chosen)
    one = course(machines, short, Random(seed))
    monkeypatch.setattr("spane_django.engine.settle.part", lambda finished, _: ([], [*finished]))
    long = machine.start({"n": 1}, priority=7, **chosen)
    other = course(machines, long, Random(seed))

    assert one == other


NO_PLAIN_GRAPHS: dict[str, dict[str, Any]] = {
    "two follow": {"edges": {"a": ["b", "c"]}},
    "nothing follows": {"edges": {"a": []}},
    "another leads there, too": {"edges": {"a": ["b"], "x": ["b"]}},
    "what follows has a limit": {"nodes": {"b": {"limit": {"max": 1}}}},
    "it has a limit itself": {"nodes": {"a": {"limit": {"max": 1}}}},
    "the execution limits its nodes": {"maxConcurrency": 1},
    "the first of two leads there": {
        "edges": {"a": ["b"], "x": ["b"]},
        "nodes": {"b": {"join": {"rule": "any"}}},
    },
    "only a failure leads there": {"nodes": {"a": {"errorOutputs": ["b"]}}},
    "what follows waits in another queue": {"nodes": {"b": {"queue": "other"}}},
}


@pytest.mark.parametrize("graph", NO_PLAIN_GRAPHS.values(), ids=NO_PLAIN_GRAPHS)
def test_where_more_is_to_be_known_than_that_it_completed_it_goes_the_long_way(
    graph: dict[str, Any], machine: Machine
):
    key = machine.begin(**{"edges": {"a": ["b"]}, **graph})
    finished = [one for one in machine.run(machine.claim()) if one.claim.node_id == "a"]

    settle(machine, finished, is_straight=False)

    assert statuses(key)["a"] == "completed"


def ends(machine: Machine, count: int) -> list[Finished]:
    """Return the ends of so many first nodes that something plainly follows."""
    machine.publish({"a": ["b"]})
    for _ in range(count):
        machine.start()
    return machine.run(machine.claim())


def left_more(finished: Finished) -> dict[str, Finished]:
    """Return ends of an attempt that leave something besides what a node hands on."""
    claim, line = (
        finished.claim,
        Line(
            execution_id=finished.claim.execution_id,
            node_id="a",
            attempt=1,
            level="info",
            message="said",
            data=None,
            created_at=finished.finished_at,
        ),
    )
    return {
        "a failure": replace(finished, outcome=Failure(message="boom")),
        "a choice": replace(finished, outcome=Result(next_nodes=["b"])),
        "a log line": replace(finished, lines=[line]),
        "what ran ahead": replace(finished, ahead=[replace(finished)]),
        "a reference": replace(finished, output=f'{MARK}:{{"literal":1}}}}'),
        "another attempt": replace(finished, claim=claim._replace(attempt=2)),
        "a wait before": replace(finished, claim=claim._replace(checkpoint={"n": 1})),
    }


def test_what_leaves_more_than_it_hands_on_goes_the_long_way(machine: Machine):
    machine.begin({"a": ["b"]})
    (finished,) = machine.run(machine.claim())
    want = machine.want(fill=False)

    plain, others = straight.part([finished], want)
    assert ([item for item, _ in plain], others) == ([finished], [])
    for what, end in left_more(finished).items():
        assert straight.part([end], want) == ([], [end]), what


def test_as_much_goes_straight_on_as_the_worker_has_room_for(machine: Machine):
    finished = ends(machine, straight.FEW + 2)

    plain, others = straight.part(finished, machine.want(room=straight.FEW + 1))

    assert ([item for item, _ in plain], others) == (finished[:-1], finished[-1:])


def test_few_go_the_long_way_with_the_others(machine: Machine):
    *many, other = ends(machine, straight.FEW + 1)
    other = replace(other, outcome=Failure(message="boom"))
    few, want = many[1:], machine.want(room=100)

    assert [len(part) for part in straight.part([other, *many], want)] == [straight.FEW, 1]
    assert straight.part([other, *few], want) == ([], [other, *few])
    assert len(straight.part(few, want)[0]) == len(few)


def test_a_batch_of_both_kinds_is_settled_whole(machine: Machine, monkeypatch):
    monkeypatch.setattr(straight, "FEW", 1)
    failing, plain = ends(machine, 2)
    finished = [replace(failing, outcome=Failure(message="no", is_retryable=False)), plain]

    settled = machine.settle(finished, want=machine.want(fill=False))

    assert [one.key for one in settled.claims] == [(plain.claim.execution_id, "b")]
    assert statuses(failing.claim.execution_id) == {"a": "failed", "b": "cancelled"}


def test_who_looks_for_other_nodes_finds_them_in_the_room_that_is_left(machine: Machine):
    first, second = ends(machine, 2)
    others = [machine.start() for _ in range(3)]

    settled = machine.settle([first, second], want=machine.want(room=4, fill=True))

    keys = [one.key for one in settled.claims]
    assert keys == [
        *[(one.claim.execution_id, "b") for one in (first, second)],
        *[(key, "a") for key in others[:2]],
    ]
    assert settled.filled == 2


def test_who_yields_keeps_a_quarter_of_the_room_for_others(machine: Machine):
    finished = ends(machine, 4)
    other = machine.start()
    want = replace(machine.want(room=4, fill=True), yields=True)

    settled = machine.settle(finished, want=want)

    assert [one.node_id for one in settled.claims] == ["b", "b", "b", "a"]
    assert settled.claims[-1].execution_id == other


def test_a_repeated_transaction_claims_nothing_twice(machine: Machine, monkeypatch):
    finished = ends(machine, 2)
    machine.start()
    tries = []

    def fails_once(*_: Any, **__: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise OperationalError from psycopg.errors.DeadlockDetected()

    # The last thing that a transaction does.
    monkeypatch.setattr(settling, "notify_attempts", fails_once)
    settled = machine.settle(finished, want=machine.want(fill=True))

    assert len(tries) == 2
    assert [one.node_id for one in settled.claims] == ["b", "b", "a"]


def test_what_follows_runs_at_once_and_receives_what_was_handed_on(machine: Machine, does):
    does["b"] = lambda ctx: {"received": ctx.input}
    key = machine.begin({"a": ["b"], "b": ["c"]})

    settled = settle(machine, machine.run(machine.claim()), is_straight=True)
    settle(machine, machine.run(settled.claims), is_straight=True)

    assert statuses(key) == {"a": "completed", "b": "completed", "c": "running"}
    assert node_run(key, "b").output == {"received": {"from": "a"}}
    assert settled.known[key, "a"].output == '{"from":"a"}'


def test_what_follows_has_the_priority_of_its_execution(machine: Machine):
    machine.publish({"a": ["b"]})
    keys = {machine.start(priority=priority): priority for priority in (3, 9, 6)}

    settled = settle(machine, machine.run(machine.claim()), is_straight=True)

    assert {key: node_run(key, "b").priority for key in keys} == keys
    assert len(settled.claims) == 3


def test_who_listens_hears_of_what_went_straight_on(machine: Machine):
    told: list[str] = []

    def listen(*, attempts: Any, **_: Any) -> None:
        told.extend(f"{attempt.node_id} {attempt.outcome}" for attempt in attempts)

    finished = ends(machine, 2)
    signals.attempts_ended.connect(listen)
    try:
        settle(machine, finished, is_straight=True)
    finally:
        signals.attempts_ended.disconnect(listen)

    assert told == ["a completed", "a completed"]


def test_what_follows_in_a_paused_execution_is_held(machine: Machine):
    key = machine.begin({"a": ["b"]})
    finished = machine.run(machine.claim())
    pause(key, now=machine.now)

    settled = settle(machine, finished, is_straight=False)

    assert settled.claims == []
    assert statuses(key) == {"a": "completed", "b": "ready"}
    assert node_run(key, "b").is_held


def test_nothing_follows_in_a_cancelled_execution(machine: Machine):
    key = machine.begin({"a": ["b"]})
    finished = machine.run(machine.claim())
    cancel(key, now=machine.now)

    assert len(settle(machine, finished, is_straight=False).lost) == 1
    assert statuses(key) == {"a": "cancelled"}


def test_nothing_follows_where_another_failure_has_halted_everything(machine: Machine):
    key = machine.begin({"a": ["b"], "x": []}, failFast=True)
    a, x = machine.run(machine.claim())
    # As if the failure had not found the node that runs.
    machine.settle([replace(x, outcome=Failure(message="boom", is_retryable=False))])

    settle(machine, [a], is_straight=False)

    assert statuses(key) == {"a": "completed", "b": "cancelled", "x": "failed"}


def test_who_lost_its_claim_leaves_nothing_and_holds_up_nobody(machine: Machine):
    machine.publish({"a": ["b"]})
    robbed, kept = machine.start(), machine.start()
    finished = machine.run(machine.claim())
    NodeRun.objects.filter(execution_id=robbed).update(claim_token=uuid4())

    settled = settle(machine, finished, is_straight=False)

    assert [one.execution_id for one in settled.lost] == [robbed]
    assert [one.key for one in settled.claims] == [(kept, "b")]
    assert (statuses(robbed), statuses(kept)["b"]) == ({"a": "running"}, "running")


def test_a_batch_of_which_all_have_lost_their_claims_is_refused(machine: Machine):
    key = machine.begin({"a": ["b"]})
    finished = machine.run(machine.claim())
    NodeRun.objects.update(claim_token=uuid4())

    assert len(settle(machine, finished, is_straight=False).lost) == 1
    assert statuses(key) == {"a": "running"}


def test_of_two_answers_to_one_claim_the_first_goes_straight_on(machine: Machine):
    finished = ends(machine, straight.FEW)
    doubled = replace(finished[0], output='"other"')

    settled = settle(machine, [*finished, doubled], is_straight=False)

    assert (len(settled.lost), len(settled.claims)) == (1, straight.FEW)
    assert node_run(finished[0].claim.execution_id, "a").output == {"from": "a"}


def test_of_two_answers_to_one_claim_the_first_counts_in_a_paused_execution(
    machine: Machine, monkeypatch
):
    monkeypatch.setattr(straight, "FEW", 1)
    first, other = ends(machine, 2)
    key = first.claim.execution_id
    pause(key, now=machine.now)

    doubled = replace(first, output='"other"')
    settled = settle(machine, [first, doubled, other], is_straight=False)

    assert [one.key for one in settled.claims] == [(other.claim.execution_id, "b")]
    assert (len(settled.lost), node_run(key, "a").output) == (1, {"from": "a"})


def test_a_pause_that_commits_while_the_statement_waits_is_seen(machine: Machine):
    key = machine.begin({"a": ["b"]})
    finished = machine.run(machine.claim())

    with elsewhere() as do:
        with holding(PAUSE, key):
            settled = do(lambda: machine.settle(finished, want=machine.want(fill=False)))
            until(somebody_waits_for_me)
        assert settled.result().claims == []

    assert statuses(key) == {"a": "completed", "b": "ready"}
    assert node_run(key, "b").is_held


def test_a_claim_that_is_taken_away_while_the_statement_waits_is_lost(machine: Machine):
    key = machine.begin({"a": ["b"]})
    finished = machine.run(machine.claim())

    with elsewhere() as do:
        with holding(TAKE_AWAY, finished[0].claim.id):
            settled = do(lambda: machine.settle(finished, want=machine.want(fill=False)))
            until(somebody_waits_for_me)
        assert len(settled.result().lost) == 1

    assert statuses(key) == {"a": "running"}


def test_who_did_not_hear_of_it_finds_what_it_claimed(machine: Machine):
    key = machine.begin({"a": ["b"]})
    want = replace(machine.want(fill=False), tokens=(uuid4(), uuid4()))

    settled = machine.settle(machine.run(machine.claim()), want=want)

    assert claimed(want) == settled.claims
    assert [one.key for one in settled.claims] == [(key, "b")]
