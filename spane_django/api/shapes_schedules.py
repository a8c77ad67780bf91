"""What schedules look like on the wire, for the document; what may be sent stands there, too."""

from __future__ import annotations

from rest_framework import serializers

from ..core.misfire import Misfire
from ..core.schema import Schema
from ..triggers.declared_schedules import OPTION_PROPERTIES, TIMING_PROPERTIES
from .shapes import AnyJson, Shape

SCHEDULE: Schema = {
    "type": "object",
    "properties": {
        "workflowId": {"type": "string", "minLength": 1, "maxLength": 100},
        "name": {"type": "string", "minLength": 1, "maxLength": 200},
        "enabled": {"type": "boolean"},
        **TIMING_PROPERTIES,
        **OPTION_PROPERTIES,
    },
    "additionalProperties": False,
}
BACKFILL: Schema = {
    "type": "object",
    "properties": {
        "start": {"type": "string", "format": "date-time", "maxLength": 40},
        "end": {"type": "string", "format": "date-time", "maxLength": 40},
        "dryRun": {"type": "boolean", "description": "Only say what would be started."},
    },
    "required": ["start", "end"],
    "additionalProperties": False,
}
SWITCH: Schema = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 1_000}},
    "additionalProperties": False,
}


class SolarShape(Shape):
    """An event of the sun at a place."""

    event = serializers.CharField()
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()


class LastStartShape(Shape):
    """The latest time of a schedule that has been dealt with."""

    scheduledFor = serializers.DateTimeField()
    executionId = serializers.UUIDField(allow_null=True)
    error = serializers.CharField(allow_blank=True, help_text="Why nothing was started.")


class ScheduleShape(Shape):
    """What starts a workflow at given times."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    workflowId = serializers.CharField()
    enabled = serializers.BooleanField(help_text="False: it is paused.")
    timing = serializers.CharField(help_text="When it is due, in a line.")
    cron = serializers.CharField(allow_null=True)
    timezone = serializers.CharField(allow_null=True)
    every = serializers.FloatField(allow_null=True, help_text="Milliseconds.")
    at = serializers.DateTimeField(allow_null=True)
    solar = SolarShape(allow_null=True)
    input = AnyJson(allow_null=True, help_text="Null for those who may not see payloads.")
    payloadsHidden = serializers.BooleanField()
    misfire = serializers.ChoiceField([policy.value for policy in Misfire])
    cap = serializers.IntegerField(help_text="The most missed times that are started.")
    priority = serializers.IntegerField(allow_null=True)
    key = serializers.CharField(allow_blank=True)
    startTime = serializers.DateTimeField(allow_null=True)
    expires = serializers.DateTimeField(allow_null=True)
    declared = serializers.BooleanField(help_text="By the workflow's definition.")
    problem = serializers.CharField(allow_blank=True, help_text="Why it cannot run.")
    nextRuns = serializers.ListField(child=serializers.DateTimeField(), help_text="At most five.")
    lastStart = LastStartShape(allow_null=True)
    createdAt = serializers.DateTimeField()


class NextRunsShape(Shape):
    """When a schedule will run."""

    nextRuns = serializers.ListField(child=serializers.DateTimeField())


class ScheduledStartShape(Shape):
    """A time of a schedule that has been dealt with."""

    id = serializers.IntegerField()
    scheduledFor = serializers.DateTimeField()
    startedAt = serializers.DateTimeField()
    executionId = serializers.UUIDField(allow_null=True)
    error = serializers.CharField(allow_blank=True, help_text="Why nothing was started.")
    backfill = serializers.BooleanField()


class BackfillShape(Shape):
    """What a backfill has started, or would."""

    missing = serializers.IntegerField(help_text="Times that had no execution.")
    known = serializers.IntegerField(help_text="Times that have been dealt with before.")
    started = serializers.IntegerField(help_text="Executions; 0 if it was only asked.")
    refused = serializers.IntegerField(help_text="Starts that were refused.")
