"""Models remember: columns, constraints, indexes and querysets named after statuses; no verbs.

What changes a row lives in `spane_django.engine`, one module per verb.
"""

from .access import ApiToken, Tenant
from .alerts import Alert
from .dashboard import Dashboard
from .execution import Execution
from .gate import Gate
from .history import Attempt, DeadLetter, LogLine, Payload
from .node_run import NodeRun
from .operations import AuditEntry, BulkOperation
from .rollups import QueueSample, Rollup
from .runtime import Lease, Worker
from .schedule import Schedule, ScheduledStart
from .secret import Secret
from .triggers import Trigger
from .waits import Approval, ApprovalDecision, Signal
from .webhooks import Webhook, WebhookDelivery
from .workflow import Workflow, WorkflowVersion

__all__ = [
    "Alert",
    "ApiToken",
    "Approval",
    "ApprovalDecision",
    "Attempt",
    "AuditEntry",
    "BulkOperation",
    "Dashboard",
    "DeadLetter",
    "Execution",
    "Gate",
    "Lease",
    "LogLine",
    "NodeRun",
    "Payload",
    "QueueSample",
    "Rollup",
    "Schedule",
    "ScheduledStart",
    "Secret",
    "Signal",
    "Tenant",
    "Trigger",
    "Webhook",
    "WebhookDelivery",
    "Worker",
    "Workflow",
    "WorkflowVersion",
]
