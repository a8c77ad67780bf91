"""The admin in a browser: under a strict policy, offline, without scripts, by keyboard, live."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from pytest_django import Settings

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

import axe_playwright_python
from playwright.sync_api import Page, expect

from spane_django.models import DeadLetter, Execution
from tests.admin.pages import list_of, page_of
from tests.admin.stage import (
    BAD,
    EVIL,
    GOOD,
    SCRIPT,
    SLOW,
    WIDE,
    ended,
    node,
    published,
    started,
    work,
    workflow,
)
from tests.browser.conftest import Open, Tab

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
DIAMOND = workflow(
    "diamond",
    node("start", "set", {"values": {}}, [], ["left", "right"]),
    node("left", "delay", {"duration": "P3D"}, ["start"], ["end"]),
    node("right", "log", {"message": "right"}, ["start"], ["end"]),
    node("end", "log", {"message": "end"}, ["left", "right"], []),
)

Keep = Callable[[Tab, str], None]


def clean(tab: Tab) -> None:
    assert tab.errors == []


def overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def test_pages_of_executions_and_workflows_keep_to_the_policy_in_every_size(
    tab: Open, pictures: Keep
) -> None:
    failed, wide, evil = ended(BAD), ended(WIDE), ended(EVIL)
    here = tab()

    for name, path in {
        "failed": page_of(failed),
        "wide": page_of(wide),
        "evil": page_of(evil),
        "workflow": page_of(published(GOOD).workflow),
        "executions": list_of(Execution),
        "letters": list_of(DeadLetter),
        "letter": page_of(DeadLetter.objects.get()),
        "groups": reverse("admin:spane_django_deadletter_groups"),
        "dashboard": reverse("admin:spane_django_dashboard_changelist"),
        "node": page_of(failed.node_runs.get(node_id="explode")),
        "rerun": f"{reverse('admin:spane_django_execution_replay', args=[failed.pk])}"
        "?from=node:explode",
        "replay": reverse("admin:spane_django_execution_replay", args=[wide.pk]),
        "start": reverse("admin:spane_django_workflow_start", args=[failed.workflow_id]),
    }.items():
        here.go(path)
        for width in (480, 1280):
            here.page.set_viewport_size({"width": width, "height": 900})
            assert overflow(here.page) <= 0, f"{name} at {width}"
            pictures(here, f"{name}-light-{width}")

    clean(here)


def test_what_others_write_is_text(tab: Open) -> None:
    execution = ended(BAD)
    here = tab()

    here.go(page_of(execution))

    assert SCRIPT in here.page.inner_text("#content")
    clean(here)


def test_without_scripts_the_graph_is_there_and_verbs_work(tab: Open) -> None:
    execution = ended(BAD)
    here = tab(java_script_enabled=False)
    here.go(page_of(execution))

    here.page.click('[data-node="after"]')
    looked_at = here.page.inner_text("#spane-node h2")
    here.page.click('[data-node="explode"]')
    here.page.click("text=Skip…")
    here.page.fill("[name=reason]", "known")
    here.page.click("button.default")

    assert "after" in looked_at
    assert "skipped" in here.page.inner_text("#spane-node")
    expect(here.page.locator('[data-node="explode"]')).to_have_class(re.compile("spane-skipped"))


def test_a_graph_is_walked_by_the_keyboard(tab: Open) -> None:
    execution = started(DIAMOND)
    work()
    here = tab()
    here.go(page_of(execution))

    here.page.locator('[data-node="start"]').focus()
    here.page.keyboard.press("ArrowRight")
    at_a_branch = here.page.evaluate("document.activeElement.dataset.node")
    here.page.keyboard.press("ArrowDown")
    here.page.keyboard.press("ArrowUp")
    here.page.keyboard.press("ArrowRight")
    here.page.keyboard.press("Enter")
    here.page.wait_for_url("**node=end**")

    assert at_a_branch in ("left", "right")
    assert here.page.locator(".spane-graph [tabindex='0']").count() == 1
    clean(here)


def test_a_graph_is_zoomed(tab: Open) -> None:
    here = tab()
    here.go(page_of(ended(DIAMOND)))
    svg = here.page.locator(".spane-graph-view svg")
    before = float(svg.get_attribute("width") or 0)

    here.page.click('[data-zoom="out"]')

    assert float(svg.get_attribute("width") or 0) < before


def test_a_page_follows_its_execution_and_stops_when_it_has_ended(tab: Open) -> None:
    execution = started(GOOD)
    here = tab()
    here.go(page_of(execution))
    expect(here.page.locator('[data-node="greet"]')).to_have_class(re.compile("spane-ready"))

    work()

    expect(here.page.locator('[data-node="tell"]')).to_have_class(re.compile("spane-completed"))
    expect(here.page.locator(".spane-head > .spane-chip")).to_contain_text("completed")
    asked = len(here.requests)
    here.page.wait_for_timeout(2_500)
    assert len(here.requests) == asked
    clean(here)


def test_a_page_that_nobody_looks_at_asks_nothing(tab: Open) -> None:
    execution = started(SLOW)
    here = tab()
    here.go(page_of(execution))

    here.page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    here.page.wait_for_timeout(1_200)
    asked = len(here.requests)
    here.page.wait_for_timeout(2_500)

    assert len(here.requests) == asked


def test_who_was_signed_out_is_told_so_and_the_page_stops(tab: Open) -> None:
    execution = started(SLOW)
    here = tab()
    here.go(page_of(execution))

    here.page.context.clear_cookies()

    expect(here.page.locator('[data-spane-said="signed-out"]')).to_be_visible()


def test_what_has_the_focus_keeps_it_while_the_page_follows(tab: Open) -> None:
    execution = started(GOOD)
    here = tab()
    here.go(page_of(execution))
    here.page.locator('[data-node="greet"]').focus()

    work()

    expect(here.page.locator('[data-node="greet"]')).to_have_class(re.compile("spane-completed"))
    assert here.page.evaluate("document.activeElement.dataset.node") == "greet"


def test_from_right_to_left_the_graph_stays_as_it_is_and_nothing_overflows(
    tab: Open, settings: Settings
) -> None:
    settings.LANGUAGE_CODE = "ar"
    execution = ended(BAD)
    here = tab()

    here.go(page_of(execution))

    assert here.page.evaluate("document.documentElement.dir") == "rtl"
    assert here.page.locator(".spane-graph").get_attribute("dir") == "ltr"
    assert overflow(here.page) <= 0
    clean(here)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_can_be_used_by_everybody(tab: Open, scheme: str) -> None:
    execution = ended(BAD)
    here = tab(color_scheme=scheme)

    for path in (
        page_of(execution),
        reverse("admin:spane_django_dashboard_changelist"),
        reverse("admin:spane_django_deadletter_groups"),
        page_of(published(GOOD).workflow),
    ):
        here.go(path)
        found = axe(here.page)
        assert found == [], f"{path}: {found}"


def axe(page: Page) -> list[Any]:
    """Return what axe-core finds wrong with our part of a page."""
    page.evaluate(AXE)
    answer = page.evaluate("axe.run(document.querySelector('.spane') ?? document)")
    return [
        (found["id"], found["help"], [each["html"][:200] for each in found["nodes"][:3]])
        for found in answer["violations"]
    ]
