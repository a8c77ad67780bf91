"""The triggers' pages: what starts what, what went wrong, and switching it off."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from spane_django.clock import now
from spane_django.models import AuditEntry, Execution, Trigger, Workflow
from spane_django.triggers.event_triggers import create
from tests.admin.conftest import Login
from tests.admin.pages import Inline, form_on, list_of, page_of
from tests.admin.stage import GOOD, SCRIPT, published

MAKE = reverse("admin:spane_django_trigger_make")


@pytest.fixture
def trigger(boss: Client) -> Trigger:
    """A trigger made by hand, beside one that the definition declares."""
    declared = {"type": "event", "config": {"event": "order.late"}}
    published({**GOOD, "triggers": [declared]})
    given = {"event": "order.*", "workflowId": "good", "when": "total > `1`", "map": "id"}
    return create(given, now=now())


def address(name: str, trigger: Trigger) -> str:
    return reverse(f"admin:spane_django_trigger_{name}", args=[trigger.pk])


def act(client: Client, verb: str, *triggers: Trigger) -> None:
    url = reverse("admin:spane_django_trigger_verb", args=[verb])
    ids = ",".join(str(one.pk) for one in triggers)
    assert client.post(url, {"ids": ids, "confirmed": "1"}).status_code == 302


def test_the_list_and_the_page_say_what_starts_what(boss: Client, trigger: Trigger) -> None:
    Trigger.objects.filter(pk=trigger.pk).update(failures=2, last_error="no <such> total")

    listed = boss.get(list_of(Trigger)).content.decode()
    shown = boss.get(page_of(trigger)).content.decode()

    for page in (listed, shown):
        assert "order.*" in page
        assert "total &gt; `1`" in page
        assert "no &lt;such&gt; total" in page
    assert "order.late" in listed


def test_triggers_are_switched_and_those_made_by_hand_deleted(
    boss: Client, trigger: Trigger
) -> None:
    declared = Trigger.objects.get(is_declared=True)

    act(boss, "disable", trigger, declared)
    assert not Trigger.objects.filter(is_enabled=True).exists()
    act(boss, "enable", declared)
    act(boss, "delete", trigger, declared)

    assert list(Trigger.objects.values_list("name", "is_enabled")) == [("order.late", True)]


def test_a_trigger_is_made_and_changed_on_record(boss: Client) -> None:
    workflow = published(GOOD).workflow_id

    boss.post(MAKE, form_on(boss, MAKE, workflow=workflow, event="order.*", mapping='{"a": "id"}'))
    made = Trigger.objects.get()
    edit = address("edit", made)
    answer = boss.post(edit, form_on(boss, edit, when="total > `5`"))

    changed = Trigger.objects.get()
    entry = AuditEntry.objects.get(verb="change trigger")
    assert (made.name, made.map, made.when) == ("order.*", {"a": "id"}, "")
    assert (changed.name, changed.map, changed.when) == ("order.*", {"a": "id"}, "total > `5`")
    assert answer["Location"] == page_of(made)
    assert (entry.username, entry.after) == ("boss", {"when": "total > `5`"})


@pytest.mark.parametrize("mapping", [None, "id", '"id"', {"a": "id", 'say "b"': "c"}])
def test_a_form_that_is_saved_as_it_is_changes_nothing(boss: Client, mapping: object) -> None:
    published(GOOD)
    trigger = create({"event": "a.b", "workflowId": "good", "map": mapping}, now=now())
    before = Trigger.objects.values().get()

    boss.post(address("edit", trigger), form_on(boss, address("edit", trigger)))

    assert Trigger.objects.values().get() == before
    assert not AuditEntry.objects.filter(verb="change trigger").exists()


@pytest.mark.parametrize(
    ("field", "typed"),
    [("event", "no event!"), ("when", "total >"), ("mapping", "a.["), ("mapping", '{"a": "["}')],
)
def test_faults_stand_beside_their_fields(boss: Client, field: str, typed: str) -> None:
    workflow = published(GOOD).workflow_id
    given = {"workflow": workflow, "event": "order.paid", field: typed}

    saved = boss.post(MAKE, form_on(boss, MAKE, **given))
    tried = boss.post(MAKE, form_on(boss, MAKE, **given, **{"try": "1"}))

    assert set(saved.context["form"].errors) == set(tried.context["form"].errors) == {field}
    assert not Trigger.objects.exists()


def test_a_trigger_is_tried_before_it_is_saved_and_nothing_starts(boss: Client) -> None:
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}}
    workflow = published({**GOOD, "inputSchema": schema}).workflow_id

    def tried(sample: str, when: str = "total > `100`") -> str:
        said = {"event": "a.b", "when": when, "mapping": '{"id": "id"}'}
        typed = form_on(boss, MAKE, workflow=workflow, **said)
        return boss.post(MAKE, {**typed, "sample": sample, "try": "1"}).text

    assert "It applies: the workflow would be started" in tried('{"total": 101, "id": 7}')
    assert "&quot;id&quot;: 7" in tried('{"total": 101, "id": 7}')
    assert "It does not apply" in tried('{"total": 100, "id": 7}')
    assert "the workflow would refuse this input" in tried('{"total": 101, "id": "x"}')
    assert "cannot be evaluated" in tried('{"total": 1}', when="length(total)")
    assert "This is not JSON" in tried("{nope")
    assert SCRIPT not in tried(f'{{"total": 101, "id": "{SCRIPT}"}}')
    assert not Trigger.objects.exists()
    assert not Execution.objects.exists()


def test_what_a_definition_says_is_tried_but_not_edited(boss: Client, trigger: Trigger) -> None:
    declared = Trigger.objects.get(is_declared=True)

    page = boss.get(page_of(declared)).text
    refused = boss.post(address("edit", declared), {"event": "other"})
    tried = boss.post(address("try", declared), {"sample": '{"id": 1}'})

    assert address("edit", declared) not in page
    assert address("try", declared) in page
    assert refused.status_code == 403
    assert "It applies" in tried.text
    assert Inline(tried.text).refused == []


def test_making_and_changing_take_their_permissions_and_a_token_of_the_form(
    login: Login, trigger: Trigger
) -> None:
    onlooker, maker = login(), login("add_trigger")
    forger = login("add_trigger", "change_trigger", csrf=True)
    edit = address("edit", trigger)
    typed = {"event": "x.y", "workflow": Workflow.objects.get().pk, "sample": "{}"}

    refused = [
        client.post(url, typed).status_code
        for client, url in ((onlooker, MAKE), (onlooker, edit), (maker, edit), (forger, MAKE))
    ]
    made = maker.post(MAKE, typed)

    assert refused == [403] * 4
    assert made.status_code == 302
    assert MAKE in maker.get(list_of(Trigger)).text
    assert MAKE not in onlooker.get(list_of(Trigger)).text
    assert Trigger.objects.filter(name="x.y").count() == 1
