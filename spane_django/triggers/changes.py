"""Model triggers: saving or deleting an object starts a workflow, in the same transaction.

They are declared in a ``workflows.py``, which is imported in every process::

    ModelTrigger(Order, on="update", fields=["status"], when=Q(status="paid"), workflow=shipping)

* The row and the execution commit together or not at all.  What the workflow refuses for good
  (an input that does not fit, a workflow that does not exist) is raised, and the save with it is
  undone.  What an operator or a limit holds back (a disabled workflow, no room, a duplicate) is
  logged, and the save stands.
* Whether a field has changed is said by the database: the row is read and locked before the save
  and read again after it, so that of two saves at once each sees what the other one left.  It
  costs these two queries by primary key for each save that may set off a trigger, one for each
  trigger with a Q as its ``when``, and nothing for a save whose ``update_fields`` rule it out.
* What the trigger of a node's own save starts is its child by the chain that `engine.origin`
  bounds.
* ``bulk_create``, ``bulk_update``, ``update``, raw SQL, fixtures and the models of migrations go
  past it, as they go past ``save``; `watching.TriggeringQuerySet` has an update that does not.

How saves and deletions are noticed is in `watching`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, Protocol

from django.core.exceptions import FieldDoesNotExist
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import Model, Q

from ..clock import now as current_time
from ..core.json import Json
from ..engine.db import alias
from ..engine.duplicates import DuplicateExecution
from ..engine.origin import ChainTooLong, origin, require_room, tell
from ..engine.publish import publish
from ..engine.start import DisabledWorkflow, NoRoom, StartOptions, UnknownWorkflow, start
from ..subjects import columns_of
from .watching import Change, On, TriggeringQuerySet, watch

__all__ = ["Change", "ModelTrigger", "TriggeringQuerySet"]

logger = logging.getLogger("spane_django.triggers")

_ONS = ("create", "update", "delete")
_NAME_LENGTH = 110


class Startable(Protocol):
    """A workflow in Python."""

    @property
    def id(self) -> str: ...

    def definition(self) -> dict[str, Any]: ...


@dataclass(frozen=True, eq=False)
class ModelTrigger:
    """Starts a workflow when an object is created, updated or deleted.

    Attributes:
        model: Its objects, those of its proxies and of models that inherit from it.
        on: ``create``, ``update`` or ``delete``.
        workflow: What is started: a workflow in Python, which is published if it never was, or
            the id of one.
        fields: Of an update: only if one of these has changed; (): any save.
        when: A condition on the object as it has been saved: a Q, asked of the database, or a
            function of the object; None: always.
        input: A function of the object, or names of fields, also of related objects
            (``customer__email``); None: model, id and what has changed.
        tenant: Whose the executions are, or a function of the object that says so.
        key: As in `start`, or a function of the object.
        name: What tells it from others; "": made of workflow, model, on and fields.

    Raises:
        ValueError: what is said makes no sense, or there is a trigger of this name.
    """

    model: type[Model]
    _: KW_ONLY
    on: On
    workflow: Startable | str
    fields: Sequence[str] = ()
    when: Q | Callable[[Any], object] | None = None
    input: Sequence[str] | Callable[[Any], Json] | None = None
    tenant: str | Callable[[Any], str] = ""
    key: str | Callable[[Any], str] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ValueError(f"the trigger of {self.model.__name__}: " + "; ".join(faults))
        if not self.name:
            object.__setattr__(self, "name", self._made_up_name())
        watch(self)

    def __repr__(self) -> str:
        return f"<ModelTrigger {self.name}>"

    @property
    def workflow_id(self) -> str:
        return self.workflow if isinstance(self.workflow, str) else self.workflow.id

    def may_follow(self, update_fields: Sequence[str] | None) -> bool:
        """Say whether a save of these fields (None: of all) can set it off."""
        if self.on == "delete":
            return False
        if update_fields is None or not self.fields:
            return True
        fields: Any = map(self.model._meta.get_field, self.fields)
        columns = {field.attname for field in fields}
        return not columns.union(self.fields).isdisjoint(update_fields)

    def follow(self, change: Change) -> None:
        """Start the workflow if the change is one that this trigger is for.

        Raises:
            UnknownWorkflow, InvalidInput: it cannot be started.
        """
        if not self._is_for(change):
            return
        data = self._input(change)
        if change.using == alias():
            self._start(change.instance, data)
        else:
            begin = partial(self._start, change.instance, data)
            transaction.on_commit(begin, using=change.using, robust=True)

    def _is_for(self, change: Change) -> bool:
        if change.on != self.on:
            return False
        if self.fields and not any(map(change.has_changed, self.fields)):
            return False
        if isinstance(self.when, Q):
            rows = self.model._base_manager.using(change.using).filter(pk=change.instance.pk)
            return bool(rows.filter(self.when).exists())
        return self.when is None or bool(self.when(change.instance))

    def _input(self, change: Change) -> Json:
        given = self.input
        if callable(given):
            data = given(change.instance)
        elif given is not None:
            rows = self.model._base_manager.using(change.using).filter(pk=change.instance.pk)
            data = rows.values(*given).get()
        else:
            changed = [name for name in self.fields if change.has_changed(name)]
            before, after = change.before or {}, change.after or {}
            data = {
                "model": self.model._meta.label_lower,
                "id": change.instance.pk,
                "on": change.on,
                "changed": {
                    name: {"before": before.get(name), "after": after.get(name)} for name in changed
                },
            }
        return json.loads(json.dumps(data, cls=DjangoJSONEncoder))

    def _start(self, instance: Model, data: Json) -> None:
        now, source = current_time(), origin()
        tenant = self.tenant(instance) if callable(self.tenant) else self.tenant
        subject_type, subject_id = columns_of(instance)
        options = StartOptions(
            key=self.key(instance) if callable(self.key) else self.key,
            tenant=tenant or (source.tenant if source else ""),
            trigger=f"model:{self.name}",
            subject_type=subject_type,
            subject_id=subject_id,
            origin=source,
        )
        try:
            if source is not None:
                require_room(source.depth)
            self._begin(data, options)
        except ChainTooLong as error:
            if source is not None:
                tell(source.execution_id, f"{self.name}: {error}", now=now)
        except (DisabledWorkflow, NoRoom, DuplicateExecution) as error:
            logger.info("%s did not start '%s': %s", self.name, self.workflow_id, error)

    def _begin(self, data: Json, options: StartOptions) -> None:
        now = current_time()
        try:
            start(self.workflow_id, data, now=now, options=options)
        except UnknownWorkflow:
            if isinstance(self.workflow, str):
                raise
            publish(self.workflow.definition(), now=now)
            start(self.workflow_id, data, now=now, options=options)

    def _made_up_name(self) -> str:
        parts = [self.workflow_id, self.model._meta.label_lower, self.on, *self.fields]
        return ":".join(parts)[:_NAME_LENGTH]

    def _faults(self) -> list[str]:
        options = self.model._meta
        faults = []
        if options.abstract:
            faults.append("an abstract model has no rows: name the models that inherit from it")
        if self.on not in _ONS:
            faults.append(f"on is '{self.on}', not one of {', '.join(_ONS)}")
        if self.fields and self.on != "update":
            faults.append("fields change in an update: leave them out")
        if len(self.name) > _NAME_LENGTH:
            faults.append(f"its name is longer than {_NAME_LENGTH} characters")
        missing = [name for name in self.fields if not _has(self.model, name)]
        return faults + [f"there is no column '{name}'" for name in missing]


def _has(model: type[Model], name: str) -> bool:
    try:
        found = model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return bool(getattr(found, "concrete", False)) and not found.many_to_many
