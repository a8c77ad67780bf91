"""Subjects: the business object that an execution is about, by its model's label and its key.

An order's executions are found with a descriptor, and the order by its execution::

    class Order(models.Model):
        executions = SpaneExecutions()

    start("ship", subject=order)
    order.executions.filter(status="failed")

It is kept as text, not as a foreign key: the object may have any kind of key, may lie in another
database, and may be deleted while its executions stay.  Nothing here imports a model, so that a
``models.py`` may import this while Django is still loading them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Model

if TYPE_CHECKING:
    from .models.execution import ExecutionQuerySet


def columns_of(subject: Model) -> tuple[str, str]:
    """Return what names an object in the columns of executions: its type and its id.

    A proxy and its model are one type.

    Raises:
        ValueError: it has not been saved, so there is nothing to find it by.
    """
    if subject.pk is None:
        raise ValueError(f"save the {subject._meta.verbose_name} before something starts about it")
    return type_of(type(subject)), str(subject.pk)


def type_of(model: type[Model]) -> str:
    """Return what names a model in the columns of executions, such as ``shop.order``."""
    return str((model._meta.concrete_model or model)._meta.label_lower)


def load(subject_type: str, subject_id: str) -> Model | None:
    """Return the object of that name; None: there is none, or none any more."""
    try:
        model = apps.get_model(subject_type)
        found: Model | None = model._base_manager.filter(pk=subject_id).first()
    except (LookupError, ValueError, ValidationError):
        return None
    return found


class SpaneExecutions:
    """The executions about an object, newest first, as an attribute of its model."""

    @overload
    def __get__(self, instance: None, owner: type[Model]) -> SpaneExecutions: ...

    @overload
    def __get__(self, instance: Model, owner: type[Model]) -> ExecutionQuerySet: ...

    def __get__(
        self, instance: Model | None, owner: type[Model]
    ) -> SpaneExecutions | ExecutionQuerySet:
        if instance is None:
            return self
        model: Any = apps.get_model("spane_django", "Execution")
        executions: ExecutionQuerySet = model.objects.none()
        if instance.pk is not None:
            subject_type, subject_id = columns_of(instance)
            executions = model.objects.filter(subject_type=subject_type, subject_id=subject_id)
        return executions
