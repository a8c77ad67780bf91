"""Who may ask for what: every route and method against everybody who might ask.

``python -m tests.api.who_may`` prints the matrix; `test_who_may` checks it.  A route of
`spane_django.urls` without a line in `TABLE` fails the test.

To add a route, add a line ``("name of the route", "METHOD"): Line(needs, body)``:

* ``needs`` is the scope that a token takes for it, by `engine.tokens.SCOPES` (``OPEN``: none).
* ``body`` is what is sent as JSON, and must be accepted; a function is given the `World`.
* Each part of the route's URL is made by the function of its name in `MAKERS`.  Make one if the
  part is new: it is given the `World` and the `Caller`, makes a fresh row that belongs to the
  tenant *acme*, and returns what stands in the URL.  ``made={"part": maker}`` takes another.
* Another tenant must get a 404 where the URL names something, and elsewhere an answer in which
  the word *acme* is not to be found.  ``names_nothing=True``: the URL names nothing of anybody's.
* ``declares``: the scope of the view's own permission, where what is sent takes another one.
* ``bounded=404``: what those get who may, but are bound to a tenant; for what is everybody's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client

from spane_django.engine.drafts import save_draft
from spane_django.engine.publish import publish
from spane_django.engine.run import utc_now
from spane_django.engine.start import StartOptions, start
from spane_django.engine.tokens import SCOPES, issue, permissions_of
from spane_django.models import (
    Approval,
    BulkOperation,
    DeadLetter,
    Gate,
    Secret,
    Tenant,
    WebhookDelivery,
)

from .conftest import Api, definition, work_off

OPEN = "open"
READ, EXECUTE, OPERATE, DEFINE, ADMIN = SCOPES
CALLERS = ("anonymous", "small scope", "other tenant", "read-only", "operator", "admin")

FLOW = "acme-flow"


@dataclass(frozen=True)
class Caller:
    """Somebody who asks."""

    name: str
    user: User | None = None
    token: str = ""
    tenant: str = ""


class World:
    """Two tenants with their people; what *acme* has is made when it is asked for."""

    def __init__(self) -> None:
        for tenant in ("acme", "other"):
            Tenant.objects.create(key=tenant, name=tenant.title())
        self.root = User.objects.create(username="root", is_superuser=True)
        self.everything = self._user("acme-all", "acme", set(_known()))
        self.operator = self._user("acme-operator", "acme", permissions_of(OPERATE))
        self.reader = self._user("acme-reader", "acme", permissions_of(READ))
        self.stranger = self._user("stranger", "other", set(_known()))
        for label in ("one", "two"):
            publish(_flow(label), now=utc_now(), tenant="acme")

    def caller(self, name: str, needs: str) -> Caller | None:
        """Return somebody who asks; None: there is nobody like that for what needs this scope."""
        match name:
            case "anonymous":
                return Caller(name)
            case "small scope":
                return self._small(needs)
            case "other tenant":
                return self._with_token(name, self.stranger)
            case "read-only":
                return self._with_token(name, self.reader)
            case "operator":
                return self._with_token(name, self.operator)
        return self._with_token(name, self.root, tenant="acme")

    def as_root(self, path: str, body: Any) -> Any:
        """Let the admin make something for *acme*; return the answer's body."""
        root = self._with_token("root", self.root)
        answer = Api(root.token).post(path, body, Spane_Tenant="acme")
        assert answer.status_code in (200, 201, 202), answer.content
        return answer.json()

    def started(self, key: str = FLOW, **nodes: Any) -> str:
        """Start something of acme's; with nodes, of a workflow of them, and work it off."""
        if nodes:
            publish(_made(key, nodes), now=utc_now(), tenant="acme")
        options = StartOptions(tenant="acme", trigger="api")
        execution = start(key, {"of": "acme"}, now=utc_now(), options=options)
        if nodes:
            work_off()
        return str(execution.pk)

    def failed(self) -> str:
        """Return an execution whose node has failed for good."""
        failing = {"type": "task", "config": {"fail": "away", "retries": 0}}
        return self.started("acme-fails", a=failing)

    def _user(self, name: str, tenant: str, permissions: Any) -> User:
        user = User.objects.create_user(name)
        codenames = {each.removeprefix("spane_django.") for each in permissions}
        known = Permission.objects.filter(content_type__app_label="spane_django")
        user.user_permissions.set(known.filter(codename__in=codenames))
        Tenant.objects.get(key=tenant).users.add(user)
        return user

    def _small(self, needs: str) -> Caller | None:
        names = list(SCOPES)
        place = names.index(needs) if needs in names else 0
        if not place:
            return None
        secret, _ = issue(self.everything, "acme", now=utc_now(), scope=names[place - 1])
        return Caller("small scope", self.everything, secret)

    def _with_token(self, name: str, user: User, *, tenant: str = "") -> Caller:
        return Caller(name, user, issue(user, name, now=utc_now())[0], tenant)


Maker = Callable[[World, Caller], str]
Body = Any


@dataclass(frozen=True)
class Line:
    """What is sent to a route, and what it takes; see the top of this file."""

    needs: str
    body: Body = None
    made: Mapping[str, Maker] = field(default_factory=dict)
    query: str = ""
    names_nothing: bool = False
    bounded: int = 0
    declares: str = ""
    answers: frozenset[int] = frozenset(range(200, 300))

    def hides_acme(self, status: int) -> bool:
        """Whether an answer to another tenant must not even mention acme."""
        return status < 300 and not self.names_nothing


def _known() -> list[str]:
    return [
        f"spane_django.{codename}"
        for codename in Permission.objects.filter(
            content_type__app_label="spane_django"
        ).values_list("codename", flat=True)
    ]


def _flow(label: str) -> dict[str, Any]:
    return definition("a", "b", key=FLOW, b={"return": f"acme {label}"})


def _made(key: str, nodes: Mapping[str, Any]) -> dict[str, Any]:
    listed = [{"id": name, **node} for name, node in nodes.items()]
    return {"id": key, "name": key, "entryNodeId": listed[0]["id"], "nodes": listed}


def _paused(world: World, caller: Caller) -> str:
    key = world.started()
    world.as_root(f"/api/executions/{key}/pause", {})
    return key


def _failed(world: World, caller: Caller) -> str:
    return world.failed()


def _ended(world: World, caller: Caller) -> str:
    key = world.started()
    work_off()
    return key


def _delayed(world: World, caller: Caller) -> str:
    return world.started("acme-waits", a={"type": "delay", "config": {"durationMinutes": 5}})


def _letter(world: World, caller: Caller) -> str:
    return str(DeadLetter.objects.get(execution_id=world.failed()).pk)


def _approval(world: World, caller: Caller) -> str:
    asked = {"title": "acme", "users": ["acme-operator", "root"]}
    key = world.started("acme-asks", a={"type": "approval", "config": asked})
    return str(Approval.objects.get(execution_id=key).pk)


def _operation(world: World, caller: Caller) -> str:
    body = {"verb": "pause", "selection": {"workflow": FLOW}, "dryRun": False}
    world.as_root("/api/executions/bulk", body)
    return str(BulkOperation.objects.latest("pk").pk)


def _webhook(world: World, caller: Caller) -> str:
    return str(world.as_root("/api/triggers/webhooks", _HOOK)["id"])


def _schedule(world: World, caller: Caller) -> str:
    return str(world.as_root("/api/triggers/schedules", _HOURLY)["id"])


def _signed_webhook(world: World, caller: Caller) -> str:
    signed = {**_HOOK, "signature": {"kind": "github"}}
    return str(world.as_root("/api/triggers/webhooks", signed)["id"])


def _webhook_path(world: World, caller: Caller) -> str:
    return str(world.as_root("/api/triggers/webhooks", _HOOK)["path"])


def _delivery(world: World, caller: Caller) -> str:
    path = _webhook_path(world, caller)
    answer = Client().post(f"/api/webhooks/{path}", {"of": "acme"}, "application/json")
    assert answer.status_code == 202, answer.content
    return str(WebhookDelivery.objects.latest("received_at").pk)


def _trigger(world: World, caller: Caller) -> str:
    return str(world.as_root("/api/triggers/events", _LISTENS)["id"])


def _secret(world: World, caller: Caller) -> str:
    name = f"acme-key-{Secret.objects.count()}"
    world.as_root("/api/secrets", {"name": name, "value": "acme-value"})
    return name


def _gate(world: World, caller: Caller) -> str:
    return str(Gate.objects.get_or_create(key="type:call", max_running=2)[0].pk)


def _draft(world: World, caller: Caller) -> str:
    save_draft(_flow(caller.name), now=utc_now(), tenant="acme")
    return FLOW


def _token(world: World, caller: Caller) -> str:
    owner = caller.user if caller.name in ("read-only", "operator", "admin") else world.everything
    assert owner is not None
    record = issue(owner, "acme", now=utc_now(), expires_in=timedelta(days=1))[1]
    return str(record.pk)


MAKERS: dict[str, Maker] = {
    "workflow_id": lambda world, caller: FLOW,
    "number": lambda world, caller: "1",
    "execution_id": lambda world, caller: world.started(),
    "node_id": lambda world, caller: "a",
    "signal_name": lambda world, caller: "paid",
    "event_name": lambda world, caller: "paid",
    "letter_id": _letter,
    "approval_id": _approval,
    "operation_id": _operation,
    "schedule_id": _schedule,
    "webhook_id": _webhook,
    "delivery_id": _delivery,
    "trigger_id": _trigger,
    "token_id": _token,
    "gate_key": _gate,
    "name": _secret,
    "path": _webhook_path,
}

_HOOK = {"workflowId": FLOW}
_HOURLY = {"workflowId": FLOW, "cron": "0 * * * *"}
_LISTENS = {"event": "paid", "workflowId": FLOW}
_OWN_FLOW = definition("a", key="own-flow")
_ALWAYS = frozenset({200, 503})


def _own_hook(world: World) -> Any:
    publish(_OWN_FLOW, now=utc_now())
    return {"workflowId": "own-flow"}


def _run_node(world: World) -> Any:
    key = world.started()
    work_off()
    return {"executionId": key}


def _own_schedule(world: World) -> Any:
    return {**_own_hook(world), "cron": "0 * * * *"}


def _own_listener(world: World) -> Any:
    return {**_own_hook(world), "event": "paid"}


TABLE: dict[tuple[str, str], Line] = {
    ("workflows", "POST"): Line(DEFINE, _OWN_FLOW),
    ("workflows", "GET"): Line(READ),
    ("workflow", "GET"): Line(READ),
    ("workflow", "PATCH"): Line(DEFINE, {"reason": "acme", "isEnabled": True}),
    ("workflow", "DELETE"): Line(DEFINE),
    ("workflow-triggers", "GET"): Line(READ),
    ("import", "POST"): Line(DEFINE, [_OWN_FLOW]),
    ("export", "GET"): Line(READ),
    ("validate", "POST"): Line(DEFINE, _flow("four"), names_nothing=True),
    ("execute", "POST"): Line(EXECUTE, {"initialData": {}}),
    ("execute-batch", "POST"): Line(EXECUTE, {"inputs": [1, 2]}),
    ("run-node", "POST"): Line(OPERATE, _run_node),
    ("graph", "GET"): Line(READ),
    ("versions", "GET"): Line(READ),
    ("version", "GET"): Line(READ),
    ("diff", "GET"): Line(READ, query="?to=2"),
    ("activate", "POST"): Line(DEFINE, {}),
    ("archive", "POST"): Line(DEFINE, {}),
    ("draft", "GET"): Line(READ, made={"workflow_id": _draft}),
    ("draft", "PUT"): Line(DEFINE, _flow("five"), names_nothing=True),
    ("draft", "DELETE"): Line(DEFINE, made={"workflow_id": _draft}),
    ("publish-draft", "POST"): Line(DEFINE, {}, made={"workflow_id": _draft}),
    ("migrate", "POST"): Line(DEFINE, {"toVersion": 2}),
    ("executions", "GET"): Line(READ),
    ("bulk", "POST"): Line(OPERATE, {"verb": "pause", "selection": {"all": True}}, declares=READ),
    ("operation", "GET"): Line(READ),
    ("execution", "GET"): Line(READ),
    ("explain", "GET"): Line(READ),
    ("nodes", "GET"): Line(READ),
    ("logs", "GET"): Line(READ),
    ("events", "GET"): Line(READ),
    ("trace", "GET"): Line(READ),
    ("pause", "POST"): Line(OPERATE, {}),
    ("resume", "POST"): Line(OPERATE, {}, made={"execution_id": _paused}),
    ("cancel", "POST"): Line(OPERATE, {}),
    ("retry", "POST"): Line(OPERATE, {}, made={"execution_id": _failed}),
    ("replay", "POST"): Line(OPERATE, {}),
    ("reassign", "POST"): Line(OPERATE, {"priority": 7}),
    ("rerun", "POST"): Line(OPERATE, {"from": "start"}, made={"execution_id": _ended}),
    ("rerun-from", "POST"): Line(OPERATE, {}, made={"execution_id": _ended}),
    ("retry-now", "POST"): Line(OPERATE, {}, made={"execution_id": _delayed}),
    ("skip", "POST"): Line(OPERATE, {}),
    ("complete", "POST"): Line(OPERATE, {"output": {}}),
    ("execution-signal", "POST"): Line(EXECUTE, {}),
    ("signals", "POST"): Line(EXECUTE, {"name": "paid", "key": "7"}),
    ("approvals", "GET"): Line(READ, query="?scope=all"),
    ("approval", "GET"): Line(READ),
    ("approve", "POST"): Line(OPERATE, {}),
    ("reject", "POST"): Line(OPERATE, {}),
    ("reassign-approval", "POST"): Line(OPERATE, {"users": ["root"]}),
    ("audit", "GET"): Line(READ),
    ("gates", "GET"): Line(READ),
    ("open-gate", "POST"): Line(OPERATE, {}, bounded=404),
    ("close-gate", "POST"): Line(OPERATE, {}, bounded=404),
    ("reset-gate", "POST"): Line(OPERATE, {}, bounded=404),
    ("dead-letters", "GET"): Line(READ),
    ("retry-all-letters", "POST"): Line(OPERATE, {"all": True}),
    ("discard-all-letters", "POST"): Line(OPERATE, {"all": True}),
    ("retry-letter", "POST"): Line(OPERATE, {}),
    ("discard-letter", "POST"): Line(OPERATE, {}),
    ("emit", "POST"): Line(EXECUTE, {}, names_nothing=True),
    ("event-triggers", "GET"): Line(READ),
    ("event-triggers", "POST"): Line(DEFINE, _own_listener),
    ("event-trigger", "GET"): Line(READ),
    ("event-trigger", "PATCH"): Line(DEFINE, {"event": "billed"}),
    ("event-trigger", "DELETE"): Line(DEFINE),
    ("schedules", "GET"): Line(READ),
    ("schedules", "POST"): Line(DEFINE, _own_schedule),
    ("schedule", "GET"): Line(READ),
    ("schedule", "PATCH"): Line(DEFINE, {"cap": 3}),
    ("schedule", "DELETE"): Line(DEFINE),
    ("next-runs", "GET"): Line(READ),
    ("starts", "GET"): Line(READ),
    ("pause-schedule", "POST"): Line(OPERATE, {}),
    ("resume-schedule", "POST"): Line(OPERATE, {}),
    ("run-schedule", "POST"): Line(OPERATE, {}),
    ("backfill", "POST"): Line(
        OPERATE, {"start": "2020-01-01T00:00:00Z", "end": "2020-01-01T02:00:00Z"}
    ),
    ("webhooks", "GET"): Line(READ),
    ("webhooks", "POST"): Line(DEFINE, _own_hook),
    ("webhook", "GET"): Line(READ),
    ("webhook", "PATCH"): Line(DEFINE, {"name": "another"}),
    ("webhook", "DELETE"): Line(DEFINE),
    ("rotate-webhook", "POST"): Line(DEFINE, {}, made={"webhook_id": _signed_webhook}),
    ("deliveries", "GET"): Line(READ),
    ("delivery", "GET"): Line(READ),
    ("redeliver", "POST"): Line(OPERATE, {}),
    ("inbound", "POST"): Line(OPEN, {}, names_nothing=True),
    ("tokens", "GET"): Line(ADMIN),
    ("tokens", "POST"): Line(ADMIN, {"name": "own", "scope": "read"}),
    ("rotate-token", "POST"): Line(ADMIN, {}),
    ("revoke-token", "POST"): Line(ADMIN, {}),
    ("tenants", "GET"): Line(READ),
    ("secrets", "GET"): Line(DEFINE),
    ("secrets", "POST"): Line(DEFINE, {"name": "own", "value": "a value of one's own"}),
    ("secret", "GET"): Line(DEFINE),
    ("secret", "PUT"): Line(DEFINE, {"value": "another value"}),
    ("secret", "DELETE"): Line(DEFINE),
    ("node-types", "GET"): Line(READ),
    ("schema", "GET"): Line(READ, names_nothing=True),
    ("docs", "GET"): Line(READ),
    ("stats", "GET"): Line(READ),
    ("autoscaling", "GET"): Line(READ, bounded=403),
    ("metrics", "GET"): Line(READ, bounded=403),
    ("health", "GET"): Line(OPEN, answers=_ALWAYS),
    ("live", "GET"): Line(OPEN),
    ("ready", "GET"): Line(OPEN),
}


def path_of(pattern: Any, line: Line, world: World, caller: Caller) -> str:
    """Return the path of a route with fresh things of acme's in it."""
    route: str = pattern.pattern._route
    for name in pattern.pattern.converters:
        value = line.made.get(name, MAKERS[name])(world, caller)
        route = re.sub(f"<[a-z_]+:{name}>", value.replace("\\", r"\\"), route)
    return f"/{route}{line.query}"


def ask(method: str, path: str, body: Any, caller: Caller) -> Any:
    """Send a request as somebody."""
    api = Api(caller.token)
    headers = api._headers({"Spane_Tenant": caller.tenant} if caller.tenant else {})
    return api.client.generic(
        method,
        path,
        b"" if body is None else json.dumps(body).encode(),
        "application/json",
        headers=headers,
    )


def expected(pattern: Any, line: Line, caller: Caller) -> frozenset[int]:
    """Return the statuses that somebody may get."""
    names = list(SCOPES)
    if line.needs == OPEN:
        return line.answers
    if caller.name == "anonymous":
        return frozenset({401})
    held = {"small scope": -1, "read-only": 0, "operator": 2}.get(caller.name, len(names))
    if held < names.index(line.needs):
        return frozenset({403})
    is_bound = not caller.user or not caller.user.is_superuser
    if line.bounded and is_bound:
        return frozenset({line.bounded})
    if caller.name == "other tenant" and pattern.pattern.converters and not line.names_nothing:
        return frozenset({404})
    return line.answers


def table_of(matrix: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    """Return the matrix as text."""
    width = max((len(name) for name, _ in matrix), default=0)
    head = f"{'route':<{width}} {'method':<6} {'needs':<8}"
    lines = [head + "".join(f"{name:>14}" for name in CALLERS)]
    for (name, method), cells in matrix.items():
        needs = TABLE[name, method].needs
        shown = "".join(f"{cells.get(caller, ''):>14}" for caller in CALLERS)
        lines.append(f"{name:<{width}} {method:<6} {needs:<8}{shown}")
    return "\n".join(lines)
