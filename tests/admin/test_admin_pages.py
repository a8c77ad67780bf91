"""Pages open, whatever is in the database, cost what they should and show text as text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from spane_django.engine import control, retry, tokens
from spane_django.engine.start import StartOptions
from spane_django.models import (
    ApiToken,
    DeadLetter,
    Execution,
    LogLine,
    NodeRun,
    Worker,
    Workflow,
    WorkflowVersion,
)
from tests.admin.conftest import Login
from tests.admin.pages import MODELS, Inline, list_of, page_of, user_of, verb_of
from tests.admin.stage import (
    ATTRIBUTE,
    BAD,
    EVIL,
    GOOD,
    SCRIPT,
    SLOW,
    WIDE,
    ended,
    published,
    started,
)

HINTS = {
    ApiToken: "python manage.py spane_token",
    DeadLetter: "no node has failed for good",
    Execution: "python manage.py spane_start",
    LogLine: "No node has written",
    NodeRun: "python manage.py rqworker spane",
    Worker: "python manage.py rqworker spane",
    Workflow: "python manage.py spane_publish",
    WorkflowVersion: "python manage.py spane_publish",
}


@pytest.fixture
def everything(boss: Client) -> Client:
    """A database with something of every kind in it."""
    later = StartOptions(start_at=now() + timedelta(days=1))
    retry.replay(ended(GOOD).pk, now=now())
    ended(BAD)
    ended(EVIL, {"key": SCRIPT})
    ended(SLOW)
    started(GOOD, options=later)
    control.pause(started(GOOD).pk, now=now(), reason=SCRIPT)
    control.cancel(started(GOOD).pk, now=now(), reason=ATTRIBUTE)
    tokens.issue(user_of(boss), SCRIPT, now=now())
    return boss


def rows() -> Iterator[Model]:
    for model in MODELS:
        yield from model._default_manager.all()


@pytest.mark.parametrize("model", MODELS)
def test_an_empty_list_says_what_to_do_next(boss: Client, model: type[Model]) -> None:
    html = boss.get(list_of(model)).content.decode()

    assert HINTS[model] in html
    assert Inline(html).refused == []


@pytest.mark.parametrize("model", MODELS)
def test_every_list_opens_and_needs_no_inline_script_or_style(
    everything: Client, model: type[Model]
) -> None:
    response = everything.get(list_of(model))

    assert response.status_code == 200
    assert Inline(response.content.decode()).refused == []


def test_every_row_has_a_page_that_needs_no_inline_script_or_style(everything: Client) -> None:
    for row in rows():
        response = everything.get(page_of(row))

        assert response.status_code == 200, page_of(row)
        assert Inline(response.content.decode()).refused == [], page_of(row)


def test_payloads_in_names_logs_errors_and_data_are_shown_as_text(everything: Client) -> None:
    pages = [list_of(model) for model in MODELS] + [page_of(row) for row in rows()]
    html = {page: everything.get(page).content.decode() for page in pages}

    assert [page for page in pages if SCRIPT in html[page] or "<img src=x" in html[page]] == []
    failed = html[page_of(Execution.objects.get(status="failed"))]
    assert failed.count("&lt;script&gt;") >= 3


def test_the_page_that_asks_needs_no_inline_script_or_style(everything: Client) -> None:
    execution = Execution.objects.get(status="failed")
    html = everything.post(verb_of(Execution, "replay"), {"ids": execution.pk}).content.decode()

    assert Inline(html).refused == []
    assert "Every node runs" in html


def test_a_failed_execution_shows_why_and_which_node(boss: Client) -> None:
    html = boss.get(page_of(ended(BAD))).content.decode()

    assert "spane-failed" in html
    assert "ValueError" in html
    assert page_of(DeadLetter.objects.get()) in html
    assert page_of(NodeRun.objects.get(node_id="explode")) in html
    assert "upstream failed" in html


def test_a_node_that_nothing_has_reached_is_shown_as_such(boss: Client) -> None:
    html = boss.get(page_of(started(GOOD))).content.decode()

    table = html[html.index('class="spane-nodes spane-timeline"') :]
    assert table.count("not reached") == 1
    assert html.count("not reached") > 1


def test_a_node_run_shows_the_traceback_of_each_failed_attempt(boss: Client) -> None:
    execution = ended(BAD)
    retry.retry_failed(execution.pk, now=now())
    ended(GOOD)

    html = boss.get(page_of(NodeRun.objects.get(node_id="explode"))).content.decode()

    assert html.count("Traceback (most recent call last)") == 2


def test_a_replay_and_its_original_link_to_each_other(boss: Client) -> None:
    original = ended(GOOD)
    replayed = retry.replay(original.pk, now=now())

    assert page_of(replayed) in boss.get(page_of(original)).content.decode()
    assert page_of(original) in boss.get(page_of(replayed)).content.decode()
    assert page_of(original) in boss.get(list_of(Execution)).content.decode()


def test_payloads_are_hidden_from_who_may_not_see_them(login: Login) -> None:
    failed = ended(BAD, {"card": "4242"})
    done = ended(GOOD, {"card": "4242"})
    pages = [page_of(failed), page_of(done), page_of(DeadLetter.objects.get())]
    pages += [page_of(run) for run in done.node_runs.all()]
    blind, seeing = login(), login("view_payload")

    assert [page for page in pages if "4242" in blind.get(page).content.decode()] == []
    assert [page for page in pages if "4242" not in seeing.get(page).content.decode()] == []


def test_who_may_not_see_executions_gets_no_page(login: Login) -> None:
    execution = ended(GOOD)
    client = login("view_workflow", "pause_execution", sees=False)

    assert client.get(list_of(Execution)).status_code == 403
    assert client.get(page_of(execution)).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_a_list_costs_the_same_however_many_rows_it_shows(boss: Client, model: type[Model]) -> None:
    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert boss.get(list_of(model)).status_code == 200
        return len(queries)

    def fill() -> None:
        user = user_of(boss)
        for index in range(3):
            ended({**GOOD, "id": f"good-{index}-{now().timestamp()}"})
            ended({**BAD, "id": f"bad-{index}-{now().timestamp()}"})
            tokens.issue(user, "one more", now=now())

    fill()
    few = cost()
    fill()

    assert cost() == few <= 10


def test_the_page_of_an_execution_costs_the_same_however_many_nodes_it_has(boss: Client) -> None:
    def cost(execution: Execution) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert boss.get(page_of(execution)).status_code == 200
        return len(queries)

    small, large = ended(GOOD), ended(WIDE)
    cost(small), cost(large)

    assert cost(large) == cost(small) <= 25


def test_a_list_leaves_payloads_and_definitions_in_the_database(boss: Client) -> None:
    ended(GOOD, {"large": "payload"})
    with CaptureQueriesContext(connection) as queries:
        boss.get(list_of(Execution))

    listed = [q["sql"] for q in queries if 'FROM "spane_django_execution" INNER JOIN' in q["sql"]]
    assert len(listed) == 1
    assert '"input"' not in listed[0]
    assert '"definition"' not in listed[0]


def test_a_list_counts_no_further_than_its_cap(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spane_django.admin.base.CAP", 2)
    for _ in range(4):
        started(GOOD)

    html = boss.get(list_of(Execution)).content.decode()

    assert "There are more than 2" in html


def test_a_workflow_counts_its_executions_of_a_day_by_status(boss: Client) -> None:
    published(GOOD)
    ended(BAD)
    ended(BAD)

    html = boss.get(list_of(Workflow)).content.decode()

    bad = Workflow.objects.get(key="bad")
    query = f"?workflow__id__exact={bad.pk}&amp;status__exact=failed&amp;created=24h"
    assert query in html
    assert "2 failed" in html
    assert (
        len(boss.get(list_of(Execution, query.replace("&amp;", "&"))).context["cl"].result_list)
        == 2
    )
