"""Schedules over HTTP: making and changing them, when they run, running and backfilling them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.errors import InvalidInput
from ..core.json import Json
from ..core.schema import Fault
from ..core.starting import KEY_LENGTH
from ..models import Schedule, ScheduledStart
from ..models.schedule import ScheduleQuerySet
from ..triggers import schedules
from ..triggers.backfill import backfill, preview
from ..triggers.declared_schedules import (
    TIMING_PROPERTIES,
    instant_faults,
    instant_of,
    options_of,
    timing_of,
)
from ..triggers.fire import run_now
from ..triggers.schedules import MOST_RUNS, UnknownSchedule, Wanted, next_runs, wanted_of
from ..triggers.timing import InvalidTiming, Timing, describe, read_timing
from .auth import may_see_payloads, user_of
from .base import EngineView, row_key
from .filters import filtered
from .filtersets import ScheduleFilters
from .openapi import extend_schema, page_of
from .pages import page
from .shapes import ReferenceShape
from .shapes_schedules import (
    BACKFILL,
    SCHEDULE,
    SWITCH,
    BackfillShape,
    NextRunsShape,
    ScheduledStartShape,
    ScheduleShape,
)
from .wire import body_of, header_of
from .workflows import accepted

_RUN = "spane_django.run_schedule"
_FEW = 5


class _ScheduleView(EngineView):
    """A view of schedules that the request may see."""

    def schedules(self) -> ScheduleQuerySet:
        found: Any = self.scope.within(Schedule.objects.whole().with_last_start())
        return found  # type: ignore[no-any-return]

    def found(self, given: str) -> Any:
        """Return a schedule by its id as it stands in a URL.

        Raises:
            UnknownSchedule: there is none, or it is another tenant's.
        """
        key = row_key(given)
        schedule = None if key is None else self.schedules().filter(pk=key).first()
        if schedule is None:
            raise UnknownSchedule(f"there is no schedule '{given[:100]}'")
        return schedule

    def shown(self, schedule: Any) -> dict[str, Any]:
        """Return a schedule as it goes over the wire."""
        shows = may_see_payloads(self.request)
        return {
            **_facts(schedule),
            "input": schedule.input if shows else None,
            "payloadsHidden": not shows,
            "problem": schedules.problem(schedule),
            "nextRuns": _next(schedule, _FEW),
            "lastStart": _last(schedule),
        }


class SchedulesView(_ScheduleView):
    """Lists schedules, and makes new ones."""

    permissions = {"GET": "spane_django.view_schedule", "POST": "spane_django.add_schedule"}
    filterset_class = ScheduleFilters
    is_paged = True

    @extend_schema(summary="List schedules", responses=page_of(ScheduleShape))
    def get(self, request: Request) -> Response:
        chosen = filtered(request, ScheduleFilters, self.schedules())
        return page(request, chosen, self.shown, ordering=("-id",))

    @extend_schema(
        summary="Make a schedule",
        request={**SCHEDULE, "required": ["workflowId"]},
        responses={201: ScheduleShape},
    )
    def post(self, request: Request) -> Response:
        body = _body(request, {**SCHEDULE, "required": ["workflowId"]})
        wanted = Wanted(timing=timing_of(body), **_options(body))
        made = schedules.create(wanted, now=current_time(), tenant=self.tenant, by=user_of(request))
        return Response(self.shown(self.found(str(made.pk))), status=201)


class ScheduleView(_ScheduleView):
    """Shows, changes or deletes a schedule."""

    permissions = {
        "GET": "spane_django.view_schedule",
        "PATCH": "spane_django.change_schedule",
        "DELETE": "spane_django.delete_schedule",
    }

    @extend_schema(summary="Show a schedule", responses=ScheduleShape)
    def get(self, request: Request, schedule_id: str) -> Response:
        return Response(self.shown(self.found(schedule_id)))

    @extend_schema(summary="Change a schedule", request=SCHEDULE, responses=ScheduleShape)
    def patch(self, request: Request, schedule_id: str) -> Response:
        found = self.found(schedule_id)
        body = _body(request, SCHEDULE)
        timing = _changed_timing(found, body)
        wanted = replace(wanted_of(found), timing=timing, **_options(body))
        schedules.change(found.pk, wanted, now=current_time(), by=user_of(request))
        return Response(self.shown(self.found(schedule_id)))

    @extend_schema(summary="Delete a schedule with its periodic task", responses={204: None})
    def delete(self, request: Request, schedule_id: str) -> Response:
        schedules.delete(self.found(schedule_id).pk, now=current_time(), by=user_of(request))
        return Response(status=204)


class NextRunsView(_ScheduleView):
    """Tells when a schedule will run."""

    permissions = {"GET": "spane_django.view_schedule"}

    @extend_schema(
        summary="Tell when a schedule will run",
        parameters=[
            OpenApiParameter(
                "count",
                {"type": "integer", "minimum": 1, "maximum": MOST_RUNS, "default": _FEW},
                description="How many times.",
            )
        ],
        responses=NextRunsShape,
    )
    def get(self, request: Request, schedule_id: str) -> Response:
        runs = next_runs(self.found(schedule_id), _count(request), now=current_time())
        return Response({"nextRuns": runs})


class StartsView(_ScheduleView):
    """Lists the times of a schedule that have been dealt with, newest first."""

    permissions = {"GET": "spane_django.view_schedule"}
    is_paged = True

    @extend_schema(
        summary="List what a schedule has started", responses=page_of(ScheduledStartShape)
    )
    def get(self, request: Request, schedule_id: str) -> Response:
        rows = ScheduledStart.objects.filter(schedule=self.found(schedule_id))
        return page(request, rows, _shown_start, ordering=("-scheduled_for",))


class SwitchView(_ScheduleView):
    """Pauses or resumes a schedule."""

    permissions = {"POST": _RUN}
    is_on: bool

    @extend_schema(summary="Pause or resume a schedule", request=SWITCH, responses=ScheduleShape)
    def post(self, request: Request, schedule_id: str) -> Response:
        key = self.found(schedule_id).pk
        reason = body_of(request, SWITCH).get("reason", "") if request.data else ""
        verb = schedules.resume if self.is_on else schedules.pause
        verb(key, now=current_time(), by=user_of(request), reason=reason)
        return Response(self.shown(self.found(schedule_id)))


class PauseScheduleView(SwitchView):
    """Lets a schedule start nothing."""

    is_on = False


class ResumeScheduleView(SwitchView):
    """Lets a paused schedule go on from now."""

    is_on = True


class RunScheduleView(_ScheduleView):
    """Starts what a schedule starts, at once."""

    permissions = {"POST": _RUN}

    @extend_schema(
        summary="Run a schedule now",
        request=None,
        responses={202: ReferenceShape},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH},
                OpenApiParameter.HEADER,
                description="A second request with it gives the first execution back.",
            )
        ],
    )
    def post(self, request: Request, schedule_id: str) -> Response:
        key = header_of(request, "Idempotency-Key", longest=KEY_LENGTH)
        execution = run_now(
            self.found(schedule_id), now=current_time(), by=user_of(request), idempotency_key=key
        )
        return accepted(execution.pk)


class BackfillView(_ScheduleView):
    """Starts what a schedule has missed in a range, once each."""

    permissions = {"POST": _RUN}

    @extend_schema(
        summary="Backfill a range of a schedule", request=BACKFILL, responses=BackfillShape
    )
    def post(self, request: Request, schedule_id: str) -> Response:
        found = self.found(schedule_id)
        body = body_of(request, BACKFILL)
        faults = list(instant_faults(body, ("start", "end")))
        if faults:
            raise InvalidInput(faults)
        start, end, now = instant_of(body["start"]), instant_of(body["end"]), current_time()
        plan = preview(found, start, end, now=now)
        is_asked = body.get("dryRun", False)
        rows = [] if is_asked else backfill(found.pk, start, end, now=now, by=user_of(request))
        refused = sum(bool(row.error) for row in rows)
        return Response(
            {
                "missing": len(plan.missing),
                "known": plan.known,
                "started": len(rows) - refused,
                "refused": refused,
            }
        )


def _body(request: Request, schema: Mapping[str, Any]) -> dict[str, Json]:
    body = body_of(request, dict(schema))
    faults = list(instant_faults(body))
    if faults:
        raise InvalidInput(faults)
    return body


def _options(body: Mapping[str, Json]) -> dict[str, Any]:
    options = options_of(body)
    for wire, name in (("workflowId", "workflow"), ("enabled", "is_enabled")):
        if wire in body:
            options[name] = body[wire]
    return options


def _changed_timing(schedule: Schedule, body: Mapping[str, Json]) -> Timing | None:
    """Return the timing that a change wants; None: it stays.  A time zone may be changed alone."""
    timing, before = timing_of(body), read_timing(schedule)
    if timing is None or before is None or before.cron is None:
        return timing
    is_zone_alone = TIMING_PROPERTIES.keys() & body.keys() == {"timezone"}
    return replace(timing, cron=before.cron) if is_zone_alone else timing


def _count(request: Request) -> int:
    given = request.query_params.get("count", str(_FEW))
    count = row_key(given)
    if count is None or not 1 <= count <= MOST_RUNS:
        raise InvalidInput([Fault("count", "out_of_range", f"use 1 to {MOST_RUNS:,}")])
    return count


def _facts(schedule: Schedule) -> dict[str, Any]:
    timing = read_timing(schedule) or Timing()
    sun = timing.solar
    return {
        "id": schedule.pk,
        "name": schedule.task.name,
        "workflowId": schedule.workflow.key,
        "enabled": not schedule.is_paused,
        "timing": describe(schedule),
        "cron": timing.cron,
        "timezone": timing.timezone,
        "every": None if timing.every is None else timing.every.total_seconds() * 1_000,
        "at": timing.at,
        "solar": sun and {"event": sun.event, "latitude": sun.latitude, "longitude": sun.longitude},
        "misfire": schedule.misfire,
        "cap": schedule.misfire_cap,
        "priority": schedule.priority,
        "key": schedule.key,
        "startTime": schedule.task.start_time,
        "expires": schedule.task.expires,
        "declared": bool(schedule.declared),
        "createdAt": schedule.created_at,
    }


def _next(schedule: Schedule, count: int) -> list[Any]:
    try:
        return list(next_runs(schedule, count, now=current_time()))
    except InvalidTiming:
        return []


def _last(schedule: Any) -> dict[str, Any] | None:
    if schedule.last_scheduled_for is None:
        return None
    return {
        "scheduledFor": schedule.last_scheduled_for,
        "executionId": schedule.last_execution_id,
        "error": schedule.last_error,
    }


def _shown_start(row: ScheduledStart) -> dict[str, Any]:
    return {
        "id": row.pk,
        "scheduledFor": row.scheduled_for,
        "startedAt": row.started_at,
        "executionId": row.execution_id,
        "error": row.error,
        "backfill": row.is_backfill,
    }
