"""The load: executions are started and operators say things, whatever the database does meanwhile.

What is asked for is asked again until there is an answer, as a careful caller does: with the same
idempotency key, where the start has one.  `Journal` keeps what was answered.  It is kept apart
from what the engine has recorded, and is compared with it in the end.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model
from django.db import InterfaceError, OperationalError, connection, connections

from spane_django.clock import now
from spane_django.core.errors import SpaneError
from spane_django.engine.approvals import decide
from spane_django.engine.control import cancel, pause, resume
from spane_django.engine.rerun import From, Rerun, rerun_from
from spane_django.engine.retry import replay, retry_failed
from spane_django.engine.signals import signal
from spane_django.engine.start import StartOptions, start, start_many
from spane_django.models import Approval, Execution, NodeRun

from .plan import Act, Start

Answer = TypeVar("Answer")

_PATIENCE_SECONDS = 60.0
_RECENT = 300


@dataclass
class Journal:
    """What was asked for, and what was answered.

    Attributes:
        started: Every execution whose start was answered.
        keys: By idempotency key, every id that was answered.
        cancelled: Executions that somebody wanted cancelled.
        reopened: Executions of which somebody wanted something to run again.
        sent: Signals that were sent, by what their payload says.
        refused: How often a verb was refused, by verb: an answer as good as any.
        unanswered: What was given up without an answer.
    """

    started: set[UUID] = field(default_factory=set)
    keys: dict[str, set[UUID]] = field(default_factory=dict)
    cancelled: set[UUID] = field(default_factory=set)
    reopened: set[UUID] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Load:
    """Starts executions and talks to them.

    Args:
        workflows: The ids of the workflows that a plan's numbers stand for.
    """

    def __init__(self, workflows: list[str], journal: Journal) -> None:
        self._workflows = workflows
        self.journal = journal
        self._pool = ThreadPoolExecutor(6, thread_name_prefix="chaos-load")
        self._resumes: list[tuple[float, UUID]] = []

    def close(self) -> None:
        self._pool.shutdown()

    def start(self, planned: Start) -> None:
        """Start what is planned, on other threads."""
        key = f"start-{planned.seed}" if planned.copies else None
        for _ in range(max(1, planned.copies)):
            self._pool.submit(self._start, planned, key)

    def act(self, act: Act) -> None:
        """Say what is planned, on another thread."""
        self._pool.submit(self._act, act)

    def look(self) -> None:
        """Resume what was paused long enough, answer questions, send what is waited for."""
        due = [key for at, key in self._resumes if at <= time.monotonic()]
        self._resumes = [(at, key) for at, key in self._resumes if key not in due]
        for key in due:
            self._pool.submit(self._say, "resume", partial(_resume, key))
        self._pool.submit(self._patiently, "answer", self._answer)

    def resume_all(self) -> None:
        """Let nothing stay paused."""
        self._resumes = []
        paused = Execution.objects.filter(status="paused", parent=None)
        for key in list(paused.values_list("id", flat=True)):
            self._say("resume", partial(_resume, key))

    def _start(self, planned: Start, key: str | None) -> None:
        workflow = self._workflows[planned.workflow]
        data = {"seed": planned.seed, "owner": planned.owner}
        delay = timedelta(seconds=planned.delay)
        options = StartOptions(
            idempotency_key=key, start_at=now() + delay if planned.delay else None
        )

        def begin() -> list[UUID]:
            if key is None:
                return start_many(workflow, [data] * planned.batch, now=now(), options=options)
            return [start(workflow, data, now=now(), options=options).pk]

        # Without a key nobody knows what an unanswered start has led to, and it is not repeated.
        ids = self._patiently("start", begin) if key else self._once("start", begin)
        with self.journal.lock:
            self.journal.started.update(ids or ())
            if key and ids:
                self.journal.keys.setdefault(key, set()).update(ids)

    def _act(self, act: Act) -> None:
        key = self._patiently("pick", lambda: _picked(act))
        if key is None:
            return
        verb = act.verb
        with self.journal.lock:
            if verb == "cancel":
                self.journal.cancelled.add(key)
            if verb in ("retry", "rerun"):
                self.journal.reopened.add(key)
        if verb == "pause":
            self._resumes.append((time.monotonic() + act.seconds, key))
        if verb == "replay":
            once = uuid4().hex
            made = self._say(verb, lambda: replay(key, now=now(), idempotency_key=once))
            with self.journal.lock:
                self.journal.started.update({made.pk} if made else ())
            return
        self._say(verb, lambda: _VERBS[verb](key))

    def _answer(self) -> None:
        """Send what is waited for and has not been sent, and decide what is asked."""
        waits = NodeRun.objects.filter(status="waiting", signal_name="go")
        for key in set(waits.values_list("signal_key", flat=True)[:50]):
            self._send(key)
        operator = get_user_model().objects.get(username="operator")
        for approval in Approval.objects.awaited(now())[:50]:
            is_approved = approval.pk % 4 != 0
            self._say(
                "decide",
                partial(decide, approval.pk, by=operator, is_approved=is_approved, now=now()),
            )

    def _send(self, key: str) -> None:
        payload = uuid4().hex
        with self.journal.lock:
            self.journal.sent[payload] = key
        self._once("signal", lambda: signal("go", {"sent": payload}, key=key, now=now()))

    def _say(self, verb: str, say: Callable[[], Answer]) -> Answer | None:
        """Say something; a refusal is an answer."""
        try:
            answer = self._patiently(verb, say)
        except SpaneError:
            with self.journal.lock:
                self.journal.refused[verb] += 1
            return None
        with self.journal.lock:
            self.journal.done[verb] += 1
        return answer

    def _patiently(self, what: str, ask: Callable[[], Answer]) -> Answer | None:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up:
            try:
                return _asked(ask)
            except (OperationalError, InterfaceError):
                time.sleep(0.1)
        with self.journal.lock:
            self.journal.unanswered.append(what)
        return None

    def _once(self, what: str, ask: Callable[[], Answer]) -> Answer | None:
        try:
            return _asked(ask)
        except (OperationalError, InterfaceError) as error:
            with self.journal.lock:
                self.journal.unanswered.append(f"{what}: {type(error).__name__}")
            return None


def _asked(ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except (OperationalError, InterfaceError):
        connections.close_all()
        raise


def _picked(act: Act) -> UUID | None:
    """Choose an execution that a verb may be said to, among the latest."""
    found = Execution.objects.filter(parent=None)
    if act.verb == "retry":
        found = found.filter(status="failed")
    elif act.verb in ("replay", "rerun"):
        found = found.filter(finished_at__isnull=False, slot="")
    else:
        found = found.unfinished()
    if act.verb != "replay":
        # Whoever runs again takes no place, and may find all of them taken.
        found = found.filter(slot="")
    ids = list(found.order_by("-id").values_list("id", flat=True)[:_RECENT])
    return ids[int(act.pick * len(ids))] if ids else None


def _resume(key: UUID) -> Any:
    return resume(key, now=now())


def _rerun(key: UUID) -> Any:
    ended = NodeRun.objects.filter(execution_id=key, status__in=("completed", "failed"))
    nodes = list(ended.order_by("id").values_list("node_id", flat=True))
    chosen = nodes[len(nodes) // 2] if nodes else None
    return rerun_from(key, Rerun(start=From.NODE, node_id=chosen), now=now())


def _shout(key: UUID) -> Any:
    return signal("nobody waits for this", None, key=str(key), now=now())


_VERBS: dict[str, Callable[[UUID], Any]] = {
    "pause": lambda key: pause(key, now=now()),
    "cancel": lambda key: cancel(key, now=now()),
    "retry": lambda key: retry_failed(key, now=now()),
    "rerun": _rerun,
    "signal": _shout,
}


def prepare(definitions: list[dict[str, Any]], schema: str) -> None:
    """Publish workflows, make the operator and let the database keep a history."""
    from spane_django.engine.publish import publish

    for definition in definitions:
        publish(definition, now=now())
    get_user_model().objects.create_user("operator")
    with connection.cursor() as cursor:
        cursor.execute(schema)
