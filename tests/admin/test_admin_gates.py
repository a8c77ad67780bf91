"""Gates: who holds a limit, and breakers that operators flip."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from spane_django.engine import workers
from spane_django.engine.claim import Want, claim
from spane_django.models import AuditEntry, Gate
from tests.admin.conftest import Login
from tests.admin.pages import list_of, page_of, verb_of
from tests.admin.stage import node, started, workflow

pytestmark = pytest.mark.django_db

ODD = 'shared, "odd"/name'


def limited(name: str = "shared") -> dict[str, Any]:
    guarded = {**node("work", "log", {"message": "x"}), "limit": {"name": name, "max": 2}}
    return workflow("limited", {**guarded, "circuitBreaker": {}})


def held(name: str = "shared") -> Gate:
    """Let a worker take a node behind a gate, and keep it."""
    started(limited(name))
    worker = workers.enlist("inline", "spane", pid=1, now=now())
    assert claim(Want(worker_id=worker, queue="spane", room=5), now=now())
    return Gate.objects.get()


def page(gate: Gate) -> str:
    from django.contrib.admin.utils import quote

    return page_of(gate).replace(str(gate.pk), quote(gate.pk))


def test_a_gate_shows_how_many_run_behind_it_and_which(boss: Client):
    gate = held()

    html = boss.get(page(gate)).content.decode()

    assert "1 / 2" in html
    assert "work</code>" in html


def test_a_breaker_is_opened_with_a_reason_and_closed_again(boss: Client):
    gate = held()

    order = {"ids": gate.pk, "confirmed": "1", "reason": "maintenance"}
    boss.post(verb_of(Gate, "open"), order)
    gate.refresh_from_db()
    opened = gate.breaker
    boss.post(verb_of(Gate, "close"), {"ids": gate.pk})

    gate.refresh_from_db()
    assert (opened, gate.breaker) == ("open", "closed")
    assert AuditEntry.objects.filter(reason="maintenance").exists()


def test_a_gate_may_have_any_name(boss: Client):
    gate = held(ODD)

    asked = boss.post(list_of(Gate), {"action": "open_selected", "_selected_action": gate.pk})
    ids = asked.context["ids"]
    boss.post(verb_of(Gate, "open"), {"ids": ids, "confirmed": "1"})

    gate.refresh_from_db()
    assert gate.breaker == "open"
    assert boss.get(page(gate)).status_code == 200


def test_flipping_takes_its_permission(login: Login):
    gate = held()

    refused = login().post(verb_of(Gate, "open"), {"ids": gate.pk, "confirmed": "1"})
    done = login("flip_gate").post(verb_of(Gate, "open"), {"ids": gate.pk, "confirmed": "1"})

    assert (refused.status_code, done.status_code) == (403, 302)
    gate.refresh_from_db()
    assert gate.breaker == "open"


def test_without_gates_the_list_says_how_to_declare_one(boss: Client):
    assert "circuitBreaker" in boss.get(list_of(Gate)).content.decode()
