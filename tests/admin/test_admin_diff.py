"""How two versions differ, drawn and as tables; and the way back to an earlier one."""

from __future__ import annotations

from html import escape
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now
from pytest_django.fixtures import DjangoAssertNumQueries

from spane_django.admin.diff_picture import MOST_WHOLE, picture_between
from spane_django.admin.diff_table import MOST_ROWS
from spane_django.core.diff import diff
from spane_django.engine.drafts import archive, save_draft
from spane_django.models import AuditEntry, Execution, Trigger, Workflow, WorkflowVersion
from tests.admin.conftest import Login
from tests.admin.pages import Inline, page_of, tab_of, told, user_of
from tests.admin.stage import ATTRIBUTE, GOOD, SCRIPT, node, published, started, workflow

pytestmark = pytest.mark.django_db

OLD = workflow(
    "flow",
    node("first", "log", {"message": "one"}, [], ["gone", "last"]),
    node("gone", "log", {"message": "bye"}, ["first"], []),
    node("last", "log", {"message": "end"}, ["first"], []),
)
NEW = {
    **workflow(
        "flow",
        node("first", "log", {"message": "two"}, [], ["fresh", "last"]),
        node("fresh", "log", {"message": "hi"}, ["first"], []),
        node("last", "log", {"message": "end"}, ["first"], []),
    ),
    "priority": 9,
    "triggers": [{"type": "event", "config": {"event": "order.paid"}}],
}


@pytest.fixture
def flow() -> Workflow:
    """A workflow of two versions, the second of which is current."""
    published(OLD)
    return published(NEW).workflow


def chain(count: int, *, changed: int | None = None) -> dict[str, Any]:
    ids = [f"step-{index}" for index in range(count)]
    message = dict.fromkeys(range(count), "same") | {changed: "other"}
    return workflow(
        "chain",
        *(
            node(
                key, "log", {"message": message[index]},
                ids[max(index - 1, 0) : index], ids[index + 1 : index + 2],
            )
            for index, key in enumerate(ids)
        ),
    )  # fmt: skip


def drawn(before: Any, after: Any, **options: Any) -> Any:
    found = diff(before, after)
    given = {"url_of": str, "group_url_of": str, **options}
    return picture_between(before, after, found, **given)


def marks(picture: Any) -> dict[str, str]:
    return {box.node_id: box.status for box in picture.boxes}


def test_the_picture_holds_the_nodes_of_both_and_says_in_a_sign_and_a_word_what_became_of_each():
    picture = drawn(OLD, NEW).picture

    assert marks(picture) == {"first": "changed", "gone": "removed", "last": "", "fresh": "added"}
    by_id = {box.node_id: box for box in picture.boxes}
    assert [by_id[key].icon for key in ("first", "gone", "fresh")] == ["~", "−", "+"]
    assert [by_id[key].said.split()[0] for key in ("first", "gone", "fresh")] == [
        "changed", "removed", "added",
    ]  # fmt: skip


def test_an_edge_that_differs_has_a_sign_and_says_so():
    lines = drawn(OLD, NEW).picture.lines

    told = sorted((line.kind, line.mark, line.said) for line in lines if line.kind)
    assert told == [
        ("added", "+", "first → fresh: added"), ("removed", "−", "first → gone: removed"),
    ]  # fmt: skip
    assert [line.mark for line in lines if not line.kind] == [""]


def test_two_versions_that_contradict_each_other_are_drawn_with_every_edge_of_both():
    forth = {"nodes": [{"id": "a", "outputs": ["b"]}, {"id": "b", "outputs": ["c"]}, {"id": "c"}]}
    back = {"nodes": [{"id": "c", "outputs": ["b"]}, {"id": "b", "outputs": ["a"]}, {"id": "a"}]}

    picture = drawn(forth, back).picture

    assert sorted(line.kind for line in picture.lines) == ["added"] * 2 + ["removed"] * 2
    assert len(picture.boxes) == 3


@pytest.mark.parametrize(
    "draft",
    [
        {},
        {"nodes": "none"},
        {"nodes": [1, {"id": 2}, {"id": "a", "outputs": ["a", "nowhere"]}]},
        {"nodes": [{"id": "a", "outputs": ["b"]}, {"id": "b", "outputs": ["a"]}]},
    ],
)
def test_a_draft_of_any_shape_can_be_compared_and_seen(boss: Client, flow: Workflow, draft: Any):
    version = save_draft({**draft, "id": "flow"}, now=now()).version

    compared = boss.get(tab_of(flow, "diff") + "?a=2&b=3")
    seen = boss.get(page_of(version))

    assert (compared.status_code, seen.status_code) == (200, 200)


def test_of_a_large_graph_only_what_differs_is_drawn_with_its_neighbours_unless_asked_for_all():
    before, after = chain(1_000), chain(1_000, changed=500)

    near, whole = drawn(before, after), drawn(before, after, draws_all=True)

    assert marks(near.picture) == {"step-499": "", "step-500": "changed", "step-501": ""}
    assert near.left_out == 997
    assert (len(whole.picture.boxes), whole.left_out) == (1_000, 0)


def test_a_small_graph_is_drawn_whole():
    assert len(drawn(chain(MOST_WHOLE), chain(MOST_WHOLE, changed=0)).picture.boxes) == MOST_WHOLE


def test_new_nodes_that_are_alike_stand_behind_one_box_and_apart_from_the_old_ones():
    def wide(count: int) -> Any:
        leaves = [f"leaf-{index:02}" for index in range(count)]
        root = node("root", "log", {}, [], leaves)
        return workflow("wide", root, *(node(leaf, "log", {}, ["root"], []) for leaf in leaves))

    picture = drawn(wide(20), wide(40), draws_all=True).picture

    groups = {box.node_id: (box.status, box.label) for box in picture.boxes if box.is_group}
    assert groups == {"leaf-00": ("", "20 × log"), "leaf-20": ("added", "20 × log")}


def test_the_address_names_both_versions_and_the_page_tells_what_differs(
    boss: Client, flow: Workflow
):
    html = boss.get(tab_of(flow, "diff") + "?a=1&b=2").content.decode()

    assert "+ 1 node added" in html.replace('<span aria-hidden="true">+</span>', "+")
    for words in ("config/message", "&quot;one&quot;", "&quot;two&quot;", "order.paid", "priority"):
        assert words in html, words
    order = [
        html.index(f"<h2>{label}</h2>") for label in ("Settings", "Triggers", "Nodes", "Edges")
    ]
    assert order == sorted(order)
    assert 'class="spane-node spane-removed" data-node="gone"' in html


def test_without_an_address_the_current_version_is_compared_with_the_one_before(
    boss: Client, flow: Workflow
):
    context = boss.get(tab_of(flow, "diff")).context

    assert (context["a"], context["b"]) == (1, 2)


def test_the_other_way_round_what_was_added_is_removed(boss: Client, flow: Workflow):
    page = boss.get(tab_of(flow, "diff") + "?a=2&b=1")

    html = page.content.decode()
    assert 'class="spane-node spane-removed" data-node="fresh"' in html
    assert page.context["swapped"] == tab_of(flow, "diff") + "?a=1&b=2"


def test_a_node_that_is_followed_shows_both_of_its_definitions(boss: Client, flow: Workflow):
    html = boss.get(tab_of(flow, "diff") + "?a=1&b=2&node=first").content.decode()

    beside = html[html.index('id="spane-node"') : html.index("<h2>Settings</h2>")]
    assert escape('"message": "one"') in beside
    assert escape('"message": "two"') in beside


def test_versions_that_are_the_same_say_so(boss: Client, flow: Workflow):
    assert "They are the same." in boss.get(tab_of(flow, "diff") + "?a=2&b=2").content.decode()


def test_a_workflow_of_one_version_has_nothing_to_compare_and_says_so(boss: Client):
    flow = published(GOOD).workflow

    page = boss.get(tab_of(flow, "diff"))

    assert (page.status_code, "nothing to compare" in page.content.decode()) == (200, True)


@pytest.mark.parametrize("query", ["?a=1&b=7", "?a=7&b=1"])
def test_a_version_that_does_not_exist_cannot_be_compared(boss: Client, flow: Workflow, query: str):
    assert boss.get(tab_of(flow, "diff") + query).status_code == 404


def test_of_very_many_differences_the_first_are_shown_and_the_others_counted(boss: Client):
    published(chain(MOST_ROWS + 50))
    every = chain(MOST_ROWS + 50)
    for one in every["nodes"]:
        one["config"] = {"message": "other"}
    flow = published(every).workflow

    html = boss.get(tab_of(flow, "diff")).content.decode()

    assert html.count("config/message") == MOST_ROWS
    assert "50 more are not shown." in html


def test_a_difference_of_thousand_nodes_takes_few_queries_and_little_html(
    boss: Client, django_assert_max_num_queries: DjangoAssertNumQueries
):
    published(chain(1_000))
    flow = published(chain(1_000, changed=500)).workflow

    with django_assert_max_num_queries(12):
        page = boss.get(tab_of(flow, "diff"))

    assert len(page.content) < 60_000


def test_nothing_of_a_definition_breaks_out_of_the_page(boss: Client):
    published(workflow("evil", node("a", "log", {"message": "x"}, [], [])))
    evil = {**node(SCRIPT, "log", {"message": ATTRIBUTE}, [], []), ATTRIBUTE: SCRIPT}
    flow = published({**workflow("evil", evil, name=ATTRIBUTE), "key": "x"}).workflow

    for address in (f"diff/?a=1&b=2&node={SCRIPT}", "versions/", "restore/1/"):
        html = boss.get(page_of(flow).replace("change/", address)).content.decode()

        assert SCRIPT not in html
        assert ATTRIBUTE not in html
        assert not [tag for tag in Inline(html).refused if tag != "script"]


def test_the_page_of_a_version_leads_to_what_it_changed_and_to_the_current_one(
    boss: Client, flow: Workflow
):
    first, second = flow.versions.order_by("number")

    of_first = boss.get(page_of(first)).content.decode()
    of_second = boss.get(page_of(second)).content.decode()

    address = tab_of(flow, "diff") + "?a=1&amp;b=2"
    assert f'href="{address}">Differences to the current version' in of_first
    assert f'href="{address}">What it changed' in of_second


def restore(client: Client, flow: Workflow, number: int, **posted: str) -> Any:
    page = tab_of(flow, "restore", number)
    asked = client.get(page)
    assert asked.status_code == 200
    return client.post(page, {"seen": asked.context["seen"], **posted})


def test_restoring_makes_the_old_version_current_with_a_reason_on_record(
    boss: Client, flow: Workflow
):
    answer = restore(boss, flow, 1, reason="the new one loses orders")

    flow.refresh_from_db()
    assert flow.current_version.number == 1
    assert told(answer) == ["flow v1 is the current version."]
    entry = AuditEntry.objects.get(verb="activate")
    assert (entry.user, entry.target, entry.reason) == (
        user_of(boss), "flow v1", "the new one loses orders",
    )  # fmt: skip
    assert not Trigger.objects.filter(workflow=flow).exists()
    html = boss.get(tab_of(flow, "versions")).content.decode()
    assert "the new one loses orders" in html
    assert html.index(">v1</a> (current)") > html.index(">v2</a>")


def test_an_archived_version_is_published_again_under_the_next_number(boss: Client, flow: Workflow):
    archive("flow", 1, now=now())

    restore(boss, flow, 1, reason="back")

    flow.refresh_from_db()
    assert (flow.current_version.number, flow.current_version.definition) == (3, OLD)
    assert AuditEntry.objects.get(verb="publish", target="flow v3").reason == "back"


def test_a_draft_is_published_and_one_with_faults_tells_them_and_stays(
    boss: Client, flow: Workflow
):
    save_draft({**OLD, "entryNodeId": "nowhere"}, now=now())
    refused = restore(boss, flow, 3)
    assert "nowhere" in refused.content.decode()
    assert Workflow.objects.get(pk=flow.pk).current_version.number == 2

    save_draft({**OLD, "name": "Third"}, now=now())
    restore(boss, flow, 3)

    assert Workflow.objects.get(pk=flow.pk).current_version.definition["name"] == "Third"


def test_the_page_that_asks_shows_what_would_change_and_what_stays_with_its_version(
    boss: Client, flow: Workflow
):
    executions = [started(NEW) for _ in range(3)]

    page = boss.get(tab_of(flow, "restore", 1))
    restore(boss, flow, 1)

    html = page.content.decode()
    assert "v2: 3" in html
    assert 'class="spane-node spane-removed" data-node="fresh"' in html
    kept = {
        row.version.number for row in Execution.objects.filter(pk__in=[e.pk for e in executions])
    }
    assert kept == {2}


def test_what_has_changed_since_the_page_was_shown_is_asked_again_and_not_done(
    boss: Client, flow: Workflow
):
    seen = boss.get(tab_of(flow, "restore", 1)).context["seen"]
    published({**NEW, "name": "Third"})

    answer = boss.post(tab_of(flow, "restore", 1), {"seen": seen})

    assert "changed meanwhile" in told(answer)[0]
    assert Workflow.objects.get(pk=flow.pk).current_version.number == 3


def test_the_current_version_is_not_restored(boss: Client, flow: Workflow):
    answer = restore(boss, flow, 2)

    assert "is the current version already" in told(answer)[0]
    assert not AuditEntry.objects.filter(verb="activate").exists()


def test_restoring_takes_the_permission_to_publish(login: Login, flow: Workflow):
    page = tab_of(flow, "restore", 1)
    without, able = login(), login("publish_workflow")

    assert without.get(page).status_code == 403
    assert without.post(page, {"seen": "x"}).status_code == 403
    assert page not in without.get(tab_of(flow, "versions")).content.decode()
    assert page in able.get(tab_of(flow, "versions")).content.decode()
    assert restore(able, flow, 1).status_code == 302


def test_a_forged_restore_is_refused(login: Login, flow: Workflow):
    client = login("publish_workflow", csrf=True)
    seen = client.get(tab_of(flow, "restore", 1)).context["seen"]

    assert client.post(tab_of(flow, "restore", 1), {"seen": seen}).status_code == 403
    assert Workflow.objects.get(pk=flow.pk).current_version.number == 2


def test_versions_are_paged_and_any_two_of_them_can_be_chosen(boss: Client):
    for index in range(30):
        flow = published({**GOOD, "name": f"Take {index}"}).workflow

    first = boss.get(tab_of(flow, "versions"))
    older = boss.get(tab_of(flow, "versions") + f"?before={first.context['older']}")

    listed = [row.version.number for row in (*first.context["rows"], *older.context["rows"])]
    assert listed == list(range(30, 0, -1))
    assert first.context["rows"][-1].before == 5
    assert first.content.decode().count('type="radio"') == 2 * 25
    assert WorkflowVersion.objects.count() == 30


def test_what_was_done_to_a_version_is_for_those_who_may_see_the_audit_trail(
    login: Login, flow: Workflow
):
    archive("flow", 1, now=now(), reason="a secret quarrel")
    able = login()
    unable = login("view_workflow", sees=False)

    assert "a secret quarrel" in able.get(tab_of(flow, "versions")).content.decode()
    page = unable.get(tab_of(flow, "versions"))
    assert (page.status_code, "a secret quarrel" in page.content.decode()) == (200, False)
    assert [row.done for row in page.context["rows"]] == [[], []]
