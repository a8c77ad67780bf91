"""The engine, inline: it does what workers and the scheduler do, when the test says so."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from spane_django import Context, Delay, Result, Workflow, cancel, pause, publish, resume, start
from spane_django.models import Execution, Worker
from spane_django.nodes.base import registry
from spane_django.testing import InlineEngine, NeverQuiet, make_workflow

from .shop import fulfilment


def test_a_run_works_until_nothing_is_ready(spane: InlineEngine) -> None:
    spane.stub("charge", {"receipt": 1})
    execution = fulfilment().start({"name": "Ada"})

    ran = spane.run()

    assert ran == ["charge", "ship"]
    assert spane.assert_completed(execution).finished_at is not None
    spane.assert_output(execution, {"shipped": {"receipt": 1}, "with": "snail"})
    assert spane.run() == []


def test_branches_joins_and_skipped_nodes_follow_the_rules(spane: InlineEngine) -> None:
    flow = make_workflow({"check": ["yes", "no"], "yes": ["end"], "no": ["end"]})
    spane.stub("check", Result({"x": 1}, next_nodes=["yes"]))

    execution = flow.start()
    spane.run()

    spane.assert_path(execution, ["check", "yes", "end"])
    spane.assert_nodes(execution, {"no": "skipped", "end": "completed"})


def test_pure_nodes_run_one_by_one_too(spane: InlineEngine) -> None:
    edges = {"a": ["b"], "b": ["c"]}
    pure = {"type": "transform", "config": {"expression": "@"}}
    flow = make_workflow(edges, nodes={"b": pure, "c": pure})
    spane.fail("c", ValueError("no"))

    execution = flow.start({"n": 1})
    spane.run_until_done()

    spane.assert_failed(execution, "ValueError: no")
    assert [call.input for call in spane.calls("b")] == [{"n": 1}]


def test_retries_wait_for_their_time(spane: InlineEngine) -> None:
    spane.stub("charge", {})
    spane.fail("ship", ConnectionError("down"), times=2)
    execution = fulfilment().start({"name": "Ada"})

    assert spane.run() == ["charge", "ship"]
    assert spane.run() == []
    spane.travel(minutes=1)
    assert spane.run() == ["ship"]
    spane.assert_nodes(execution, {"ship": "ready"})
    spane.travel(minutes=2)
    assert spane.run() == ["ship"]

    spane.assert_completed(execution)


def test_until_done_travels_from_timer_to_timer(spane: InlineEngine) -> None:
    spane.stub("charge", {})
    spane.fail("ship", ConnectionError("down"))
    before = spane.now
    execution = fulfilment().start({"name": "Ada"})

    ran = spane.run_until_done()

    assert ran == ["charge", "ship", "ship", "ship"]
    spane.assert_failed(execution, "ConnectionError")
    assert timedelta(minutes=3) <= spane.now - before < timedelta(minutes=4)


def test_what_waits_for_somebody_goes_on_waiting(spane: InlineEngine) -> None:
    flow = make_workflow({"ask": ["end"]})
    spane.stub("ask", Delay(until=spane.now + timedelta(days=36_000)))
    execution = flow.start()

    spane.run_for(days=30)

    spane.assert_nodes(execution, {"ask": "waiting", "end": "pending"})


def test_time_that_goes_by_fires_each_timer_at_its_instant(spane: InlineEngine) -> None:
    hour = {"type": "delay", "config": {"durationMinutes": 60}}
    flow = make_workflow({"a": ["b"], "b": ["c"]}, nodes={"a": hour, "b": hour})
    execution = flow.start()
    started = spane.now

    spane.run_for(hours=3)

    ended = spane.assert_completed(execution).finished_at
    assert ended is not None
    assert ended - started < timedelta(hours=2, minutes=1)


def test_a_delayed_start_starts_when_its_time_has_come(spane: InlineEngine) -> None:
    flow = make_workflow({"a": []})
    start_at = spane.now + timedelta(hours=2)
    execution = flow.start(start_at=start_at)

    assert spane.run() == []
    assert spane.run_until_done() == ["a"]

    started = spane.assert_completed(execution).started_at
    assert started is not None
    assert started >= start_at


def test_an_execution_that_outruns_its_deadline_fails(spane: InlineEngine) -> None:
    forever = {"type": "wait", "config": {"signal": "never"}}
    flow = make_workflow({"a": []}, nodes={"a": forever}, timeout=timedelta(hours=1))
    execution = flow.start()

    spane.run_until_done()

    spane.assert_failed(execution, "deadline")


def test_nodes_that_a_rate_holds_back_run_in_their_time(spane: InlineEngine) -> None:
    definition = make_workflow({"a": []}).definition()
    definition["nodes"][0]["limit"] = {"rate": {"count": 1, "perMs": 3_600_000}}
    publish(definition)
    before = spane.now
    for _ in range(3):
        start("test-workflow")

    assert spane.run() == ["a"]
    assert spane.run_until_done() == ["a", "a"]

    spane.assert_nothing_pending()
    assert timedelta(hours=2) <= spane.now - before < timedelta(hours=3)


def test_sub_workflows_maps_and_loops_run_with_all_their_children(spane: InlineEngine) -> None:
    make_workflow({"inner": []}, id="child")
    nodes = {
        "sub": {"type": "sub-workflow", "config": {"workflowId": "child"}},
        "map": {"type": "map", "config": {"workflowId": "child", "parallelism": 2}},
        "loop": {
            "type": "loop",
            "config": {"workflowId": "child", "until": "length(@) == `3`", "maxTurns": 5},
        },
    }
    flow = make_workflow({"sub": ["map"], "map": ["loop"]}, id="parent", nodes=nodes)

    execution = flow.start([1, 2, 3])
    spane.run()

    spane.assert_completed(execution)
    assert len(spane.calls("inner", workflow="child")) == 5
    assert [call.input for call in spane.calls("inner")] == [[1, 2, 3], 1, 2, 3, [1, 2, 3]]
    spane.assert_nothing_pending()


def test_children_are_closed_with_their_parent(spane: InlineEngine) -> None:
    make_workflow({"inner": []}, id="child")
    sub = {"type": "sub-workflow", "config": {"workflowId": "child"}}
    flow = make_workflow({"sub": []}, id="parent", nodes={"sub": sub})
    spane.stub("inner", Delay(until=spane.now + timedelta(days=1)))
    execution = flow.start()
    spane.run()

    cancel(execution)
    spane.run()

    assert [child.status for child in execution.children.all()] == ["cancelled"]
    spane.assert_nothing_pending()


def test_executions_beyond_the_workflows_limit_wait_for_a_slot(spane: InlineEngine) -> None:
    publish({**make_workflow({"inner": []}, id="child").definition(), "maxExecutions": 1})
    each = {"type": "map", "config": {"workflowId": "child"}}
    flow = make_workflow({"each": []}, nodes={"each": each})
    spane.stub("inner", does=lambda ctx: ctx.checkpoint or Delay(ctx.now, checkpoint=ctx.input))

    execution = flow.start([1, 2])
    spane.run()

    spane.assert_output(execution, [1, 2])
    assert [call.input for call in spane.calls("inner")] == [1, 1, 2, 2]


def test_what_runs_finally_runs(spane: InlineEngine) -> None:
    definition = make_workflow({"a": []}).definition()
    publish({**definition, "finally": {"type": "test-step"}})
    spane.fail("a", ValueError("no"))

    execution = start("test-workflow")
    spane.run_until_done()

    spane.assert_failed(execution)
    (ending,) = Execution.objects.filter(parent=execution)
    spane.assert_completed(ending)


def test_nodes_of_every_queue_run(spane: InlineEngine) -> None:
    flow = make_workflow({"a": ["b"]}, nodes={"b": {"queue": "elsewhere"}})

    flow.start()

    assert spane.run() == ["a", "b"]


def test_async_nodes_see_what_the_test_has_written(spane: InlineEngine) -> None:
    Group.objects.create(name="only in this transaction")
    flow = make_workflow({"a": ["b"]}, nodes={"b": {"type": "shop-look-up"}})

    execution = flow.start({"n": 1})
    spane.run()

    seen = {"groups": ["only in this transaction"], "order": {"n": 1}, "nodes": ["a"]}
    spane.assert_output(execution, seen)


def test_async_nodes_take_doubles(spane: InlineEngine) -> None:
    async def answer(ctx: Context) -> Any:
        return ctx.input

    flow = make_workflow({"a": ["b", "c"]}, nodes={key: {"type": "shop-look-up"} for key in "abc"})
    spane.stub("a", {"n": 1})
    spane.stub("b", does=answer)
    spane.fail("c", ValueError("no"))

    execution = flow.start()
    spane.run_until_done()

    spane.assert_output(execution, {"n": 1}, node="b")
    spane.assert_failed(execution, "ValueError: no")


def test_the_verbs_work_as_ever(spane: InlineEngine) -> None:
    execution = make_workflow({"a": []}).start()

    pause(execution)
    assert spane.run_until_done() == []
    spane.assert_status(execution, "paused")
    resume(execution)
    assert spane.run() == ["a"]


def test_a_node_whose_worker_dies_runs_again(spane: InlineEngine) -> None:
    spane.stub("charge", {"receipt": 1})
    spane.lose_worker("charge")

    execution = fulfilment().start({"name": "Ada"})
    ran = spane.run()

    assert ran == ["charge", "charge", "ship"]
    assert [call.attempt for call in spane.calls("charge")] == [1, 2]
    spane.assert_completed(execution)


def test_a_node_that_takes_every_worker_down_is_given_up(spane: InlineEngine) -> None:
    spane.lose_worker("a", times=None)

    execution = make_workflow({"a": []}).start()
    spane.run()

    spane.assert_failed(execution, "WorkerLost")


def test_a_transactional_node_whose_worker_dies_has_written_nothing(spane: InlineEngine) -> None:
    flow = make_workflow({"a": ["b"]}, nodes={"a": {"type": "shop-book"}})
    spane.lose_worker("a")

    execution = flow.start()
    ran = spane.run()

    assert ran == ["a", "a", "b"]
    spane.assert_completed(execution)
    assert Group.objects.count() == 1


def test_a_node_that_times_out_is_tried_again(spane: InlineEngine) -> None:
    spane.stub("charge", {})
    spane.time_out("ship", times=1)
    execution = fulfilment().start({"name": "Ada"})

    spane.run()
    assert "NodeTimeout: Node execution timed out after 30000ms" in spane.story(execution)
    spane.run_until_done()

    spane.assert_completed(execution)


def test_a_node_that_takes_longer_than_its_timeout_has_timed_out(spane: InlineEngine) -> None:
    flow = make_workflow({"a": []}, nodes={"a": {"timeout": 1e-6}})

    execution = flow.start()
    spane.run_until_done()

    spane.assert_failed(execution, "NodeTimeout")


def test_a_node_without_a_timeout_cannot_time_out(spane: InlineEngine) -> None:
    make_workflow({"a": []}).start()
    spane.time_out("a")

    with pytest.raises(ValueError, match="'a' cannot time out"):
        spane.run()


def test_a_workflow_without_an_end_fails_the_test(spane: InlineEngine) -> None:
    spane.stub("a", does=lambda ctx: Delay(until=ctx.now))
    make_workflow({"a": []}).start()

    with pytest.raises(NeverQuiet, match="most often ran 'a' 50 times"):
        spane.run(most=50)


def test_timers_without_an_end_fail_the_test(spane: InlineEngine) -> None:
    spane.stub("a", does=lambda ctx: Delay(until=ctx.now + timedelta(days=1)))
    make_workflow({"a": []}).start()

    with pytest.raises(NeverQuiet, match="there is always more to do"):
        spane.run_until_done(most=20)


def test_a_second_engine_is_refused(spane: InlineEngine) -> None:
    with pytest.raises(RuntimeError, match="at work already"), InlineEngine():
        pass


@pytest.mark.django_db
def test_an_engine_that_is_not_in_use_does_not_work() -> None:
    with InlineEngine() as spane:
        pass

    with pytest.raises(RuntimeError, match="not in use"):
        spane.run()


def test_the_engine_stays_on_the_tests_thread(spane: InlineEngine) -> None:
    refused: list[str] = []

    def work() -> None:
        try:
            spane.run()
        except RuntimeError as error:
            refused.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert refused == ["the InlineEngine works on the thread of its test alone"]


def test_the_engine_does_not_work_inside_a_transaction(spane: InlineEngine) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="after the transaction"):
        spane.run()


def test_a_node_cannot_let_the_engine_work(spane: InlineEngine) -> None:
    spane.stub("a", does=lambda ctx: spane.run())

    execution = make_workflow({"a": []}).start()
    spane.run_until_done()

    spane.assert_failed(execution, "a node cannot let the engine work")


def test_what_was_rolled_back_does_not_run(spane: InlineEngine) -> None:
    flow = make_workflow({"a": []})
    with transaction.atomic():
        flow.start()
        transaction.set_rollback(True)

    assert spane.run() == []


def test_nothing_of_the_engine_is_left_behind() -> None:
    code = dict(vars(registry.get("shop-ship")))

    with InlineEngine() as spane:
        spane.stub("ship", {})

    assert dict(vars(registry.get("shop-ship"))) == code
    assert "execute" not in code


def test_no_worker_is_left_at_work(spane: InlineEngine) -> None:
    make_workflow({"a": []}).start()

    spane.run()

    assert not Worker.objects.filter(stopped_at=None).exists()


@pytest.mark.django_db(transaction=True)
def test_no_other_worker_is_woken(wakes: list[str], spane: InlineEngine) -> None:
    make_workflow({"a": ["b"]}).start()

    spane.run()

    assert wakes == []


def test_a_steps_workflow_is_meant_with_it(spane: InlineEngine) -> None:
    flow: Workflow = fulfilment()
    other = make_workflow({"ship": []})
    spane.stub(flow["charge"], {})
    spane.stub(flow["ship"], "stubbed")

    mine, others = flow.start({"name": "Ada"}), other.start("real")
    spane.run()

    spane.assert_output(mine, "stubbed")
    spane.assert_output(others, "real")
