"""What the tests of watching share: a worker, a real Redis, users who may see metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django_rq import get_connection
from pytest_django import Settings

from spane_django.engine.run import utc_now
from spane_django.engine.tokens import issue
from spane_django.observability import gauges
from spane_django.observability.counts import counts
from tests import services
from tests.doubles import Body, bodies
from tests.engine.helpers import Machine

Show = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with services.redis() as url:
        yield url


@pytest.fixture
def redis(settings: Settings, redis_url: str) -> Iterator[Any]:
    """The Redis of the queue ``spane``, empty."""
    settings.RQ_QUEUES = {"spane": {"URL": redis_url}}
    connection = get_connection("spane")
    connection.flushdb()
    yield connection
    connection.flushdb()


@pytest.fixture
def no_redis(settings: Settings, tmp_path: Any) -> None:
    settings.RQ_QUEUES = {"spane": {"URL": f"unix://{tmp_path}/nobody.sock"}}


@pytest.fixture(autouse=True)
def _fresh(wakes: list[str]) -> Iterator[None]:
    """Nothing that one test has seen or counted is known to the next."""
    gauges.forget()
    yield
    counts.forget()
    gauges.forget()


@pytest.fixture
def counted(settings: Settings, redis: Any) -> Any:
    """Metrics are counted; the Redis that they go to."""
    settings.SPANE = {**settings.SPANE, "METRICS": True}
    return redis


@pytest.fixture
def does() -> Iterator[dict[str, Body]]:
    """What ``call`` nodes do, by node id."""
    bodies.clear()
    yield bodies
    bodies.clear()


@pytest.fixture
def machine(db: None, does: dict[str, Body]) -> Machine:
    """A worker whose clock is the machine's when the test begins."""
    made = Machine()
    made.now = utc_now()
    made.wait(0)
    return made


@pytest.fixture
def shown(db: None) -> Show:
    """Make the headers of a request of a user with just these permissions."""

    def show(*permissions: str) -> dict[str, str]:
        user = User.objects.create_user(f"user-{User.objects.count()}")
        known = Permission.objects.filter(content_type__app_label="spane_django")
        user.user_permissions.set(known.filter(codename__in=permissions))
        token, _ = issue(user, "test", now=utc_now())
        return {"Authorization": f"Bearer {token}"}

    return show
