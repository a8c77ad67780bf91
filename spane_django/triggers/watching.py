"""Watching models: how saves and deletions of their objects come to their triggers.

* The ``save_base`` of a watched model runs in a transaction, also where the project saves in
  autocommit, which begins before the row is read and ends when its executions are inserted.
  (Django sends ``post_save`` after a save in autocommit has committed.)  Fixtures, which call
  Django's own ``save_base``, do not come here.
* Deletions, of a queryset and cascades included, are told by ``pre_delete``: Django deletes in a
  transaction, and the row can still be asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal

from django.apps import apps
from django.db import connections, router, transaction
from django.db.models import Model, QuerySet
from django.db.models.signals import pre_delete

if TYPE_CHECKING:
    from .changes import ModelTrigger

    _QuerySet = QuerySet[Any]
else:
    _QuerySet = QuerySet

On = Literal["create", "update", "delete"]

Values = Mapping[str, Any]
"""Columns of a row by the names of their fields."""

_triggers: dict[str, ModelTrigger] = {}
_WATCHES = "_spane_watches"
# Of `Model.save_base`, in their order.
_ARGUMENTS = ("raw", "force_insert", "force_update", "using", "update_fields")
_CHUNK = 500  # SQLite takes only so many parameters at once


@dataclass(frozen=True, slots=True)
class Change:
    """What has become of an object.

    Attributes:
        using: The database.
        before: Fields that triggers watch, as the row had them; None: it is new.
        after: The same as the row has them now; None: it is about to go.
    """

    instance: Model
    using: str
    before: Values | None
    after: Values | None

    @property
    def on(self) -> On:
        if self.after is None:
            return "delete"
        return "create" if self.before is None else "update"

    def has_changed(self, name: str) -> bool:
        """Say whether a field has another value than before."""
        return (self.before or {}).get(name) != (self.after or {}).get(name)


def watch(trigger: ModelTrigger) -> None:
    """Make a trigger known to its model.

    Raises:
        ValueError: another trigger has this name.
    """
    if trigger.name in _triggers:
        raise ValueError(f"there is a model trigger '{trigger.name}' already: give one a name")
    _triggers[trigger.name] = trigger
    if trigger.on == "delete":
        for model in _rows_of(trigger.model):
            pre_delete.connect(_deleting, sender=model, dispatch_uid=f"spane:{model.__qualname__}")
    elif not getattr(trigger.model.save_base, _WATCHES, False):
        trigger.model.save_base = _watched(trigger.model.save_base)  # type: ignore[method-assign]


def forget(trigger: ModelTrigger) -> None:
    """Let a trigger be as if it had never been declared."""
    _triggers.pop(trigger.name, None)


def model_triggers() -> list[ModelTrigger]:
    """Return all that have been declared, in the order in which they were."""
    return list(_triggers.values())


class TriggeringQuerySet(_QuerySet):
    """A queryset with an update that sets off triggers, as saving each object would.

    ``Order.objects = TriggeringQuerySet.as_manager()``, or as the base of a queryset of one's own.
    """

    def triggering_update(self, **values: Any) -> int:
        """Update the rows and set off their triggers; return how many they are.

        It reads the rows that change before and after, in one transaction, and holds their ids
        in memory: for hundreds of rows, not for millions.
        """
        watching = [trigger for trigger in _of(self.model) if trigger.may_follow(list(values))]
        if not watching:
            return self.update(**values)
        with transaction.atomic(using=self.db):
            keys = list(self.values_list("pk", flat=True))
            return sum(self._update(watching, chunk, values) for chunk in _chunks(keys))

    triggering_update.alters_data = True  # type: ignore[attr-defined]

    def _update(
        self, watching: Sequence[ModelTrigger], keys: Sequence[Any], values: dict[str, Any]
    ) -> int:
        rows, names = self.model._base_manager.using(self.db).filter(pk__in=keys), _names(watching)
        before = {row["pk"]: row for row in _locked(rows).values("pk", *names)}
        count: int = rows.update(**values)
        after = {row["pk"]: row for row in rows.values("pk", *names)}
        for instance in rows:
            if instance.pk in before:
                pair = before[instance.pk], after[instance.pk]
                _follow(watching, instance, self.db, *pair)
        return count


def _watched(save_base: Callable[..., None]) -> Callable[..., None]:
    @wraps(save_base)
    def saving(self: Model, *args: Any, **given: Any) -> None:
        options = dict(zip(_ARGUMENTS, args, strict=False)) | given
        update_fields = options.get("update_fields")
        watching = [one for one in _of(type(self)) if one.may_follow(update_fields)]
        if not watching or options.get("raw"):
            save_base(self, **options)
            return
        using = options.get("using") or router.db_for_write(type(self), instance=self)
        names = _names(watching)
        # As Django's own transaction of a save: what fails undoes the caller's with it.
        with transaction.atomic(using=using, savepoint=False):
            is_new = self.pk is None or options.get("force_insert")
            before = None if is_new else _row(self, using, names, is_locked=True)
            save_base(self, **options)
            _follow(watching, self, using, before, _row(self, using, names))

    setattr(saving, _WATCHES, True)
    return saving


def _deleting(sender: type[Model], instance: Model, using: str, **_: Any) -> None:
    watching = [trigger for trigger in _of(sender) if trigger.on == "delete"]
    _follow(watching, instance, using, {}, None)


def _follow(
    watching: Iterable[ModelTrigger],
    instance: Model,
    using: str,
    before: Values | None,
    after: Values | None,
) -> None:
    change = Change(instance, using, before, after)
    for trigger in watching:
        trigger.follow(change)


def _of(model: type[Model]) -> Iterator[ModelTrigger]:
    return (trigger for trigger in _triggers.values() if issubclass(model, trigger.model))


def _rows_of(model: type[Model]) -> Iterator[type[Model]]:
    """Yield the model with its proxies: a deletion is told once for the rows of each model."""
    for each in {model, *apps.get_models()}:
        if issubclass(each, model) and each._meta.concrete_model is model._meta.concrete_model:
            yield each


def _names(watching: Iterable[ModelTrigger]) -> list[str]:
    return sorted({name for trigger in watching for name in trigger.fields})


def _row(
    instance: Model, using: str, names: Sequence[str], *, is_locked: bool = False
) -> Values | None:
    rows = type(instance)._base_manager.using(using).filter(pk=instance.pk)
    return (_locked(rows) if is_locked else rows).values("pk", *names).first()


def _locked(rows: QuerySet[Any]) -> QuerySet[Any]:
    features = connections[rows.db].features
    return rows.select_for_update(no_key=features.has_select_for_no_key_update)


def _chunks(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (keys[begin : begin + _CHUNK] for begin in range(0, len(keys), _CHUNK))
