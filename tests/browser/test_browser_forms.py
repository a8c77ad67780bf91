"""Forms of triggers, tokens and schedules in a browser: policy, width, and copying a secret."""

from __future__ import annotations

import pytest
from django.urls import reverse

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import expect

from spane_django.engine import tokens
from spane_django.models import ApiToken
from tests.admin.stage import EVIL, published
from tests.browser.conftest import Open

NAMES = ("webhook_make", "trigger_make", "schedule_make", "apitoken_make")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [480, 1280])
def test_forms_keep_to_the_policy_and_the_width_of_the_window(
    tab: Open, width: int, scheme: str
) -> None:
    published(EVIL)
    here = tab(viewport={"width": width, "height": 900}, color_scheme=scheme)

    for name in NAMES:
        here.go(reverse(f"admin:spane_django_{name}"))
        wide = here.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

        assert here.errors == []
        assert wide <= 0


def test_a_token_is_made_shown_once_and_copied(tab: Open) -> None:
    here = tab(permissions=["clipboard-read", "clipboard-write"])
    here.go(reverse("admin:spane_django_apitoken_make"))

    here.page.get_by_label("Name").fill("nightly import")
    here.page.get_by_role("button", name="Save").click()
    here.page.get_by_role("button", name="Copy").first.click()
    expect(here.page.get_by_role("button", name="Copied")).to_be_visible()
    copied = here.page.evaluate("navigator.clipboard.readText()")
    here.page.get_by_role("link", name="I have copied it").click()

    token = ApiToken.objects.get()
    assert token.token_hash == tokens._hash(copied)
    assert copied not in here.page.content()
    assert here.errors == []
