"""An admin site of a project: users and groups, which workflows are about."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.urls import path

from spane_django.admin import ApprovalAdmin, ExecutionAdmin
from spane_django.admin.panel import WorkflowSubjectMixin
from spane_django.models import Approval, Execution, NodeRun, WorkflowVersion

site = admin.AdminSite(name="project")
for model, pages in {Execution: ExecutionAdmin, Approval: ApprovalAdmin}.items():
    site.register(model, pages)
for plain in (NodeRun, WorkflowVersion):
    site.register(plain, admin.ModelAdmin)


@admin.register(User, site=site)
class CustomerAdmin(WorkflowSubjectMixin, UserAdmin):
    list_display = ("username", "latest_execution")
    subject_workflows = ("good", "picky", "unknown")
    executions_shown = 3

    def workflow_input(self, obj: Any, workflow: str) -> Any:
        return {"user": obj.pk, "name": obj.username}


@admin.register(Group, site=site)
class SeenAdmin(WorkflowSubjectMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Nobody may change anything here."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


urlpatterns = [path("project/", site.urls)]
