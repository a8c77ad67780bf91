"""Events: something of a name has happened, and every workflow that listens for it starts.

* An event starts what it starts in the emitter's transaction, or in one of its own: all of it
  commits with what the event tells of, or none of it.
* Who listens is asked of the database with one query, by the names and patterns that the event
  fits.  There is no cache, so that nothing can be stale: a trigger counts from the moment at
  which the transaction that wrote it has committed, in every process.
* A trigger of a tenant hears that tenant's events; one of no tenant hears everybody's, and what it
  starts belongs to the event's tenant.
* The emitter is not to suffer from a listener.  What a trigger cannot start (an expression that
  fails, an input that is refused, no room) is told by the answer and the log and kept with the
  trigger; everything else starts all the same.

An event itself is not kept: what it started has its payload, its name and its subject.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F, Model

from ..clock import now as current_time
from ..conf import settings
from ..core.errors import InvalidInput, SpaneError
from ..core.expressions import ExpressionError
from ..core.json import Json, UnstorableValue, decode, encode
from ..core.schema import Fault
from ..core.starting import KEY_LENGTH
from ..core.triggers import applies, is_event_name, mapped, patterns_for
from ..engine.audit import Owned, record
from ..engine.db import atomic, on_commit
from ..engine.origin import ChainTooLong, Origin, origin, require_room, tell
from ..engine.sql import statements
from ..engine.start import StartOptions, start_version
from ..models import Execution, Trigger
from ..subjects import columns_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger("spane_django.triggers")

_ERROR_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that has happened.

    Attributes:
        subject: The type and the id of the business object that it is about; ("", ""): none.
        key: Whose the executions are, as in `start`; None: what each workflow finds.
        idempotency_key: Makes it the same event as another one with this key: each trigger
            starts once.  None: every one counts.
        by: Who emits it.
    """

    name: str
    payload: Json = None
    tenant: str = ""
    subject: tuple[str, str] = ("", "")
    key: str | None = None
    idempotency_key: str | None = None
    by: AbstractBaseUser | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A trigger that applied and started nothing."""

    trigger_id: int
    workflow: str
    error: str


@dataclass(slots=True)
class Emission:
    """What an event has led to.

    Attributes:
        executions: What it started, or had started before under its idempotency key.
        refused: What it could not start.
    """

    name: str
    executions: list[UUID] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def emit(
    name: str,
    payload: Json = None,
    *,
    tenant: str = "",
    subject: Model | None = None,
    key: str | None = None,
    idempotency_key: str | None = None,
    by: AbstractBaseUser | None = None,
) -> Emission:
    """Say that something has happened; what listens for it starts in the caller's transaction.

    Args:
        name: Words with dots between, such as ``order.paid``.
        payload: What there is to know; triggers look into it and hand it on.
        tenant: Whose event it is; in a node's code, the execution's unless it is named.
        subject: The saved object that it is about; executions are found by it.
        key: Whose the executions are, for fair shares and limits; None: the workflows say.
        idempotency_key: An event of the same name with the same key starts nothing again.
        by: Who emits it.

    Raises:
        InvalidInput: the name is none, or the payload is no JSON or too large.
        ValueError: the subject has not been saved.
    """
    named = columns_of(subject) if subject is not None else ("", "")
    return emit_event(
        Event(
            name=name, payload=payload, tenant=tenant, subject=named, key=key,
            idempotency_key=idempotency_key, by=by,
        ),
        now=current_time(),
    )  # fmt: skip


def emit_event(event: Event, *, now: datetime) -> Emission:
    """Start what listens for an event, in the caller's transaction if there is one.

    Locks:
        What the starts lock, in the order of the workflows.

    Raises:
        InvalidInput: the name is none, or the payload is no JSON or too large.
    """
    data = _data(event)
    emission = Emission(event.name)
    source = origin()
    tenant = event.tenant or (source.tenant if source else "")
    triggers = _listening(event.name, tenant)
    if triggers:
        with atomic():
            for trigger in triggers:
                _fire(trigger, event, data, _Place(emission, source, tenant, now))
    return emission


def emit_by_hand(event: Event, *, now: datetime) -> Emission:
    """Emit an event that somebody says has happened, and write it on record with it.

    Raises and locks: see :func:`emit_event`.
    """
    with atomic():
        emission = emit_event(event, now=now)
        led_to = {"executions": [str(key) for key in emission.executions]}
        record("emit", now=now, by=event.by, target=Owned(event.name, event.tenant), after=led_to)
    return emission


@dataclass(frozen=True, slots=True)
class _Place:
    """Where and when an event happens."""

    emission: Emission
    source: Origin | None
    tenant: str
    now: datetime


def _data(event: Event) -> Json:
    faults = []
    if not is_event_name(event.name):
        message = "an event's name is words of letters, digits, '-' and '_' with dots between"
        faults.append(Fault("name", "invalid_name", message))
    try:
        text = encode(event.payload, limit_bytes=settings.MAX_PAYLOAD_BYTES)
    except UnstorableValue as error:
        faults.append(Fault("payload", "unstorable", str(error)))
    if faults:
        raise InvalidInput(faults)
    return decode(text)


def _listening(name: str, tenant: str) -> list[Trigger]:
    heard = statements().heard(Trigger.Kind.EVENT.value, patterns_for(name))
    if not heard:
        return []
    live = Trigger.objects.live().events().heard_by(tenant)
    fitting = live.filter(name__in=heard)
    # The order in which starts lock workflows, so that two events do not wait for each other.
    return list(fitting.select_related("workflow").order_by("workflow_id", "id"))


def _fire(trigger: Trigger, event: Event, data: Json, place: _Place) -> None:
    try:
        if applies(trigger.when, data):
            place.emission.executions.append(_start(trigger, event, data, place))
    except (SpaneError, ExpressionError, UnstorableValue) as error:
        _refuse(trigger, error, place)


def _start(trigger: Trigger, event: Event, data: Json, place: _Place) -> UUID:
    if place.source is not None:
        require_room(place.source.depth)
    subject_type, subject_id = event.subject
    options = StartOptions(
        key=event.key,
        idempotency_key=_once(trigger, event),
        by=event.by,
        tenant=place.tenant,
        trigger=f"event:{event.name}",
        subject_type=subject_type,
        subject_id=subject_id,
        origin=place.source,
    )
    known = _known(trigger, options)
    if known is not None:
        return known
    version_id = trigger.workflow.current_version_id or 0
    try:
        return start_version(version_id, mapped(trigger.map, data), now=place.now, options=options)
    except IntegrityError:
        known = _known(trigger, options)
        if known is None:
            raise
        return known


def _once(trigger: Trigger, event: Event) -> str | None:
    if event.idempotency_key is None:
        return None
    key = f"event:{trigger.pk}:{event.name}:{event.idempotency_key}"
    return key if len(key) <= KEY_LENGTH else f"event:{sha256(key.encode()).hexdigest()}"


def _known(trigger: Trigger, options: StartOptions) -> UUID | None:
    if options.idempotency_key is None:
        return None
    found = Execution.objects.filter(
        workflow_id=trigger.workflow_id,
        tenant=options.tenant,
        idempotency_key=options.idempotency_key,
    )
    return found.values_list("pk", flat=True).first()


def _refuse(trigger: Trigger, error: Exception, place: _Place) -> None:
    text, workflow = str(error)[:_ERROR_CHARACTERS], trigger.workflow.key
    place.emission.refused.append(Refusal(trigger.pk, workflow, text))
    logger.warning("the event %s did not start '%s': %s", place.emission.name, workflow, text)
    if place.source is not None and isinstance(error, ChainTooLong):
        tell(place.source.execution_id, text, now=place.now)
    row = Trigger.objects.filter(pk=trigger.pk)
    # After the commit: emitters are not to wait for each other because a trigger is faulty.
    on_commit(lambda: row.update(failures=F("failures") + 1, last_error=text, failed_at=place.now))
