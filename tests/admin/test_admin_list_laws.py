"""What holds for every list of the admin, whoever adds the next one."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin import site
from django.db import connection, models
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from spane_django import schedule as make_schedule
from spane_django.admin.base import CAP, CappedPaginator
from spane_django.clock import now
from spane_django.engine import tokens
from spane_django.models import ApiToken, AuditEntry, Schedule, Trigger, Webhook
from spane_django.triggers import event_triggers, webhooks
from tests.admin.pages import Filled, list_of, user_of, verb_of
from tests.admin.stage import GOOD, published

OURS = sorted(
    (model for model in site._registry if model._meta.app_label == "spane_django"),
    key=lambda model: model.__name__,
)
# Its page is no list.
LISTS = [model for model in OURS if model.__name__ != "Dashboard"]
every_list = pytest.mark.parametrize("model", LISTS, ids=lambda model: model.__name__)


@pytest.fixture(autouse=True)
def _with_tenants(settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}


@every_list
def test_an_empty_list_says_what_to_do_next(boss: Client, model: type[Model]) -> None:
    html = boss.get(list_of(model)).text

    _before, _, rest = html.partition('class="spane spane-empty"')
    hint = rest.partition("<p>")[2].partition("</p>")[0]
    assert len(hint.split()) >= 5


@every_list
def test_nothing_that_matches_is_told_apart_from_nothing_at_all(
    boss: Client, model: type[Model]
) -> None:
    if not site._registry[model].search_fields:
        pytest.skip("it has no search")

    html = boss.get(list_of(model, "?q=nothing-is-called-so")).text

    assert "Nothing matches the search and the filters." in html
    assert 'href="?"' in html


@every_list
def test_no_list_counts_a_whole_table(boss: Client, model: type[Model]) -> None:
    model_admin = site._registry[model]

    with CaptureQueriesContext(
        connection,
    ) as asked:
        boss.get(list_of(model))

    table = model._meta.db_table
    counts = [
        query["sql"]
        for query in asked.captured_queries
        if query["sql"].startswith("SELECT COUNT(") and f'FROM "{table}"' in query["sql"]
    ]
    assert counts
    assert all(f"LIMIT {CAP + 1}" in sql for sql in counts)
    assert not model_admin.show_full_result_count
    assert issubclass(model_admin.paginator, CappedPaginator)


@every_list
def test_what_a_column_shows_of_another_row_is_joined(model: type[Model]) -> None:
    model_admin = site._registry[model]
    joined: Any = model_admin.list_select_related

    related = {
        str(name)
        for name in model_admin.list_display
        for field in model._meta.fields
        if field.name == name and isinstance(field, models.ForeignKey)
    }

    assert related <= set(joined or ())


def made(model: type[Model], client: Client) -> Any:
    """Return a row that can be acted on, with a filter that it is within."""
    published(GOOD)
    if model is Webhook:
        return webhooks.create({"workflowId": "good"}, now=now())[0], "?signature__exact=none"
    if model is Trigger:
        given = {"event": "a.b", "workflowId": "good"}
        return event_triggers.create(given, now=now()), "?is_declared__exact=0"
    if model is Schedule:
        return make_schedule("good", cron="0 * * * *"), "?misfire__exact=once"
    return tokens.issue(user_of(client), "x", now=now())[1], "?scope__exact=admin"


@pytest.mark.parametrize(
    ("model", "verb", "asks"),
    [
        (Webhook, "disable", False),
        (Webhook, "delete", True),
        (Trigger, "disable", False),
        (Trigger, "delete", True),
        (Schedule, "pause", False),
        (Schedule, "delete", True),
        (ApiToken, "revoke", True),
    ],
)
def test_the_filters_of_a_list_survive_its_actions(
    boss: Client, model: type[Model], verb: str, asks: bool
) -> None:
    row, query = made(model, boss)
    here = list_of(model, query)
    chosen = {"action": f"{verb}_selected", "_selected_action": [str(row.pk)]}

    answer = boss.post(here, chosen)
    if asks:
        form = Filled(answer.text.partition('class="spane spane-confirm"')[2]).values
        answer = boss.post(verb_of(model, verb), form)

    assert answer["Location"] == here


@pytest.mark.parametrize("model", [Webhook, Trigger, Schedule, ApiToken])
def test_what_an_action_does_is_on_record(boss: Client, model: type[Model]) -> None:
    row, _query = made(model, boss)
    verb = "revoke" if model is ApiToken else "delete"
    before = AuditEntry.objects.count()

    boss.post(verb_of(model, verb), {"ids": str(row.pk), "confirmed": "1"})

    entry = AuditEntry.objects.first()
    assert AuditEntry.objects.count() == before + 1
    assert entry is not None
    assert (entry.username, entry.verb.partition("_")[0].split()[0]) == ("boss", verb)
