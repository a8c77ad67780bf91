"""Clients that reach the real API in this process: over WSGI, and over ASGI for `AsyncClient`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections

from spane_django.client import AsyncClient, Client, Tries
from spane_django.engine.run import utc_now
from spane_django.engine.tokens import issue
from spane_django.nodes.base import registry
from tests.api.conftest import Task

URL = "http://testserver"


@pytest.fixture(autouse=True)
def _task_type(monkeypatch: pytest.MonkeyPatch, wakes: list[str]) -> None:
    monkeypatch.setitem(registry._types, "task", Task())


@pytest.fixture
def token(db: None) -> str:
    """A token that may do everything."""
    user = User.objects.create_superuser("root")
    return issue(user, "test", now=utc_now())[0]


@pytest.fixture
def _kept_connection() -> Iterator[None]:
    """Keep the test's own connection over requests, as Django's test client does."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.fixture
def client(token: str, _kept_connection: None) -> Iterator[Client]:
    transport = httpx.WSGITransport(app=get_wsgi_application())
    with Client(token=token, http=httpx.Client(transport=transport, base_url=URL)) as made:
        yield made


@pytest.fixture
def make_async(token: str) -> Callable[[], AsyncClient]:
    """Make a client inside the event loop that it is used in."""

    def make() -> AsyncClient:
        application: Any = get_asgi_application()
        transport = httpx.ASGITransport(app=application)
        return AsyncClient(token=token, http=httpx.AsyncClient(transport=transport, base_url=URL))

    return make


class Server:
    """A server that answers as it was told, one answer after the other, and keeps what it got."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, tries: Tries | None = None) -> Client:
        http = httpx.Client(transport=httpx.MockTransport(self), base_url=URL)
        return Client(token="t", http=http, tries=tries)
