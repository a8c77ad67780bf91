"""What a webhook may be told to do, in the words of the API, and every fault of it.

* `path`: chosen, or generated.  That of a webhook whose senders do not sign always ends in 192
  random bits, whatever was chosen: the path is all that keeps it.
* `signature`: ``{"kind": …}``, a preset, ``none`` or ``hmac`` with a scheme of its own.
* `input` and `dedupeKey` are expressions over the request: ``body``, ``headers`` (names in lower
  case), ``query``, ``method`` and ``path``.  An object is made of one expression per name.
* `response` says what the sender is answered; its templates read ``input``, ``results`` and
  ``execution``, as those of nodes do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from ..core.errors import Faulty
from ..core.expressions import check, referenced_secrets, template_faults
from ..core.json import Json
from ..core.schema import Fault, Schema, faults_in
from ..core.signatures import SCHEME, scheme_faults
from ..models import Webhook

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# The shortest secret that is worth the name.
_SECRET: Schema = {"type": "string", "minLength": 16, "maxLength": 500, "pattern": "^[!-~]+$"}
_EXPRESSION: Schema = {"type": "string", "minLength": 1, "maxLength": 1_000}
# Headers that decide how a message is read, or what a browser remembers, are the server's.
_OWN_HEADERS = (
    "clear-site-data", "connection", "content-length", "content-security-policy", "keep-alive",
    "set-cookie", "strict-transport-security", "te", "trailer", "transfer-encoding", "upgrade",
)  # fmt: skip

# What an answer may say: that all is well, or that the sender is wrong, but not that we are.
LEAST_STATUS, MOST_STATUS = 200, 499

PATH = r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*"
_RESPONSE: Schema = {
    "type": "object",
    "properties": {
        "mode": {"enum": ["accepted", "wait", "custom"], "default": "accepted"},
        "waitSeconds": {"type": "number", "minimum": 0, "maximum": 3_600},
        "status": {
            "anyOf": [
                {"type": "integer", "minimum": LEAST_STATUS, "maximum": MOST_STATUS},
                {"type": "string", "pattern": r"\{\{", "maxLength": 1_000},
            ]
        },
        "headers": {
            "type": "object",
            "maxProperties": 20,
            "propertyNames": {"pattern": r"^[A-Za-z0-9-]{1,100}$"},
            "additionalProperties": {"type": "string", "maxLength": 1_000},
        },
        "body": {},
    },
    "additionalProperties": False,
}
WEBHOOK: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        "workflowId": {"type": "string", "minLength": 1, "maxLength": 100},
        "path": {"type": "string", "maxLength": 150, "pattern": rf"^{PATH}$"},
        "methods": {"type": "array", "items": {"enum": list(METHODS)}, "minItems": 1},
        "enabled": {"type": "boolean"},
        "signature": {
            **SCHEME,
            "properties": {**SCHEME["properties"], "kind": {"enum": Webhook.Signature.values}},
            "required": ["kind"],
        },
        "secret": _SECRET,
        "toleranceSeconds": {"type": "integer", "minimum": 1, "maximum": 86_400},
        "networks": {"type": "array", "items": {"type": "string"}, "maxItems": 200},
        "input": {"type": ["object", "string", "null"]},
        "dedupeKey": {"type": "string", "maxLength": 1_000},
        "response": _RESPONSE,
    },
    "additionalProperties": False,
}
ROTATION: Schema = {
    "type": "object",
    "properties": {
        "secret": _SECRET,
        "graceSeconds": {"type": "number", "minimum": 0, "maximum": 2_592_000},
    },
    "additionalProperties": False,
}

DEDUPE_KEYS: Mapping[str, str] = {
    Webhook.Signature.GITHUB: 'headers."x-github-delivery"',
    Webhook.Signature.STRIPE: "body.id",
    Webhook.Signature.SLACK: "body.event_id",
}
"""What the senders of the presets call a delivery's id."""


class InvalidWebhook(Faulty):
    """What was said of a webhook is refused; every fault is listed."""

    headline = "Webhook refused"


def require(given: Any, schema: Schema = WEBHOOK, *, is_new: bool = False) -> Mapping[str, Any]:
    """Return what was said of a webhook, if nothing is wrong with it.

    Args:
        is_new: It must name its workflow.

    Raises:
        InvalidWebhook: with every fault.
    """
    whole = {**schema, "required": ["workflowId"]} if is_new else schema
    faults = list(faults_in(whole, given, ""))
    if isinstance(given, dict) and schema is WEBHOOK:
        faults += semantic_faults(given)
    if faults:
        raise InvalidWebhook(faults)
    return dict(given)


def semantic_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with what has the right shape, or any."""
    signature, response = given.get("signature"), given.get("response")
    yield from _signature_faults(signature) if isinstance(signature, dict) else ()
    yield from _network_faults(given.get("networks"))
    yield from _expression_faults(given.get("input"), "input")
    if dedupe_key := given.get("dedupeKey"):
        yield from _expression_faults(dedupe_key, "dedupeKey")
    yield from _response_faults(response) if isinstance(response, dict) else ()


def _signature_faults(signature: Mapping[str, Any]) -> Iterator[Fault]:
    if signature.get("kind") == Webhook.Signature.HMAC:
        if "header" not in signature:
            yield Fault("signature.header", "missing", "name the header that holds the signature")
        yield from scheme_faults(signature, "signature")
    elif set(signature) - {"kind"}:
        message = "only 'hmac' takes a scheme of its own: remove the rest, or change the kind"
        yield Fault("signature", "no_scheme", message)


def _network_faults(networks: Json) -> Iterator[Fault]:
    for index, text in enumerate(networks if isinstance(networks, list) else ()):
        try:
            ip_network(text)
        except ValueError as error:
            yield Fault(f"networks[{index}]", "no_network", f"use an address or a CIDR: {error}")


def _expression_faults(given: Json, path: str) -> Iterator[Fault]:
    if isinstance(given, dict):
        for name, inner in given.items():
            yield from _expression_faults(inner, f"{path}.{name}")
    elif isinstance(given, str) and (message := check(given)) is not None:
        yield Fault(path, "invalid_expression", message)
    elif given is not None and not isinstance(given, str):
        yield Fault(path, "no_expression", "use an expression, or an object of expressions")


def _response_faults(response: Mapping[str, Any]) -> Iterator[Fault]:
    headers, mode = response.get("headers"), response.get("mode", "accepted")
    for name in headers if isinstance(headers, dict) else ():
        if name.lower() in _OWN_HEADERS:
            yield Fault(f"response.headers.{name}", "own_header", "the server sets this header")
    for name in sorted(referenced_secrets([headers, response.get("body")])):
        message = f"an answer holds no secrets: remove '{{{{ secrets.{name} }}}}'"
        yield Fault("response", "secret", message)
    yield from template_faults(response.get("status"), "response.status")
    yield from template_faults(headers, "response.headers")
    yield from template_faults(response.get("body"), "response.body")
    if mode == "accepted" and set(response) - {"mode"}:
        message = "an answer of its own takes the mode 'custom', a result takes 'wait'"
        yield Fault("response.mode", "other_mode", message)
    if mode == "wait" and not response.get("waitSeconds"):
        yield Fault("response.waitSeconds", "missing", "say for how many seconds it waits")
