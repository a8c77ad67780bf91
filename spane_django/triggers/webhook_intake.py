"""Taking in what is sent to a webhook: stored first, then started, in one transaction.

* An unknown path, a wrong method, an address that may not send, a bad signature and a stale time
  are one answer, and take the same work: nobody learns which webhooks there are.
* A delivery and its execution are committed together, before the sender is answered.  One that
  cannot start (the workflow is disabled, the input is refused) is kept with the reason.
* A delivery that comes again (by its id, or by what was signed) is answered like the first, and
  tried again if the first has started nothing.  Unique rows decide, so that two at once are one.
* The handshakes of Slack and GitHub are answered and start nothing.

Reading requests is `webhook_requests`' work; what the sender is told, `webhook_answers`'.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.db import IntegrityError
from django.db.models import F, Q

from ..core.errors import SpaneError
from ..core.expressions import ExpressionError, evaluate
from ..core.json import Json
from ..core.signatures import PRESETS, Scheme, verify
from ..core.starting import key_of
from ..engine.audit import Owned, record
from ..engine.db import alias, atomic
from ..engine.start import StartOptions, start_many
from ..engine.vault import Unsealable, open_sealed, seal
from ..models import Webhook, WebhookDelivery
from .webhook_config import PATH
from .webhook_requests import Incoming, data_of, may_send
from .webhook_rows import find, insert
from .webhooks import scheme_of, secrets_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger("spane_django.triggers")

_PATH = re.compile(rf"{PATH}\Z")
_DECOY = PRESETS["github"]


class Unwelcome(SpaneError):
    """There is no such webhook, or the request is not what its webhook takes."""


class UnknownDelivery(SpaneError):
    """There is no such delivery."""


class RefusedMapping(SpaneError):
    """The expressions of the webhook cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery.

    Attributes:
        refusal: Why nothing was started; None: something was.
    """

    webhook: Webhook
    delivery_id: UUID
    execution_id: UUID | None
    refusal: SpaneError | None = None


@dataclass(frozen=True, slots=True)
class Greeting:
    """A handshake, and what its sender waits to hear."""

    text: str


def receive(incoming: Incoming, *, now: datetime) -> Receipt | Greeting:
    """Take in a request: check it, keep it and start what it starts.

    Raises:
        Unwelcome: nothing is told of why.
        UnreadableBody, UnknownContentType: who sends may send it, but it cannot be read.
    """
    webhook, digest = _admitted(incoming, now=now)
    scheme = scheme_of(webhook)
    hidden = (scheme.header,) if scheme else ()
    request = data_of(incoming, path=webhook.shown_path, hidden=hidden)
    greeting = _greeting(webhook, request)
    if greeting is not None:
        return greeting
    delivery = WebhookDelivery(
        webhook=webhook,
        received_at=now,
        address=incoming.address,
        request=request,
        digest=digest if scheme else None,
    )
    return _store(delivery, now=now)


def redeliver(
    delivery_id: UUID, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> WebhookDelivery:
    """Deliver once more what was sent, as the webhook is configured now.

    Returns:
        The delivery itself if it had started nothing, else a new one beside it.

    Locks:
        The delivery.

    Raises:
        UnknownDelivery: there is none.
        SpaneError: it cannot start now either; nothing has changed.
    """
    with atomic():
        first = _locked(delivery_id)
        delivery = first
        if first.status == WebhookDelivery.Status.STARTED:
            delivery = WebhookDelivery(
                webhook=first.webhook,
                received_at=now,
                address=first.address,
                request=first.request,
                redelivery_of=first.pk,
            )
        _start(delivery, now=now, by=by)
        delivery.save()
        target = Owned(f"delivery {first.pk} of webhook {first.webhook_id}", first.webhook.tenant)
        record(
            "redeliver", now=now, by=by, execution_id=delivery.execution_id, target=target,
            reason=reason,
        )  # fmt: skip
    return delivery


def _admitted(incoming: Incoming, *, now: datetime) -> tuple[Webhook, str]:
    """Return the webhook that a request may reach, and the digest of what was signed.

    Raises:
        Unwelcome: it may not.
    """
    webhook, why = _found(incoming), ""
    if webhook is None:
        why = "there is none"
    elif incoming.method not in webhook.methods:
        why = f"it does not take {incoming.method}"
    elif not may_send(incoming.address, webhook.networks):
        why = f"{incoming.address or 'an unknown address'} may not send"
    digest = _digest(None if why else webhook, incoming, now=now)
    if webhook is None or why or digest is None:
        named = "an unknown path" if webhook is None else f"webhook {webhook.pk}"
        logger.info("refused a request to %s: %s", named, why or "bad signature or stale time")
        raise Unwelcome
    return webhook, digest


def _found(incoming: Incoming) -> Webhook | None:
    if len(incoming.path) > 200 or not _PATH.match(incoming.path):
        return None
    found = find(incoming.path)
    return found if found is not None and found.is_open else None


def _digest(webhook: Webhook | None, incoming: Incoming, *, now: datetime) -> str | None:
    """Return the digest of what was signed, "" where nothing is; None if it is not good.

    Where there is no webhook a secret is opened and the body signed, too: time tells nothing.
    """
    scheme: Scheme | None = _DECOY if webhook is None else scheme_of(webhook)
    if scheme is None:
        return ""
    try:
        secrets = [open_sealed(_decoy())] if webhook is None else secrets_of(webhook, now=now)
    except Unsealable as error:
        logger.error("a webhook cannot check signatures: %s", error)
        return None
    return verify(
        scheme,
        incoming.headers,
        incoming.body,
        secrets,
        now=now,
        tolerance=timedelta(seconds=0 if webhook is None else webhook.tolerance_seconds),
    )


@cache
def _decoy() -> str:
    return seal(uuid4().hex)


def _greeting(webhook: Webhook, request: dict[str, Any]) -> Greeting | None:
    body = request["body"]
    if webhook.signature == Webhook.Signature.SLACK and isinstance(body, dict):
        challenge = body.get("challenge")
        if body.get("type") == "url_verification" and isinstance(challenge, str):
            return Greeting(challenge)
    is_github = webhook.signature == Webhook.Signature.GITHUB
    if is_github and request["headers"].get("x-github-event") == "ping":
        return Greeting("pong")
    return None


def _store(delivery: WebhookDelivery, *, now: datetime) -> Receipt:
    """Write a delivery and start what it starts, or find the one that it repeats."""
    refusal: SpaneError | None = None
    try:
        with atomic():
            try:
                _identify(delivery)
                _start(delivery, now=now)
            except SpaneError as error:
                refusal = error
                delivery.status = WebhookDelivery.Status.REFUSED
                delivery.reason = str(error)
            insert(delivery)
    except IntegrityError:
        return _repeated(delivery, now=now)
    return Receipt(delivery.webhook, delivery.pk, delivery.execution_id, refusal)


def _identify(delivery: WebhookDelivery) -> None:
    """Set what makes a delivery the same as another.

    Raises:
        RefusedMapping: the expression cannot be evaluated.
    """
    expression = delivery.webhook.dedupe_key
    if not expression:
        return
    try:
        delivery.dedupe_value = key_of(expression, delivery.request) or None
    except ExpressionError as error:
        raise RefusedMapping(str(error)) from None


def _start(delivery: WebhookDelivery, *, now: datetime, by: AbstractBaseUser | None = None) -> None:
    """Start what a delivery starts, inside the caller's transaction.

    Raises:
        SpaneError: nothing was started.
    """
    webhook = delivery.webhook
    try:
        data = _mapped(webhook.mapping, delivery.request)
    except ExpressionError as error:
        raise RefusedMapping(str(error)) from None
    options = StartOptions(tenant=webhook.tenant, trigger=f"webhook:{webhook.pk}", by=by)
    (delivery.execution_id,) = start_many(webhook.workflow_key, [data], now=now, options=options)
    delivery.status, delivery.reason = WebhookDelivery.Status.STARTED, ""


def _mapped(mapping: Json, request: Json) -> Json:
    if mapping is None:
        return request
    if isinstance(mapping, dict):
        return {name: _mapped(inner, request) for name, inner in mapping.items()}
    return evaluate(mapping, request)


def _repeated(delivery: WebhookDelivery, *, now: datetime) -> Receipt:
    """Answer a delivery like the first of its id, or of what was signed."""
    alike = Q(pk__in=())
    if delivery.digest:
        alike |= Q(digest=delivery.digest)
    if delivery.dedupe_value:
        alike |= Q(dedupe_value=delivery.dedupe_value)
    found = WebhookDelivery.objects.using(alias()).filter(alike, webhook_id=delivery.webhook_id)
    with atomic():
        first = found.select_for_update(of=("self",)).order_by("id").first()
        if first is None:
            raise Unwelcome  # the webhook was deleted meanwhile
        WebhookDelivery.objects.filter(pk=first.pk).update(repeats=F("repeats") + 1)
        if first.status == WebhookDelivery.Status.STARTED:
            return Receipt(delivery.webhook, first.pk, first.execution_id)
        try:
            _start(first, now=now)
        except SpaneError as error:
            return Receipt(delivery.webhook, first.pk, None, error)
        first.save(update_fields=["status", "reason", "execution_id"])
    return Receipt(delivery.webhook, first.pk, first.execution_id)


def _locked(delivery_id: UUID) -> WebhookDelivery:
    found = WebhookDelivery.objects.using(alias()).select_related("webhook")
    delivery = found.select_for_update(of=("self",)).filter(pk=delivery_id).first()
    if delivery is None:
        raise UnknownDelivery(f"there is no delivery {delivery_id}")
    return delivery
