"""Intake: what somebody wants to have started, checked and made into rows.

Every fault of every input is told before anything is written.  Whether a row starts at once,
waits or is refused is decided afterwards, in `admission`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..conf import settings
from ..core.errors import InvalidInput
from ..core.expressions import ExpressionError
from ..core.ids import uuid7
from ..core.json import Json, UnstorableValue, encode
from ..core.schema import Fault, faults_in
from ..core.starting import KEY_LENGTH, DuplicateRule, OnDuplicate, key_of, key_of_all
from ..core.statuses import ExecutionStatus
from ..models import Execution
from .origin import Origin
from .payloads import store
from .rows import NewExecution
from .versions import PreparedVersion

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """How an execution is started.

    Attributes:
        priority: 1 to 10, higher first; None: the workflow's.
        start_at: Not before; None: at once.
        timeout: How long it may take, counted from ``start_at`` or from now, the time in which
            it waits for its turn included; None: the workflow's.
        idempotency_key: A second start of the same workflow with the same key and the same
            input gives the first execution back.
        key: Whose it is, such as a tenant; None: what the workflow's ``key`` finds.
        on_duplicate: What happens while one like it has not ended; None: what the workflow says.
        duplicate_key: What makes it one like others; None: what the workflow's key of duplicates
            finds, or all of the input.
        debounce: For how long nothing like it must have come before it starts; says
            ``on_duplicate=OnDuplicate.DEBOUNCE`` if nothing else does.
        by: Who starts it.
        replay_of: The execution that this one repeats.
        tenant: Who owns it, where tenants are kept apart.
        trigger: What starts it, such as ``webhook:12``; "": code.
        subject_type: The label of the model of the business object that it is about, such as
            ``shop.order``.
        subject_id: That object's primary key.
        origin: The execution whose node's code starts it; it becomes the parent.
        traceparent: The trace that it belongs to, as the header of that name (W3C) says it;
            None: that of the caller, where calls are traced.
    """

    priority: int | None = None
    start_at: datetime | None = None
    timeout: timedelta | None = None
    idempotency_key: str | None = None
    key: str | None = None
    on_duplicate: OnDuplicate | str | None = None
    duplicate_key: str | None = None
    debounce: timedelta | None = None
    by: AbstractBaseUser | None = None
    replay_of: UUID | None = None
    tenant: str = ""
    trigger: str = ""
    subject_type: str = ""
    subject_id: str = ""
    origin: Origin | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Sameness:
    """What one start takes for a duplicate, and what it wants done about it."""

    action: OnDuplicate
    rule: DuplicateRule | None
    key: str | None
    wait: timedelta | None

    @property
    def depends_on_input(self) -> bool:
        """Whether each input has to be looked at for its key."""
        is_asked_for = self.rule is not None or self.action is not OnDuplicate.ALLOW
        return is_asked_for and self.key is None

    def key_for(self, data: Json) -> str | None:
        """Return the duplicate key of an input; None: it is like nothing else.

        Raises:
            ExpressionError: the workflow's expression cannot be evaluated.
        """
        if not self.depends_on_input:
            return self.key
        if self.rule is not None and self.rule.key is not None:
            return key_of(self.rule.key, data) or None
        return key_of_all(data)


def sameness_for(version: PreparedVersion, options: StartOptions) -> Sameness:
    """Return what a start takes for a duplicate: what it says itself, else its workflow."""
    rule = version.definition.duplicates
    action = OnDuplicate.ALLOW if rule is None else rule.action
    if options.on_duplicate is not None:
        action = OnDuplicate(options.on_duplicate)
    elif options.debounce is not None:
        action = OnDuplicate.DEBOUNCE
    wait = options.debounce
    if wait is None and rule is not None:
        wait = rule.wait
    return Sameness(action, rule, options.duplicate_key, wait)


def new_rows(
    version: PreparedVersion, inputs: Sequence[Json], options: StartOptions, *, now: datetime
) -> list[NewExecution]:
    """Return a row for each input.

    Raises:
        InvalidInput: an input or an option is refused; every fault is listed.
    """
    faults = list(_option_faults(version, options))
    texts = []
    for path, data in _named(inputs):
        text, wrong = _text(version, data, path)
        texts.append(text)
        faults += wrong
    if faults:
        raise InvalidInput(faults)
    template = _Template(version, options, sameness_for(version, options), now)
    keys = template.keys(inputs)
    return [template.row(text, *own) for text, own in zip(texts, keys, strict=True)]


class _Template:
    """What the rows of one start have in common."""

    def __init__(
        self, version: PreparedVersion, options: StartOptions, sameness: Sameness, now: datetime
    ) -> None:
        self._version = version
        self._options = options
        self._sameness = sameness
        self._now = now
        self._priority = options.priority or version.definition.priority
        self._timeout = options.timeout or version.definition.timeout
        self._start_at = _later(options.start_at, now)
        is_debounced = sameness.action is OnDuplicate.DEBOUNCE and sameness.wait is not None
        self._debounced_until = now + sameness.wait if is_debounced and sameness.wait else None

    def keys(self, inputs: Sequence[Json]) -> list[_Keys]:
        """Return the keys of all inputs.

        Raises:
            InvalidInput: an expression cannot be evaluated.
        """
        options, sameness = self._options, self._sameness
        if self._version.definition.key is None and not sameness.depends_on_input:
            return [(options.key or "", sameness.key)] * len(inputs)
        faults, keys = [], []
        for path, data in _named(inputs):
            try:
                keys.append((self._key(data), sameness.key_for(data)))
            except ExpressionError as error:
                faults.append(Fault(path, "no_key", str(error)))
        if faults:
            raise InvalidInput(faults)
        return keys

    def row(self, text: str, key: str, duplicate_key: str | None) -> NewExecution:
        version, options, start_at = self._version, self._options, self._start_at
        if self._debounced_until is not None and duplicate_key is not None:
            start_at = max(self._debounced_until, start_at or self._now)
        slot, slot_limit = version.slot_for(key, options.tenant)
        is_delayed = start_at is not None
        begins = start_at or self._now
        return NewExecution(
            id=uuid7(),
            workflow_id=version.workflow_id,
            version_id=version.id,
            status=ExecutionStatus.PENDING if is_delayed else ExecutionStatus.RUNNING,
            input=store(text, now=self._now),
            priority=self._priority,
            active_nodes=0 if is_delayed else len(version.graph.roots),
            created_at=self._now,
            started_by_id=options.by.pk if options.by else None,
            start_at=start_at,
            deadline_at=begins + self._timeout if self._timeout else None,
            replay_of_id=options.replay_of,
            idempotency_key=options.idempotency_key,
            duplicate_key=duplicate_key,
            slot=slot,
            slot_limit=slot_limit,
            key=key,
            tenant=options.tenant,
            trigger=options.trigger,
            subject_type=options.subject_type,
            subject_id=options.subject_id,
            traceparent=options.traceparent,
            **_parentage(options.origin),
        )

    def _key(self, data: Json) -> str:
        if self._options.key is not None:
            return self._options.key
        expression = self._version.definition.key
        return "" if expression is None else key_of(expression, data)


def _parentage(origin: Origin | None) -> dict[str, Any]:
    if origin is None:
        return {}
    return {
        "parent_id": origin.execution_id,
        "relation": Execution.Relation.TRIGGERED,
        "depth": origin.depth + 1,
        "follows_parent": False,
    }


_Keys = tuple[str, str | None]
"""The key of an execution, and its duplicate key."""


def _later(start_at: datetime | None, now: datetime) -> datetime | None:
    return start_at if start_at is not None and start_at > now else None


def _named(inputs: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    for index, data in enumerate(inputs):
        yield "initialData" if len(inputs) == 1 else f"initialData[{index}]", data


def _text(version: PreparedVersion, data: Json, path: str) -> tuple[str, list[Fault]]:
    try:
        text = encode(data, limit_bytes=settings.MAX_PAYLOAD_BYTES)
    except UnstorableValue as error:
        return "", [Fault(path, "unstorable", str(error))]
    schema = version.definition.input_schema
    return text, list(faults_in(schema, data, path)) if schema else []


def _option_faults(version: PreparedVersion, options: StartOptions) -> Iterator[Fault]:
    if options.priority is not None and not 1 <= options.priority <= 10:
        yield Fault("priority", "out_of_range", "Priority must be between 1 and 10")
    yield from _key_faults(options)
    if options.traceparent is not None and not _TRACEPARENT.fullmatch(options.traceparent):
        message = "a traceparent is written as W3C's Trace Context has it: 00-<trace>-<span>-01"
        yield Fault("traceparent", "invalid", message)
    if options.debounce is not None and options.debounce <= timedelta(0):
        yield Fault("debounce", "out_of_range", "a debounced start waits for longer than nothing")
    try:
        sameness = sameness_for(version, options)
    except ValueError:
        known = ", ".join(OnDuplicate)
        message = f"'{options.on_duplicate}' is none of {known}"
        yield Fault("onDuplicate", "unknown_action", message)
        return
    if sameness.action is OnDuplicate.DEBOUNCE:
        if sameness.wait is None:
            yield Fault("debounce", "missing_wait", "say how long it waits for the next one")
    elif options.debounce is not None:
        message = f"only 'debounce' waits, not '{sameness.action}': remove one of the two"
        yield Fault("debounce", "no_debounce", message)


def _key_faults(options: StartOptions) -> Iterable[Fault]:
    for path, what, key in (
        ("idempotencyKey", "an idempotency key", options.idempotency_key),
        ("key", "a key", options.key),
        ("duplicateKey", "a duplicate key", options.duplicate_key),
    ):
        if key is not None and not 1 <= len(key) <= KEY_LENGTH:
            yield Fault(path, "out_of_range", f"{what} has 1 to {KEY_LENGTH} characters")
        elif key is not None and not _is_storable(key):
            yield Fault(path, "unstorable", f"{what} is text that a database takes: no NUL")


def _is_storable(key: str) -> bool:
    try:
        encode(key)
    except UnstorableValue:
        return False
    return True
