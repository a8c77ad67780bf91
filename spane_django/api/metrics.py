"""Numbers for machines: Prometheus's text and the signal for autoscalers.

They take the permission ``view_metrics``, or none at all in the networks that the setting
``METRICS_NETWORKS`` names.  There it is the connection's own address that counts, and a request
that a proxy has passed on counts for nothing: its address would be the proxy's.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..conf import settings
from ..dispatch.health import listeners
from ..observability.autoscaling import Load, loads
from ..observability.exposition import exposition
from ..observability.gauges import QueueGauges
from .auth import MayCall
from .base import EngineView
from .openapi import example, extend_schema
from .shapes_metrics import AutoscalingShape, QueueLoadShape

_ONE = {
    "latencySeconds": 12.5, "estimatedSeconds": 4.0, "throughputPerSecond": 30.0, "ready": 120,
    "delayed": 3, "active": 8, "drains": 1, "workers": 2,
}  # fmt: skip
_ALL = {"latencySeconds": 12.5, "queues": {"spane": _ONE}}

_OF_PROXIES = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


class MayScrape(MayCall):
    """Whether the user has the permission, or the request comes from an open network."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_open_to(request) or super().has_permission(request, view)


class MetricsView(EngineView):
    """Everything that Prometheus may want to know."""

    permissions = {"GET": "spane_django.view_metrics"}
    of_installation = True
    permission_classes = (MayScrape,)

    @extend_schema(
        summary="All metrics, as Prometheus reads them",
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponse:
        accept = request.headers.get("Accept", "")
        text, content_type = exposition(listeners, accept=accept, now=current_time())
        return HttpResponse(text, content_type=content_type)


class AutoscalingView(EngineView):
    """How far behind the workers are: of all queues, or of the one that ``?queue=`` names."""

    permissions = {"GET": "spane_django.view_metrics"}
    of_installation = True
    permission_classes = (MayScrape,)

    @extend_schema(
        summary="How far behind the workers are",
        parameters=[
            OpenApiParameter("queue", str, description="This queue alone: its load, flat.")
        ],
        responses=PolymorphicProxySerializer(
            "LoadAnswer", [AutoscalingShape, QueueLoadShape], resource_type_field_name=None
        ),
        examples=[example("All queues", _ALL), example("One queue", _ONE)],
    )
    def get(self, request: Request) -> Response:
        found = loads(listeners, now=current_time())
        if (name := request.query_params.get("queue")) is not None:
            # A queue that nothing has used yet has nothing to do; that is no mistake.
            return Response(present_load(found.get(name) or Load(queue=QueueGauges())))
        queues = {name: present_load(load) for name, load in found.items()}
        latency = max((load.queue.latency_seconds for load in found.values()), default=0.0)
        return Response({"latencySeconds": latency, "queues": queues})


def is_open_to(request: Request) -> bool:
    """Say whether a request comes straight from a network that needs no permission."""
    networks = settings.METRICS_NETWORKS
    if not networks or any(name in request.headers for name in _OF_PROXIES):
        return False
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False  # a unix socket has no address
    # As a server that listens on both sees who comes by IPv4.
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in ip_network(network) for network in networks)


def present_load(load: Load) -> dict[str, float | None]:
    """Return the load of a queue as it goes over the wire."""
    queue = load.queue
    return {
        "latencySeconds": queue.latency_seconds,
        "estimatedSeconds": load.estimated_seconds,
        "throughputPerSecond": load.per_second,
        "ready": queue.ready,
        "delayed": queue.delayed,
        "active": queue.active,
        "drains": queue.drains,
        "workers": queue.workers,
    }
