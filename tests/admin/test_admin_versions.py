"""Versions in the admin: drafts and archived ones are told apart, parts are no versions."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils.timezone import now

from spane_django.engine.drafts import archive, save_draft
from spane_django.models import Workflow, WorkflowVersion
from tests.admin.pages import list_of, page_of, tab_of
from tests.admin.stage import GOOD, published


@pytest.fixture
def versions(boss: Client) -> Client:
    """A workflow with an archived version, a current one and a draft; and a part of one."""
    first = published(GOOD)
    published({**GOOD, "name": "Second"})
    archive("good", 1, now=now())
    save_draft({**GOOD, "name": "Third"}, now=now())
    WorkflowVersion.objects.create(
        workflow=first.workflow, number=1, part="node:m", definition=GOOD, content_hash=""
    )
    return boss


def test_the_list_tells_what_each_version_is_and_leaves_parts_out(versions: Client) -> None:
    page = versions.get(list_of(WorkflowVersion)).content.decode()

    assert "good v3" in page
    assert all(word in page for word in ("draft", "published", "archived"))
    assert "node:m" not in page


def test_a_workflow_shows_its_versions_and_no_parts(versions: Client) -> None:
    page = versions.get(tab_of(Workflow.objects.get(), "versions")).content.decode()

    assert page.count(">v1</a>") == 1
    assert page.index("v3</a>") < page.index("draft") < page.index(">v2</a> (current)")
    assert page.index(">v1</a>") < page.index("archived")


def test_a_draft_and_a_part_have_pages_too(versions: Client) -> None:
    for version in WorkflowVersion.objects.all():
        page = versions.get(page_of(version))

        assert page.status_code == 200
        assert str(version) in page.content.decode()
