"""Node runs: one node of one execution, and the queue that workers claim from.

A row exists from the moment its node is released, skipped, blocked or first arrived at.  The
partial index `spane_claimable` is the queue: it holds just what may be claimed now or later.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ..core.statuses import NodeStatus
from .execution import Execution

STATUSES = [(status.value, status.value) for status in NodeStatus]
CLAIMABLE = Q(status__in=["ready", "waiting"], is_held=False)


class NodeRunQuerySet(models.QuerySet["NodeRun"]):
    def unclaimed(self) -> NodeRunQuerySet:
        """Those that a worker may take now or later."""
        return self.filter(CLAIMABLE)

    def claimable(self, now: datetime) -> NodeRunQuerySet:
        """Those that a worker may take now."""
        return self.filter(CLAIMABLE, available_at__lte=now)

    def running(self) -> NodeRunQuerySet:
        return self.filter(status=NodeStatus.RUNNING)

    def completed(self) -> NodeRunQuerySet:
        return self.filter(status=NodeStatus.COMPLETED)

    def failed(self) -> NodeRunQuerySet:
        return self.filter(status=NodeStatus.FAILED)


class NodeRun(models.Model):
    """One node of one execution."""

    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        on_delete=models.CASCADE,
        related_name="node_runs",
        db_index=False,  # the unique constraint serves it
    )
    node_id = models.CharField(_("node"), max_length=100)
    node_type = models.CharField(_("type"), max_length=100)
    status = models.CharField(
        _("status"), max_length=10, choices=STATUSES, default=NodeStatus.PENDING.value
    )
    reason = models.CharField(
        _("reason"), max_length=200, blank=True, default="",
        help_text=_("Why it was skipped or cancelled, or what it waits for."),
    )  # fmt: skip
    queue = models.CharField(_("queue"), max_length=100)
    priority = models.PositiveSmallIntegerField(_("priority"), default=5)
    available_at = models.DateTimeField(
        _("available at"), null=True, blank=True, help_text=_("Not claimed before.")
    )
    is_held = models.BooleanField(
        _("held"), default=False, help_text=_("Its execution is paused or has not started.")
    )
    # Rows of one lane wait in line behind each other; lanes take turns.
    lane = models.CharField(_("lane"), max_length=250, blank=True, default="", db_default="")
    gate = models.CharField(
        _("gate"), max_length=250, blank=True, default="", db_default="",
        help_text=_("The limit that it runs under."),
    )  # fmt: skip
    is_limited = models.BooleanField(
        default=False, db_default=False,
        help_text=_("Its execution runs only so many nodes at once."),
    )  # fmt: skip
    signal_name = models.CharField(
        _("signal"), max_length=100, blank=True, default="", db_default="",
        help_text=_("What it waits for."),
    )  # fmt: skip
    signal_key = models.CharField(max_length=200, blank=True, default="", db_default="")
    failures_tolerated = models.PositiveIntegerField(
        null=True, blank=True,
        help_text=_("It goes on early once more of its children have failed."),
    )  # fmt: skip
    attempt = models.PositiveIntegerField(_("attempt"), default=1)
    # Failures count against the retry policy, losses against MAX_LOSSES; both start afresh when
    # an operator retries the node, while the number of the attempt goes on.
    failures = models.PositiveIntegerField(default=0)
    losses = models.PositiveIntegerField(default=0)
    worker_id = models.UUIDField(_("worker"), null=True, blank=True)
    claim_token = models.UUIDField(null=True, blank=True)
    checkpoint = models.JSONField(_("checkpoint"), null=True, blank=True)
    # {"value": ...}, so that even null can be given.
    given_input = models.JSONField(
        _("given input"), null=True, blank=True,
        help_text=_("What an operator gave it instead of what its parents hand on."),
    )  # fmt: skip
    output = models.JSONField(_("output"), null=True, blank=True)
    next_nodes = models.JSONField(_("chosen children"), null=True, blank=True)
    open_edges = models.IntegerField(default=0)
    live_edges = models.IntegerField(default=0)
    broken_edges = models.IntegerField(default=0)
    error_type = models.CharField(_("error type"), max_length=200, blank=True, default="")
    error_message = models.TextField(_("error"), blank=True, default="")
    created_at = models.DateTimeField(_("created"))
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects: ClassVar[NodeRunQuerySet] = NodeRunQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("node run")
        verbose_name_plural = _("node runs")
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=["execution", "node_id"], name="spane_one_run_per_node"),
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in NodeStatus]),
                name="spane_node_status",
            ),
            models.CheckConstraint(
                condition=Q(status="running", claim_token__isnull=False, worker_id__isnull=False)
                | (~Q(status="running") & Q(claim_token__isnull=True)),
                name="spane_running_has_claim",
            ),
        )
        indexes = (
            models.Index(
                "queue",
                models.F("priority").desc(),
                "lane",
                "available_at",
                "id",
                condition=CLAIMABLE,
                name="spane_claimable",
            ),
            # By id, not by worker: the few running rows are filtered quickly, while an index that
            # piles up thousands of dead entries under one worker's id cost a fifth of throughput.
            models.Index(fields=["id"], condition=Q(status="running"), name="spane_running"),
            models.Index(
                fields=["gate"],
                condition=Q(status="running") & ~Q(gate=""),
                name="spane_gates_taken",
            ),
            models.Index(
                fields=["execution"],
                condition=Q(is_limited=True, status__in=["ready", "running"], is_held=False),
                name="spane_limited_active",
            ),
            models.Index(
                "execution",
                models.F("priority").desc(),
                "id",
                condition=Q(is_limited=True, status="ready", is_held=True),
                name="spane_limited_held",
            ),
            models.Index(
                fields=["id"],
                condition=Q(status="waiting", failures_tolerated__isnull=False),
                name="spane_waits_for_children",
            ),
            models.Index(
                fields=["signal_name", "signal_key"],
                condition=Q(status="waiting") & ~Q(signal_name=""),
                name="spane_signals_awaited",
            ),
        )

    def __str__(self) -> str:
        return f"{self.node_id} ({self.status})"
