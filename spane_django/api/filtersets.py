"""The filters of lists."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet

from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import DeadLetter, Execution, LogLine, Webhook, WebhookDelivery
from .filters import IDENTIFIER, NUMBER, WireFilter, choices, instant, text


class SubjectFilter(WireFilter):
    """Takes ``app.model`` or ``app.model:id``."""

    def filter(self, qs: QuerySet[Any], value: str | None) -> QuerySet[Any]:
        if value is None:
            return qs
        kind, _, key = value.partition(":")
        found = qs.filter(subject_type=kind)
        return found.filter(subject_id=key) if key else found


class TriggerFilter(WireFilter):
    """Takes a trigger, or the kind of several: ``webhook`` or ``webhook:7``."""

    def filter(self, qs: QuerySet[Any], value: str | None) -> QuerySet[Any]:
        if value is None:
            return qs
        return qs.filter(Q(trigger=value) | Q(trigger__startswith=f"{value}:"))


class TextFilter(WireFilter):
    """Looks for a text in several columns."""

    columns: tuple[str, ...] = ("key", "idempotency_key", "reason", "subject_id")

    def filter(self, qs: QuerySet[Any], value: str | None) -> QuerySet[Any]:
        if value is None:
            return qs
        wanted = Q()
        for column in self.columns:
            wanted |= Q(**{f"{column}__icontains": value})
        return qs.filter(wanted)


_SUBJECT = {"type": "string", "minLength": 1, "maxLength": 301}
_BOOLEAN = {"type": "boolean"}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 200}


class ExecutionFilters(django_filters.FilterSet):
    """Filters of executions; without ``parent`` those that were started on their own."""

    workflow = text("workflow__key", "The id of a workflow.", longest=100)
    version = WireFilter("version__number", NUMBER, "The number of a version.")
    status = choices("status", [*ExecutionStatus], "One status or several.")
    tenant = text("tenant", "The tenant that it belongs to.", longest=64)
    key = text("key", "Whose it is: the `key` of its start.")
    idempotencyKey = text("idempotency_key", "The `Idempotency-Key` of its start.")
    createdSince = instant("created_at", "Created then or later.", lookup="gte")
    createdUntil = instant("created_at", "Created earlier.", lookup="lt")
    parent = WireFilter("parent", IDENTIFIER, "The execution that has started it.")
    trigger = TriggerFilter(
        "trigger", _TEXT, "What has started it: `api`, `schedule`, or one as `schedule:7`."
    )
    subject = SubjectFilter(
        "subject_id", _SUBJECT, "The business object that it is about: `shop.order:17`."
    )
    text = TextFilter("reason", _TEXT, "A text in its key, idempotency key, subject or reason.")

    class Meta:
        model = Execution
        fields: tuple[str, ...] = ()


class WorkflowTextFilter(TextFilter):
    """Looks for a text in the id and the name."""

    columns = ("key", "name")


class ArchivedFilter(WireFilter):
    """Takes whether no version is current."""

    def filter(self, qs: QuerySet[Any], value: bool | None) -> QuerySet[Any]:
        return qs if value is None else qs.filter(current_version__isnull=value)


class WorkflowFilters(django_filters.FilterSet):
    """Filters of workflows."""

    tenant = text("tenant", "The tenant that it belongs to.", longest=64)
    isEnabled = WireFilter("is_enabled", _BOOLEAN, "Whether it starts executions.")
    isArchived = ArchivedFilter("current_version", _BOOLEAN, "Whether it has no current version.")
    text = WorkflowTextFilter("key", _TEXT, "A text in the id or the name.")


class NodeRunFilters(django_filters.FilterSet):
    """Filters of the nodes of an execution."""

    status = choices("status", [*NodeStatus], "One status or several.")
    type = text("node_type", "The type of the nodes.", longest=100)
    node = text("node_id", "The id of a node.", longest=100)


class LogFilters(django_filters.FilterSet):
    """Filters of what the nodes of an execution wrote."""

    level = choices("level", LogLine.Level.values, "One level or several.")
    node = text("node_id", "The id of a node.", longest=100)
    text = text("message", "A text in the message.", lookup="icontains")


class DeadLetterFilters(django_filters.FilterSet):
    """Filters of dead letters."""

    workflow = text("execution__workflow__key", "The id of a workflow.", longest=100)
    execution = WireFilter("execution", IDENTIFIER, "The id of an execution.")
    node = text("node_id", "The id of a node.", longest=100)
    nodeType = text("node_type", "The type of the node.", longest=100)
    errorType = text("error_type", "The type of the error.")
    text = text("error_message", "A text in the error.", lookup="icontains")
    createdSince = instant("created_at", "Failed then or later.", lookup="gte")
    createdUntil = instant("created_at", "Failed earlier.", lookup="lt")

    class Meta:
        model = DeadLetter
        fields: tuple[str, ...] = ()


class WebhookFilters(django_filters.FilterSet):
    """Filters of webhooks."""

    workflow = text("workflow_key", "The id of a workflow.", longest=100)
    signature = choices("signature", Webhook.Signature.values, "One kind or several.")


class DeliveryFilters(django_filters.FilterSet):
    """Filters of deliveries."""

    status = choices("status", WebhookDelivery.Status.values, "One status or both.")
    receivedSince = instant("received_at", "Received then or later.", lookup="gte")
    receivedUntil = instant("received_at", "Received earlier.", lookup="lt")


class EventTriggerFilters(django_filters.FilterSet):
    """Filters of event triggers."""

    workflow = text("workflow__key", "The id of a workflow.", longest=100)
    event = text("name", "A name or a pattern, as the trigger has it.", longest=100)


class ScheduleFilters(django_filters.FilterSet):
    """Filters of schedules."""

    workflow = text("workflow__key", "The id of a workflow.", longest=100)
