"""Webhooks that a definition declares."""

from __future__ import annotations

from typing import Any

import pytest

from spane_django.clock import now
from spane_django.core.errors import InvalidDefinition
from spane_django.engine.drafts import activate, archive_workflow
from spane_django.engine.publish import publish
from spane_django.models import AuditEntry, Execution, Webhook
from spane_django.triggers.webhook_config import InvalidWebhook
from spane_django.triggers.webhooks import change, rotate

from .conftest import FLOW, Hook, inputs

pytestmark = pytest.mark.django_db


def declare(*configs: dict[str, Any], **more: Any) -> None:
    triggers = [{"type": "webhook", "config": config} for config in configs]
    publish({**FLOW, "triggers": triggers, **more}, now=now())


def only() -> Hook:
    """Return the only webhook, with a secret that was made just now."""
    webhook = Webhook.objects.get()
    if not webhook.is_signed:
        return Hook(webhook, "")
    _, secret = rotate(webhook.pk, now=now())
    return Hook(webhook, secret)


def test_one_with_a_path_is_signed_and_its_body_is_the_input() -> None:
    declare({"path": "sign-up", "method": "PUT"})

    answers = [only().send({"mail": "x@y"}, method=method) for method in ("PUT", "POST")]

    assert [answer.status_code for answer in answers] == [202, 404]
    assert Webhook.objects.get().path == "sign-up"
    assert inputs() == [{"mail": "x@y"}]


def test_one_without_a_path_is_found_by_nobody_who_guesses() -> None:
    declare({})

    assert len(Webhook.objects.get().path) == 32
    assert only().send({"n": 1}).status_code == 202


def test_an_unsigned_path_never_stands_as_it_was_written() -> None:
    declare({"path": "sign-up", "signature": {"kind": "none"}})

    assert Webhook.objects.get().path.startswith("sign-up/")
    assert len(Webhook.objects.get().path) == len("sign-up/") + 32


@pytest.mark.parametrize("config", [{"path": "a"}, {"name": "a"}, {}])
def test_it_keeps_its_path_and_its_secret_in_the_next_version(config: dict[str, Any]) -> None:
    declare(config)
    before = only()

    declare(config, description="changed")
    declare({**config, "toleranceSeconds": 60}, description="again")

    after = Webhook.objects.get()
    assert (after.pk, after.path) == (before.webhook.pk, before.webhook.path)
    assert before.send({}).status_code == 202
    assert after.tolerance_seconds == 60
    assert AuditEntry.objects.filter(verb="change_webhook").count() == 1


def test_what_somebody_switched_off_stays_so() -> None:
    declare({"path": "a"})
    change(Webhook.objects.get().pk, {"enabled": False}, now=now())

    declare({"path": "a"}, description="changed")

    assert not Webhook.objects.get().is_enabled


def test_what_is_no_longer_declared_takes_nothing_in_until_it_is_again() -> None:
    declare({"path": "a"})
    sender = only()

    declare()
    retired = sender.send({"n": 1}).status_code
    activate("flow", 1, now=now())
    revived = sender.send({"n": 2}).status_code
    archive_workflow("flow", now=now())
    archived = sender.send({"n": 3}).status_code

    assert (retired, revived, archived) == (404, 202, 404)
    assert Execution.objects.count() == 1


def test_a_signature_may_change_and_the_path_stays() -> None:
    declare({"path": "a"})

    declare({"path": "a", "signature": {"kind": "github"}})

    assert only().webhook.path == "a"
    assert only().send({}).status_code == 202


def test_two_workflows_do_not_declare_one_path() -> None:
    declare({"path": "a"})

    with pytest.raises(InvalidWebhook, match="another webhook"):
        publish(
            {**FLOW, "id": "other", "triggers": [{"type": "webhook", "config": {"path": "a"}}]},
            now=now(),
        )

    assert Webhook.objects.count() == 1


def test_every_fault_of_what_is_declared_is_told_with_its_path() -> None:
    config = {
        "path": "a b", "secret": "in-a-definition-never", "networks": ["x"], "input": "b[",
        "method": "POST", "methods": ["GET"],
    }  # fmt: skip

    with pytest.raises(InvalidDefinition) as refused:
        declare(config)

    told = {fault.path for fault in refused.value.faults}
    assert told == {
        "triggers[0].config",
        "triggers[0].config.path",
        "triggers[0].config.networks[0]",
        "triggers[0].config.input",
        "triggers[0].config.method",
    }
