"""Searching, filtering and starting."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from spane_django.admin.filters import first_id, ids_beginning_with
from spane_django.core.ids import uuid7
from spane_django.engine import retry, workers
from spane_django.models import DeadLetter, Execution, NodeRun, Worker, Workflow
from tests.admin.conftest import Login
from tests.admin.pages import list_of, page_of, user_of
from tests.admin.stage import BAD, EACH, GOOD, ended, published, started


def found(client: Client, model: type[Model], query: str) -> list[object]:
    response = client.get(list_of(model, query))
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


def test_an_execution_is_found_by_its_id_or_the_beginning_of_it(boss: Client) -> None:
    execution, _other = started(GOOD), started(GOOD)
    text = str(execution.pk)

    assert found(boss, Execution, f"?q={text}") == [execution.pk]
    assert found(boss, Execution, f"?q={execution.pk.hex.upper()}") == [execution.pk]
    assert execution.pk in found(boss, Execution, f"?q={text[:13]}")
    assert found(boss, Execution, f"?q={text[:30]}") == [execution.pk]


@pytest.mark.parametrize("query", ["hello", "0" * 33, "-", "g" * 32])
def test_a_search_for_what_is_no_id_finds_nothing(boss: Client, query: str) -> None:
    started(GOOD, {"hello": "hello"})

    assert found(boss, Execution, f"?q={query}") == []


def test_the_ids_that_begin_with_a_text_are_one_range() -> None:
    assert ids_beginning_with("01-f") == (
        UUID("01f00000-0000-0000-0000-000000000000"),
        UUID("01ffffff-ffff-ffff-ffff-ffffffffffff"),
    )


def test_the_first_id_of_an_instant_parts_what_was_made_before_from_what_comes_after() -> None:
    before = uuid7()
    boundary = first_id(now() + timedelta(milliseconds=1))

    assert before < boundary < first_id(now() + timedelta(seconds=1))
    assert first_id(now() - timedelta(seconds=1)) < uuid7()


def test_executions_are_filtered_by_status_workflow_and_age(boss: Client) -> None:
    bad, good, old = ended(BAD), started(GOOD), started(GOOD)
    old.node_runs.all().delete()
    Execution.objects.filter(pk=old.pk).update(id=first_id(now() - timedelta(days=2)))

    assert found(boss, Execution, "?status__exact=failed") == [bad.pk]
    assert set(found(boss, Execution, "?created=24h")) == {good.pk, bad.pk}
    assert len(found(boss, Execution, "?created=7d")) == 3
    assert found(boss, Execution, f"?workflow__id__exact={bad.workflow_id}") == [bad.pk]


def test_children_are_listed_for_those_who_look_for_them(boss: Client) -> None:
    parent = ended(EACH, [1, 2, 3])
    other = started(GOOD)
    children = set(parent.children.values_list("pk", flat=True))
    child = min(children)

    assert found(boss, Execution, "") == [other.pk, parent.pk]
    assert set(found(boss, Execution, f"?parent={parent.pk}&status__exact=completed")) == children
    assert set(found(boss, Execution, "?level=all")) == {other.pk, parent.pk, *children}
    assert found(boss, Execution, f"?q={child}") == [child]


def test_a_parent_leads_to_its_children_and_they_back_to_it(boss: Client) -> None:
    parent = ended(EACH, [1, 2, 3])
    child = parent.children.get(item=2)

    above = boss.get(page_of(parent)).content.decode()
    below = boss.get(page_of(child)).content.decode()

    assert list_of(Execution, f"?parent={parent.pk}&amp;status__exact=completed") in above
    assert page_of(parent) in below
    assert page_of(parent.node_runs.get()) in below
    assert "#2" in below


def test_a_workflow_counts_what_was_started_on_its_own(boss: Client) -> None:
    parent = ended(EACH, [1, 2, 3])

    (row,) = boss.get(list_of(Workflow)).context["cl"].result_list

    assert (row.pk, row.status_counts) == (parent.workflow_id, {"completed": 1})


def test_node_runs_are_filtered_by_execution(boss: Client) -> None:
    execution, _other = ended(GOOD), ended(GOOD)

    runs = found(boss, NodeRun, f"?execution={execution.pk}")

    assert set(runs) == set(execution.node_runs.values_list("pk", flat=True))


def test_dead_letters_that_are_open_come_first(boss: Client) -> None:
    first, second = ended(BAD).dead_letters.get(), ended(BAD).dead_letters.get()
    retry.discard_dead_letter(second.pk, now=now())

    assert found(boss, DeadLetter, "") == [first.pk]
    assert found(boss, DeadLetter, "?resolved=discarded") == [second.pk]
    assert found(boss, DeadLetter, "?resolved=retried") == []
    assert found(boss, DeadLetter, "?resolved=all") == [first.pk, second.pk]


def test_dead_letters_are_filtered_by_error_node_and_workflow(boss: Client) -> None:
    letter = ended(BAD).dead_letters.get()
    workflow, other = letter.execution.workflow_id, published(GOOD).workflow_id

    for query in (
        "error_type=ValueError",
        "node_id=explode",
        f"execution__workflow__id__exact={workflow}",
    ):
        assert found(boss, DeadLetter, f"?{query}") == [letter.pk]
    for query in (
        "error_type=KeyError",
        "node_id=other",
        f"execution__workflow__id__exact={other}",
    ):
        assert found(boss, DeadLetter, f"?{query}") == []


def test_a_worker_is_at_work_silent_or_stopped(boss: Client) -> None:
    workers.enlist("busy", "spane", pid=1, now=now())
    workers.enlist("gone", "spane", pid=2, now=now() - timedelta(hours=1))
    workers.dismiss(workers.enlist("done", "spane", pid=3, now=now()), now=now())

    html = boss.get(list_of(Worker)).content.decode()

    assert [word in html for word in ("at work", "silent", "stopped")] == [True] * 3


def start_page(workflow: Workflow) -> str:
    return reverse("admin:spane_django_workflow_start", args=[workflow.pk])


def filled(given: str) -> dict[str, str]:
    """The form as a browser sends it."""
    return {"given-whole": given, "key": "0b0fd6ee-43bb-4ba9-9f3f-0f0a3a2a55c1"}


def test_a_workflow_is_started_with_a_json_input(login: Login) -> None:
    client = login("run_workflow")
    workflow = published(GOOD).workflow

    response = client.post(start_page(workflow), filled('{"to": "world"}'))

    execution = Execution.objects.get()
    assert response["Location"] == page_of(execution)
    assert execution.input == {"to": "world"}
    assert execution.started_by == user_of(client)


def test_a_second_click_starts_nothing_more(boss: Client) -> None:
    workflow = published(GOOD).workflow

    first, second = (boss.post(start_page(workflow), filled("{}")) for _ in range(2))

    assert first["Location"] == second["Location"]
    assert Execution.objects.count() == 1


def test_every_form_has_a_key_of_its_own(boss: Client) -> None:
    workflow = published(GOOD).workflow

    keys = {boss.get(start_page(workflow)).context["form"]["key"].value() for _ in range(2)}

    assert len(keys) == 2


@pytest.mark.parametrize("given", ["{nope", "", "[" * 100_000, "NaN"])
def test_an_input_that_is_not_json_is_told_and_nothing_starts(boss: Client, given: str) -> None:
    workflow = published(GOOD).workflow

    response = boss.post(start_page(workflow), filled(given))

    assert response.status_code == 200
    assert response.context["given"].errors
    assert not Execution.objects.exists()


def test_a_disabled_workflow_is_not_started_and_says_so(boss: Client) -> None:
    workflow = published(GOOD).workflow
    Workflow.objects.update(is_enabled=False)

    response = boss.post(start_page(workflow), filled("{}"))

    assert "is disabled" in response.content.decode()
    assert not Execution.objects.exists()


def test_who_may_not_run_workflows_cannot_start_one(login: Login) -> None:
    client = login("publish_workflow")
    workflow = published(GOOD).workflow

    assert client.get(start_page(workflow)).status_code == 403
    assert client.post(start_page(workflow), filled("{}")).status_code == 403
    assert start_page(workflow) not in client.get(page_of(workflow)).content.decode()
    assert not Execution.objects.exists()


def test_a_forged_start_is_refused(login: Login) -> None:
    client = login("run_workflow", csrf=True)
    workflow = published(GOOD).workflow

    assert client.post(start_page(workflow), filled("{}")).status_code == 403
    assert not Execution.objects.exists()
