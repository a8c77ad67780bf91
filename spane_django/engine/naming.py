"""Which workflow an id means: to a tenant its own one of this id, else the one that all share.

Who reads or starts a workflow means whichever there is; who changes it means their own, so that
nobody changes what is shared by mistake, and a workflow published under the id of a shared one
takes its place for that tenant alone.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet, Subquery

from ..models import Workflow


def named(workflow: str, tenant: str = "") -> QuerySet[Workflow]:
    """Return the workflows that an id may mean to a tenant: the first is meant."""
    if not tenant:
        return Workflow.objects.filter(key=workflow, tenant="")
    found = Workflow.objects.filter(key=workflow, tenant__in=("", tenant))
    return found.order_by("-tenant")


def own(workflow: str, tenant: str = "") -> QuerySet[Workflow]:
    """Return the workflow of this id that belongs to a tenant, or with "" to all."""
    return Workflow.objects.filter(key=workflow, tenant=tenant)


def of_workflow(workflow: str, tenant: str = "") -> Q:
    """Choose, by their foreign key ``workflow``, the rows of the workflow that an id means."""
    if not tenant:
        return Q(workflow__key=workflow, workflow__tenant="")
    meant: Any = Subquery(named(workflow, tenant).values("pk")[:1])
    return Q(workflow=meant)
