"""What lies in the database when the API is tried: something of every kind, in every status."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from spane_django.engine.drafts import save_draft
from spane_django.engine.publish import publish
from spane_django.engine.start import StartOptions, start_many
from spane_django.engine.tokens import issue
from spane_django.models import ApiToken

_RUNS = 12


def prepare() -> dict[str, Any]:
    """Fill the database; return a token of each scope and ids that there are."""
    now = timezone.now()
    user = User.objects.create_superuser("contract")
    tokens = {scope: issue(user, scope, now=now, scope=scope)[0] for scope in ApiToken.Scope.values}
    spare = [issue(user, f"spare {place}", now=now)[1].pk for place in range(20)]
    executions: list[str] = []
    for raw in _WORKFLOWS:
        publish({**raw, "description": "first"}, now=now)
        publish(raw, now=now)
        save_draft({**raw, "description": "next"}, now=now)
        executions += map(str, start_many(raw["id"], [{"n": n} for n in range(_RUNS)], now=now))
    later = StartOptions(start_at=now + timedelta(days=1))
    executions += map(str, start_many("quick", [None] * _RUNS, now=now, options=later))
    return {
        "tokens": tokens,
        "ids": {
            "workflowId": [raw["id"] for raw in _WORKFLOWS],
            "executionId": executions,
            "nodeId": ["a", "b"],
            "number": ["1", "2", "3"],
            "tokenId": list(map(str, spare)),
            "letterId": [str(number) for number in range(1, _RUNS + 1)],
            "approvalId": [str(number) for number in range(1, _RUNS + 1)],
            "signalName": ["go"],
        },
    }


def _node(key: str, type: str, config: dict[str, Any], **edges: list[str]) -> dict[str, Any]:
    return {"id": key, "type": type, "config": config, "inputs": [], "outputs": [], **edges}


def _workflow(key: str, *nodes: dict[str, Any]) -> dict[str, Any]:
    return {"id": key, "name": key.title(), "entryNodeId": "a", "nodes": list(nodes)}


_WORKFLOWS = [
    _workflow("quick", _node("a", "set", {"values": {"greeting": "hello"}})),
    _workflow(
        "chain",
        _node("a", "transform", {"mapping": {"n": "n"}}, outputs=["b"]),
        _node("b", "log", {"message": "got it"}, inputs=["a"]),
    ),
    _workflow("broken", _node("a", "http", {"url": "http://127.0.0.1:9/", "retries": 0})),
    _workflow("asking", _node("a", "approval", {"title": "Fine?", "users": ["contract"]})),
    _workflow("waiting", _node("a", "wait", {"signal": "go"})),
]
