"""What people say: signals, decisions, pauses, ends by hand, dead letters, runs anew."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from spane_django.engine.approvals import decide, reassign_approval
from spane_django.engine.by_hand import complete, skip
from spane_django.engine.control import cancel, pause, resume
from spane_django.engine.operate import reassign, retry_now
from spane_django.engine.retry import (
    discard_dead_letter,
    replay,
    rerun,
    retry_dead_letter,
    retry_failed,
)
from spane_django.engine.signals import signal
from spane_django.models import Approval, DeadLetter, NodeRun, Signal
from tests.engine.helpers import definition
from tests.faults.stage import Stage
from tests.faults.story import fails, story

_FAMILY = (
    definition({"c": ["d"]}, id="child"),
    definition(
        {"a": ["s", "b"], "s": ["z"]},
        types={"s": "sub-workflow", "b": "delay"},
        nodes={
            "s": {"config": {"workflowId": "child"}},
            "b": {"config": {"duration": "PT10H"}},
        },
    ),
)


def user(name: str) -> Any:
    """Return a superuser of this name."""
    return get_user_model().objects.get_or_create(username=name, is_superuser=True)[0]


def _send(stage: Stage, key: str, payload: Any) -> None:
    """Send a signal; who has not heard whether one was sent looks for it first."""
    stage.ask(
        "signal",
        lambda: signal("paid", payload, now=stage.now, key=key, by=user("ada")),
        is_done=Signal.objects.filter(name="paid", key=key).exists,
    )


def _approve(stage: Stage, approval: int, who: Any) -> None:
    stage.ask("decide", lambda: decide(approval, by=who, is_approved=True, now=stage.now))
    stage.work()


_WAITS = definition(
    {"a": ["b"]},
    types={"a": "wait"},
    nodes={"a": {"config": {"signal": "paid", "key": "{{ input }}"}}},
)


@story(_WAITS)
def a_signal_that_is_waited_for(stage: Stage) -> None:
    stage.start("w", stage.name)
    stage.work()
    _send(stage, stage.name, {"cents": 990})
    stage.work()


@story(_WAITS)
def a_signal_that_comes_first(stage: Stage) -> None:
    _send(stage, stage.name, {"cents": 990})
    stage.start("w", stage.name)
    stage.work()


@story(
    definition(
        {"a": ["b"]},
        types={"a": "approval"},
        nodes={"a": {"config": {"title": "Go?", "users": ["ada", "bob"], "quorum": 2}}},
    )
)
def an_approval_by_two(stage: Stage) -> None:
    key = stage.start("w")
    stage.work()
    asked = Approval.objects.get(execution=key).pk
    for name in ("ada", "bob"):
        _approve(stage, asked, user(name))


@story(
    definition(
        {"a": ["b"]},
        types={"a": "approval"},
        nodes={"a": {"config": {"title": "Go?", "users": ["ada"]}}},
    )
)
def an_approval_that_is_handed_on_and_rejected(stage: Stage) -> None:
    key = stage.start("w")
    stage.work()
    asked, bob = Approval.objects.get(execution=key).pk, user("bob")
    handed = {"users": ["bob"], "by": user("ada"), "now": stage.now}
    stage.ask("hand on", lambda: reassign_approval(asked, **handed))
    stage.ask("decide", lambda: decide(asked, by=bob, is_approved=False, now=stage.now))
    stage.work()


@story(*_FAMILY)
def a_pause_in_a_family(stage: Stage) -> None:
    key = stage.start("w")
    stage.work_at("a", "s")
    stage.ask("pause", lambda: pause(key, now=stage.now, by=user("ada"), reason="look"))
    stage.work()
    stage.ask("resume", lambda: resume(key, now=stage.now, by=user("ada")))
    stage.work()


@story(*_FAMILY)
def a_cancel_in_a_family(stage: Stage) -> None:
    key = stage.start("w")
    stage.work_at("a", "s")
    stage.ask("cancel", lambda: cancel(key, now=stage.now, by=user("ada"), reason="no"))
    stage.work()


@story(definition({"a": ["b"]}), a=lambda ctx: fails(ctx) if ctx.round == 1 else "mended")
def a_dead_letter_that_is_retried(stage: Stage) -> None:
    key = stage.start("w")
    stage.work()
    letter = DeadLetter.objects.get(execution=key).pk
    stage.ask("retry letter", lambda: retry_dead_letter(letter, now=stage.now, by=user("ada")))
    stage.work()


@story(definition({"a": []}), a=fails)
def a_dead_letter_that_is_discarded(stage: Stage) -> None:
    key = stage.start("w")
    stage.work()
    letter = DeadLetter.objects.get(execution=key).pk
    stage.ask("discard letter", lambda: discard_dead_letter(letter, now=stage.now, by=user("ada")))


@story(
    definition({"r": ["a", "b"], "a": ["j"], "b": ["j"]}),
    a=lambda ctx: fails(ctx) if ctx.round == 1 else "mended",
    b=lambda ctx: fails(ctx) if ctx.round == 1 else "mended",
)
def an_execution_that_is_retried(stage: Stage) -> None:
    key = stage.start("w")
    stage.work()
    stage.ask("retry failed", lambda: retry_failed(key, now=stage.now, by=user("ada")))
    stage.work()


@story(definition({"a": ["b"]}))
def a_run_anew(stage: Stage) -> None:
    key = stage.start("w")
    stage.work()
    stage.ask("rerun", lambda: rerun(key, "a", now=stage.now, by=user("ada")))
    stage.work()
    again = {"now": stage.now, "by": user("ada"), "idempotency_key": f"{stage.name}-again"}
    stage.roots.append(stage.ask("replay", lambda: replay(key, **again)).pk)
    stage.work()


@story(
    definition(
        {"a": ["b", "c"], "b": ["j"], "c": ["j"]},
        types={"b": "delay", "c": "delay"},
        nodes={name: {"config": {"duration": "PT10H"}} for name in "bc"},
    )
)
def nodes_that_are_ended_by_hand(stage: Stage) -> None:
    key = stage.start("w")
    stage.work()
    who = {"by": user("ada"), "reason": "by hand"}
    stage.ask("skip", lambda: skip(key, "b", now=stage.now, **who))
    stage.work()
    stage.ask("complete", lambda: complete(key, "c", {"said": 1}, now=stage.now, **who))
    stage.work()


@story(
    definition(
        {"a": ["b"]},
        nodes={
            "a": {
                "retryPolicy": {
                    "maxAttempts": 2,
                    "backoff": {"type": "fixed", "delay": 360_000_000},
                }
            }
        },
    ),
    a=lambda ctx: 1 / (ctx.round - 1),
)
def a_node_that_is_hurried(stage: Stage) -> None:
    key = stage.start("w")
    stage.work()
    stage.ask(
        "reassign",
        lambda: reassign(key, priority=9, now=stage.now, by=user("ada")),
        is_done=NodeRun.objects.filter(execution=key, priority=9).exists,
    )
    stage.ask("retry now", lambda: retry_now(key, "a", now=stage.now, by=user("ada")))
    stage.work()
