"""One law for all that can be done in the admin: who may, who may not, and no forged request.

What there is to do is read from the pages themselves (verbs, verbs of nodes, addresses besides
Django's own), so that an action without a line here fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from spane_django import schedule as make_schedule
from spane_django.admin.node_verbs import NODE_VERBS
from spane_django.admin.verbs import Verb, VerbsAdmin
from spane_django.engine import control, enable, tokens
from spane_django.models import (
    ApiToken,
    Approval,
    DeadLetter,
    Execution,
    Gate,
    Schedule,
    Trigger,
    Webhook,
    WebhookDelivery,
    Workflow,
)
from spane_django.triggers.event_triggers import create as create_trigger
from spane_django.triggers.webhooks import create as create_webhook
from tests.admin.conftest import Login
from tests.admin.stage import BAD, GOOD, SLOW, ended, node, published, started, work, workflow
from tests.admin.test_admin_gates import held

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wakes")]

ASKS = workflow("asks", node("ask", "approval", {"title": "May it?", "permission": "auth.x"}))
WAITS = workflow("waits", node("wait", "wait", {"signal": "paid"}))
OURS = {
    model: pages
    for model, pages in admin.site._registry.items()
    if model._meta.app_label == "spane_django"
}
# Those that Django's own pages have.
STOCK = {"changelist", "add", "history", "delete", "change"}


def failed() -> Execution:
    return ended(BAD)


def letter() -> DeadLetter:
    return failed().dead_letters.get()


def running() -> Execution:
    return started(GOOD)


def paused() -> Execution:
    return control.pause(running().pk, now=now())


def opened() -> Gate:
    gate = held()
    Gate.objects.update(breaker="open")
    return gate


def token() -> ApiToken:
    return tokens.issue(User.objects.create_user("program"), "program", now=now())[1]


def current() -> Workflow:
    return published(GOOD).workflow


def disabled() -> Workflow:
    row = current()
    enable.disable("good", now=now())
    return row


def schedule() -> Schedule:
    published(GOOD)
    return make_schedule("good", cron="30 * * * *")


def paused_schedule() -> Schedule:
    row = schedule()
    row.task.enabled = False
    row.task.save()
    return row


def webhook() -> Webhook:
    published(GOOD)
    asked = {"workflowId": "good", "name": "hook", "signature": {"kind": "github"}}
    return create_webhook(asked, now=now())[0]


def disabled_webhook() -> Webhook:
    row = webhook()
    Webhook.objects.update(is_enabled=False)
    return row


def delivery() -> WebhookDelivery:
    published(GOOD)
    row = create_webhook({"workflowId": "good", "name": "open"}, now=now())[0]
    enable.disable("good", now=now())
    Client().post(f"/api/webhooks/{row.path}", b"{}", "application/json")
    enable.enable("good", now=now())
    return row.deliveries.get()


def trigger() -> Trigger:
    published(GOOD)
    return create_trigger({"event": "order.*", "workflowId": "good"}, now=now())


def disabled_trigger() -> Trigger:
    row = trigger()
    Trigger.objects.update(is_enabled=False)
    return row


def question() -> Approval:
    started(ASKS)
    work()
    return Approval.objects.get()


Make = Callable[[], Any]

# By the model and the verb: to what it can be done.
ROWS: dict[str, Make] = {
    "execution.pause": running,
    "execution.resume": paused,
    "execution.retry": failed,
    "execution.replay": failed,
    "execution.reassign": running,
    "execution.cancel": running,
    "deadletter.retry": letter,
    "deadletter.discard": letter,
    "gate.open": held,
    "gate.close": opened,
    "gate.reset": opened,
    "apitoken.revoke": token,
    "workflow.enable": disabled,
    "workflow.disable": current,
    "schedule.pause": schedule,
    "schedule.resume": paused_schedule,
    "schedule.run": schedule,
    "schedule.delete": schedule,
    "webhook.enable": disabled_webhook,
    "webhook.disable": webhook,
    "webhook.delete": webhook,
    "webhookdelivery.redeliver": delivery,
    "trigger.enable": disabled_trigger,
    "trigger.disable": trigger,
    "trigger.delete": trigger,
}
# What some verbs ask for.
ASKED = {"deadletter.discard": {"reason": "known"}, "execution.reassign": {"priority": "9"}}

# By the verb of a node: the execution, the node, what is filled in.
NODES: dict[str, tuple[Make, str, dict[str, str]]] = {
    "retry": (failed, "explode", {}),
    "retry-now": (lambda: ended(SLOW), "nap", {}),
    "signal": (lambda: ended(WAITS), "wait", {"payload": "1"}),
    "complete": (failed, "explode", {"output": "1"}),
    "skip": (failed, "explode", {}),
}


@dataclass(frozen=True)
class Address:
    """An address besides Django's own.

    Attributes:
        permissions: All that it takes besides seeing the rows; none: it only shows.
        instead: Permissions of which each would do as well.
    """

    make: Make | None = None
    permissions: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    args: tuple[Any, ...] = ()
    query: str = ""
    form: dict[str, str] = field(default_factory=dict)


ADDRESSES: dict[str, Address] = {
    "approval_decide": Address(question, ("decide_approval",), form={"approve": "1"}),
    "deadletter_groups": Address(),
    "execution_live": Address(running),
    "execution_log_txt": Address(failed),
    "execution_log_jsonl": Address(failed),
    "execution_replay": Address(failed, ("replay_execution",), query="?from=start"),
    "schedule_make": Address(None, ("add_schedule",)),
    "schedule_edit": Address(schedule, ("change_schedule",)),
    "schedule_fill": Address(schedule, ("run_schedule",)),
    "apitoken_make": Address(None, ("add_apitoken",), ("own_apitoken",)),
    "apitoken_rotate": Address(token, ("change_apitoken",)),
    "trigger_make": Address(None, ("add_trigger",)),
    "trigger_edit": Address(trigger, ("change_trigger",)),
    "trigger_try": Address(trigger),
    "webhook_make": Address(None, ("add_webhook",)),
    "webhook_edit": Address(webhook, ("change_webhook",)),
    "webhook_rotate": Address(webhook, ("change_webhook",)),
    "workflow_export": Address(current),
    "workflow_versions": Address(current),
    "workflow_diff": Address(current),
    "workflow_restore": Address(current, ("publish_workflow",), args=(1,)),
    "workflow_executions": Address(current),
    "workflow_triggers": Address(current),
    "workflow_settings": Address(current),
    "workflow_start": Address(current, ("run_workflow",)),
}
# Nobody edits a token: the address is there because other rows have it.
SHUT = {"apitoken_edit"}
# Told by the verbs that they carry out.
OF_VERBS = {"verb", "bulk"}


def verbs() -> Iterator[tuple[str, Verb]]:
    for model, pages in OURS.items():
        if isinstance(pages, VerbsAdmin):
            yield from ((f"{model._meta.model_name}.{verb.name}", verb) for verb in pages.verbs)


def addresses() -> Iterator[str]:
    for pages in OURS.values():
        names = (str(url.name or "").removeprefix("spane_django_") for url in pages.get_urls())
        yield from (name for name in names if name and name.rpartition("_")[2] not in STOCK)


VERBS = dict(verbs())
each_verb = pytest.mark.parametrize("key", sorted(VERBS))
# Whoever may change rows may see them, as Django has it.
each_verb_apart = pytest.mark.parametrize(
    "key", sorted(key for key in VERBS if not VERBS[key].permission.startswith("change_"))
)
each_node_verb = pytest.mark.parametrize("verb", NODE_VERBS, ids=lambda verb: verb.name)
each_address = pytest.mark.parametrize("name", sorted(ADDRESSES))
each_change = pytest.mark.parametrize(
    "name", sorted(name for name, address in ADDRESSES.items() if address.permissions)
)


def everything() -> list[Any]:
    """Return all rows of the package: what no refused request may change."""
    models = apps.get_app_config("spane_django").get_models()
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def but(*codenames: str) -> list[str]:
    """Return every permission of the package but these, and but those to see rows."""
    ours = Permission.objects.filter(content_type__app_label="spane_django")
    names = ours.values_list("codename", flat=True)
    return [name for name in names if name not in codenames and name != f"view_{name[5:]}"]


def order(key: str) -> tuple[str, dict[str, str]]:
    """Return where a verb is posted to, and the form."""
    model, _, verb = key.partition(".")
    row = ROWS[key]()
    url = reverse(f"admin:spane_django_{model}_verb", args=[verb])
    return url, {"ids": quote(str(row.pk)), "confirmed": "1", **ASKED.get(key, {})}


def order_of_node(verb: Any) -> tuple[str, dict[str, str]]:
    make, node_id, form = NODES[verb.name]
    url = reverse("admin:spane_django_execution_node", args=[make().pk, verb.name])
    return f"{url}?node={node_id}", form


def order_of(name: str) -> tuple[str, dict[str, str]]:
    told = ADDRESSES[name]
    args = [*([told.make().pk] if told.make else []), *told.args]
    return reverse(f"admin:spane_django_{name}", args=args) + told.query, told.form


def require_refused(client: Client, url: str, form: dict[str, str]) -> None:
    before = everything()

    assert client.post(url, form).status_code == 403
    assert everything() == before


def test_every_action_has_a_line() -> None:
    found = set(addresses())
    ours = {name for name in found if name.rpartition("_")[2] not in OF_VERBS}

    assert VERBS.keys() == ROWS.keys()
    assert {verb.name for verb in NODE_VERBS} == NODES.keys()
    assert ours - {"execution_node"} == ADDRESSES.keys() | SHUT


@each_verb
def test_who_has_the_permission_of_a_verb_changes_something(login: Login, key: str) -> None:
    url, form = order(key)
    before = everything()

    response = login(VERBS[key].permission).post(url, form)

    assert response.status_code in (200, 302)
    assert everything() != before


@each_verb
def test_who_has_every_permission_but_that_of_a_verb_is_refused(login: Login, key: str) -> None:
    url, form = order(key)
    missing = {VERBS[key].permission, *(("own_apitoken",) if "apitoken" in key else ())}

    require_refused(login(*but(*missing)), url, form)


@each_verb_apart
def test_who_may_not_see_the_rows_of_a_verb_is_refused(login: Login, key: str) -> None:
    url, form = order(key)

    require_refused(login(VERBS[key].permission, sees=False), url, form)


@each_verb
def test_a_forged_verb_is_refused(login: Login, key: str) -> None:
    url, form = order(key)

    require_refused(login(VERBS[key].permission, csrf=True), url, form)


@each_verb
def test_a_link_to_a_verb_changes_nothing(login: Login, key: str) -> None:
    url, form = order(key)
    before = everything()

    assert login(VERBS[key].permission).get(url, form).status_code == 405
    assert everything() == before


@each_node_verb
def test_who_has_the_permission_of_a_nodes_verb_changes_something(login: Login, verb: Any) -> None:
    url, form = order_of_node(verb)
    before = everything()

    response = login(verb.permission, "view_payload").post(url, form)

    assert response.status_code == 302, response.context["form"].errors
    assert everything() != before


@each_node_verb
def test_others_and_forgers_are_refused_a_nodes_verb(login: Login, verb: Any) -> None:
    url, form = order_of_node(verb)

    require_refused(login(*but(verb.permission), "view_payload"), url, form)
    require_refused(login(verb.permission, "view_payload", csrf=True), url, form)
    require_refused(login(verb.permission, "view_payload", "x", sees=False), url, form)


@each_address
def test_an_address_is_open_to_who_has_its_permissions(login: Login, name: str) -> None:
    url, form = order_of(name)
    client = login(*ADDRESSES[name].permissions)

    is_form = name != "approval_decide"
    assert (client.get(url) if is_form else client.post(url, form)).status_code == 200


@each_address
def test_an_address_is_shut_to_who_may_not_see_the_rows(login: Login, name: str) -> None:
    url, form = order_of(name)
    client = login("x", "y", "z", sees=False)
    before = everything()

    assert {client.get(url).status_code, client.post(url, form).status_code} <= {403, 405}
    assert everything() == before


@each_change
def test_who_has_every_permission_but_those_of_an_address_is_refused(
    login: Login, name: str
) -> None:
    url, form = order_of(name)
    told = ADDRESSES[name]

    require_refused(login(*but(*told.permissions, *told.instead)), url, form)


@each_change
def test_a_forged_request_to_an_address_is_refused(login: Login, name: str) -> None:
    url, form = order_of(name)

    require_refused(login(*ADDRESSES[name].permissions, csrf=True), url, form)


def test_nobody_edits_a_token(boss: Client) -> None:
    url = reverse("admin:spane_django_apitoken_edit", args=[token().pk])

    require_refused(boss, url, {})
