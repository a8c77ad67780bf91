"""Forms that are made from JSON Schemas: of a workflow's input and of what an approval asks."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from spane_django.admin.schema_forms import SchemaForm, has_fields, names_in_order
from spane_django.core.schema import Fault
from spane_django.models import Approval, Execution
from tests.admin.conftest import Login
from tests.admin.pages import list_of, page_of, user_of
from tests.admin.stage import SCRIPT, ended, node, published, work, workflow

pytestmark = pytest.mark.django_db

SCHEMA = {
    "type": "object",
    "required": ["orderId", "size"],
    "properties": {
        "orderId": {"type": "integer", "minimum": 1, "title": "Order"},
        "size": {"enum": ["S", "M", 3], "default": "M"},
        "gift": {"type": "boolean"},
        "day": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "weights": {"type": "array", "items": {"type": "number"}},
        "extra": {"type": "object", "description": "Whatever else"},
        "note": {"type": "string"},
    },
}
ORDER = {**workflow("order", node("keep", "log", {"message": "kept"})), "inputSchema": SCHEMA}


def filled(schema: dict[str, Any], **given: Any) -> SchemaForm:
    """Return a form with its fields filled in by the names of properties."""
    keys = {name: f"given-f{index}" for index, name in enumerate(names_in_order(schema))}
    return SchemaForm(schema, {keys[name]: value for name, value in given.items()})


def test_each_property_becomes_a_field_and_its_value_is_json():
    form = filled(
        SCHEMA, orderId="7", size="3", gift="on", day="2026-03-01", tags="a\n\n b ",
        weights="1.5\n2", extra='{"x": [1]}', note=" kept as it is ",
    )  # fmt: skip

    assert form.is_valid(), form.errors
    assert form.value() == {
        "orderId": 7, "size": 3, "gift": True, "day": "2026-03-01", "tags": ["a", "b"],
        "weights": [1.5, 2.0], "extra": {"x": [1]}, "note": " kept as it is ",
    }  # fmt: skip


def test_what_is_left_empty_is_not_there_and_a_box_that_is_not_ticked_is_false():
    form = filled(SCHEMA, orderId="7", size='"S"')

    assert form.is_valid(), form.errors
    assert form.value() == {"orderId": 7, "size": "S", "gift": False}


@pytest.mark.parametrize(
    ("name", "value"), [("orderId", "0"), ("orderId", "x"), ("size", '"L"'), ("weights", "heavy")]
)
def test_what_does_not_fit_is_told_at_its_field(name: str, value: str):
    form = filled(SCHEMA, **{"orderId": "7", "size": '"S"', name: value})

    assert not form.is_valid()
    assert list(form.errors) == [f"f{names_in_order(SCHEMA).index(name)}"]


def test_faults_of_the_schema_come_back_to_the_fields_that_they_are_about():
    form = filled(SCHEMA, orderId="7", size='"S"')
    assert form.is_valid()

    form.tell(
        [
            Fault("initialData.tags[1]", "type", "is no text"),
            Fault("initialData", "required", "'note' is missing"),
            Fault("initialData", "other", "is odd"),
        ],
        "initialData",
    )

    assert form.errors == {
        f"f{names_in_order(SCHEMA).index('tags')}": ["is no text"],
        f"f{names_in_order(SCHEMA).index('note')}": ["'note' is missing"],
        "__all__": ["is odd"],
    }


@pytest.mark.parametrize("schema", [None, {}, {"type": "array"}, {"properties": {}}, True])
def test_a_schema_without_properties_has_no_fields(schema: Any):
    assert not has_fields(schema)


def test_rows_of_a_model_are_offered_to_those_who_may_view_them():
    ada = User.objects.create_user("ada")
    boss = User.objects.create_superuser("boss")
    schema = {"type": "object", "properties": {"who": {"type": "integer", "x-model": "auth.User"}}}

    offered = SchemaForm(schema, {"given-f0": str(ada.pk)}, user=boss)
    hidden = SchemaForm(schema, {"given-f0": str(ada.pk)}, user=ada)

    assert offered.is_valid()
    assert offered.value() == {"who": ada.pk}
    assert "ada" in offered.as_p()
    assert "ada" not in hidden.as_p()


def test_a_workflow_with_an_input_schema_is_started_by_a_form(boss: Client):
    url = reverse("admin:spane_django_workflow_start", args=[published(ORDER).workflow.pk])
    page = boss.get(url).content.decode()

    form = {"given-f0": "7", "given-f1": '"S"', "key": "0b0fd6ee-43bb-4ba9-9f3f-0f0a3a2a55c1"}
    boss.post(url, form)

    assert "Order:" in page
    assert Execution.objects.get().input == {"orderId": 7, "size": "S", "gift": False}


def test_the_input_can_be_written_as_json_instead(boss: Client):
    url = reverse("admin:spane_django_workflow_start", args=[published(ORDER).workflow.pk])

    form = {"given-whole": '{"orderId": 0}', "key": "0b0fd6ee-43bb-4ba9-9f3f-0f0a3a2a55c1"}
    refused = boss.post(f"{url}?json", form).content.decode()
    boss.post(f"{url}?json", {**form, "given-whole": '{"orderId": 1, "size": "M"}'})

    assert "initialData.orderId" in refused
    assert "initialData" in refused
    assert Execution.objects.get().input == {"orderId": 1, "size": "M"}


def asked(**config: Any) -> Approval:
    ended(
        workflow("asks", node("ok", "approval", {"title": "Spend?", "users": ["boss"], **config}))
    )
    return Approval.objects.get()


def decide_url(approval: Approval) -> str:
    return reverse("admin:spane_django_approval_decide", args=[approval.pk])


def test_the_inbox_holds_what_somebody_may_decide(login: Login):
    clerk = login("decide_approval")
    asked(users=[user_of(clerk).username])
    stranger = login("decide_approval", "run_workflow")

    assert "Spend?" in clerk.get(list_of(Approval)).content.decode()
    assert "Spend?" not in stranger.get(list_of(Approval)).content.decode()
    assert "Spend?" in stranger.get(list_of(Approval, "?inbox=open")).content.decode()


def test_an_approval_is_given_on_its_page_and_the_execution_goes_on(login: Login):
    clerk = login("decide_approval")
    approval = asked(users=[user_of(clerk).username])

    page = clerk.get(page_of(approval)).content.decode()
    clerk.post(decide_url(approval), {"approve": "1", "comment": "fine"})
    work()

    approval.refresh_from_db()
    said = approval.decisions.get()
    assert 'name="approve"' in page
    assert (said.user, said.is_approved, said.comment) == (user_of(clerk), True, "fine")
    assert Execution.objects.get().status == "completed"


def test_what_an_approval_asks_for_is_a_form_of_its_schema(boss: Client):
    schema = {"type": "object", "required": ["cents"], "properties": {"cents": {"type": "integer"}}}
    approval = asked(form=schema)

    refused = boss.post(decide_url(approval), {"approve": "1", "given-f0": ""})
    boss.post(decide_url(approval), {"approve": "1", "given-f0": "990"})

    assert "This field is required" in refused.content.decode()
    assert approval.decisions.get().form == {"cents": 990}


def test_rejecting_needs_nothing_filled_in(boss: Client):
    schema = {"type": "object", "required": ["cents"], "properties": {"cents": {"type": "integer"}}}
    approval = asked(form=schema)

    boss.post(decide_url(approval), {"reject": "1", "comment": "too dear"})

    assert not approval.decisions.get().is_approved


def test_who_was_not_asked_is_told_why_and_cannot_decide(login: Login):
    approval = asked(users=["somebody"])
    stranger = login("decide_approval")

    page = stranger.get(page_of(approval)).content.decode()
    refused = stranger.post(decide_url(approval), {"approve": "1"}).content.decode()

    assert "is none of those who were asked" in page
    assert "is none of those who were asked" in refused
    assert not approval.decisions.exists()


def test_deciding_takes_its_permission_and_a_token_of_the_form(login: Login):
    clerk = login()
    approval = asked(users=[user_of(clerk).username])
    forger = login("decide_approval", csrf=True)

    assert clerk.post(decide_url(approval), {"approve": "1"}).status_code == 403
    assert forger.post(decide_url(approval), {"approve": "1"}).status_code == 403


def test_questions_cannot_break_out_of_the_page(boss: Client):
    approval = asked(description=SCRIPT)

    assert SCRIPT not in boss.get(page_of(approval)).content.decode()
