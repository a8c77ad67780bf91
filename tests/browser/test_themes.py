"""Pages under the stock admin, django-unfold and django-jazzmin, light and dark.

The two others run in processes of their own, on the database of the tests: an app that replaces
the admin's templates cannot come and go within one process.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from pytest_django import DjangoDbBlocker

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Page, expect

from spane_django.dispatch import children
from spane_django.models import Execution
from tests.admin.pages import list_of, page_of
from tests.admin.stage import BAD, GOOD, ended, published
from tests.browser.conftest import Open
from tests.browser.test_browser import AXE, overflow

THEMES = ("stock", "unfold", "jazzmin")
PATIENCE_SECONDS = 60.0
# Contrast of texts of SVG, which axe cannot judge, and what lies over what can be clicked.
LOOK = """() => {
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const light = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const faults = [];
  for (const text of document.querySelectorAll(".spane-node text")) {
    const box = getComputedStyle(text.closest(".spane-node").querySelector("rect")).fill;
    const found = contrast(light(getComputedStyle(text).fill), light(box));
    if (found < 4.5) faults.push(`${text.textContent}: ${found.toFixed(2)}`);
  }
  const wanted = ".spane :is(.button, .spane-chip, input, select, textarea, h2), .spane-chip";
  for (const each of document.querySelectorAll(wanted)) {
    // jazzmin puts a box of its own over a choice, and keeps it for readers of screens alone.
    const isReplaced = each.classList.contains("select2-hidden-accessible");
    if (isReplaced || !each.checkVisibility({visibilityProperty: true})) continue;
    each.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
    const box = each.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const top = document.elementFromPoint(x, y);
    if (!box.width || !top || !(each.contains(top) || top.contains(each)))
      faults.push(`${each.outerHTML.slice(0, 120)} is under ${top?.outerHTML.slice(0, 120)}`);
  }
  return faults;
}"""


@pytest.fixture(scope="module")
def addresses(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[dict[str, str]]:
    """Where the themes are served; the stock one is the live server of each test."""
    with django_db_blocker.unblock():
        name = str(connection.settings_dict["NAME"])
    served = {theme: _serve(theme, name) for theme in THEMES if theme != "stock"}
    try:
        for _server, address in served.values():
            _wait_for(address)
        yield {"stock": "", **{theme: address for theme, (_, address) in served.items()}}
    finally:
        for server, _address in served.values():
            children.stop(server)


# One test for each theme: a process remembers rows, such as content types, that tests replace.
@pytest.mark.parametrize("theme", THEMES)
def test_pages_are_readable_and_work_in_every_theme(
    tab: Open, addresses: dict[str, str], theme: str
) -> None:
    for scheme in ("light", "dark"):
        failed, workflow = ended(BAD), published(GOOD).workflow
        here = tab(address=addresses[theme], color_scheme=scheme)
        for path, use in (
            (page_of(failed), _retry),
            (page_of(workflow), _start),
            (list_of(Execution), _cancel_by_the_list),
            (reverse("admin:spane_django_dashboard_changelist"), _choose_a_week),
        ):
            here.go(path)
            assert _faults(here.page) == [], f"{scheme}: {path}"
            use(here.page)


def _faults(page: Page) -> list[Any]:
    page.evaluate(AXE)
    answer = page.evaluate(
        "axe.run({include: [['.spane'], ['.spane-chip']].filter((s) => document.querySelector(s))},"
        "{rules: {region: {enabled: false}}})"
    )
    found = [
        (each["id"], [node["html"][:160] + str(node["any"])[:300] for node in each["nodes"][:3]])
        for each in answer["violations"]
    ]
    wide = overflow(page)
    return [*found, *page.evaluate(LOOK), *([f"{wide} pixels too wide"] if wide > 0 else [])]


def _retry(page: Page) -> None:
    page.click("text=Retry failed nodes")

    expect(page.locator(".spane-head > .spane-chip")).to_contain_text("running")


def _start(page: Page) -> None:
    page.click(".spane a.button:has-text('Start')")
    page.click(".spane button.default")

    expect(page.locator(".spane-head > .spane-chip")).to_contain_text("running")


def _cancel_by_the_list(page: Page) -> None:
    page.locator("[name=_selected_action]").first.check()
    page.select_option("[name=action]", "cancel_selected")
    page.locator("button[name=index]").first.click()
    page.click(".spane button.default")

    expect(page.locator(".spane-chip").first).to_contain_text("cancelled")


def _choose_a_week(page: Page) -> None:
    page.click("text=7 days")

    expect(page.locator(".spane [aria-current]")).to_contain_text("7 days")


def _serve(theme: str, database: str) -> tuple[Any, str]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    named = {"DJANGO_SETTINGS_MODULE": "tests.browser.themed", "SPANE_THEME": theme}
    command = [sys.executable, "manage.py", "runserver", "--noreload", "--skip-checks"]
    server = children.spawn(
        [*command, f"127.0.0.1:{port}"],
        env={**os.environ, **named, "SPANE_THEMED_DATABASE": database},
        stdout=-3,
        stderr=-3,
    )
    return server, f"http://127.0.0.1:{port}"


def _wait_for(address: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{address}/admin/login/", timeout=5).close()
        except (urllib.error.URLError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
