"""Authoring: workflows in Python, and the engine's verbs for a project's own code.

`workflow` builds definitions with ``>>``, `options` turns Python's options into the wire's,
`registered` finds the workflows of the installed apps; `verbs`, `operating`, `versions` and
`waits` read the clock and call the engine.  Everything here is exported by `spane_django` itself.
"""

from .gates import flip_gate
from .operating import bulk, bulk_count, complete, reassign, rerun_from, retry_now, skip
from .options import body
from .registered import DuplicateWorkflow, register, workflows
from .schedules import (
    backfill_schedule,
    delete_schedule,
    next_runs,
    pause_schedule,
    resume_schedule,
    run_schedule,
    schedule,
)
from .secrets import delete_secret, set_secret
from .verbs import (
    cancel,
    discard_dead_letter,
    pause,
    publish,
    replay,
    resume,
    retry,
    retry_dead_letter,
    start,
    start_many,
    wait_for,
)
from .versions import (
    activate_version,
    archive_version,
    archive_workflow,
    compare_versions,
    discard_draft,
    migrate,
    preview_migration,
    publish_draft,
    save_draft,
)
from .waits import approve, reassign_approval, reject, signal
from .workflow import Chain, Errors, Step, Workflow

__all__ = [
    "Chain",
    "DuplicateWorkflow",
    "Errors",
    "Step",
    "Workflow",
    "activate_version",
    "approve",
    "archive_version",
    "archive_workflow",
    "backfill_schedule",
    "body",
    "bulk",
    "bulk_count",
    "cancel",
    "compare_versions",
    "complete",
    "delete_schedule",
    "delete_secret",
    "discard_dead_letter",
    "discard_draft",
    "flip_gate",
    "migrate",
    "next_runs",
    "pause",
    "pause_schedule",
    "preview_migration",
    "publish",
    "publish_draft",
    "reassign",
    "reassign_approval",
    "register",
    "reject",
    "replay",
    "rerun_from",
    "resume",
    "resume_schedule",
    "retry",
    "retry_dead_letter",
    "retry_now",
    "run_schedule",
    "save_draft",
    "schedule",
    "set_secret",
    "signal",
    "skip",
    "start",
    "start_many",
    "wait_for",
    "workflows",
]
