"""What the tests of the API share: users with tokens, a workflow, a worker that ends when idle.

Node types are registered for one test at a time, so that no other test meets them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from spane_django.engine.claim import Want, claim
from spane_django.engine.inputs import receive
from spane_django.engine.run import Work, run, utc_now
from spane_django.engine.settle import settle
from spane_django.engine.tokens import issue
from spane_django.engine.versions import prepared
from spane_django.engine.workers import dismiss, enlist
from spane_django.nodes.base import Context, Node, registry

EVERYTHING = (
    "run_workflow", "publish_workflow", "view_workflow", "view_execution", "view_payload",
    "pause_execution", "cancel_execution", "replay_execution", "retry_execution",
    "complete_node", "skip_node", "reassign_execution", "view_deadletter", "send_signal",
    "view_approval", "decide_approval",
    "view_secret", "add_secret", "change_secret", "delete_secret",
)  # fmt: skip


class Task(Node):
    """Does what its config says: ``fail``, ``return``, ``choose``, ``log``; else names itself."""

    type = "task"

    def execute(self, ctx: Context) -> Any:
        from spane_django.core.outcome import Result

        if "log" in ctx.config:
            ctx.log.info(ctx.config["log"], seen=ctx.input)
        if "fail" in ctx.config:
            raise RuntimeError(ctx.config["fail"])
        data = ctx.config.get("return", {"from": ctx.node_id})
        return Result(data, next_nodes=ctx.config.get("choose"))


@dataclass
class Api:
    """A client that shows a token, if it has one."""

    token: str = ""
    client: Client = field(default_factory=Client)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers=self._headers(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """Send a body: bytes as they are, anything else as JSON, None not at all."""
        data = b"" if body is None else body
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        content_type = headers.pop("content_type", "application/json")
        # The client's own ``post`` would encode the body anew by the charset of the content type.
        return self.client.generic("POST", path, data, content_type, headers=self._headers(headers))

    def _headers(self, given: dict[str, str]) -> dict[str, str]:
        mine = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return mine | {name.replace("_", "-"): value for name, value in given.items()}


MakeUser = Callable[..., User]
MakeApi = Callable[..., Api]


@pytest.fixture(autouse=True)
def _task_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._types, "task", Task())


@pytest.fixture
def make_user(db: None) -> MakeUser:
    """Make a user with permissions of this package."""

    def make(*permissions: str) -> User:
        user = User.objects.create_user(f"user-{User.objects.count()}")
        known = Permission.objects.filter(content_type__app_label="spane_django")
        user.user_permissions.set(known.filter(codename__in=permissions))
        return user

    return make


@pytest.fixture
def api_of(make_user: MakeUser) -> MakeApi:
    """Make a client of a user with just these permissions."""

    def make(*permissions: str) -> Api:
        token, _ = issue(make_user(*permissions), "test", now=utc_now())
        return Api(token)

    return make


@pytest.fixture
def api(api_of: MakeApi, wakes: list[str]) -> Api:
    """A client of a user who may do everything."""
    return api_of(*EVERYTHING)


def definition(*chain: str, key: str = "flow", **configs: dict[str, Any]) -> dict[str, Any]:
    """Return a chain of tasks; ``configs`` are by node id."""
    nodes = [
        {
            "id": node,
            "type": "task",
            "config": configs.get(node, {}),
            "inputs": list(chain[max(0, index - 1) : index]),
            "outputs": list(chain[index + 1 : index + 2]),
        }
        for index, node in enumerate(chain)
    ]
    return {"id": key, "name": key.title(), "entryNodeId": chain[0], "nodes": nodes}


def run_flow(api: Api, raw: dict[str, Any], data: Any = None) -> str:
    """Register, execute and work off a definition; return the execution's id."""
    assert api.post("/api/workflows", raw).status_code in (200, 201)
    started = api.post(f"/api/workflows/{raw['id']}/execute", {"initialData": data})
    assert started.status_code == 202, started.content
    work_off()
    execution_id: str = started.json()["executionId"]
    return execution_id


def assert_refused(answer: Any) -> None:
    """Assert that an answer blames the client, in the one shape of errors."""
    assert 400 <= answer.status_code < 500, answer.content[:500]
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    assert error["code"]
    assert error["message"]
    assert all(set(item) == {"path", "code", "message"} for item in error["details"])
    assert len(answer.content) < 10_000


def work_off(*, later: timedelta = timedelta(0)) -> int:
    """Run what is ready, and what that makes ready; return how many attempts that were.

    Args:
        later: Also what is due only then.
    """
    worker_id = enlist("test", "spane", pid=1, now=utc_now())
    want = Want(worker_id=worker_id, queue="spane", room=50)
    ended = 0
    while claims := claim(want, now=utc_now() + later):
        works = [
            Work(claim=taken, received=received, node=_node(taken))
            for taken, received in zip(claims, receive(claims), strict=True)
        ]
        settle([run(work) for work in works], now=utc_now())
        ended += len(works)
    dismiss(worker_id, now=utc_now())
    return ended


def _node(taken: Any) -> Any:
    return prepared(taken.version_id).nodes[taken.node_id]
