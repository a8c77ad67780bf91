"""What operators may do to one node of an execution: a page that asks, then the engine's verb.

A verb is offered where the table of transitions allows it; the engine decides again when it is
carried out, and what it refuses is told on the page that asked, with what was filled in.  Running
a node and all behind it again has a page of its own (`replaying`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ..core.statuses import NodeEvent, NodeStatus, node_sources
from ..engine import by_hand, operate, signals
from ..engine.retry import retry_dead_letter
from ..engine.versions import prepared
from ..models import NodeRun
from .forms import JsonField, faults_of_hidden, reason_field
from .verbs import Order

Given = Mapping[str, Any]


class ReasonForm(forms.Form):
    reason = reason_field()

    def __init__(self, run: NodeRun, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.run = run


class GivenField(JsonField):
    """A value that somebody gives: JSON that holds nothing that stands for a hidden value."""

    def clean(self, value: Any) -> Any:
        given = super().clean(value)
        if faults := [str(fault) for fault in faults_of_hidden(given)]:
            raise forms.ValidationError(faults)
        return given


class CompleteForm(ReasonForm):
    output = GivenField(label=_("What it hands on, as JSON"))
    next_nodes = forms.MultipleChoiceField(
        label=_("Nodes to go on with"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: those that a success leads to."),
    )
    field_order = ("output", "next_nodes", "reason")

    def __init__(self, run: NodeRun, *args: Any, **options: Any) -> None:
        super().__init__(run, *args, **options)
        children = _children(run)
        choice: Any = self.fields["next_nodes"]
        choice.choices = [(child, child) for child in children]
        if len(children) < 2:
            del self.fields["next_nodes"]


class SignalForm(ReasonForm):
    payload = GivenField(label=_("What the signal brings, as JSON"))
    field_order = ("payload", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVerb:
    """What may be done to a node.

    Attributes:
        permission: Of this package, without its prefix.
        apply: Does it, or raises a `SpaneError`.
        is_offered: Whether a node looks as if it could be done.
        warning: What the page that asks says of it.
        shows_data: Whether the form shows or takes payloads, and so needs their permission.
    """

    name: str
    label: str | Promise
    permission: str
    form: type[ReasonForm]
    apply: Callable[[NodeRun, Given, Order], None]
    is_offered: Callable[[NodeRun, datetime], bool]
    warning: str | Promise
    shows_data: bool = False


def _is_any_of(*statuses: NodeStatus) -> Callable[[NodeRun, datetime], bool]:
    return lambda run, now: run.status in statuses


def _waits_for_time(run: NodeRun, now: datetime) -> bool:
    is_later = run.available_at is not None and run.available_at > now
    return is_later and run.status in (NodeStatus.READY, NodeStatus.WAITING)


def _waits_for_signal(run: NodeRun, now: datetime) -> bool:
    return run.status == NodeStatus.WAITING and bool(run.signal_name)


def _retry(run: NodeRun, given: Given, order: Order) -> None:
    letter = run.dead_letters.filter(resolved_at=None).order_by("-pk").first()
    retry_dead_letter(letter.pk if letter else 0, **_order(order))


def _retry_now(run: NodeRun, given: Given, order: Order) -> None:
    operate.retry_now(run.execution_id, run.node_id, **_order(order))


def _skip(run: NodeRun, given: Given, order: Order) -> None:
    by_hand.skip(run.execution_id, run.node_id, **_order(order))


def _complete(run: NodeRun, given: Given, order: Order) -> None:
    by_hand.complete(
        run.execution_id,
        run.node_id,
        given["output"],
        next_nodes=given.get("next_nodes") or None,
        **_order(order),
    )


def _signal(run: NodeRun, given: Given, order: Order) -> None:
    signals.signal(
        run.signal_name, given["payload"], key=run.signal_key, now=order.now, by=order.by
    )


def _order(order: Order) -> dict[str, Any]:
    return {"now": order.now, "by": order.by, "reason": order.reason}


def _children(run: NodeRun) -> tuple[str, ...]:
    return prepared(run.execution.version_id).graph.children.get(run.node_id, ())


NODE_VERBS = (
    NodeVerb(
        name="retry",
        label=_("Retry"),
        permission="retry_execution",
        form=ReasonForm,
        apply=_retry,
        is_offered=_is_any_of(NodeStatus.FAILED),
        warning=_("It runs again with the input that it had, and fresh retries."),
    ),
    NodeVerb(
        name="retry-now",
        label=_("Run now"),
        permission="retry_execution",
        form=ReasonForm,
        apply=_retry_now,
        is_offered=_waits_for_time,
        warning=_("It does not wait for its time any longer."),
    ),
    NodeVerb(
        name="signal",
        label=_("Send the signal"),
        permission="send_signal",
        form=SignalForm,
        apply=_signal,
        is_offered=_waits_for_signal,
        warning=_("The oldest node that waits for this signal takes it and goes on."),
        shows_data=True,
    ),
    NodeVerb(
        name="complete",
        label=_("Complete by hand"),
        permission="complete_node",
        form=CompleteForm,
        apply=_complete,
        is_offered=_is_any_of(*node_sources(NodeEvent.COMPLETED_BY_HAND), NodeStatus.FAILED),
        warning=_("It counts as completed, with what you give it to hand on."),
        shows_data=True,
    ),
    NodeVerb(
        name="skip",
        label=_("Skip"),
        permission="skip_node",
        form=ReasonForm,
        apply=_skip,
        is_offered=_is_any_of(*node_sources(NodeEvent.SKIPPED), NodeStatus.FAILED),
        warning=_("The execution goes on as if no branch had led here."),
    ),
)
