"""What operators may do to executions.

Whether a button can be pressed is read from the table of transitions; the engine decides again
when it is pressed.  What ends or repeats work asks first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..core.statuses import ExecutionEvent, ExecutionStatus, execution_sources
from ..engine import control, operate, retry
from ..models import Execution
from .forms import AskForm
from .verbs import Order, Verb


def _is_any_of(*statuses: ExecutionStatus) -> Callable[[Execution], bool]:
    return lambda execution: execution.status in statuses


def _pause(pk: UUID, order: Order) -> Execution:
    reason = order.reason or f"paused by {order.by}"
    return control.pause(pk, now=order.now, by=order.by, reason=reason)


def _resume(pk: UUID, order: Order) -> Execution:
    return control.resume(pk, now=order.now, by=order.by, reason=order.reason)


def _cancel(pk: UUID, order: Order) -> Execution:
    reason = order.reason or f"cancelled by {order.by}"
    return control.cancel(pk, now=order.now, by=order.by, reason=reason)


def _replay(pk: UUID, order: Order) -> Execution:
    return retry.replay(pk, now=order.now, by=order.by, reason=order.reason)


def _retry(pk: UUID, order: Order) -> Execution:
    return retry.retry_failed(pk, now=order.now, by=order.by, reason=order.reason)


def _reassign(pk: UUID, order: Order) -> Execution:
    queue, priority = order.given.get("queue"), order.given.get("priority")
    who: dict[str, Any] = {"now": order.now, "by": order.by, "reason": order.reason}
    return operate.reassign(pk, queue=queue, priority=priority, **who)


def _has_failed_nodes(execution: Execution) -> bool:
    return execution.failed_nodes > 0


class ReassignForm(AskForm):
    """Asks for a queue, a priority or both."""

    queue = forms.CharField(label=_("Queue"), required=False)
    priority = forms.TypedChoiceField(
        label=_("Priority"),
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", _("as it is")), *((number, str(number)) for number in range(10, 0, -1))],
        help_text=_("Higher goes first."),
    )
    field_order = ("queue", "priority", "reason")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if queues := operate.known_queues():
            choices = [("", _("as it is")), *((queue, queue) for queue in queues)]
            label = self.fields["queue"].label
            self.fields["queue"] = forms.ChoiceField(label=label, choices=choices, required=False)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors and not given.get("queue") and given.get("priority") is None:
            raise forms.ValidationError(_("Give a queue, a priority or both."))
        return given


PAUSE = Verb(
    name="pause",
    label=_("Pause"),
    done=ngettext_lazy(
        "%(count)d execution was paused.", "%(count)d executions were paused.", "count"
    ),
    permission="pause_execution",
    apply=_pause,
    is_legal=_is_any_of(*execution_sources(ExecutionEvent.PAUSED)),
)
RESUME = Verb(
    name="resume",
    label=_("Resume"),
    done=ngettext_lazy(
        "%(count)d execution was resumed.", "%(count)d executions were resumed.", "count"
    ),
    permission="pause_execution",
    apply=_resume,
    is_legal=_is_any_of(*execution_sources(ExecutionEvent.RESUMED)),
)
RETRY = Verb(
    name="retry",
    label=_("Retry failed nodes"),
    done=ngettext_lazy(
        "The failed nodes of %(count)d execution run again.",
        "The failed nodes of %(count)d executions run again.",
        "count",
    ),
    permission="retry_execution",
    apply=_retry,
    is_legal=_has_failed_nodes,
)
REPLAY = Verb(
    name="replay",
    label=_("Replay"),
    done=ngettext_lazy(
        "%(count)d execution was replayed.", "%(count)d executions were replayed.", "count"
    ),
    permission="replay_execution",
    apply=_replay,
    is_legal=_is_any_of(*ExecutionStatus),
    warning=_(
        "A replay is a new execution of the same version with the same input. Every node runs "
        "again, with all that it does to the outside world."
    ),
    takes_reason=True,
)
REASSIGN = Verb(
    name="reassign",
    label=_("Reassign"),
    done=ngettext_lazy(
        "%(count)d execution was reassigned.", "%(count)d executions were reassigned.", "count"
    ),
    permission="reassign_execution",
    apply=_reassign,
    is_legal=lambda execution: not ExecutionStatus(execution.status).is_final,
    warning=_(
        "Nodes that have not started go to this queue and priority; what runs now stays where it "
        "runs. Nodes that are yet to come take the priority, and the queue of their definition."
    ),
    takes_reason=True,
    form=ReassignForm,
)
CANCEL = Verb(
    name="cancel",
    label=_("Cancel"),
    done=ngettext_lazy(
        "%(count)d execution was cancelled.", "%(count)d executions were cancelled.", "count"
    ),
    permission="cancel_execution",
    apply=_cancel,
    is_legal=_is_any_of(*execution_sources(ExecutionEvent.CANCELLED)),
    warning=_(
        "What has not started never will, and the results of nodes that run now are refused. "
        "A cancelled execution cannot be resumed, only replayed."
    ),
    takes_reason=True,
)
