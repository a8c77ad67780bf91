"""The life of versions: drafts, publishing, going back, archiving."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.contrib.auth.models import User

from spane_django.core.errors import InvalidDefinition
from spane_django.engine.drafts import (
    UnknownVersion,
    WrongVersionStatus,
    activate,
    archive,
    archive_workflow,
    discard_draft,
    find_draft,
    find_version,
    publish_draft,
    save_draft,
)
from spane_django.engine.publish import publish
from spane_django.engine.retry import replay
from spane_django.engine.start import UnknownWorkflow, start
from spane_django.models import AuditEntry, Workflow, WorkflowVersion
from tests.engine.helpers import NOON, Machine, definition, execution, status, statuses

pytestmark = pytest.mark.django_db

RAW = definition({"a": ["b"]})
FAULTY = definition({"a": ["b"]}, entryNodeId="ghost")


def standing() -> dict[int, str]:
    return dict(WorkflowVersion.objects.order_by("number").values_list("number", "status"))


def current() -> int | None:
    version = Workflow.objects.get().current_version
    return version and version.number


def verbs() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("verb", flat=True))


def test_a_draft_is_kept_with_its_faults_and_starts_nothing():
    draft = save_draft(FAULTY, now=NOON)

    assert [fault.code for fault in draft.faults] == ["unknown_entry"]
    assert (draft.version.definition, draft.version.published_at) == (FAULTY, None)
    assert (standing(), current()) == ({1: "draft"}, None)
    with pytest.raises(UnknownWorkflow):
        start("w", now=NOON)


def test_a_workflow_has_one_draft_and_it_has_the_next_number():
    publish(RAW, now=NOON)
    save_draft(FAULTY, now=NOON)
    save_draft({**RAW, "name": "Better"}, now=NOON)

    assert (standing(), current()) == ({1: "published", 2: "draft"}, 1)
    assert find_draft("w").definition["name"] == "Better"
    assert Workflow.objects.get().name == "W"


def test_a_published_draft_is_the_current_version():
    ada = User.objects.create(username="ada")
    publish(RAW, now=NOON)
    save_draft({**RAW, "name": "Better"}, now=NOON, by=ada)

    version = publish_draft("w", now=NOON, by=ada)

    assert (version.number, version.status, version.published_by) == (2, "published", ada)
    assert (standing(), current()) == ({1: "published", 2: "published"}, 2)
    assert Workflow.objects.get().name == "Better"


def test_what_is_published_later_has_the_higher_number():
    save_draft({**RAW, "name": "Draft"}, now=NOON)
    direct = publish(RAW, now=NOON)

    assert publish_draft("w", now=NOON).number > direct.number


def test_a_faulty_draft_is_not_published_and_stays():
    save_draft(FAULTY, now=NOON)

    with pytest.raises(InvalidDefinition, match="ghost"):
        publish_draft("w", now=NOON)

    assert find_draft("w").definition == FAULTY


@pytest.mark.parametrize(
    "raw", [[], {}, {"id": 7}, {"id": "not an id"}, {"id": "w", "x": "\x00"}, {"id": "w", "x": {1}}]
)
def test_what_has_no_id_or_is_no_json_is_no_draft(raw):
    with pytest.raises(InvalidDefinition):
        save_draft(raw, now=NOON)

    assert not Workflow.objects.exists()


@pytest.mark.parametrize("name", [None, 7, "", "x" * 300])
def test_a_draft_may_have_no_usable_name_yet(name):
    save_draft({"id": "w", "name": name}, now=NOON)

    assert Workflow.objects.get().name == "w"


def test_a_draft_may_be_thrown_away():
    publish(RAW, now=NOON)
    save_draft(FAULTY, now=NOON)

    discard_draft("w", now=NOON)

    assert standing() == {1: "published"}
    with pytest.raises(UnknownVersion, match="no draft"):
        discard_draft("w", now=NOON)
    with pytest.raises(UnknownVersion, match="no draft"):
        publish_draft("w", now=NOON)


def test_an_earlier_version_may_be_made_current_again(machine: Machine):
    machine.publish({"old": []})
    machine.publish({"new": []}, name="Newer")

    activate("w", 1, now=machine.now, reason="the new one fails")

    assert (current(), Workflow.objects.get().name) == (1, "W")
    assert statuses(machine.start()) == {"old": "ready"}
    entry = AuditEntry.objects.get(verb="activate")
    assert (entry.target, entry.before, entry.after, entry.reason) == (
        "w v1", {"current": 2}, {"current": 1}, "the new one fails",
    )  # fmt: skip


def test_only_another_published_version_can_be_made_current():
    publish(RAW, now=NOON)
    publish({**RAW, "name": "Two"}, now=NOON)
    save_draft(RAW, now=NOON)
    archive("w", 1, now=NOON)

    for number, why in ((1, "archived"), (2, "already"), (3, "draft")):
        with pytest.raises(WrongVersionStatus, match=why):
            activate("w", number, now=NOON)
    with pytest.raises(UnknownVersion):
        activate("w", 9, now=NOON)
    with pytest.raises(UnknownWorkflow):
        activate("nobody", 1, now=NOON)


def test_executions_of_an_archived_version_go_on_and_none_is_added(machine: Machine):
    key = machine.begin({"a": ["b"]})
    machine.step()
    machine.publish({"c": []})

    archive("w", 1, now=machine.now)

    assert machine.drain() == ["b"]
    assert status(key) == "completed"
    with pytest.raises(WrongVersionStatus, match="archived"):
        replay(key, now=machine.now)


def test_the_current_version_and_drafts_are_not_archived():
    publish(RAW, now=NOON)
    save_draft(RAW, now=NOON)

    for number, why in ((1, "current"), (2, "draft")):
        with pytest.raises(WrongVersionStatus, match=why):
            archive("w", number, now=NOON)


def test_the_parts_of_a_version_share_its_fate():
    first = publish(RAW, now=NOON)
    publish({**RAW, "name": "Two"}, now=NOON)
    WorkflowVersion.objects.create(
        workflow=first.workflow, number=1, part="end", definition=RAW, content_hash=""
    )

    archive("w", 1, now=NOON)

    assert set(
        WorkflowVersion.objects.filter(number=1).values_list("part", "status")
    ) == {("", "archived"), ("end", "archived")}  # fmt: skip
    assert find_version("w", 1) == first


def test_an_archived_workflow_starts_nothing_until_it_is_published_again(machine: Machine):
    key = machine.begin({"a": []})
    save_draft(RAW, now=machine.now)

    archive_workflow("w", now=machine.now)

    assert (standing(), current()) == ({1: "archived"}, None)
    with pytest.raises(UnknownWorkflow):
        machine.start()
    with pytest.raises(UnknownWorkflow, match="already"):
        archive_workflow("w", now=machine.now)
    assert machine.drain() == ["a"]
    assert execution(key).version.number == 1
    assert machine.publish({"a": []}).number == 2
    assert isinstance(machine.start(), UUID)


def test_every_change_leaves_its_entry():
    publish(RAW, now=NOON)
    save_draft(FAULTY, now=NOON)
    discard_draft("w", now=NOON)
    save_draft({**RAW, "name": "Two"}, now=NOON)
    publish_draft("w", now=NOON)
    archive("w", 1, now=NOON)
    archive_workflow("w", now=NOON)

    assert verbs() == [
        "publish", "save_draft", "discard_draft", "save_draft", "publish", "archive",
        "archive_workflow",
    ]  # fmt: skip
