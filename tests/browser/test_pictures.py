"""Every page of the admin in every scene, light and dark, wide and narrow: it fits and keeps still.

With ``SPANE_SCREENSHOTS`` a picture of each is kept there, ``<scene>-<page>-<scheme>-<width>.png``.
"""

from __future__ import annotations

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Page

from tests.browser import scenes
from tests.browser.conftest import Open
from tests.browser.test_browser import Keep, overflow

WIDTHS = (1280, 480)
SCHEMES = ("light", "dark")


@pytest.mark.usefixtures("wakes")
@pytest.mark.parametrize("scene", scenes.SCENES)
def test_every_page_fits_in_every_scene(tab: Open, pictures: Keep, scene: str) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    scenes.SCENES[scene]()
    here, faults = tab(), []

    for name, address in scenes.pages():
        if not _is_page(client, name, address):
            continue
        here.go(address)
        faults += [f"{name}: {error}" for error in here.errors]
        here.errors.clear()
        for width in WIDTHS:
            here.page.set_viewport_size({"width": width, "height": 900})
            faults += _too_wide(here.page, f"{name} at {width}")
            for scheme in SCHEMES:
                here.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                pictures(here, f"{scene}-{name}-{scheme}-{width}")

    assert faults == []


def test_pages_are_there_in_forced_colours_without_motion_and_on_paper(
    tab: Open, pictures: Keep
) -> None:
    User.objects.create_superuser("boss")
    scenes.failed()
    addresses = dict(scenes.pages())
    here = tab(forced_colors="active", reduced_motion="reduce")

    for name in ("execution-change", "dashboard-changelist", "execution-changelist"):
        here.go(addresses[name])
        pictures(here, f"forced-{name}")
        assert here.page.evaluate(BORDERLESS) == [], name
        assert here.page.evaluate(MOVING) == [], name
        here.page.emulate_media(media="print", forced_colors="none")
        pictures(here, f"print-{name}")
        assert here.page.evaluate(CUT_OFF) == [], name
        here.page.emulate_media(media="screen", forced_colors="active")


# In forced colours a background says nothing: what is a chip or a button needs its edge.
BORDERLESS = """() => [...document.querySelectorAll(".spane-chip, .spane .button")]
  .filter((each) => each.checkVisibility() && getComputedStyle(each).borderStyle === "none")
  .map((each) => each.outerHTML.slice(0, 100))"""
MOVING = """() => [...document.querySelectorAll(".spane, .spane *")]
  .filter((each) => {
    const style = getComputedStyle(each);
    return Math.max(parseFloat(style.transitionDuration), parseFloat(style.animationDuration)) > 0;
  })
  .map((each) => each.outerHTML.slice(0, 100))"""
# What scrolls on a screen is cut off on paper; buttons do nothing there.
CUT_OFF = """() => [...document.querySelectorAll(".spane-scroll, .spane-tall, .spane-block")]
  .filter((each) => each.checkVisibility() && each.scrollHeight > each.clientHeight + 2
    && getComputedStyle(each).overflowY !== "visible")
  .map((each) => each.outerHTML.slice(0, 100))
  .concat([...document.querySelectorAll(".spane-buttons .button")]
    .filter((each) => each.checkVisibility()).map((each) => each.outerHTML.slice(0, 100)))"""


def _is_page(client: Client, name: str, address: str) -> bool:
    """Say whether there is a page: some addresses give files, or take forms alone."""
    response = client.get(address, follow=True)
    is_page = response.status_code == 200 and "html" in response.headers["content-type"]
    if not is_page:
        assert response.status_code in (200, 400, 403, 404, 405), (address, response.status_code)
        assert not name.endswith(("change", "changelist")), (address, response.status_code)
    return is_page


def _too_wide(page: Page, where: str) -> list[str]:
    if overflow(page) > 0:
        # A browser loses stylesheets when an interface of the machine comes or goes.
        page.reload()
    wide = overflow(page)
    return [f"{where}: {wide} pixels too wide"] if wide > 0 else []
