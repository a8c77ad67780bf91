"""Event triggers made by hand: the verbs of API, admin and commands, each with its audit entry.

A trigger that a workflow's definition declares can be switched off and on here; what it says is
changed by publishing the definition anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..core.definition import Definition
from ..core.errors import Faulty, SpaneError
from ..core.expressions import ExpressionError
from ..core.json import Json
from ..core.schema import Fault, Schema, faults_in
from ..core.triggers import CONFIGS, EVENT, MAP, PATTERN, WHEN, applies, config_faults, mapped
from ..engine.audit import Owned, record
from ..engine.db import atomic
from ..engine.naming import named
from ..engine.start import UnknownWorkflow
from ..models import Trigger, Workflow

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

EVENT_TRIGGER: Schema = {
    "type": "object",
    "properties": {
        "event": PATTERN,
        "workflowId": {"type": "string", "minLength": 1, "maxLength": 100},
        "when": {**WHEN, "type": ["string", "null"]},
        "map": {**MAP, "anyOf": [*MAP["anyOf"], {"type": "null"}]},
        "enabled": {"type": "boolean"},
    },
    "additionalProperties": False,
}
NEW_EVENT_TRIGGER: Schema = {**EVENT_TRIGGER, "required": ["event", "workflowId"]}


class InvalidTrigger(Faulty):
    """The trigger is refused."""

    headline = "Trigger refused"


class UnknownTrigger(SpaneError):
    """There is no such trigger."""


class DeclaredTrigger(SpaneError):
    """The trigger is declared by its workflow's definition: change it there and publish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a trigger makes of an event.

    Attributes:
        applies: Whether its condition lets the event through.
        input: What its workflow would receive.
        faults: Why it could not start it all the same.
    """

    applies: bool
    input: Json = None
    faults: tuple[Fault, ...] = ()


def create(
    given: Any, *, now: datetime, tenant: str = "", by: AbstractBaseUser | None = None
) -> Trigger:
    """Make an event trigger.

    Args:
        given: ``event`` and ``workflowId``; ``when``, ``map`` and ``enabled`` if it likes.
        tenant: Whose events it hears.

    Raises:
        InvalidTrigger: with every fault.
        UnknownWorkflow: the tenant has none of this id, nor is one shared.
    """
    asked = _required(given, NEW_EVENT_TRIGGER)
    trigger = Trigger(kind=Trigger.Kind.EVENT, tenant=tenant, created_at=now)
    with atomic():
        _apply(trigger, asked)
        trigger.save()
        _record("create trigger", trigger, now=now, by=by, after=facts_of(trigger))
    return trigger


def change(
    trigger_id: int, given: Any, *, now: datetime, by: AbstractBaseUser | None = None
) -> Trigger:
    """Change what is named in ``given``.

    Raises:
        UnknownTrigger: there is none.
        DeclaredTrigger: it is declared, and more than ``enabled`` is to change.
        InvalidTrigger, UnknownWorkflow: as for `create`; nothing has changed.
    """
    asked = _required(given, EVENT_TRIGGER)
    with atomic():
        trigger = _locked(trigger_id)
        if trigger.is_declared and set(asked) - {"enabled"}:
            raise DeclaredTrigger
        before = facts_of(trigger)
        _apply(trigger, asked)
        trigger.save()
        after = facts_of(trigger)
        changed = [name for name in after if after[name] != before[name]]
        if changed:
            _record(
                "change trigger", trigger, now=now, by=by,
                before={name: before[name] for name in changed},
                after={name: after[name] for name in changed},
            )  # fmt: skip
    return trigger


def delete(trigger_id: int, *, now: datetime, by: AbstractBaseUser | None = None) -> None:
    """Delete an event trigger that was made by hand.

    Raises:
        UnknownTrigger, DeclaredTrigger: nothing has changed.
    """
    with atomic():
        trigger = _locked(trigger_id)
        if trigger.is_declared:
            raise DeclaredTrigger
        _record("delete trigger", trigger, now=now, by=by, before=facts_of(trigger))
        trigger.delete()


def try_out(given: Any, payload: Json, *, tenant: str = "") -> Trial:
    """Return what a trigger would make of an event's payload; nothing is written or started.

    Args:
        given: The whole trigger, as for `create`.

    Raises:
        InvalidTrigger, UnknownWorkflow: as for `create`.
    """
    asked = _required(given, NEW_EVENT_TRIGGER)
    version = _workflow(asked["workflowId"], tenant).current_version
    try:
        if not applies(asked.get("when"), payload):
            return Trial(applies=False)
        made = mapped(asked.get("map"), payload)
    except ExpressionError as error:
        return Trial(applies=False, faults=(Fault("", "expression", str(error)),))
    schema = Definition(version.definition).input_schema if version else None
    faults = () if schema is None else tuple(faults_in(schema, made, "input"))
    return Trial(applies=True, input=made, faults=faults)


def facts_of(trigger: Trigger) -> dict[str, Json]:
    """Return what a trigger says, in the words of the wire."""
    return {
        "event": trigger.name,
        "workflowId": trigger.workflow.key,
        "when": trigger.when or None,
        "map": trigger.map,
        "enabled": trigger.is_enabled,
    }


def faults_of(given: Any, schema: Schema = EVENT_TRIGGER) -> list[Fault]:
    """Return what is wrong with what is said of a trigger."""
    faults = list(faults_in(schema, given, ""))
    if isinstance(given, dict):
        said = {key: given[key] for key in CONFIGS[EVENT]["properties"] if given.get(key)}
        # The shape has been looked at; an event need not be named in a change.
        known = {fault.path for fault in faults}
        extra = config_faults(EVENT, {"event": "any", **said})
        faults += [fault for fault in extra if fault.path not in known and fault.path]
    return faults


def _required(given: Any, schema: Schema) -> Mapping[str, Any]:
    faults = faults_of(given, schema)
    if faults:
        raise InvalidTrigger(faults)
    return dict(given)


def _apply(trigger: Trigger, asked: Mapping[str, Any]) -> None:
    trigger.name = asked.get("event", trigger.name)
    trigger.is_enabled = asked.get("enabled", trigger.is_enabled)
    if "when" in asked:
        trigger.when = asked["when"] or ""
    if "map" in asked:
        trigger.map = asked["map"]
    if "workflowId" in asked:
        trigger.workflow = _workflow(asked["workflowId"], trigger.tenant)


def _workflow(key: str, tenant: str) -> Workflow:
    found = named(key, tenant).first()
    if found is None:
        raise UnknownWorkflow(f"Workflow '{key}' not found: publish its definition first")
    return found


def _locked(trigger_id: int) -> Trigger:
    rows = Trigger.objects.select_for_update(of=("self",)).select_related("workflow")
    trigger = rows.filter(pk=trigger_id).first()
    if trigger is None:
        raise UnknownTrigger(f"there is no trigger {trigger_id}")
    return trigger


def _record(
    verb: str,
    trigger: Trigger,
    *,
    now: datetime,
    by: AbstractBaseUser | None,
    before: Mapping[str, Json] | None = None,
    after: Mapping[str, Json] | None = None,
) -> None:
    target = Owned(f"{trigger} ({trigger.pk})", trigger.tenant)
    record(verb, now=now, by=by, target=target, before=before, after=after)
