"""The demo from a fresh checkout: a whole site, real executions, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from spane_django.dispatch import embedded

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, "manage.py", "spane_demo"]
SECONDS = 240

pytestmark = pytest.mark.end_to_end


def environment(data_dir: Path) -> dict[str, str]:
    servers = ("DATABASE_URL", "REDIS_URL")
    given = {name: value for name, value in os.environ.items() if name not in servers}
    return {**given, "SPANE_DATA_DIR": str(data_dir), "DEBUG": "1"}


def run(*args: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *args],
        cwd=ROOT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_the_demo_runs_from_nothing_and_ends_with_a_line_of_json(tmp_path: Path) -> None:
    done = run("--executions", "30", "--exit", data_dir=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr + log_of(tmp_path)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["started"], summary["completed"], summary["failed"]) == (30, 24, 6)
    assert summary["nodes"] > 150
    assert summary["nodes_per_second"] == pytest.approx(
        summary["nodes"] / summary["seconds"], rel=0.01
    )
    assert not embedded.answers(embedded.socket_path(tmp_path))


def test_executions_that_do_not_end_in_time_are_no_success(tmp_path: Path) -> None:
    done = run("--executions", "7", "--exit", "--workers=0", "--timeout=1", data_dir=tmp_path)

    assert done.returncode == 1, done.stdout + done.stderr + log_of(tmp_path)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["started"], summary["completed"], summary["nodes"]) == (7, 0, 0)


def test_a_demo_that_is_told_to_stop_leaves_nothing_running(tmp_path: Path) -> None:
    command = [*DEMO, "--executions", "7", "--no-browser"]
    demo = subprocess.Popen(
        command, cwd=ROOT, env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    )
    with demo:
        site = address_of(demo)
        socket.create_connection(site, timeout=5).close()
        demo.send_signal(signal.SIGTERM)
        code = demo.wait(timeout=SECONDS)

    assert code == 0, log_of(tmp_path)
    assert not embedded.answers(embedded.socket_path(tmp_path))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(site, timeout=5)


def test_the_demo_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    done = run("--executions", "0", data_dir=tmp_path)

    assert done.returncode == 2
    assert "--executions takes 1 or more" in done.stderr


def address_of(demo: subprocess.Popen[str]) -> tuple[str, int]:
    """Read what the demo says until it stays up; return where its site is."""
    said = ""
    for line in demo.stdout or ():
        said += line
        if "stays up" in line:
            break
    found = re.search(r"Admin: http://(.*):(\d+)/admin/ \(log in as admin / \S+\)", said)
    assert found is not None, said
    return found[1], int(found[2])


def log_of(data_dir: Path) -> str:
    log = data_dir / "demo.log"
    return log.read_text(errors="replace")[-4000:] if log.exists() else ""
