"""Workflows and their immutable versions."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Workflow(models.Model):
    """A named line of versions, of which one is current."""

    key = models.CharField(
        _("id"), max_length=100, help_text=_("The id that definitions and URLs use.")
    )
    tenant = models.CharField(
        _("tenant"), max_length=64, blank=True, default="", db_default="",
        help_text=_("Empty: shared by all tenants."),
    )  # fmt: skip
    name = models.CharField(_("name"), max_length=200)
    description = models.TextField(_("description"), blank=True, default="")
    is_enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("A disabled workflow starts no new executions.")
    )
    current_version = models.ForeignKey(
        "WorkflowVersion",
        verbose_name=_("current version"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("workflow")
        verbose_name_plural = _("workflows")
        ordering = ("key", "tenant")
        constraints = (
            # The key first: lists and look-ups by the key alone use the same index.
            models.UniqueConstraint(fields=["key", "tenant"], name="spane_workflow_key"),
        )
        permissions = (
            ("run_workflow", _("Can start executions")),
            ("publish_workflow", _("Can publish definitions")),
        )

    def __str__(self) -> str:
        return self.name


class WorkflowVersionQuerySet(models.QuerySet["WorkflowVersion"]):
    def whole(self) -> WorkflowVersionQuerySet:
        """Those that are workflows, without the parts that belong to one."""
        return self.filter(part="")


class WorkflowVersion(models.Model):
    """A definition.  Never changed once it is published: executions are pinned to it.

    What a definition says of something that runs on its own (the body of a map or a loop, an
    undo, what happens at the end) is a *part*: a version beside it, with its number.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        PUBLISHED = "published", _("published")
        ARCHIVED = "archived", _("archived")

    workflow = models.ForeignKey(
        Workflow, verbose_name=_("workflow"), on_delete=models.CASCADE, related_name="versions"
    )
    number = models.PositiveIntegerField(_("number"))
    part = models.CharField(_("part"), max_length=120, blank=True, default="")
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.PUBLISHED
    )
    definition = models.JSONField(_("definition"))
    content_hash = models.CharField(max_length=64, help_text=_("SHA-256 of the definition."))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("published by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )

    objects: ClassVar[WorkflowVersionQuerySet] = WorkflowVersionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("workflow version")
        verbose_name_plural = _("workflow versions")
        ordering = ("workflow", "-number", "part")
        constraints = (
            models.UniqueConstraint(
                fields=["workflow", "number", "part"], name="spane_version_number"
            ),
        )

    def __str__(self) -> str:
        part = f" · {self.part}" if self.part else ""
        return f"{self.workflow.key} v{self.number}{part}"
