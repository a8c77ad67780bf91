"""Executions: one run of one version."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ..core.ids import uuid7
from ..core.json import Json
from ..core.lanes import owned
from ..core.statuses import ExecutionStatus
from . import story
from .workflow import Workflow, WorkflowVersion

STATUSES = [(status.value, status.value) for status in ExecutionStatus]
FINAL = [status.value for status in ExecutionStatus if status.is_final]
UNFINISHED = [status.value for status in ExecutionStatus if not status.is_final]


class ExecutionQuerySet(models.QuerySet["Execution"]):
    def final(self) -> ExecutionQuerySet:
        return self.filter(status__in=FINAL)

    def unfinished(self) -> ExecutionQuerySet:
        # Said so, and not as an exclusion, which no partial index serves.
        return self.filter(status__in=UNFINISHED)

    def due(self, now: datetime) -> ExecutionQuerySet:
        """Those whose delayed start has come."""
        return self.filter(status=ExecutionStatus.PENDING, start_at__lte=now)

    def top_level(self) -> ExecutionQuerySet:
        """Those that were started on their own, not by another execution."""
        return self.filter(parent=None)

    def overdue(self, now: datetime) -> ExecutionQuerySet:
        """Those that have outrun their deadline."""
        return self.unfinished().filter(deadline_at__lte=now)


class Execution(models.Model):
    """One run of a workflow version."""

    class Relation(models.TextChoices):
        """What an execution is to its parent."""

        CHILD = "child", _("child")
        """A node of the parent waits for it."""
        ERROR_HANDLER = "error_handler", _("error handler")
        COMPENSATION = "compensation", _("compensation")
        """It undoes what the parent had done before it failed, then runs what runs finally."""
        ENDING = "ending", _("ending")
        """It runs what runs finally."""
        TRIGGERED = "triggered", _("triggered")
        """The parent's end, or what one of its nodes did, set off a trigger."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workflow = models.ForeignKey(
        Workflow, verbose_name=_("workflow"), on_delete=models.PROTECT, related_name="executions"
    )
    version = models.ForeignKey(
        WorkflowVersion,
        verbose_name=_("version"),
        on_delete=models.PROTECT,
        related_name="executions",
        # Versions are few and never deleted apart from their workflow: an index buys nothing.
        db_index=False,
    )
    status = models.CharField(
        _("status"), max_length=10, choices=STATUSES, default=ExecutionStatus.RUNNING.value
    )
    reason = models.TextField(
        _("reason"), blank=True, default="", help_text=_("Why it was paused, cancelled or failed.")
    )
    input = models.JSONField(_("input"), null=True, blank=True)
    priority = models.PositiveSmallIntegerField(_("priority"), default=5)
    active_nodes = models.IntegerField(
        _("active nodes"), default=0, help_text=_("Node runs that are ready, running or waiting.")
    )
    failed_nodes = models.IntegerField(_("failed nodes"), default=0)
    replay_of = models.ForeignKey(
        "self",
        verbose_name=_("replay of"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="replays",
    )
    parent = models.ForeignKey(
        "self",
        verbose_name=_("parent"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="children",
        db_index=False,
    )
    parent_run = models.ForeignKey(
        "NodeRun",
        verbose_name=_("started by node"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="children",
        db_index=False,
    )
    # A node that is retried starts new children; those of earlier rounds stay for the record.
    parent_round = models.PositiveIntegerField(default=0, db_default=0)
    relation = models.CharField(
        _("relation"), max_length=13, choices=Relation.choices, blank=True, default="",
        db_default="",
    )  # fmt: skip
    item = models.PositiveIntegerField(
        _("item"), null=True, blank=True, help_text=_("Its place in the list or the loop.")
    )
    depth = models.PositiveSmallIntegerField(_("depth"), default=0, db_default=0)
    follows_parent = models.BooleanField(
        _("follows its parent"), default=True, db_default=True,
        help_text=_("Cancelled, paused and resumed with its parent."),
    )  # fmt: skip
    key = models.CharField(
        _("key"), max_length=200, blank=True, default="", db_default="",
        help_text=_("Whose it is, such as a tenant: keys share workers fairly."),
    )  # fmt: skip
    tenant = models.CharField(
        _("tenant"), max_length=64, blank=True, default="", db_default="",
        help_text=_("Who owns it, in a project that keeps tenants apart."),
    )  # fmt: skip
    trigger = models.CharField(
        _("trigger"), max_length=120, blank=True, default="", db_default="",
        help_text=_("What started it, such as a webhook or a schedule."),
    )  # fmt: skip
    # The business object that it is about: a label such as "shop.order" and a primary key.
    subject_type = models.CharField(
        _("subject type"), max_length=200, blank=True, default="", db_default=""
    )
    subject_id = models.CharField(
        _("subject id"), max_length=100, blank=True, default="", db_default=""
    )
    slot = models.CharField(
        _("slot"), max_length=320, blank=True, default="", db_default="",
        help_text=_("Executions of one slot run so many at once."),
    )  # fmt: skip
    slot_limit = models.PositiveIntegerField(null=True, blank=True)
    duplicate_key = models.CharField(  # noqa: DJ001  # NULL takes no place in the index
        _("duplicate key"), max_length=200, null=True, blank=True, default=None
    )
    # NULL, not "": the unique constraint must let any number of executions have no key.
    idempotency_key = models.CharField(  # noqa: DJ001
        _("idempotency key"),
        max_length=200,
        null=True,
        blank=True,
        default=None,
    )
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("started by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    # NULL, as it is nearly everywhere: only where starts are traced is it written.
    traceparent = models.CharField(  # noqa: DJ001
        _("trace"), max_length=55, null=True, blank=True, default=None, editable=False
    )
    created_at = models.DateTimeField(_("created"))
    start_at = models.DateTimeField(_("start at"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    deadline_at = models.DateTimeField(_("deadline"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    # Of workflows that keep no data of what has ended; see `engine.clear`.
    clear_due_at = models.DateTimeField(_("data kept until"), null=True, blank=True)
    cleared_at = models.DateTimeField(
        _("data cleared"), null=True, blank=True,
        help_text=_("Since when its input and outputs are gone, as its workflow wants it."),
    )  # fmt: skip

    objects: ClassVar[ExecutionQuerySet] = ExecutionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("execution")
        verbose_name_plural = _("executions")
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in ExecutionStatus]),
                name="spane_execution_status",
            ),
            models.CheckConstraint(
                condition=Q(active_nodes__gte=0, failed_nodes__gte=0),
                name="spane_execution_counts",
            ),
            models.UniqueConstraint(
                fields=["workflow", "tenant", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="spane_idempotency_key",
            ),
        )
        indexes = (
            models.Index(
                fields=["start_at"], condition=Q(status="pending"), name="spane_due_starts"
            ),
            models.Index(
                fields=["deadline_at"],
                condition=Q(status__in=["pending", "running", "paused"], deadline_at__isnull=False),
                name="spane_deadlines",
            ),
            models.Index(fields=["status", "-id"], name="spane_execution_by_status"),
            # Lists show these: a map of ten thousand items must not be skipped row by row.
            models.Index(fields=["-id"], condition=Q(parent__isnull=True), name="spane_top_level"),
            models.Index(
                fields=["parent", "id"],
                condition=Q(parent__isnull=False),
                name="spane_children",
            ),
            models.Index(
                fields=["parent_run", "parent_round", "item"],
                condition=Q(parent_run__isnull=False),
                name="spane_children_of_run",
            ),
            models.Index(
                fields=["parent_run"],
                condition=Q(parent_run__isnull=False, status__in=["pending", "running", "paused"]),
                name="spane_unfinished_children",
            ),
            models.Index(fields=["tenant", "-id"], condition=~Q(tenant=""), name="spane_by_tenant"),
            models.Index(
                fields=["subject_type", "subject_id", "-id"],
                condition=~Q(subject_type=""),
                name="spane_by_subject",
            ),
            models.Index(
                fields=["slot", "-priority", "id"],
                condition=Q(status="pending") & ~Q(slot=""),
                name="spane_slot_queue",
            ),
            models.Index(
                fields=["slot"],
                condition=Q(status__in=["running", "paused"]) & ~Q(slot=""),
                name="spane_slots_taken",
            ),
            models.Index(
                fields=["workflow", "duplicate_key"],
                condition=Q(
                    duplicate_key__isnull=False, status__in=["pending", "running", "paused"]
                ),
                name="spane_duplicates",
            ),
            models.Index(
                fields=["finished_at"],
                condition=Q(finished_at__isnull=False),
                name="spane_execution_finished",
            ),
            models.Index(
                fields=["-finished_at"], condition=Q(status="failed"), name="spane_failed"
            ),
            models.Index(
                fields=["clear_due_at"],
                condition=Q(clear_due_at__isnull=False),
                name="spane_execution_clear_due",
            ),
        )
        permissions = (
            ("pause_execution", _("Can pause and resume executions")),
            ("cancel_execution", _("Can cancel executions")),
            ("replay_execution", _("Can replay executions")),
            ("retry_execution", _("Can retry failed nodes")),
            ("skip_node", _("Can skip nodes")),
            ("complete_node", _("Can complete nodes by hand")),
            ("reassign_execution", _("Can change queues and priorities")),
            ("view_payload", _("Can see inputs and outputs")),
        )

    def __str__(self) -> str:
        return str(self.id)

    @property
    def lane_key(self) -> str:
        """By what its nodes share workers fairly, and by what ``perKey`` tells it from others."""
        return owned(self.tenant, self.key)

    @property
    def duration_seconds(self) -> float | None:
        """From its start to its end; None while either is missing."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def output(self) -> Json:
        """What it came to once it has completed; see `story.output`."""
        return story.output(self)

    def count_children(self) -> dict[str, int]:
        """Return how many executions it has started of each status, its sequels included."""
        counted = self.children.order_by("status").values_list("status")
        return dict(counted.annotate(count=models.Count("pk")))

    def logs(self) -> list[story.LogEntry]:
        """Return everything that happened, in the order of time."""
        return story.logs(self)

    def trace(self) -> story.Trace:
        """Return a span for every attempt of every node that has begun."""
        return story.trace(self)
