"""Delivering a notice: by the project's mail, and by web requests to public addresses.

Where webhooks may lead is what ``http`` nodes may reach (`nodes.http_guard`); redirects are not
followed.  What goes wrong is logged without the address, which may hold a key.
"""

from __future__ import annotations

import asyncio
import logging
import smtplib
from collections.abc import Callable
from functools import partial

import httpx
from django.conf import settings as django_settings
from django.core.mail import EmailMessage, get_connection

from ..core.alerting import AlertSettings
from ..core.errors import SpaneError
from ..core.outcome import NodeError
from ..nodes.http_guard import GuardedTransport, http_policy
from .notices import Notice

logger = logging.getLogger("spane_django.observability")

_SECONDS = 10.0
_FAULTS = (
    OSError, ValueError, smtplib.SMTPException, httpx.HTTPError, httpx.InvalidURL, NodeError,
    SpaneError,
)  # fmt: skip


class Undeliverable(SpaneError):
    """The receiver did not take it."""


def deliver(notice: Notice, options: AlertSettings) -> bool:
    """Send a notice everywhere; say whether it has reached anybody."""
    reached = [
        _reaches(partial(_post, notice, url), f"webhook {number}")
        for number, url in enumerate(options.WEBHOOKS, 1)
    ]
    if options.MAIL:
        reached.append(_reaches(partial(_mail, notice, options.MAIL), "mail"))
    return any(reached)


def _reaches(send: Callable[[], None], name: str) -> bool:
    try:
        send()
    except _FAULTS as error:
        logger.error("an alert was not delivered by %s: %s", name, _said(error))
        return False
    return True


def _mail(notice: Notice, addresses: tuple[str, ...]) -> None:
    with get_connection(timeout=_SECONDS) as connection:
        EmailMessage(
            notice.subject,
            notice.text,
            django_settings.SERVER_EMAIL,
            list(addresses),
            connection=connection,
        ).send()


def _post(notice: Notice, url: str) -> None:
    asyncio.run(_send(notice, url))


async def _send(notice: Notice, url: str) -> None:
    transport = GuardedTransport(http_policy())
    async with (
        asyncio.timeout(_SECONDS),
        httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as client,  # noqa: S113
        client.stream("POST", url, json=notice.body) as response,
    ):
        if not response.is_success:
            raise Undeliverable(f"status {response.status_code}")


def _said(error: Exception) -> str:
    # The text of others may hold the address.
    return str(error) if isinstance(error, SpaneError | NodeError) else type(error).__name__
