"""The timeline and the log of an execution in a browser: large, followed, and without scripts."""

from __future__ import annotations

import sys

import pytest
from django.test import Client
from django.utils.timezone import now

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import expect

from spane_django.admin.timeline import MOST_ROWS
from spane_django.models import Execution, LogLine
from tests.admin.pages import page_of
from tests.admin.stage import GOOD, SCRIPT, SLOW, ended, node, started, work, workflow
from tests.admin.test_admin_live import live_of
from tests.admin.test_admin_timeline import thrice
from tests.browser.conftest import Open
from tests.browser.test_browser import axe, clean, overflow

# When the graph has been drawn: the frame after the one that has all of its nodes.
WATCH_PAINT = """
const look = () => {
  const drawn = document.querySelectorAll(".spane-node").length;
  if (drawn < 500) return requestAnimationFrame(look);
  requestAnimationFrame(() => setTimeout(() => {
    performance.mark("graph-painted");
  }));
};
requestAnimationFrame(look);
"""
LARGE = workflow(
    "large",
    *(
        node(
            f"step-{i}",
            "log",
            {"message": f"step {i}"},
            [f"step-{(i - 1) // 3}"] if i else [],
            [f"step-{child}" for child in range(3 * i + 1, 3 * i + 4) if child < 500],
        )
        for i in range(500)
    ),
)


def test_five_hundred_nodes_are_painted_soon_and_their_page_is_small(
    tab: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    execution = ended(LARGE)
    here = tab()
    here.page.add_init_script(WATCH_PAINT)

    # A second look: the first one compiles the templates of this process.
    for _ in range(2):
        here.go(page_of(execution))
    marks = "performance.getEntriesByName('graph-painted').map((mark) => mark.startTime)"
    expect(here.page.locator(".spane-node")).to_have_count(500)
    while not (painted := here.page.evaluate(marks)):
        here.page.wait_for_timeout(50)
    size = len(here.page.request.get(here.page.url).body())

    with capsys.disabled():
        told = f"painted after {painted[0]:.0f} ms, {size / 1_000:.0f} KB of HTML"
        sys.stdout.write(f"\n500 nodes: {told}\n")
    assert size <= 400_000
    assert here.page.locator(".spane-timeline tbody tr").count() == MOST_ROWS
    clean(here)


def test_a_live_answer_of_five_hundred_nodes_is_small(
    admin_client: Client, capsys: pytest.CaptureFixture[str], django_assert_max_num_queries: object
) -> None:
    execution = ended(LARGE)
    Execution.objects.filter(pk=execution.pk).update(status="running", finished_at=None)
    url, cursor = live_of(admin_client.get(page_of(execution)).content.decode())

    with django_assert_max_num_queries(3) as queries:  # type: ignore[operator]
        response = admin_client.get(url, {"cursor": cursor, "tail": "1"})

    with capsys.disabled():
        told = f"{len(queries)} queries, {len(response.content):,} bytes"
        sys.stdout.write(f"\nlive, 500 nodes, nothing new: {told}\n")
    assert response.json()["changed"] is False
    assert len(response.content) <= 5_000


def test_new_lines_are_added_to_the_log_as_text_while_it_is_followed(tab: Open) -> None:
    execution = ended(SLOW)
    here = tab()
    here.go(page_of(execution))
    follow = here.page.locator("[data-spane-tail] input")
    expect(follow).to_be_checked()

    write(execution, SCRIPT)
    expect(here.page.locator("#spane-log tbody tr").first).to_contain_text(SCRIPT)
    follow.uncheck()
    write(execution, "kept back")
    expect(here.page.locator("#spane-log")).not_to_contain_text("kept back")
    here.page.wait_for_timeout(2_500)
    held = here.page.locator("#spane-log").inner_text()
    follow.check()

    assert "kept back" not in held
    expect(here.page.locator("#spane-log tbody tr").first).to_contain_text("kept back")
    assert here.page.locator("#spane-log").inner_text().count(SCRIPT) == 1
    clean(here)


def test_a_log_that_is_followed_stops_when_its_execution_has_ended(tab: Open) -> None:
    execution = started(GOOD)
    here = tab()
    here.go(page_of(execution) + "?order=oldest")
    expect(here.page.locator("[data-spane-tail]")).to_be_visible()

    work()

    expect(here.page.locator("#spane-log")).to_contain_text("Workflow good completed")
    expect(here.page.locator("[data-spane-tail]")).to_have_count(0)
    asked = len(here.requests)
    here.page.wait_for_timeout(2_000)
    assert len(here.requests) == asked


def test_without_scripts_the_timeline_leads_to_nodes_and_the_log_is_filtered(tab: Open) -> None:
    execution = thrice()
    here = tab(java_script_enabled=False)
    here.go(page_of(execution))

    here.page.click(".spane-timeline td a >> nth=0")
    looked_at = here.page.inner_text("#spane-node h2")
    here.page.click(".spane-choices >> text=Attempt 2")
    here.page.select_option("#spane-log [name=level]", "error")
    here.page.click("#spane-log button")

    assert "call" in looked_at
    assert "attempt=2" in here.page.url
    assert here.page.locator("#spane-log tbody tr").count() == 1
    assert "attempt 2" in here.page.inner_text("#spane-log tbody")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_timeline_and_the_log_can_be_used_by_everybody(tab: Open, scheme: str) -> None:
    execution = thrice()
    waiting = ended(SLOW)
    here = tab(color_scheme=scheme, viewport={"width": 480, "height": 900})

    for path in (page_of(execution) + "?node=call&attempt=1", page_of(waiting)):
        here.go(path)
        assert axe(here.page) == []
        assert overflow(here.page) <= 0


def write(execution: Execution, message: str) -> None:
    """Write a line to the log as a node does that then waits: its row changes, too."""
    LogLine.objects.create(
        execution=execution,
        node_id="nap",
        attempt=1,
        level="info",
        message=message,
        created_at=now(),
    )
    execution.node_runs.update(started_at=now())
