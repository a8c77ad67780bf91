"""Webhooks: made, changed, rotated and deleted, each with its entry in the audit trail.

A secret is kept sealed and told once, when it was made here.  Rotating it leaves the old one good
for a time, so that senders can be changed one by one.  What a webhook may be told is checked in
`webhook_config`; taking requests in is `webhook_intake`'s work.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError

from ..core.errors import SpaneError
from ..core.schema import Fault
from ..core.signatures import PRESETS, Scheme, scheme_from
from ..engine.audit import Owned, record
from ..engine.db import alias, atomic
from ..engine.start import UnknownWorkflow
from ..engine.vault import open_sealed, seal
from ..models import Webhook, WebhookDelivery, Workflow
from .webhook_config import DEDUPE_KEYS, ROTATION, InvalidWebhook, require

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

GRACE_SECONDS = 86_400
_RANDOM_BYTES = 24  # 192 bits

_COLUMNS: Mapping[str, str] = {
    "name": "name",
    "workflowId": "workflow_key",
    "methods": "methods",
    "enabled": "is_enabled",
    "toleranceSeconds": "tolerance_seconds",
    "networks": "networks",
    "input": "mapping",
    "dedupeKey": "dedupe_key",
    "response": "response",
}


class UnknownWebhook(SpaneError):
    """There is no such webhook."""


class UnsignedWebhook(SpaneError):
    """The webhook has no secret: nobody signs what comes to it.  Give it a new path instead."""


def create(
    given: object,
    *,
    now: datetime,
    tenant: str = "",
    by: AbstractBaseUser | None = None,
    declared: str = "",
) -> tuple[Webhook, str]:
    """Make a webhook; return it with its secret, for the only time.

    Args:
        given: What it does, as `webhook_config` says.
        tenant: Who owns it, and whose workflow it starts.
        declared: What the definition that declares it calls it; "": it is made by hand.

    Returns:
        The webhook, and the secret that was made for it; "" if one was given or none is needed.

    Raises:
        InvalidWebhook: with every fault.
        UnknownWorkflow: the tenant has none of this id, nor is one shared.
    """
    asked = require(given, is_new=True)
    kind = asked.get("signature", {"kind": Webhook.Signature.NONE})["kind"]
    webhook = Webhook(
        tenant=tenant,
        declared=declared,
        created_at=now,
        name=asked["workflowId"],
        methods=["POST"],
        dedupe_key=DEDUPE_KEYS.get(kind, ""),
    )
    with atomic():
        made = _apply(webhook, {"signature": {"kind": kind}, "path": "", **asked})
        _save(webhook)
        _record("create_webhook", webhook, now=now, by=by, after=facts_of(webhook))
    return webhook, made


def change(
    webhook_id: int,
    given: object,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
) -> tuple[Webhook, str]:
    """Change what is named in ``given``; return the webhook, and a secret if one had to be made.

    Raises:
        UnknownWebhook: there is none.
        InvalidWebhook, UnknownWorkflow: as for `create`; nothing has changed.
    """
    asked = require(given)
    with atomic():
        webhook = locked(webhook_id)
        before = facts_of(webhook)
        made = _apply(webhook, asked)
        _save(webhook)
        after = facts_of(webhook)
        changed = [name for name in after if after[name] != before[name]]
        if changed or "secret" in asked:
            _record(
                "change_webhook", webhook, now=now, by=by,
                before={name: before[name] for name in changed},
                after={name: after[name] for name in changed},
            )  # fmt: skip
    return webhook, made


def rotate(
    webhook_id: int,
    given: object = None,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
) -> tuple[Webhook, str]:
    """Give a webhook a new secret; the old one stays good for ``graceSeconds``, a day by default.

    Args:
        given: ``secret``, where the sender makes it, as Stripe does; ``graceSeconds``.

    Raises:
        UnknownWebhook: there is none.
        UnsignedWebhook: nobody signs what comes to it.
        InvalidWebhook: with every fault.
    """
    asked = require(given or {}, ROTATION)
    grace = timedelta(seconds=asked.get("graceSeconds", GRACE_SECONDS))
    with atomic():
        webhook = locked(webhook_id)
        if not webhook.is_signed:
            raise UnsignedWebhook
        webhook.sealed_old_secret = webhook.sealed_secret if grace else ""
        webhook.old_secret_until = now + grace if grace else None
        made = _set_secret(webhook, asked.get("secret"))
        webhook.save(update_fields=["sealed_secret", "sealed_old_secret", "old_secret_until"])
        until = webhook.old_secret_until
        after = {"oldSecretUntil": until.isoformat() if until else None}
        _record("rotate_webhook", webhook, now=now, by=by, after=after)
    return webhook, made


def delete(webhook_id: int, *, now: datetime, by: AbstractBaseUser | None = None) -> None:
    """Delete a webhook with its deliveries; what they have started stays.

    Raises:
        UnknownWebhook: there is none.
    """
    with atomic():
        webhook = locked(webhook_id)
        _record("delete_webhook", webhook, now=now, by=by, before=facts_of(webhook))
        # Without Django's collector, which would read every delivery first.
        WebhookDelivery.objects.filter(webhook=webhook)._raw_delete(alias())
        Webhook.objects.filter(pk=webhook_id)._raw_delete(alias())


def locked(webhook_id: int) -> Webhook:
    """Return a webhook under its lock, inside the caller's transaction.

    Raises:
        UnknownWebhook: there is none.
    """
    found = Webhook.objects.using(alias()).select_for_update().filter(pk=webhook_id).first()
    if found is None:
        raise UnknownWebhook(f"there is no webhook {webhook_id}")
    return found


def facts_of(webhook: Webhook) -> dict[str, Any]:
    """Return what was said of a webhook, in the words of the API and without its secrets."""
    return {
        "name": webhook.name,
        "workflowId": webhook.workflow_key,
        "path": webhook.shown_path,
        "methods": webhook.methods,
        "enabled": webhook.is_enabled,
        "signature": {"kind": webhook.signature, **webhook.scheme},
        "toleranceSeconds": webhook.tolerance_seconds,
        "networks": webhook.networks,
        "input": webhook.mapping,
        "dedupeKey": webhook.dedupe_key,
        "response": webhook.response or {"mode": "accepted"},
    }


def scheme_of(webhook: Webhook) -> Scheme | None:
    """Return how a webhook's senders sign; None: they do not."""
    if webhook.signature == Webhook.Signature.HMAC:
        return scheme_from(webhook.scheme)
    return PRESETS.get(webhook.signature)


def secrets_of(webhook: Webhook, *, now: datetime) -> list[str]:
    """Return the secrets of a webhook that are good now.

    Raises:
        Unsealable: the keys that sealed them are gone.
    """
    sealed = [webhook.sealed_secret]
    if webhook.old_secret_until is not None and now < webhook.old_secret_until:
        sealed.append(webhook.sealed_old_secret)
    return [open_sealed(text) for text in sealed if text]


def _apply(webhook: Webhook, given: Mapping[str, Any]) -> str:
    """Write what was said into the columns; return the secret that had to be made, if any."""
    for name, column in _COLUMNS.items():
        if name in given:
            setattr(webhook, column, given[name])
    if "workflowId" in given:
        _require_workflow(webhook)
    was_signed = webhook.is_signed if webhook.signature else True
    if signature := given.get("signature"):
        webhook.signature = signature["kind"]
        webhook.scheme = {key: value for key, value in signature.items() if key != "kind"}
    if "path" in given or (was_signed and not webhook.is_signed):
        _set_path(webhook, given.get("path", webhook.path))
    if not webhook.is_signed:
        return _forget_secrets(webhook, given)
    if "secret" in given or not webhook.sealed_secret:
        return _set_secret(webhook, given.get("secret"))
    return ""


def _require_workflow(webhook: Webhook) -> None:
    found = Workflow.objects.filter(key=webhook.workflow_key, tenant__in={webhook.tenant, ""})
    if not found.exists():
        raise UnknownWorkflow(
            f"Workflow '{webhook.workflow_key}' not found: publish its definition first"
        )


def _set_path(webhook: Webhook, chosen: str) -> None:
    """Set the path; one that alone keeps a webhook ends in what nobody guesses."""
    parts = [chosen] if chosen else []
    if not webhook.is_signed or not chosen:
        parts.append(secrets.token_urlsafe(_RANDOM_BYTES))
    webhook.path = "/".join(parts)


def _save(webhook: Webhook) -> None:
    try:
        with atomic():
            webhook.save()
    except IntegrityError:
        message = "another webhook has this path: use another"
        raise InvalidWebhook([Fault("path", "taken", message)]) from None


def _set_secret(webhook: Webhook, given: str | None) -> str:
    made = "" if given else secrets.token_urlsafe(32)
    webhook.sealed_secret = seal(given or made)
    return made


def _forget_secrets(webhook: Webhook, given: Mapping[str, Any]) -> str:
    if "secret" in given:
        message = "an unsigned webhook has no secret: choose a signature, or remove it"
        raise InvalidWebhook([Fault("secret", "unsigned", message)])
    webhook.sealed_secret = webhook.sealed_old_secret = ""
    webhook.old_secret_until = None
    return ""


def _record(
    verb: str, webhook: Webhook, *, now: datetime, by: AbstractBaseUser | None, **facts: Any
) -> None:
    target = Owned(f"webhook {webhook.pk}", webhook.tenant)
    record(verb, now=now, by=by, target=target, **facts)
