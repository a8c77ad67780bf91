"""Nodes of a test reach nothing outside, and a node that tries fails the test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from spane_django import Context, Workflow
from spane_django.models import Execution
from spane_django.testing import InlineEngine, NetworkBlocked, make_workflow

from .shop import fulfilment


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """A server of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[:2]


def test_a_node_that_reaches_out_fails_the_test_and_is_named(spane: InlineEngine) -> None:
    fulfilment().start({"name": "Ada"})

    with pytest.raises(NetworkBlocked) as blocked:
        spane.run()

    told = str(blocked.value)
    assert "node 'charge' (type 'shop-charge') of workflow 'fulfilment'" in told
    assert "tried to reach shop.invalid:80" in told
    assert 'stub("charge", …)' in told


def test_a_node_that_swallows_the_error_fails_the_test_all_the_same(
    spane: InlineEngine, server: tuple[str, int]
) -> None:
    def body(ctx: Context) -> Any:
        try:
            return socket.create_connection(server)
        except BaseException:
            return "whatever"

    spane.stub("a", does=body)
    make_workflow({"a": []}).start()

    with pytest.raises(NetworkBlocked, match=f"127.0.0.1:{server[1]}"):
        spane.run()


def test_the_http_node_is_watched_too(spane: InlineEngine) -> None:
    flow = Workflow("fetch")
    flow.add("get", "http", {"url": "https://shop.invalid/"})
    flow.start()

    with pytest.raises(NetworkBlocked, match=r"shop\.invalid:443"):
        spane.run()


def test_a_socket_that_does_not_wait_is_watched_too(
    spane: InlineEngine, server: tuple[str, int]
) -> None:
    def body(ctx: Context) -> Any:
        with socket.socket() as sock:
            sock.setblocking(False)
            return sock.connect_ex(server)

    spane.stub("a", does=body)
    make_workflow({"a": []}).start()

    with pytest.raises(NetworkBlocked):
        spane.run()


def test_an_async_node_is_watched_too(spane: InlineEngine) -> None:
    async def body(ctx: Context) -> Any:
        import asyncio

        return await asyncio.open_connection("shop.invalid", 80)

    spane.stub("a", does=body)
    make_workflow({"a": []}, nodes={"a": {"type": "shop-look-up"}}).start()

    with pytest.raises(NetworkBlocked, match=r"shop\.invalid:80"):
        spane.run()


@pytest.mark.parametrize("allowed", [(), ("127.0.0.1",), ("LOCALHOST",)])
def test_a_host_may_be_allowed(
    spane: InlineEngine, server: tuple[str, int], allowed: tuple[str, ...]
) -> None:
    host = "localhost" if "LOCALHOST" in allowed else server[0]
    spane.allow_network(*allowed)
    spane.stub("a", does=lambda ctx: _connected(host, server[1]))

    execution = make_workflow({"a": []}).start()
    spane.run()

    spane.assert_output(execution, "connected")


@pytest.mark.parametrize(
    "setting",
    [
        {"RQ_QUEUES": {"spane": {"URL": "redis://127.0.0.1:%d/0"}}},
        {"RQ_QUEUES": {"spane": {"HOST": "127.0.0.1", "PORT": "%d"}}},
        {"CACHES": {"default": {"LOCATION": ["127.0.0.1:%d"]}}},
        {"DATABASES": {"default": {"HOST": "127.0.0.1", "PORT": "%d"}}},
    ],
)
def test_the_projects_own_servers_are_reached(
    spane: InlineEngine, server: tuple[str, int], setting: dict[str, Any]
) -> None:
    execution = make_workflow({"a": []}).start()
    spane.stub("a", does=lambda ctx: _connected(*server))
    with pytest.MonkeyPatch.context() as patch:
        _set(patch, setting, server[1])
        spane.run()

    spane.assert_output(execution, "connected")


def test_a_unix_socket_is_reached(spane: InlineEngine, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")

    def body(ctx: Context) -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        return "connected"

    spane.stub("a", does=body)
    execution = make_workflow({"a": []}).start()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        spane.run()

    spane.assert_output(execution, "connected")


def test_the_node_that_reached_out_has_failed(spane: InlineEngine) -> None:
    execution = fulfilment().start({"name": "Ada"})

    with pytest.raises(NetworkBlocked):
        spane.run()

    assert "NetworkBlocked" in spane.story(execution)
    assert Execution.objects.get(pk=execution.pk).status == "running"


def test_after_a_node_has_reached_out_others_run_as_ever(spane: InlineEngine) -> None:
    fulfilment().start({"name": "Ada"})
    with pytest.raises(NetworkBlocked):
        spane.run()
    spane.stub("charge", {})

    assert spane.run_until_done() == ["charge", "ship"]


def test_the_network_is_free_again_between_nodes_and_after_the_test(
    spane: InlineEngine, server: tuple[str, int]
) -> None:
    make_workflow({"a": []}).start()
    spane.run()

    assert _connected(*server) == "connected"
    assert "connect" not in vars(socket.socket)


def test_other_threads_of_a_node_are_watched(spane: InlineEngine, server: tuple[str, int]) -> None:
    def body(ctx: Context) -> None:
        def reach() -> None:
            with pytest.raises(NetworkBlocked):
                socket.create_connection(server)

        thread = threading.Thread(target=reach)
        thread.start()
        thread.join()

    spane.stub("a", does=body)
    make_workflow({"a": []}).start()

    with pytest.raises(NetworkBlocked):
        spane.run()


def _connected(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=5):
        return "connected"


def _set(patch: pytest.MonkeyPatch, setting: dict[str, Any], port: int) -> None:
    """Put a server's port into a setting, without Django noticing."""
    from django.conf import settings

    ((name, value),) = setting.items()
    text = repr(value).replace("%d", str(port))
    patch.setattr(settings, name, eval(text))
