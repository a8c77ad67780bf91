"""Authoring: workflows in Python, and the engine's verbs for a project's own code.

`workflow` builds definitions with ``>>``, `options` turns Python's options into the wire's,
`registered` finds the workflows of the installed apps, and `verbs` reads the clock and calls the
engine.  Everything here is exported by `spane_django` itself.
"""

from .registered import DuplicateWorkflow, register, workflows
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
from .workflow import Chain, Errors, Step, Workflow

__all__ = [
    "Chain",
    "DuplicateWorkflow",
    "Errors",
    "Step",
    "Workflow",
    "cancel",
    "discard_dead_letter",
    "pause",
    "publish",
    "register",
    "replay",
    "resume",
    "retry",
    "retry_dead_letter",
    "start",
    "start_many",
    "wait_for",
    "workflows",
]
