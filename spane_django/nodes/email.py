"""``email``: send a message through the mail settings that the project has already.

Texts come from the config (``text``, ``html``) or from the project's Django templates
(``textTemplate``, ``htmlTemplate``), which see ``input`` and the keys of ``context``.  Every
field that cannot be sent is listed; line breaks in headers are refused, since whoever supplies
one could add headers of their own.  The ``Message-ID`` is the same for every attempt, so mail
systems can tell a repeated message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Set
from email.utils import formataddr, getaddresses, parseaddr
from typing import Any

from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.mail.utils import DNS_NAME
from django.core.validators import validate_email
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template

from ..core.expressions import has_templates
from ..core.json import Json
from ..core.outcome import Permanent
from .base import Context, Node

_ADDRESSED = ("to", "cc", "bcc", "replyTo", "from")
_BODIES = ("text", "html", "textTemplate", "htmlTemplate")
_ADDRESSES = {"type": ["string", "array"], "items": {"type": "string"}}


class EmailNode(Node):
    """Sends a message; answers its id and the number of recipients."""

    type = "email"
    description = "Sends a message by the project's mail settings."
    config = {
        "type": "object",
        "properties": {
            **dict.fromkeys(_ADDRESSED, _ADDRESSES),
            "from": {"type": "string", "description": "DEFAULT_FROM_EMAIL if absent."},
            **{name: {"type": "string"} for name in ("subject", *_BODIES)},
            "context": {"type": ["object", "string"], "description": "What the templates see."},
        },
        "required": ["subject"],
        "additionalProperties": False,
    }

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        settled = {key: value for key, value in config.items() if not has_templates(value)}
        return _faults(settled, awaited=config.keys() - settled.keys())

    def execute(self, ctx: Context) -> Json:
        faults = list(_faults(ctx.config))
        if faults:
            raise Permanent("; ".join(faults))
        message = _message(ctx.config, {"input": ctx.input, **ctx.config.get("context", {})})
        message_id = f"<{hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:32]}@{DNS_NAME}>"
        message.extra_headers["Message-ID"] = message_id
        message.send()
        return {"messageId": message_id, "recipients": len(message.recipients())}


def _faults(config: Mapping[str, Any], awaited: Set[str] = frozenset()) -> Iterator[str]:
    """Yield what keeps ``config`` from being sent.

    Args:
        awaited: Keys whose values will be known only when the node runs.
    """
    present = {key for key in config if config[key]} | awaited
    if not present & {"to", "cc", "bcc"}:
        yield "there are no recipients: give 'to', 'cc' or 'bcc'"
    if not present & {*_BODIES}:
        yield f"there is nothing to send: give one of {', '.join(_BODIES)}"
    for key in _ADDRESSED:
        yield from _address_faults(key, config.get(key) or [])
    for key in ("subject", *_BODIES):
        yield from _text_faults(key, config.get(key) or "")
    if not isinstance(config.get("context", {}), dict):
        yield "'context' must be an object"


def _address_faults(key: str, value: Json) -> Iterator[str]:
    if not isinstance(value, str | list):
        yield f"'{key}' must be a text or a list of texts"
        return
    for address in _addresses(value):
        if _has_line_break(address):
            yield f"'{key}' holds a line break, which would end the header"
        elif not _is_address(address):
            yield f"'{key}': {address!r} is no email address"


def _text_faults(key: str, value: Json) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"'{key}' must be a text"
    elif key == "subject" and _has_line_break(value):
        yield "'subject' holds a line break, which would end the header"
    elif key.endswith("Template") and value:
        try:
            get_template(value)
        except (TemplateDoesNotExist, TemplateSyntaxError) as error:
            yield f"'{key}': there is no usable template {value!r} ({type(error).__name__})"


def _addresses(value: str | list[Json]) -> list[Json]:
    """Split a text at its commas, unless it holds a line break, which is found in the whole."""
    if isinstance(value, str) and value and not _has_line_break(value):
        return [formataddr(pair) for pair in getaddresses([value])]
    return value if isinstance(value, list) else [value] * bool(value)


def _is_address(value: Json) -> bool:
    try:
        validate_email(parseaddr(value)[1])
    except (ValidationError, TypeError, AttributeError):
        return False
    return True


def _has_line_break(value: Json) -> bool:
    return isinstance(value, str) and ("\n" in value or "\r" in value)


def _message(config: Mapping[str, Any], context: dict[str, Json]) -> EmailMultiAlternatives:
    bodies = {key: config.get(key) for key in ("text", "html")}
    for key in bodies:
        if name := config.get(f"{key}Template"):
            bodies[key] = get_template(name).render(context)
    to, cc, bcc, reply_to = (
        _addresses(config.get(key) or []) for key in ("to", "cc", "bcc", "replyTo")
    )
    message = EmailMultiAlternatives(
        config["subject"],
        bodies["text"] or bodies["html"],
        config.get("from"),
        to,
        cc=cc,
        bcc=bcc,
        reply_to=reply_to,
    )
    if not bodies["text"]:
        message.content_subtype = "html"
    elif bodies["html"]:
        message.attach_alternative(bodies["html"], "text/html")
    return message
