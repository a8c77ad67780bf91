"""What benchmarks stand on: servers, a database of its own, a node that does nothing, workers.

PostgreSQL (fsync on) and Redis are started when DATABASE_URL and REDIS_URL are not set.  Workers
are drains in processes of their own, woken through Redis as in production.  Importing this
module makes the project's packages importable; Django is set up by :func:`stage`.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import node_types

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
fork = multiprocessing.get_context("fork")


@contextlib.contextmanager
def stage() -> Iterator[None]:
    """Start what is missing, set Django up, and leave nothing behind."""
    with contextlib.ExitStack() as stack:
        _services(stack)
        import django

        django.setup()
        node_types.register()
        stack.enter_context(_fresh_database())
        yield


def publish(definition: Mapping[str, Any]) -> None:
    """Publish a definition."""
    from django.utils import timezone

    from spane_django.engine.publish import publish as publish_now

    publish_now(definition, now=timezone.now())


@contextlib.contextmanager
def workers(count: int) -> Iterator[list[Any]]:
    """Run drains in forked processes, which are yielded, until the block is left."""
    from django.db import connections

    connections.close_all()
    stop = fork.Event()
    ready = fork.Barrier(count + 1)
    processes = [fork.Process(target=_drain, args=(stop, ready)) for _ in range(count)]
    for process in processes:
        process.start()
    ready.wait(30)
    try:
        yield processes
    finally:
        stop.set()
        for process in processes:
            process.join(30)


def until_completed(ids: list[Any], *, timeout: float = 120.0, pause: float = 0.002) -> None:
    """Wait until executions have completed.

    Args:
        pause: Seconds before it asks the database for the second time; it grows a little.

    Raises:
        TimeoutError: they have not, after so many seconds.
        AssertionError: one of them has ended otherwise.
    """
    from spane_django.models import Execution

    give_up = time.perf_counter() + timeout
    while Execution.objects.unfinished().filter(pk__in=ids[-200:]).exists() or (
        Execution.objects.unfinished().filter(pk__in=ids).exists()
    ):
        if time.perf_counter() > give_up:
            raise TimeoutError("executions did not end")
        time.sleep(pause)
        pause = max(pause, min(0.02, pause * 1.5))
    if Execution.objects.filter(pk__in=ids).exclude(status="completed").exists():
        raise AssertionError("not every execution completed")


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Leave no RQ jobs behind for workers that are not there, nor word that there are some."""
    from spane_django.dispatch.bell import keys
    from spane_django.dispatch.rq import redis_of

    yield
    redis_of("spane").delete("rq:queue:spane", *keys("spane"))


@contextlib.contextmanager
def rqworker(*options: str, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a plain ``manage.py rqworker`` that knows the benchmarks' node types.

    Args:
        options: Of ``rqworker``, the queue first.
        settings: What differs from the defaults in ``SPANE``.
    """
    worker = subprocess.Popen(
        [sys.executable, str(ROOT / "benchmarks" / "worker.py"), *options],
        cwd=ROOT,
        env=os.environ | {"SPANE": json.dumps(settings)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait(60)


def _drain(stop: Any, ready: Any) -> None:
    from spane_django.dispatch.bell import RedisBell
    from spane_django.dispatch.drain import Drain
    from spane_django.dispatch.rq import redis_of, wake

    redis = redis_of("spane")
    name = str(os.getpid())
    is_ready = False

    def note() -> None:
        nonlocal is_ready
        if not is_ready:
            is_ready = True
            ready.wait(30)

    Drain(
        "spane",
        make_bell=lambda ring: RedisBell(
            redis,
            "spane",
            name,
            ring=ring,
            should_stop=stop.is_set,
            pass_on=lambda: wake(["spane"]),
        ),
        wake=wake,
        should_stop=stop.is_set,
        on_turn=note,
        linger=600,
    ).run()


def _services(stack: contextlib.ExitStack) -> None:
    from tests.services import postgres, redis

    os.environ["DATABASE_URL"] = stack.enter_context(postgres())
    os.environ["REDIS_URL"] = stack.enter_context(redis())
    os.environ["SPANE_DATA_DIR"] = stack.enter_context(tempfile.TemporaryDirectory())
    os.environ["DJANGO_SETTINGS_MODULE"] = "demo_project.settings"


@contextlib.contextmanager
def _fresh_database() -> Iterator[None]:
    """Make a database of its own beside the one that was given, and drop it afterwards."""
    from django.test.utils import setup_databases, teardown_databases

    made = setup_databases(verbosity=0, interactive=False)
    from django.db import connection

    settings = connection.settings_dict
    os.environ["DATABASE_URL"] = (
        f"postgresql://{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}"
        f":{settings['PORT']}/{settings['NAME']}"
    )
    try:
        yield
    finally:
        teardown_databases(made, verbosity=0)
