"""The graph on the pages of workflows and executions, and what operators do to single nodes."""

from __future__ import annotations

from html import escape

import pytest
from django.test import Client
from django.urls import reverse

from spane_django.models import AuditEntry, Execution, NodeRun
from tests.admin.conftest import Login
from tests.admin.pages import Inline, page_of, told, user_of
from tests.admin.stage import BAD, EVIL, GOOD, SCRIPT, SLOW, WIDE, ended, published, started, work

pytestmark = pytest.mark.django_db


def verb_page(execution: Execution, verb: str, node: str) -> str:
    url = reverse("admin:spane_django_execution_node", args=[execution.pk, verb])
    return f"{url}?node={node}"


def boxes(html: str) -> list[str]:
    return html.split('<a href="')[1:] if 'class="spane-node' in html else []


def run_of(execution: Execution, node: str) -> NodeRun:
    return execution.node_runs.get(node_id=node)


def test_a_workflow_is_drawn_with_a_link_for_every_node(boss: Client):
    html = boss.get(page_of(published(GOOD).workflow)).content.decode()

    assert 'data-node="greet"' in html
    assert 'data-node="tell"' in html
    assert html.count('<path class="spane-edge"') == 1


def test_a_node_of_a_workflow_shows_its_definition_when_it_is_followed(boss: Client):
    page = page_of(published(GOOD).workflow)

    html = boss.get(f"{page}?node=tell").content.decode()

    assert "spane-selected" in html
    assert escape('"message": "said hello"') in html


def test_the_graph_of_an_execution_tells_what_became_of_each_node_in_words(boss: Client):
    html = boss.get(page_of(ended(BAD))).content.decode()

    assert 'class="spane-node spane-failed spane-selected" data-node="explode"' in html
    assert 'class="spane-node spane-cancelled" data-node="after"' in html
    assert "✕ failed" in html


def test_branches_that_are_alike_stand_behind_one_box_until_it_is_opened(boss: Client):
    page = page_of(ended(WIDE))

    folded = boss.get(page).content.decode()
    opened = boss.get(f"{page}?open=part-0").content.decode()

    assert (folded.count("data-node="), opened.count("data-node=")) == (2, 201)
    assert "200 × log" in folded
    assert "✓ 200" in folded


def test_a_page_opens_at_the_first_node_that_failed(boss: Client):
    html = boss.get(page_of(ended(BAD))).content.decode()

    assert 'id="spane-node"' in html
    assert "ValueError" in html[html.index('id="spane-node"') :]


def test_a_node_that_does_not_exist_is_not_looked_at(boss: Client):
    html = boss.get(f"{page_of(ended(GOOD))}?node=nowhere").content.decode()

    assert 'id="spane-node"' not in html


def test_names_of_nodes_cannot_break_out_of_the_picture(boss: Client):
    execution = ended(EVIL)

    html = boss.get(page_of(execution), {"node": SCRIPT}).content.decode()

    assert SCRIPT not in html
    assert not [tag for tag in Inline(html).refused if tag != "script"]


def test_inputs_and_outputs_of_a_node_are_for_those_who_may_see_payloads(
    boss: Client, login: Login
):
    page = f"{page_of(ended(GOOD, {'pin': 'four-digits'}))}?node=greet"

    assert "four-digits" in boss.get(page).content.decode()
    assert "four-digits" not in login().get(page).content.decode()


def test_a_failed_node_that_is_skipped_lets_its_execution_go_on(boss: Client):
    execution = ended(BAD)

    boss.post(verb_page(execution, "skip", "explode"), {"reason": "known"})
    work()

    execution.refresh_from_db()
    assert execution.status == "completed"
    entry = AuditEntry.objects.get(verb="skip")
    assert (entry.user, entry.target, entry.reason) == (user_of(boss), "explode", "known")


def test_a_node_completed_by_hand_hands_on_what_was_given(boss: Client):
    execution = ended(BAD)

    boss.post(verb_page(execution, "complete", "explode"), {"output": '{"by": "hand"}'})

    assert run_of(execution, "explode").output == {"by": "hand"}
    assert run_of(execution, "after").status == "ready"


def test_a_delay_can_be_cut_short(boss: Client):
    execution = ended(SLOW)

    boss.post(verb_page(execution, "retry-now", "nap"))
    work()

    execution.refresh_from_db()
    assert execution.status == "completed"


def test_what_the_engine_refuses_is_told_on_the_form_with_what_was_filled_in(boss: Client):
    execution = ended(GOOD)

    response = boss.post(verb_page(execution, "skip", "tell"), {"reason": "mine"})

    assert response.status_code == 200
    assert "cannot be skipped: it is completed" in response.content.decode()
    assert 'value="mine"' in response.content.decode()


def test_text_that_is_no_json_changes_nothing(boss: Client):
    execution = ended(BAD)

    response = boss.post(verb_page(execution, "complete", "explode"), {"output": "{"})

    assert "This is not JSON" in response.content.decode()
    assert run_of(execution, "explode").status == "failed"


@pytest.mark.parametrize(
    ("verb", "permission"),
    [
        ("retry", "retry_execution"),
        ("retry-now", "retry_execution"),
        ("complete", "complete_node"),
        ("skip", "skip_node"),
    ],
)
def test_each_verb_takes_its_permission(login: Login, verb: str, permission: str):
    page = verb_page(ended(BAD), verb, "explode")

    assert login("view_payload").post(page).status_code == 403
    assert login(permission, "view_payload").get(page).status_code == 200


def test_a_form_that_shows_payloads_takes_the_permission_to_see_them(login: Login):
    page = verb_page(ended(BAD), "complete", "explode")

    assert login("complete_node").get(page).status_code == 403


def test_a_forged_post_is_refused(login: Login):
    page = verb_page(ended(BAD), "skip", "explode")

    assert login("skip_node", csrf=True).post(page).status_code == 403


def test_verbs_are_offered_where_they_are_possible(boss: Client):
    failed, waiting = ended(BAD), started(GOOD)

    of_failed = boss.get(f"{page_of(failed)}?node=explode").content.decode()
    of_waiting = boss.get(f"{page_of(waiting)}?node=greet").content.decode()

    assert all(f"/nodes/{verb}/" in of_failed for verb in ("retry", "complete", "skip"))
    assert "?from=node%3Aexplode" in of_failed
    assert "from=node" not in of_waiting
    assert "/nodes/skip/" in of_waiting


def test_a_verb_reports_what_it_did(boss: Client):
    response = boss.post(verb_page(ended(BAD), "retry", "explode"))

    assert told(response) == ["Retry: explode"]
