"""What a site decides before it starts anything: how workers learn of work, and what they say."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from spane_django.dispatch import children, embedded
from spane_django.dispatch.relay import Relay
from spane_django.dispatch.site import Carrier, NoCarrier, carrier_of
from tests.management.project import until


def test_a_redis_that_answers_is_used(tmp_path: Path, settings: Settings) -> None:
    with embedded.start(tmp_path) as server:
        settings.RQ_QUEUES = {"spane": {"URL": server.url}}

        assert carrier_of("spane") == Carrier()


def test_a_unix_socket_that_does_not_answer_is_where_an_embedded_redis_starts(
    tmp_path: Path, settings: Settings
) -> None:
    settings.RQ_QUEUES = {"spane": {"URL": f"unix://{tmp_path}/any-name.sock?db=3"}}

    assert carrier_of("spane") == Carrier(socket=tmp_path / "any-name.sock")


def test_a_redis_with_a_password_is_not_replaced_and_its_password_not_told(
    tmp_path: Path, settings: Settings
) -> None:
    settings.RQ_QUEUES = {"spane": {"URL": f"unix://:hidden@{tmp_path}/redis.sock"}}

    with pytest.raises(NoCarrier, match="start yours, or take the password") as refused:
        carrier_of("spane")

    assert "hidden" not in str(refused.value)


def test_a_redis_that_refuses_the_password_is_explained(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "redis.sock"
    command = [*embedded.command(tmp_path, path), "--requirepass", "right"]
    server = children.spawn(command, stdout=subprocess.DEVNULL)
    try:
        until(lambda: _listens(path), "it listens")
        settings.RQ_QUEUES = {"spane": {"URL": f"unix://:wrong@{path}"}}

        with pytest.raises(NoCarrier, match="refuses us") as refused:
            carrier_of("spane")
    finally:
        children.stop(server)
    assert "wrong@" not in str(refused.value)


def test_a_socket_too_deep_is_explained(tmp_path: Path, settings: Settings) -> None:
    deep = tmp_path.joinpath(*["a-rather-long-name"] * 8)
    settings.RQ_QUEUES = {"spane": {"URL": f"unix://{deep}/redis.sock"}}

    with pytest.raises(NoCarrier, match="too long for a unix socket"):
        carrier_of("spane")


def test_a_queue_that_is_not_configured_is_explained(settings: Settings) -> None:
    settings.RQ_QUEUES = {"one": {"URL": "redis://127.0.0.1:1"}}

    with pytest.raises(NoCarrier, match=r"'two' is not in RQ_QUEUES \(there: one\)"):
        carrier_of("two")


def test_lines_of_children_stay_whole_and_carry_their_names() -> None:
    written = io.StringIO()
    relay = Relay(written, width=3)
    program = "import sys\nfor i in range(200): print(sys.argv[1] * 50, flush=True)"
    processes = [
        subprocess.Popen([sys.executable, "-c", program, name], stdout=relay.end(name))
        for name in ("one", "two")
    ]

    for process in processes:
        process.wait()
    relay.close()

    lines = written.getvalue().splitlines()
    assert len(lines) == 400
    assert set(lines) == {f"one | {'one' * 50}", f"two | {'two' * 50}"}


def test_a_child_that_is_started_again_writes_on_under_its_name() -> None:
    written = io.StringIO()
    relay = Relay(written, width=3)

    for word in ("first", "second"):
        subprocess.run(["echo", word], check=True, stdout=relay.end("one"))
    relay.close()

    assert written.getvalue() == "one | first\none | second\n"


def test_a_terminal_that_is_gone_does_not_block_the_children() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = "for i in range(10_000): print('x' * 100)"
    with os.fdopen(writing, "w") as stream:
        relay = Relay(stream)

        done = subprocess.run(
            [sys.executable, "-c", program], check=False, stdout=relay.end("one"), timeout=20
        )
        relay.close()
        # What the stream still holds has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    assert done.returncode == 0


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
