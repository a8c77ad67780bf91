"""Models remember: columns, constraints, indexes and querysets named after statuses; no verbs.

What changes a row lives in `spane_django.engine`, one module per verb.
"""

from .access import ApiToken
from .execution import Execution
from .history import Attempt, DeadLetter, LogLine
from .node_run import NodeRun
from .runtime import Lease, Worker
from .workflow import Workflow, WorkflowVersion

__all__ = [
    "ApiToken",
    "Attempt",
    "DeadLetter",
    "Execution",
    "Lease",
    "LogLine",
    "NodeRun",
    "Worker",
    "Workflow",
    "WorkflowVersion",
]
