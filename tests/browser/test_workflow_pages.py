"""The pages of a workflow in a browser: every size and colour, for everybody, without scripts."""

from __future__ import annotations

import pytest
from django.utils.timezone import now

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import expect

from spane_django.models import AuditEntry, Workflow
from spane_django.triggers import event_triggers, webhooks
from tests.admin.pages import page_of, tab_of
from tests.admin.stage import BAD, ended, published
from tests.admin.test_admin_diff import NEW, OLD
from tests.admin.test_admin_workflow_tabs import FULL
from tests.browser.conftest import Open
from tests.browser.test_browser import Keep, axe, clean, overflow


def addresses() -> dict[str, str]:
    """Return the pages of workflows with something on each."""
    published(OLD)
    flow = published({**NEW, "name": "A flow with a name that is long enough to need two lines"})
    event_triggers.create({"event": "order.*", "workflowId": "flow"}, now=now())
    webhooks.create({"workflowId": "flow", "name": "shop"}, now=now())
    failed, full = ended(BAD).workflow, published(FULL).workflow
    return {
        "graph": page_of(flow.workflow),
        "versions": tab_of(flow.workflow, "versions"),
        "diff": tab_of(flow.workflow, "diff") + "?a=1&b=2&node=first",
        "restore": tab_of(flow.workflow, "restore", 1),
        "executions": tab_of(failed, "executions"),
        "no-executions": tab_of(full, "executions"),
        "triggers": tab_of(flow.workflow, "triggers"),
        "no-triggers": tab_of(full, "triggers"),
        "settings": tab_of(full, "settings"),
        "version": page_of(flow),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [480, 1280])
def test_pages_of_a_workflow_fit_and_keep_to_the_policy(
    tab: Open, pictures: Keep, scheme: str, width: int
) -> None:
    here = tab(color_scheme=scheme, viewport={"width": width, "height": 900})

    for name, path in addresses().items():
        here.go(path)
        pictures(here, f"workflow-{name}-{scheme}-{width}")
        assert overflow(here.page) <= 0, name

    clean(here)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_a_workflow_can_be_used_by_everybody(tab: Open, scheme: str) -> None:
    here = tab(color_scheme=scheme)

    for name, path in addresses().items():
        here.go(path)
        found = axe(here.page)
        assert found == [], f"{name}: {found}"


def test_versions_are_compared_and_restored_without_scripts(tab: Open) -> None:
    published(OLD)
    flow = published(NEW).workflow
    here = tab(java_script_enabled=False)

    here.go(tab_of(flow, "versions"))
    here.page.get_by_role("radio", name="From v2").check()
    here.page.get_by_role("radio", name="To v1").check()
    here.page.get_by_role("button", name="Compare From with To").click()
    expect(here.page.locator(".spane-node.spane-removed")).to_contain_text("removed")
    expect(here.page.locator(".spane-node.spane-added")).to_contain_text("added")

    here.page.get_by_role("link", name="Versions", exact=True).last.click()
    here.page.get_by_role("link", name="Restore v1").click()
    here.page.get_by_label("Reason").fill("it was better")
    here.page.get_by_role("button", name="Restore: v1").click()

    expect(here.page.locator(".messagelist")).to_contain_text("v1 is the current version.")
    assert Workflow.objects.get(pk=flow.pk).current_version.number == 1
    assert AuditEntry.objects.get(verb="activate").reason == "it was better"
    clean(here)
