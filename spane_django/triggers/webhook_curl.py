"""A command to copy that calls a webhook as its sender does, signature and all."""

from __future__ import annotations

from shlex import quote

from ..core.signatures import BODY, TIME, Scheme
from ..models import Webhook
from .webhooks import scheme_of

_PLACEHOLDER = "put-the-signing-secret-here"
_SAMPLE = '{"hello": "world"}'


def curl(webhook: Webhook, url: str, secret: str = _PLACEHOLDER) -> str:
    """Return a command for a POSIX shell with curl and openssl.

    Args:
        url: The whole address of the webhook.
        secret: What signs it; without one the command has a place to put it.
    """
    scheme = scheme_of(webhook)
    method = webhook.methods[0]
    has_body = method != "GET"
    lines = [f"BODY='{_SAMPLE}'" if has_body else "BODY="]
    if scheme is not None:
        lines += _signing(scheme, secret)
    parts = [f"curl -i -X {method} '{url}'"]
    if has_body:
        parts.append("-H 'Content-Type: application/json'")
    if scheme is not None:
        parts += _headers(scheme)
    if has_body:
        parts.append('--data-binary "$BODY"')
    return "\n".join([*lines, " \\\n  ".join(parts)])


def _signing(scheme: Scheme, secret: str) -> list[str]:
    lines = [f"SECRET={quote(secret)}"]
    if TIME in scheme.text:
        lines.append("TIME=$(date +%s)")
    text = scheme.text.replace(TIME, "${TIME}").replace(BODY, "${BODY}")
    sums = f'openssl dgst -{scheme.algorithm} -hmac "$SECRET"'
    ends = "-hex | sed 's/^.*= *//'" if scheme.encoding == "hex" else "-binary | openssl base64 -A"
    lines.append(f"SIGNATURE=$(printf '%s' \"{text}\" | {sums} {ends})")
    return lines


def _headers(scheme: Scheme) -> list[str]:
    if scheme.items is not None:
        time_name, signature_name = scheme.items
        return [f'-H "{scheme.header}: {time_name}=$TIME,{signature_name}=$SIGNATURE"']
    found = [f'-H "{scheme.header}: {scheme.prefix}$SIGNATURE"']
    if scheme.timestamp_header:
        found.append(f'-H "{scheme.timestamp_header}: $TIME"')
    return found
