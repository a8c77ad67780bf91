"""What a workflow in Python says about its starts, and what a start says itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django import (
    DuplicateExecution,
    DuplicateRule,
    MaxExecutions,
    NoRoom,
    OnDuplicate,
    Overflow,
    Workflow,
    start,
    start_many,
)
from spane_django.authoring.options import workflow_fields
from spane_django.core.definition import Definition

LIMITS = st.builds(
    MaxExecutions,
    most=st.integers(1, 1_000_000),
    is_per_key=st.booleans(),
    overflow=st.sampled_from(Overflow),
)
RULES = st.builds(
    DuplicateRule,
    action=st.sampled_from(OnDuplicate),
    key=st.none() | st.just("order.id"),
    wait=st.none() | st.integers(1, 10**9).map(lambda ms: timedelta(milliseconds=ms)),
)


@given(LIMITS, RULES)
def test_limits_and_rules_come_back_as_they_were_said(limit: MaxExecutions, rule: DuplicateRule):
    fields = workflow_fields({"max_executions": limit, "on_duplicate": rule, "key": "tenant"})

    definition = Definition(fields)
    assert (definition.max_executions, definition.duplicates) == (limit, rule)
    assert definition.key == "tenant"


def test_short_forms_are_written_as_the_wire_names_them() -> None:
    flow = Workflow("w", max_executions=3, on_duplicate="return", key="tenant")
    flow.add("a", "log", {"message": "hello"})

    definition = flow.definition()
    assert definition["maxExecutions"] == 3
    assert definition["onDuplicate"] == {"action": "return"}
    assert Definition(definition).max_executions == MaxExecutions(most=3)
    assert flow.check() == []


@pytest.mark.django_db
@pytest.mark.usefixtures("wakes")
def test_a_workflow_in_python_refuses_what_it_was_told_to_refuse() -> None:
    flow = Workflow(
        "w",
        max_executions=MaxExecutions(most=2, overflow=Overflow.REJECT),
        on_duplicate=OnDuplicate.REJECT,
    )
    flow.add("a", "log", {"message": "hello"})
    flow.start({"n": 1})

    with pytest.raises(DuplicateExecution):
        flow.start({"n": 1})
    with pytest.raises(NoRoom):
        start_many("w", [2, 3])


@pytest.mark.django_db
@pytest.mark.usefixtures("wakes")
def test_a_start_in_python_says_what_a_duplicate_is() -> None:
    flow = Workflow("w")
    flow.add("a", "log", {"message": "hello"})
    wait = timedelta(seconds=30)

    first = flow.start({"n": 1}, key="ada", duplicate_key="report", debounce=wait)
    again = start("w", {"n": 2}, duplicate_key="report", on_duplicate=OnDuplicate.RETURN)

    assert (again, again.key, again.input) == (first, "ada", {"n": 1})
    assert first.start_at == first.created_at + wait
