"""Starting many executions by one call that may be repeated.

The key of a batch is kept by its executions, each with its place behind it: ``orders#0``,
``orders#1``, …  So the unique constraint on keys holds for batches, too, and a call that is sent
again finds what it started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError

from ..core.errors import InvalidInput
from ..core.json import Json
from ..core.schema import Fault
from ..core.starting import KEY_LENGTH
from ..models import Execution
from .current import current_version
from .db import alias
from .intake import StartOptions
from .naming import of_workflow
from .start import IdempotencyConflict, begin, is_stored_as

MAX_INPUTS = 10_000
# So that the place of the last input fits behind it.
LONGEST_KEY = KEY_LENGTH - len(f"#{MAX_INPUTS}")


def start_batch(
    workflow: str, inputs: Sequence[Json], *, now: datetime, options: StartOptions
) -> list[UUID]:
    """Start one execution per input, all or none, and return their ids in order.

    With an idempotency key a second call with the same inputs gives the same ids.

    Locks:
        As `start.start`.

    Raises:
        InvalidInput: there are too many inputs, the key is too long, or as `start.start_many`.
        IdempotencyConflict: the key was used with other inputs, or some of what it started is
            gone.
    """
    _check_size(inputs, options.idempotency_key)
    if found := _known(workflow, inputs, options):
        return found
    try:
        return _start(workflow, inputs, now=now, options=options)
    except IntegrityError:
        if found := _known(workflow, inputs, options):
            return found
        raise


def _start(
    workflow: str, inputs: Sequence[Json], *, now: datetime, options: StartOptions
) -> list[UUID]:
    version, key = current_version(workflow, options.tenant), options.idempotency_key
    keys = [] if key is None else [f"{key}#{place}" for place in range(len(inputs))]
    return begin(version, inputs, replace(options, idempotency_key=None), now=now, keys=keys)


def _known(workflow: str, inputs: Sequence[Json], options: StartOptions) -> list[UUID]:
    """Return what the key of a batch has started; nothing if it is new."""
    key = options.idempotency_key
    if key is None:
        return []
    # One more than there are inputs: a batch of more is another one.
    names = [f"{key}#{place}" for place in range(len(inputs) + 1)]
    executions = Execution.objects.using(alias()).filter(
        of_workflow(workflow, options.tenant), tenant=options.tenant, idempotency_key__in=names
    )
    found = {name: rest for name, *rest in executions.values_list(*_COLUMNS)}
    if found and (names[-1] in found or len(found) != len(inputs)):
        raise IdempotencyConflict(
            f"the idempotency key has started {len(found)} executions that are still there, not "
            f"{len(inputs)}: use a new key for new work"
        )
    for name, data in zip(names, inputs, strict=False):
        if found and not _is_same(found[name], data):
            raise IdempotencyConflict(
                f"the idempotency key was used with another input, for execution "
                f"{found[name][0]}: use a new key for new work"
            )
    return [found[name][0] for name in names[:-1]] if found else []


_COLUMNS = ("idempotency_key", "pk", "input", "cleared_at")


def _is_same(stored: list[Json], data: Json) -> bool:
    """Say whether an execution has this input; what has been cleared cannot be compared."""
    _, kept, cleared_at = stored
    return cleared_at is not None or is_stored_as(kept, data)


def _check_size(inputs: Sequence[Json], key: str | None) -> None:
    faults = []
    if len(inputs) > MAX_INPUTS:
        message = f"{len(inputs):,} inputs are too many: send at most {MAX_INPUTS:,} in one call"
        faults.append(Fault("inputs", "too_many", message))
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        message = f"the idempotency key of a batch has 1 to {LONGEST_KEY} characters"
        faults.append(Fault("idempotencyKey", "out_of_range", message))
    if faults:
        raise InvalidInput(faults)
