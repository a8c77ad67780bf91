"""History is read in the admin, never written: not even by a superuser."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.db.models import Model
from django.forms.models import model_to_dict
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from spane_django.engine import tokens
from tests.admin.pages import MODELS, list_of, page_of, user_of
from tests.admin.stage import BAD, GOOD, ended

every_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture
def filled(boss: Client) -> Client:
    ended(GOOD)
    ended(BAD)
    tokens.issue(user_of(boss), "program", now=now())
    return boss


def url(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:spane_django_{model._meta.model_name}_{page}", args=args)


@every_model
def test_nobody_adds_a_row(filled: Client, model: type[Model]) -> None:
    count = model._default_manager.count()

    assert filled.get(url(model, "add")).status_code == 403
    assert filled.post(url(model, "add"), {"name": "forged"}).status_code == 403
    assert model._default_manager.count() == count


@every_model
def test_nobody_changes_a_row(filled: Client, model: type[Model]) -> None:
    row = model._default_manager.first()
    assert row is not None
    before = model_to_dict(row)

    response = filled.post(page_of(row), {"name": "forged", "status": "completed", "reason": "x"})

    assert response.status_code == 403
    row.refresh_from_db()
    assert model_to_dict(row) == before


@every_model
def test_nobody_deletes_a_row(filled: Client, model: type[Model]) -> None:
    row = model._default_manager.first()
    assert row is not None

    assert filled.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    filled.post(list_of(model), form)

    assert model._default_manager.filter(pk=row.pk).exists()


@every_model
def test_no_field_can_be_edited(filled: Client, model: type[Model]) -> None:
    row = model._default_manager.first()
    assert row is not None
    html = filled.get(page_of(row)).content.decode()
    main = html.partition('id="content-main"')[2]
    # What is asked for with GET filters what is shown.
    main = re.sub(r'<form method="get".*?</form>', "", main, flags=re.DOTALL)

    assert 'type="text"' not in main
    assert "<textarea" not in main
    assert "<select" not in main


@every_model
def test_each_column_of_a_list_has_a_caption_and_a_label(model: type[Model]) -> None:
    model_admin = admin.site._registry[model]

    for column in model_admin.list_display:
        function = getattr(model_admin, str(column), None)
        assert function is None or function.short_description
