"""Secrets in a project's tests: given by the test, opened and hidden as ever."""

from __future__ import annotations

import pytest

from spane_django import delete_secret, set_secret
from spane_django.testing import InlineEngine, make_workflow

pytestmark = pytest.mark.django_db


def test_a_test_gives_secrets_and_sees_what_its_nodes_were_given(spane: InlineEngine):
    pay = make_workflow({"a": []}, nodes={"a": {"config": {"key": "{{ secrets.stripe }}"}}})
    spane.give_secrets({"stripe": "sk_test_1", "other": "value of other"})
    spane.stub("a", does=lambda ctx: {"key": ctx.config["key"], "other": ctx.secrets["other"]})

    execution = pay.start({})
    spane.run()

    spane.assert_completed(execution)
    assert spane.calls("a")[0].config == {"key": "sk_test_1"}
    execution.refresh_from_db()
    assert execution.node_runs.get().output == {"key": "***", "other": "***"}


def test_a_name_that_is_given_again_has_the_new_value(spane: InlineEngine):
    pay = make_workflow({"a": []}, nodes={"a": {"config": {"key": "{{ secrets.stripe }}"}}})

    spane.give_secrets({"stripe": "value one"})
    spane.give_secrets({"stripe": "value two"})
    pay.start({})
    spane.run()

    assert spane.calls("a")[0].config == {"key": "value two"}


def test_a_project_stores_and_deletes_secrets_itself(spane: InlineEngine):
    pay = make_workflow({"a": []}, nodes={"a": {"config": {"key": "{{ secrets.stripe }}"}}})

    set_secret("stripe", "value one", description="shop")
    kept = pay.start({})
    spane.run()
    delete_secret("stripe")
    lost = pay.start({})
    spane.run()

    spane.assert_completed(kept)
    spane.assert_failed(lost)
