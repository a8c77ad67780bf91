"""The routes: ``path("", include("spane_django.urls"))`` gives ``/api/…`` and ``/health``.

Ids are taken as they come, so that the views answer in the API's own shape when there is
nothing of that id.  The health checks hold no transaction, so that they can tell of a database
that does not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.transaction import non_atomic_requests
from django.urls import URLPattern, path, register_converter
from django.urls.converters import StringConverter

from .api import (
    approvals,
    audit,
    bulk,
    dead_letters,
    document,
    event_triggers,
    events,
    executions,
    gates,
    graphs,
    inbound,
    listing,
    metrics,
    moves,
    node_types,
    operating,
    schedules,
    secrets,
    signals,
    starting,
    status,
    tokens,
    transfer,
    versions,
    webhooks,
    workflows,
)


class Anything(StringConverter):
    """Takes all that is left, slashes and line breaks included: a view answers for any of it."""

    regex = r"[\s\S]+"


register_converter(Anything, "spane_any")

app_name = "spane_django"


def _health(route: str, view: Callable[..., Any], name: str) -> URLPattern:
    return path(route, non_atomic_requests(view), name=name)


_WORKFLOW = "api/workflows/<str:workflow_id>"
_VERSION = f"{_WORKFLOW}/versions/<str:number>"
_EXECUTION = "api/executions/<str:execution_id>"
_NODE = f"{_EXECUTION}/nodes/<str:node_id>"
_APPROVAL = "api/approvals/<str:approval_id>"
# Keys are free text: there may be slashes in them.
_GATE = "api/gates/<spane_any:gate_key>"
_LETTER = "api/dlq/<str:letter_id>"
_SCHEDULE = "api/triggers/schedules/<str:schedule_id>"
_WEBHOOK = "api/triggers/webhooks/<str:webhook_id>"
_DELIVERY = "api/triggers/deliveries/<str:delivery_id>"
_SECRET = "api/secrets/<str:name>"  # noqa: S105  not one

urlpatterns = [
    path("api/workflows", workflows.WorkflowsView.as_view(), name="workflows"),
    path("api/workflows/import", transfer.ImportView.as_view(), name="import"),
    path(f"{_WORKFLOW}/export", transfer.ExportView.as_view(), name="export"),
    path(_WORKFLOW, workflows.WorkflowView.as_view(), name="workflow"),
    path(f"{_WORKFLOW}/validate", workflows.ValidateView.as_view(), name="validate"),
    # Nothing is held while somebody waits for the end.
    path(
        f"{_WORKFLOW}/execute",
        non_atomic_requests(workflows.ExecuteView.as_view()),
        name="execute",
    ),
    path(f"{_WORKFLOW}/execute/batch", starting.BatchView.as_view(), name="execute-batch"),
    path(
        f"{_WORKFLOW}/nodes/<str:node_id>/execute",
        starting.RunNodeView.as_view(),
        name="run-node",
    ),
    path(f"{_WORKFLOW}/graph", graphs.GraphView.as_view(), name="graph"),
    path(f"{_WORKFLOW}/versions", versions.VersionsView.as_view(), name="versions"),
    path(_VERSION, versions.VersionView.as_view(), name="version"),
    path(f"{_VERSION}/diff", versions.DiffView.as_view(), name="diff"),
    path(f"{_VERSION}/activate", versions.ActivateView.as_view(), name="activate"),
    path(f"{_VERSION}/archive", versions.ArchiveView.as_view(), name="archive"),
    path(f"{_WORKFLOW}/draft", versions.DraftView.as_view(), name="draft"),
    path(f"{_WORKFLOW}/draft/publish", versions.PublishDraftView.as_view(), name="publish-draft"),
    path(f"{_WORKFLOW}/migrate", moves.MigrateView.as_view(), name="migrate"),
    path("api/executions", listing.ExecutionsView.as_view(), name="executions"),
    # A step of many rows is a transaction of its own, whatever the project does with requests.
    path("api/executions/bulk", non_atomic_requests(bulk.BulkView.as_view()), name="bulk"),
    path("api/executions/bulk/<str:operation_id>", bulk.OperationView.as_view(), name="operation"),
    path(_EXECUTION, executions.ExecutionView.as_view(), name="execution"),
    path(f"{_EXECUTION}/nodes", executions.NodesView.as_view(), name="nodes"),
    path(f"{_EXECUTION}/explain", executions.ExplainView.as_view(), name="explain"),
    path(f"{_EXECUTION}/logs", executions.LogsView.as_view(), name="logs"),
    path(f"{_EXECUTION}/events", non_atomic_requests(events.EventsView.as_view()), name="events"),
    path(f"{_EXECUTION}/trace", executions.TraceView.as_view(), name="trace"),
    path(f"{_EXECUTION}/pause", executions.PauseView.as_view(), name="pause"),
    path(f"{_EXECUTION}/resume", executions.ResumeView.as_view(), name="resume"),
    path(f"{_EXECUTION}/cancel", executions.CancelView.as_view(), name="cancel"),
    path(f"{_EXECUTION}/retry", executions.RetryView.as_view(), name="retry"),
    path(f"{_EXECUTION}/replay", executions.ReplayView.as_view(), name="replay"),
    path(f"{_EXECUTION}/reassign", operating.ReassignView.as_view(), name="reassign"),
    path(f"{_EXECUTION}/rerun", operating.RerunView.as_view(), name="rerun"),
    path(
        f"{_EXECUTION}/rerun-from/<str:node_id>",
        operating.RerunFromView.as_view(),
        name="rerun-from",
    ),
    path(f"{_NODE}/retry-now", operating.RetryNowView.as_view(), name="retry-now"),
    path(f"{_NODE}/skip", operating.SkipView.as_view(), name="skip"),
    path(f"{_NODE}/complete", operating.CompleteView.as_view(), name="complete"),
    path(
        f"{_EXECUTION}/signal/<str:signal_name>",
        signals.ExecutionSignalView.as_view(),
        name="execution-signal",
    ),
    path("api/signals", signals.SignalsView.as_view(), name="signals"),
    path("api/approvals", approvals.ApprovalsView.as_view(), name="approvals"),
    path(_APPROVAL, approvals.ApprovalView.as_view(), name="approval"),
    path(f"{_APPROVAL}/approve", approvals.ApproveView.as_view(), name="approve"),
    path(f"{_APPROVAL}/reject", approvals.RejectView.as_view(), name="reject"),
    path(
        f"{_APPROVAL}/reassign", approvals.ReassignApprovalView.as_view(), name="reassign-approval"
    ),
    path("api/audit", audit.AuditView.as_view(), name="audit"),
    path("api/gates", gates.GatesView.as_view(), name="gates"),
    path(f"{_GATE}/open", gates.OpenGateView.as_view(), name="open-gate"),
    path(f"{_GATE}/close", gates.CloseGateView.as_view(), name="close-gate"),
    path(f"{_GATE}/reset", gates.ResetGateView.as_view(), name="reset-gate"),
    path("api/dlq", dead_letters.DeadLettersView.as_view(), name="dead-letters"),
    path(
        "api/dlq/retry-all",
        non_atomic_requests(dead_letters.RetryAllView.as_view()),
        name="retry-all-letters",
    ),
    path(
        "api/dlq/discard-all",
        non_atomic_requests(dead_letters.DiscardAllView.as_view()),
        name="discard-all-letters",
    ),
    path(f"{_LETTER}/retry", dead_letters.RetryLetterView.as_view(), name="retry-letter"),
    path(f"{_LETTER}/discard", dead_letters.DiscardLetterView.as_view(), name="discard-letter"),
    path("api/events/<str:event_name>", event_triggers.EmitView.as_view(), name="emit"),
    path("api/triggers/events", event_triggers.EventTriggersView.as_view(), name="event-triggers"),
    path(
        "api/triggers/events/<str:trigger_id>",
        event_triggers.EventTriggerView.as_view(),
        name="event-trigger",
    ),
    path(
        f"{_WORKFLOW}/triggers",
        event_triggers.WorkflowTriggersView.as_view(),
        name="workflow-triggers",
    ),
    path("api/triggers/schedules", schedules.SchedulesView.as_view(), name="schedules"),
    path(_SCHEDULE, schedules.ScheduleView.as_view(), name="schedule"),
    path(f"{_SCHEDULE}/next-runs", schedules.NextRunsView.as_view(), name="next-runs"),
    path(f"{_SCHEDULE}/starts", schedules.StartsView.as_view(), name="starts"),
    path(f"{_SCHEDULE}/pause", schedules.PauseScheduleView.as_view(), name="pause-schedule"),
    path(f"{_SCHEDULE}/resume", schedules.ResumeScheduleView.as_view(), name="resume-schedule"),
    path(f"{_SCHEDULE}/run", schedules.RunScheduleView.as_view(), name="run-schedule"),
    path(f"{_SCHEDULE}/backfill", schedules.BackfillView.as_view(), name="backfill"),
    path("api/triggers/webhooks", webhooks.WebhooksView.as_view(), name="webhooks"),
    path(_WEBHOOK, webhooks.WebhookView.as_view(), name="webhook"),
    path(f"{_WEBHOOK}/rotate", webhooks.RotateWebhookView.as_view(), name="rotate-webhook"),
    path(f"{_WEBHOOK}/deliveries", webhooks.DeliveriesView.as_view(), name="deliveries"),
    path(_DELIVERY, webhooks.DeliveryView.as_view(), name="delivery"),
    path(f"{_DELIVERY}/redeliver", webhooks.RedeliverView.as_view(), name="redeliver"),
    # Who sends may wait for a result, which a transaction of the request would hide.
    path(
        "api/webhooks/<spane_any:path>",
        non_atomic_requests(inbound.InboundView.as_view()),
        name="inbound",
    ),
    path("api/tokens", tokens.TokensView.as_view(), name="tokens"),
    path("api/tokens/<str:token_id>/rotate", tokens.RotateTokenView.as_view(), name="rotate-token"),
    path("api/tokens/<str:token_id>/revoke", tokens.RevokeTokenView.as_view(), name="revoke-token"),
    path("api/tenants", tokens.TenantsView.as_view(), name="tenants"),
    path("api/node-types", node_types.NodeTypesView.as_view(), name="node-types"),
    path("api/schema", document.SchemaView.as_view(), name="schema"),
    path("api/docs", document.DocsView.as_view(), name="docs"),
    path("api/autoscaling", metrics.AutoscalingView.as_view(), name="autoscaling"),
    path("api/secrets", secrets.SecretsView.as_view(), name="secrets"),
    path(_SECRET, secrets.SecretView.as_view(), name="secret"),
    path("api/stats", status.StatsView.as_view(), name="stats"),
    _health("metrics", metrics.MetricsView.as_view(), "metrics"),
    _health("health", status.HealthView.as_view(), "health"),
    _health("health/live", status.LiveView.as_view(), "live"),
    _health("health/ready", status.ReadyView.as_view(), "ready"),
]
