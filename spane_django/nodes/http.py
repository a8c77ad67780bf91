"""``http``: call a web service and hand on its response.

What is sent is decided in :mod:`.http_request`, how it is sent in :mod:`.http_call`, where to in
:mod:`.http_guard`, and what the response means in :mod:`.http_response`.  They need httpx, which
with all that it imports holds about 10 MB, and most workers never call a service: these modules
are imported when a config is checked or a node runs, and not when the types are registered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.expressions import has_templates
from ..core.json import Json
from .base import Context, Node

_TEXT_OR_NUMBER = {"type": ["string", "number"]}


class HttpNode(Node):
    """Calls a web service; answers its status, headers and body."""

    type = "http"
    description = "Calls a web service and hands on its response."
    config = {
        "type": "object",
        "properties": {
            "url": {"type": "string", "description": "Absolute address."},
            "endpoint": {"type": "string", "description": "Another name of url."},
            "method": {"type": "string", "default": "GET"},
            "headers": {"type": ["object", "string"], "additionalProperties": _TEXT_OR_NUMBER},
            "query": {"type": ["object", "string"]},
            "json": {"description": "Any value, sent as JSON."},
            "body": {"type": "string"},
            "expectedStatus": {
                "type": ["array", "integer", "string"],
                "items": {"type": ["integer", "string"]},
                "default": ["2xx"],
            },
            "followRedirects": {"type": "boolean", "default": True},
            "maxResponseBytes": {"type": "integer", "minimum": 1},
        },
        "additionalProperties": False,
    }

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        from .http_request import faults_of  # noqa: PLC0415  # brings httpx, see above

        settled = {key: value for key, value in config.items() if not has_templates(value)}
        for name in ("url", "endpoint"):
            if has_templates(config.get(name)):
                settled[name] = "https://filled-in.example"  # known only when the node runs
        return faults_of(settled)

    async def execute(self, ctx: Context) -> Json:
        from .http_call import fetch  # noqa: PLC0415  # brings httpx, see above

        return await fetch(ctx)
