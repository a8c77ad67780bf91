"""Versions as a project's own code calls for them."""

from __future__ import annotations

from typing import Any

import pytest

from spane_django import (
    InvalidDefinition,
    activate_version,
    archive_version,
    archive_workflow,
    compare_versions,
    discard_draft,
    migrate,
    preview_migration,
    publish,
    publish_draft,
    save_draft,
    start,
)
from spane_django.engine.start import UnknownWorkflow

pytestmark = pytest.mark.django_db


def definition(*nodes: str) -> dict[str, Any]:
    listed = [{"id": node, "type": "set", "config": {"values": {}}} for node in nodes]
    return {"id": "w", "name": "W", "entryNodeId": nodes[0], "nodes": listed}


def test_a_draft_becomes_a_version_once_its_faults_are_gone(wakes):
    draft = save_draft(definition("a") | {"entryNodeId": "ghost"})
    with pytest.raises(InvalidDefinition):
        publish_draft("w")
    save_draft(definition("a"))

    version = publish_draft("w")

    assert [fault.code for fault in draft.faults] == ["unknown_entry"]
    assert start("w").version == version


def test_versions_are_compared_and_made_current_and_archived(wakes):
    publish(definition("a"))
    publish(definition("a", "b"))
    save_draft(definition("c"))

    assert list(compare_versions("w", 1, 2).added) == ["b"]
    assert activate_version("w", 1, reason="too much").number == 1
    assert archive_version("w", 2).status == "archived"
    assert start("w").version.number == 1
    discard_draft("w")
    archive_workflow("w")
    with pytest.raises(UnknownWorkflow):
        start("w")


def test_an_execution_is_moved_after_a_look_at_what_would_happen(wakes):
    publish(definition("a"))
    execution = start("w")
    publish(definition("b"))

    (move,) = preview_migration([execution], 2)
    moved = migrate(str(execution.pk), 2)

    assert (move.starts, move.drops) == (["b"], ["a"])
    assert moved.version.number == 2
    assert [run.node_id for run in moved.node_runs.all()] == ["b"]
