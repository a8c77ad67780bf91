"""A batch starts all of its executions or none, and the same ones when it is sent again."""

from __future__ import annotations

import pytest

from spane_django.core.errors import InvalidInput
from spane_django.engine.batch import LONGEST_KEY, MAX_INPUTS, start_batch
from spane_django.engine.publish import publish
from spane_django.engine.start import IdempotencyConflict, StartOptions
from spane_django.models import Execution
from tests.engine.helpers import after, definition
from tests.engine.threads import in_threads

KEYED = StartOptions(idempotency_key="orders")


@pytest.mark.django_db(transaction=True)
def test_of_one_batch_that_comes_four_times_at_once_one_starts():
    publish(definition({"a": []}), now=after(0))

    def start() -> list[object]:
        return list(start_batch("w", [1, 2, 3], now=after(1), options=KEYED))

    ids = in_threads([start] * 4)

    assert ids[1:] == ids[:1] * 3
    assert list(Execution.objects.order_by("id").values_list("input", flat=True)) == [1, 2, 3]


@pytest.mark.django_db
def test_a_batch_of_which_something_is_gone_does_not_start_again(wakes):
    publish(definition({"a": []}), now=after(0))
    first, *_ = start_batch("w", [1, 2], now=after(1), options=KEYED)
    Execution.objects.filter(pk=first).delete()

    with pytest.raises(IdempotencyConflict):
        start_batch("w", [1, 2], now=after(2), options=KEYED)

    assert Execution.objects.count() == 1


@pytest.mark.django_db
def test_a_batch_that_is_too_large_and_a_key_that_is_too_long_are_both_told(wakes):
    options = StartOptions(idempotency_key="k" * (LONGEST_KEY + 1))

    with pytest.raises(InvalidInput) as refused:
        start_batch("w", [None] * (MAX_INPUTS + 1), now=after(0), options=options)

    assert [fault.path for fault in refused.value.faults] == ["inputs", "idempotencyKey"]


@pytest.mark.django_db
def test_the_longest_key_has_room_for_the_place_of_the_last_input(wakes):
    publish(definition({"a": []}), now=after(0))
    options = StartOptions(idempotency_key="k" * LONGEST_KEY)

    ids = start_batch("w", [None] * 3, now=after(1), options=options)

    assert start_batch("w", [None] * 3, now=after(2), options=options) == ids
    assert len(f"{'k' * LONGEST_KEY}#{MAX_INPUTS}") <= 200
