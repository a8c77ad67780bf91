"""A headless Chromium that looks at the admin, under a strict policy of contents and offline.

Without a browser these tests are skipped; with ``SPANE_BROWSER=required`` they fail instead.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import (  # noqa: E402  # it may be missing
    Browser,
    BrowserContext,
    Page,
    Route,
    sync_playwright,
)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("policy:", event.violatedDirective, event.blockedURI, event.sourceFile));
"""

Open = Callable[..., "Tab"]


class Tab:
    """A page of the admin in a browser, and everything that went wrong in it.

    Attributes:
        errors: Errors of scripts and of the policy, and requests to anywhere else.
    """

    def __init__(self, page: Page, address: str, *, policy: str = POLICY) -> None:
        self._policy = policy
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._address = address
        page.add_init_script(_WATCH)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: (self.errors.append("a dialog"), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))
        page.route("**/*", self._serve)

    def go(self, path: str) -> None:
        response = self.page.goto(self._address + path)
        assert response is not None
        assert response.status == 200, f"{path}: {response.status}"

    def _console(self, message: object) -> None:
        text = getattr(message, "text", "")
        # An interface of the machine that comes or goes is not the page's doing.
        if getattr(message, "type", "") == "error" and "ERR_NETWORK_CHANGED" not in text:
            self.errors.append(text)

    def _serve(self, route: Route) -> None:
        """Let nothing leave the machine, and give every document the policy."""
        host = urlsplit(self._address).netloc
        if urlsplit(route.request.url).netloc != host:
            self.errors.append(f"asked for {route.request.url}")
            route.abort()
        elif route.request.resource_type == "document":
            response = route.fetch(max_redirects=0)
            headers = {"content-security-policy": self._policy} if self._policy else {}
            route.fulfill(response=response, headers={**response.headers, **headers})
        else:
            route.continue_()


# For these tests alone: while it is there, asyncio has a loop that runs in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = os.environ.get("SPANE_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        message = "no Chromium: install it (apt-get install chromium) or set SPANE_CHROMIUM"
        if os.environ.get("SPANE_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    # The browser's event loop lives in this thread, which Django takes for an asynchronous one.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def tab(browser: Browser, transactional_db: None, live_server: object) -> Iterator[Open]:
    """Open a tab in which a superuser is logged in; options are those of a browser's context.

    Others than the stock admin are at another ``address``, and keep to no policy.
    """
    contexts: list[BrowserContext] = []

    def open_tab(user: User | None = None, address: str = "", **options: object) -> Tab:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})  # type: ignore[arg-type]
        contexts.append(context)
        client = Client()
        client.force_login(user or _boss())
        name = django_settings.SESSION_COOKIE_NAME
        site = address or str(live_server)
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": site}])
        return Tab(context.new_page(), site, policy="" if address else POLICY)

    yield open_tab
    for context in contexts:
        context.close()


@pytest.fixture
def pictures() -> Callable[[Tab, str], None]:
    """Keep a picture of a page if ``SPANE_SCREENSHOTS`` names a directory."""

    def keep(tab: Tab, name: str) -> None:
        if directory := os.environ.get("SPANE_SCREENSHOTS"):
            Path(directory).mkdir(parents=True, exist_ok=True)
            path = Path(directory) / f"{name}.png"
            tab.page.screenshot(path=path, full_page=True, animations="disabled")

    return keep


def _boss() -> User:
    found = User.objects.filter(username="boss").first()
    return found or User.objects.create_superuser("boss")
