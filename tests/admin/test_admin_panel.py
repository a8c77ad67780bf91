"""The panel of executions on the pages of a project's own models."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from spane_django.engine.start import StartOptions, start
from spane_django.models import Approval, AuditEntry, Execution
from spane_django.subjects import columns_of
from tests.admin.pages import Inline, told
from tests.admin.stage import BAD, GOOD, SCRIPT, node, published, work, workflow

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.admin.panel_site")]

PICKY = {
    **workflow("picky", node("keep", "log", {"message": "kept"}), name=SCRIPT),
    "inputSchema": {"type": "object", "required": ["order"]},
}
ASKS = workflow("asks", node("ask", "approval", {"title": "May it?", "users": ["boss"]}))


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def boss() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def staff(*codenames: str) -> Client:
    user = User.objects.create_user(f"staff-{'-'.join(codenames)}"[:150], is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=["view_user", *codenames]))
    client = Client()
    client.force_login(user)
    return client


def about(subject: Any, definition: dict[str, Any] = GOOD) -> Execution:
    published(definition)
    kind, key = columns_of(subject)
    options = StartOptions(subject_type=kind, subject_id=key)
    return start(definition["id"], {}, now=now(), options=options)


def page_of(subject: Any) -> str:
    kind = subject._meta.model_name
    return reverse(f"admin:auth_{kind}_change", args=[subject.pk], current_app="project")


def start_url(subject: Any) -> str:
    kind = subject._meta.model_name
    return reverse(f"admin:auth_{kind}_spane_start", args=[subject.pk], current_app="project")


def panel(client: Client, subject: Any) -> str:
    html = client.get(page_of(subject)).content.decode()
    found = re.search(r'<section class="spane spane-panel.*?</section>', html, re.DOTALL)
    return found.group() if found else ""


def test_the_page_of_an_object_shows_its_executions_and_no_others(boss: Client, ada: User):
    mine, others = about(ada), about(User.objects.create_user("bob"))

    shown = panel(boss, ada)

    assert str(mine.pk) in shown
    assert str(others.pk) not in shown
    assert "running" in shown
    assert 'name="username"' in boss.get(page_of(ada)).content.decode()


def test_the_form_of_the_object_is_not_in_the_way_of_the_buttons(boss: Client, ada: User):
    about(ada)

    html = boss.get(page_of(ada)).content.decode()

    assert html.index("spane-panel") > html.index("</form>", html.index('id="user_form"'))
    assert Inline(panel(boss, ada)).refused == []


def test_the_last_are_shown_and_all_are_behind_a_link(boss: Client, ada: User):
    rows = [about(ada) for _ in range(5)]

    shown = panel(boss, ada)
    (link,) = re.findall(r'href="([^"]+subject_type[^"]+)"', shown)
    listed = boss.get(link.replace("&amp;", "&")).context["cl"].result_list

    assert [str(row.pk) in shown for row in rows] == [False, False, True, True, True]
    assert {row.pk for row in listed} == {row.pk for row in rows}


def test_a_page_takes_two_queries_more_however_many_there_are(boss: Client, ada: User):
    def ours() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            boss.get(page_of(ada))
        return sum("spane_django_" in query["sql"] for query in caught.captured_queries)

    published(GOOD)
    few = ours()
    for _ in range(4):
        about(ada, BAD)
    work()

    assert (few, ours()) == (2, 2)


def test_a_workflow_is_started_about_the_object(boss: Client, ada: User):
    published(GOOD)
    key = re.search(r'name="key" value="([^"]+)"', panel(boss, ada))
    assert key

    for _ in range(2):
        response = boss.post(start_url(ada), {"workflow": "good", "key": key.group(1)})

    execution = Execution.objects.get()
    assert (execution.subject_type, execution.subject_id) == columns_of(ada)
    assert execution.input == {"user": ada.pk, "name": "ada"}
    assert response["Location"] == f"{page_of(ada)}#spane-executions"
    assert AuditEntry.objects.get(verb="start").execution_id == execution.pk


def test_what_is_refused_is_told_and_nothing_starts(boss: Client, ada: User):
    published(PICKY)

    response = boss.post(start_url(ada), {"workflow": "picky"})

    assert "'order' is a required property" in told(response)[0]
    assert not Execution.objects.exists()


def test_only_what_the_project_names_can_be_started(boss: Client, ada: User):
    published(BAD)

    assert boss.post(start_url(ada), {"workflow": "bad"}).status_code == 404
    assert "Start" not in panel(boss, ada)


def test_what_others_write_is_text(boss: Client, ada: User):
    published(PICKY)

    shown = panel(boss, ada)

    assert "&lt;script&gt;" in shown
    assert SCRIPT not in shown


def test_buttons_go_by_permission_and_come_back_to_the_object(ada: User):
    execution = about(ada)
    watcher = staff("view_execution")
    canceller = staff("view_execution", "cancel_execution")
    cancel = reverse("admin:spane_django_execution_verb", args=["cancel"], current_app="project")

    form = {"ids": str(execution.pk), "confirmed": "1", "back": page_of(ada)}
    refused = watcher.post(cancel, form)

    assert cancel not in panel(watcher, ada)
    assert cancel in panel(canceller, ada)
    assert refused.status_code == 403
    assert canceller.post(cancel, form)["Location"] == page_of(ada)
    execution.refresh_from_db()
    assert execution.status == "cancelled"


def test_what_failed_can_be_retried(boss: Client, ada: User):
    about(ada, BAD)
    work()
    retry = reverse("admin:spane_django_execution_verb", args=["retry"], current_app="project")

    assert retry in panel(boss, ada)


def test_an_open_question_is_led_to_by_who_may_decide(boss: Client, ada: User):
    execution = about(ada, ASKS)
    work()
    asked = Approval.objects.get(execution=execution)

    page = reverse("admin:spane_django_approval_change", args=[asked.pk], current_app="project")

    assert page in panel(boss, ada)
    assert page not in panel(staff("view_execution"), ada)


def test_who_may_not_see_executions_sees_no_panel(ada: User):
    about(ada)

    assert panel(staff(), ada) == ""


def test_starting_takes_both_permissions_and_a_token_of_the_form(ada: User):
    published(GOOD)
    runner = staff("view_execution", "run_workflow")
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(User.objects.create_superuser("carol"))
    form = {"workflow": "good"}

    assert staff("view_execution").post(start_url(ada), form).status_code == 403
    assert forged.post(start_url(ada), form).status_code == 403
    assert runner.get(start_url(ada)).status_code == 405
    assert not Execution.objects.exists()
    assert runner.post(start_url(ada), form).status_code == 302
    assert Execution.objects.count() == 1


def test_who_may_not_see_the_object_starts_nothing_about_it(ada: User):
    published(GOOD)
    stranger = staff("run_workflow", "view_execution")
    User.objects.get(username__startswith="staff").user_permissions.remove(
        Permission.objects.get(codename="view_user")
    )

    assert stranger.post(start_url(ada), {"workflow": "good"}).status_code == 403
    assert not Execution.objects.exists()


def test_a_page_on_which_nothing_can_be_changed_has_it_as_well(boss: Client):
    group = Group.objects.create(name="drivers")
    execution = about(group)

    assert str(execution.pk) in panel(boss, group)


def test_a_page_to_add_an_object_has_none(boss: Client):
    html = boss.get(reverse("admin:auth_user_add", current_app="project")).content.decode()

    assert "spane-panel" not in html


def test_a_list_has_the_latest_status_without_a_query_for_each_row(boss: Client, ada: User):
    address = reverse("admin:auth_user_changelist", current_app="project")
    others = [User.objects.create_user(f"user-{i}") for i in range(4)]
    about(ada, BAD)
    work()

    def ours() -> int:
        with CaptureQueriesContext(connection) as caught:
            boss.get(address)
        return sum('FROM "spane_django_' in query["sql"] for query in caught.captured_queries)

    before = ours()
    for other in others:
        about(other)
    newest = about(ada)

    rows = boss.get(address).context["cl"].result_list
    latest = {row.username: row.spane_latest for row in rows}
    assert (before, ours()) == (1, 1)
    assert latest["ada"] == newest
    assert latest["boss"] is None
    assert "spane-running" in boss.get(address).content.decode()
