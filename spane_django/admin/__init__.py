"""The operators' pages in Django's admin: every row can be seen, few can be edited.

One module per group of pages.  `base` keeps history read-only and lists cheap, `verbs` lets
operators act through the engine's verbs, `present` turns values into safe HTML, `filters` narrows
lists by what an index serves, `timeline` lays out the nodes of an execution.

The pages carry no script and no style of their own in the HTML, so that a policy of
``script-src 'self'; style-src 'self'`` holds.
"""

from __future__ import annotations

from .alerts import AlertAdmin
from .approvals import ApprovalAdmin
from .audit import AuditEntryAdmin
from .bulk import BulkOperationAdmin
from .dashboard import DashboardAdmin
from .dead_letters import DeadLetterAdmin
from .executions import ExecutionAdmin
from .gates import GateAdmin
from .node_runs import LogLineAdmin, NodeRunAdmin
from .runtime import WorkerAdmin
from .schedules import ScheduleAdmin
from .secrets import SecretAdmin
from .tenants import TenantAdmin
from .tokens import ApiTokenAdmin
from .triggers import TriggerAdmin
from .webhooks import WebhookAdmin, WebhookDeliveryAdmin
from .workflows import WorkflowAdmin, WorkflowVersionAdmin

__all__ = [
    "AlertAdmin",
    "ApiTokenAdmin",
    "ApprovalAdmin",
    "AuditEntryAdmin",
    "BulkOperationAdmin",
    "DashboardAdmin",
    "DeadLetterAdmin",
    "ExecutionAdmin",
    "GateAdmin",
    "LogLineAdmin",
    "NodeRunAdmin",
    "ScheduleAdmin",
    "SecretAdmin",
    "TenantAdmin",
    "TriggerAdmin",
    "WebhookAdmin",
    "WebhookDeliveryAdmin",
    "WorkerAdmin",
    "WorkflowAdmin",
    "WorkflowVersionAdmin",
]
