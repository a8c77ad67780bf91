"""The tabs of a workflow: each an address of its own, with what the user may see and do."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils.timezone import now
from pytest_django.fixtures import DjangoAssertNumQueries

from spane_django.models import AuditEntry, Execution, Trigger, Webhook, Workflow
from spane_django.triggers import event_triggers, schedules, webhooks
from spane_django.triggers.changes import ModelTrigger
from spane_django.triggers.schedules import Wanted
from spane_django.triggers.timing import Timing
from spane_django.triggers.watching import forget
from tests.admin.conftest import Login
from tests.admin.pages import Inline, list_of, page_of, tab_of, told, user_of, verb_of
from tests.admin.stage import (
    ATTRIBUTE,
    BAD,
    EVIL,
    GOOD,
    SCRIPT,
    ended,
    node,
    published,
    started,
    workflow,
)

pytestmark = pytest.mark.django_db

TABS = ("versions", "executions", "triggers", "settings")


def html_of(client: Client, address: str) -> str:
    page = client.get(address)
    assert page.status_code == 200
    return page.content.decode()


def starter(html: str, label: str) -> str:
    """Return the section of a sort of triggers."""
    begin = html.index(f"<h2>{label}</h2>")
    return html[begin : html.index("</section>", begin)]


def test_every_tab_has_an_address_and_leads_to_all_the_others(boss: Client):
    flow = published(GOOD).workflow
    addresses = [page_of(flow), *(tab_of(flow, name) for name in TABS)]

    for address in addresses:
        html = html_of(boss, address)

        tabs = html[html.index('class="spane-tabs"') :].partition("</nav>")[0]
        assert [f'href="{one}"' in tabs for one in addresses] == [True] * 5
        assert f'href="{address}" aria-current="page"' in tabs
        assert tabs.count("aria-current") == 1


@pytest.mark.parametrize(("name", "label"), [(name, name.capitalize()) for name in TABS])
def test_breadcrumbs_lead_from_a_tab_to_the_workflow_and_the_list(
    boss: Client, name: str, label: str
):
    flow = published(GOOD).workflow

    html = html_of(boss, tab_of(flow, name))

    crumbs = html[html.index('class="breadcrumbs"') :].partition("</div>")[0]
    assert list_of(Workflow) in crumbs
    assert page_of(flow) in crumbs
    assert crumbs.rstrip().endswith(label)


def test_a_step_below_a_tab_leads_back_to_it(boss: Client):
    published(GOOD)
    flow = published({**GOOD, "name": "Second"}).workflow

    html = html_of(boss, tab_of(flow, "diff"))

    crumbs = html[html.index('class="breadcrumbs"') :].partition("</div>")[0]
    assert f'href="{tab_of(flow, "versions")}"' in crumbs


@pytest.mark.parametrize("name", TABS)
def test_the_head_of_every_tab_says_which_version_runs_and_whether_it_is_enabled(
    boss: Client, name: str
):
    flow = published(GOOD).workflow
    Workflow.objects.update(is_enabled=False)

    html = html_of(boss, tab_of(flow, name))

    head = html[html.index('class="spane-head"') : html.index('class="spane-tabs"')]
    assert "disabled" in head
    assert f'href="{page_of(flow.current_version)}">v1</a>' in head


@pytest.mark.parametrize("name", TABS)
def test_buttons_are_for_those_who_may_press_them(login: Login, name: str):
    flow = published(GOOD).workflow
    start, disable = tab_of(flow, "start"), verb_of(Workflow, "disable")

    none = html_of(login(), tab_of(flow, name))
    runs = html_of(login("run_workflow"), tab_of(flow, name))
    every = html_of(login("run_workflow", "publish_workflow"), tab_of(flow, name))

    assert (start in none, disable in none) == (False, False)
    assert (start in runs, disable in runs) == (True, False)
    assert (start in every, disable in every) == (True, True)
    assert verb_of(Workflow, "enable") not in every


@pytest.mark.parametrize("name", [*TABS, "diff", "export"])
def test_who_may_not_see_workflows_sees_none_of_their_pages(login: Login, name: str):
    address = tab_of(published(GOOD).workflow, name)

    assert login("view_execution", sees=False).get(address).status_code == 403
    assert login().get(address).status_code == 200


@pytest.mark.parametrize("name", [*TABS, "diff", "export"])
def test_a_workflow_that_does_not_exist_has_no_pages(boss: Client, name: str):
    address = tab_of(published(GOOD).workflow, name)
    Workflow.objects.update(current_version=None)
    Workflow.objects.all().delete()

    assert boss.get(address).status_code == 404


def test_who_may_not_see_executions_is_not_offered_them(login: Login):
    flow = published(GOOD).workflow
    client = login("view_workflow", sees=False)

    assert client.get(tab_of(flow, "executions")).status_code == 403
    assert tab_of(flow, "executions") not in html_of(client, page_of(flow))


@pytest.mark.parametrize("name", TABS)
def test_names_cannot_break_out_of_any_tab(boss: Client, name: str):
    flow = ended(EVIL).workflow
    event_triggers.create({"event": "x", "workflowId": "evil", "when": "a == '<b>'"}, now=now())
    webhooks.create({"workflowId": "evil", "name": ATTRIBUTE}, now=now())
    Execution.objects.update(reason=SCRIPT, trigger=ATTRIBUTE, failed_nodes=1)

    html = html_of(boss, tab_of(flow, name))

    assert SCRIPT not in html
    assert ATTRIBUTE not in html
    assert "<b>" not in html
    assert not [tag for tag in Inline(html).refused if tag != "script"]


@pytest.mark.parametrize("name", TABS)
def test_the_queries_of_a_tab_do_not_grow_with_its_rows(
    boss: Client, name: str, django_assert_max_num_queries: DjangoAssertNumQueries
):
    for index in range(20):
        flow = ended({**BAD, "name": f"Take {index}"}).workflow
        event_triggers.create({"event": f"e{index}", "workflowId": "bad"}, now=now())
        webhooks.create({"workflowId": "bad", "name": f"w{index}"}, now=now())
        timing = Timing(every=timedelta(hours=index + 1))
        schedules.create(Wanted(workflow="bad", timing=timing), now=now())

    with django_assert_max_num_queries(16):
        html_of(boss, tab_of(flow, name))


def test_executions_are_listed_with_what_started_them_and_where_they_failed(boss: Client):
    failed = ended(BAD)
    Execution.objects.filter(pk=failed.pk).update(trigger="schedule:7")

    html = html_of(boss, tab_of(failed.workflow, "executions"))

    assert f'href="{page_of(failed)}?node=explode"' in html
    assert "ValueError" in html
    assert "schedule:7" in html
    assert list_of(Execution, f"?workflow__id__exact={failed.workflow_id}") in html


def test_who_started_an_execution_by_hand_is_named(boss: Client):
    execution = started(GOOD)
    Execution.objects.filter(pk=execution.pk).update(started_by=User.objects.create_user("ana"))

    assert "<bdi>ana</bdi>" in html_of(boss, tab_of(execution.workflow, "executions"))


def test_executions_of_other_workflows_are_none_of_this_one(boss: Client):
    ours, other = ended(GOOD), ended(BAD)

    html = html_of(boss, tab_of(ours.workflow, "executions"))

    assert page_of(ours) in html
    assert page_of(other) not in html


def test_without_executions_the_tab_says_how_to_start_one(login: Login):
    flow = published(GOOD).workflow

    able = html_of(login("run_workflow"), tab_of(flow, "executions"))
    unable = html_of(login(), tab_of(flow, "executions"))

    assert f'href="{tab_of(flow, "start")}">Start it' in able
    assert "spane_start good" in unable


def test_schedules_tell_their_next_runs_and_lead_to_their_pages(boss: Client):
    flow = published(GOOD).workflow
    timing = Timing(cron="0 9 * * *", timezone="UTC")
    made = schedules.create(Wanted(workflow="good", timing=timing, name="daily"), now=now())

    section = starter(html_of(boss, tab_of(flow, "triggers")), "Schedules")

    assert f'href="{page_of(made)}">daily' in section
    assert section.count(">09:00:00 UTC<") == 5


@pytest.mark.parametrize(
    ("label", "permission"),
    [("Schedules", "add_schedule"), ("Webhooks", "add_webhook"), ("Events", "add_trigger")],
)
def test_each_sort_is_added_with_the_workflow_filled_in(login: Login, label: str, permission: str):
    published(BAD)
    flow = published(GOOD).workflow
    client = login(permission)

    section = starter(html_of(client, tab_of(flow, "triggers")), label)
    address = section[section.index('<a href="') + 9 :].partition('">Add')[0]
    form = html_of(client, address)

    assert f'<option value="{flow.pk}" selected>' in form


@pytest.mark.parametrize("label", ["Schedules", "Webhooks", "Events"])
def test_who_may_not_add_a_sort_is_not_offered_it(login: Login, label: str):
    html = html_of(login(), tab_of(published(GOOD).workflow, "triggers"))

    assert "Add one" not in starter(html, label)


def test_the_command_that_calls_an_unsigned_webhook_is_for_those_who_may_change_it(login: Login):
    flow = published(GOOD).workflow
    hook, _secret = webhooks.create({"workflowId": "good", "name": "shop"}, now=now())
    able, unable = login("change_webhook"), login()

    shown = starter(html_of(able, tab_of(flow, "triggers")), "Webhooks")
    hidden = starter(html_of(unable, tab_of(flow, "triggers")), "Webhooks")

    assert f"http://testserver/api/webhooks/{hook.path}" in shown
    assert "curl -i -X POST" in shown
    assert hook.path not in hidden
    assert page_of(hook) in hidden


def test_events_and_ends_of_workflows_are_shown_with_both_that_they_bind(boss: Client):
    source = published(BAD).workflow
    declared = {"type": "workflow", "config": {"workflowId": "bad", "on": "failed"}}
    target = published({**GOOD, "triggers": [declared]}).workflow
    event_triggers.create({"event": "order.*", "workflowId": "good"}, now=now())

    of_target = html_of(boss, tab_of(target, "triggers"))
    of_source = html_of(boss, tab_of(source, "triggers"))

    assert "order.*" in starter(of_target, "Events")
    assert "bad failed" in starter(of_target, "Ends of other workflows")
    assert page_of(target) in starter(of_source, "Workflows that its end starts")
    assert "Its end starts nothing." in starter(of_target, "Workflows that its end starts")


def test_models_that_the_code_watches_are_shown(boss: Client):
    flow = published(GOOD).workflow
    trigger = ModelTrigger(User, on="update", fields=["email"], workflow="good", name="tabs")
    try:
        section = starter(html_of(boss, tab_of(flow, "triggers")), "Models")
    finally:
        forget(trigger)

    assert "auth.User" in section
    assert "is updated" in section
    assert "email" in section


def test_what_has_no_triggers_says_how_to_get_each_sort_with_its_own_id(boss: Client):
    html = html_of(boss, tab_of(published(GOOD).workflow, "triggers"))

    assert "spane_schedules add good" in starter(html, "Schedules")
    assert "spane_webhooks create good" in starter(html, "Webhooks")
    assert "spane_triggers add order.paid good" in starter(html, "Events")
    assert "good" in starter(html, "Models")


def test_sorts_of_triggers_that_the_user_may_not_see_are_left_out(login: Login):
    flow = published(GOOD).workflow
    event_triggers.create({"event": "order.paid", "workflowId": "good"}, now=now())

    html = html_of(login("view_workflow", "view_schedule", sees=False), tab_of(flow, "triggers"))

    assert "<h2>Schedules</h2>" in html
    assert "<h2>Webhooks</h2>" not in html
    assert "order.paid" not in html


def test_triggers_of_other_workflows_are_none_of_this_one(boss: Client):
    published(BAD)
    flow = published(GOOD).workflow
    event_triggers.create({"event": "theirs", "workflowId": "bad"}, now=now())
    webhooks.create({"workflowId": "bad", "name": "theirs"}, now=now())

    assert "theirs" not in html_of(boss, tab_of(flow, "triggers"))
    assert (Trigger.objects.count(), Webhook.objects.count()) == (1, 1)


FULL: dict[str, Any] = {
    **workflow(
        "full",
        {
            **node("pay", "log", {"message": "x"}, [], []),
            "limit": {"max": 4, "rate": {"count": 100, "perMs": 60_000}, "name": "bank"},
            "retryPolicy": {"maxAttempts": 7},
        },
    ),
    "priority": 8,
    "maxExecutions": {"max": 3, "perKey": True, "overflow": "reject"},
    "key": "customer",
    "onDuplicate": {"action": "debounce", "wait": 5_000},
    "onError": {"workflowId": "good"},
    "saveData": "failed",
    "keepDays": {"completed": 30},
    "timeout": 60_000,
}


def settings_of(client: Client, flow: Workflow) -> dict[str, tuple[str, bool]]:
    rows = client.get(tab_of(flow, "settings")).context["settings"]
    return {row.option: (str(row.value), row.is_default) for row in rows}


def test_settings_are_told_in_words_and_those_that_nobody_said_are_called_defaults(boss: Client):
    published(GOOD)
    full, plain = published(FULL).workflow, Workflow.objects.get(key="good")

    said, usual = settings_of(boss, full), settings_of(boss, plain)

    assert said["priority"] == ("8 of 10, higher goes first", False)
    assert usual["priority"] == ("5 of 10, higher goes first", True)
    assert said["maxExecutions"] == ("3 of each key; one more is refused", False)
    assert usual["maxExecutions"] == ("any number", True)
    assert "completed: 30 days, failed: for ever" in said["keepDays"][0]
    assert "once nothing alike has come" in said["onDuplicate"][0]
    assert list_of(Workflow, "?q=good") in said["onError"][0]
    assert {option for option, (_value, is_default) in usual.items() if not is_default} == set()


def test_what_the_installation_says_holds_where_the_definition_says_nothing(
    boss: Client, settings: Any
):
    settings.SPANE = {**settings.SPANE, "KEEP_DAYS": {"failed": 90}}

    assert (
        "failed: 90 days (by the settings)"
        in settings_of(boss, published(GOOD).workflow)["keepDays"][0]
    )


def test_what_single_nodes_say_of_themselves_is_told_too(boss: Client):
    published(GOOD)

    html = html_of(boss, tab_of(published(FULL).workflow, "settings"))

    for words in ("7 attempts", "4 at once", "100 in", "bank"):
        assert words in html, words


def test_a_workflow_is_switched_off_on_its_settings_with_a_reason_on_record(login: Login):
    flow = published(GOOD).workflow
    client = login("publish_workflow")
    page = client.get(tab_of(flow, "settings"))
    (button,) = page.context["buttons"]

    posted = {"ids": page.context["ids"], "back": page.context["here"], "reason": "it loops"}
    answer = client.post(button.url, {**posted, "confirmed": "1"})

    flow.refresh_from_db()
    assert (flow.is_enabled, answer["Location"]) == (False, tab_of(flow, "settings"))
    entry = AuditEntry.objects.get(verb="disable")
    assert (entry.user, entry.target, entry.reason) == (user_of(client), "good", "it loops")


def test_switching_takes_the_permission_to_publish(login: Login):
    flow = published(GOOD).workflow
    client = login("run_workflow")

    page = client.get(tab_of(flow, "settings"))
    answer = client.post(verb_of(Workflow, "disable"), {"ids": flow.pk, "confirmed": "1"})

    assert page.context["buttons"] == []
    assert (answer.status_code, AuditEntry.objects.count()) == (403, 1)


def test_a_forged_switch_is_refused(login: Login):
    flow = published(GOOD).workflow
    client = login("publish_workflow", csrf=True)

    answer = client.post(verb_of(Workflow, "disable"), {"ids": flow.pk, "confirmed": "1"})

    flow.refresh_from_db()
    assert (answer.status_code, flow.is_enabled) == (403, True)


def keys(client: Client, query: str) -> list[str]:
    return [row.key for row in client.get(list_of(Workflow, query)).context["cl"].result_list]


def test_workflows_are_filtered_by_whether_one_of_them_has_failed_today(boss: Client):
    ended(BAD)
    ended(GOOD)
    old = ended({**BAD, "id": "long-ago"})
    Execution.objects.filter(pk=old.pk).update(finished_at=now() - timedelta(hours=25))

    assert keys(boss, "?failed=24h") == ["bad"]
    assert keys(boss, "?failed=none") == ["good", "long-ago"]
    assert keys(boss, "?failed=nonsense") == ["bad", "good", "long-ago"]


def test_workflows_are_filtered_by_whether_they_are_enabled(boss: Client):
    published(GOOD)
    published(BAD)
    Workflow.objects.filter(key="bad").update(is_enabled=False)

    assert keys(boss, "?is_enabled__exact=0") == ["bad"]


def test_several_workflows_are_enabled_and_disabled_from_the_list(login: Login):
    flows = [published(one).workflow for one in (GOOD, BAD)]
    posted = {"action": "disable_selected", "_selected_action": [flow.pk for flow in flows]}
    able, unable = login("publish_workflow"), login()

    unable.post(list_of(Workflow), posted)
    assert Workflow.objects.filter(is_enabled=True).count() == 2
    answer = able.post(list_of(Workflow), posted)

    assert told(answer) == ["2 workflows were disabled."]
    assert AuditEntry.objects.filter(verb="disable").count() == 2


def test_definitions_are_exported_one_by_one_and_together(login: Login):
    good, bad = published(GOOD).workflow, published(BAD).workflow
    client = login()
    posted = {"action": "export_selected", "_selected_action": [good.pk, bad.pk]}

    one = client.get(tab_of(good, "export"))
    both = client.post(list_of(Workflow), posted)

    assert json.loads(one.content) == GOOD
    assert json.loads(both.content) == [BAD, GOOD]
    assert one["Content-Disposition"] == 'attachment; filename="good.json"'


def test_the_empty_list_says_how_to_publish(boss: Client):
    assert "spane_publish workflow.json" in html_of(boss, list_of(Workflow))


def test_a_workflow_without_a_current_version_leads_to_its_versions_and_offers_no_start(
    boss: Client,
):
    flow = published(GOOD).workflow
    Workflow.objects.update(current_version=None)

    html = html_of(boss, page_of(flow))

    assert f'href="{tab_of(flow, "versions")}">Choose one of its versions' in html
    assert tab_of(flow, "start") not in html
    for name in TABS:
        html_of(boss, tab_of(flow, name))
