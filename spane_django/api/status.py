"""How the engine is: numbers for those who may see executions, health for everybody."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..dispatch.health import check_health
from ..engine.health import Level, check_database
from ..engine.stats import queue_stats
from .base import EngineView, OpenView
from .openapi import extend_schema
from .present import present_check, present_health, present_stats
from .shapes_operating import HealthShape, LiveShape, ReadyShape, StatsShape


class StatsView(EngineView):
    """Counts what waits, runs and has ended, by queue and by status."""

    permissions = {"GET": "spane_django.view_execution"}

    @extend_schema(responses=StatsShape)
    def get(self, request: Request) -> Response:
        return Response(present_stats(queue_stats(now=current_time(), scope=self.scope)))


class HealthView(OpenView):
    """Says whether work is being done: 200 if it is, 503 if not."""

    @extend_schema(responses={200: HealthShape, 503: HealthShape})
    def get(self, request: Request) -> Response:
        now = current_time()
        health = check_health(now=now)
        body = {**present_health(health), "timestamp": now}
        return Response(body, status=200 if health.is_well else 503)


class LiveView(OpenView):
    """Says that this process answers, whatever else is broken."""

    @extend_schema(responses=LiveShape)
    def get(self, request: Request) -> Response:
        return Response({"status": "alive"})


class ReadyView(OpenView):
    """Says whether this process can take requests: its database answers."""

    @extend_schema(responses={200: ReadyShape, 503: ReadyShape})
    def get(self, request: Request) -> Response:
        database = check_database()
        is_ready = database.level is Level.OK
        body = {"status": "ready" if is_ready else "unready", "database": present_check(database)}
        return Response(body, status=200 if is_ready else 503)
