"""A service that asks to wait is asked again then: from the header to the row and back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.utils import format_datetime

import pytest

from spane_django.engine.run import run_async, utc_now
from spane_django.models import Attempt, NodeRun
from tests.engine.helpers import NOON, Machine, status

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wakes")]

RETRIES = {"retryPolicy": {"maxAttempts": 2, "backoff": {"delay": 1_000}}}


@pytest.fixture
def machine(allow) -> Machine:
    allow("127.0.0.1")
    return Machine()


def ask(machine: Machine) -> NodeRun:
    """Run the one node that is ready on the machine's clock; return what became of it."""
    (work,) = machine.works(machine.claim())
    machine.settle([asyncio.run(run_async(work, clock=lambda: machine.now))])
    return NodeRun.objects.get()


def begin(machine: Machine, url: str, **config: object):
    nodes = {"a": {"config": {"url": url, **config}}}
    return machine.begin({"a": []}, types={"a": "http"}, nodes=nodes)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("999999999", 86_400), ("", 1), ("soon", 1)]
)
@pytest.mark.parametrize("code", [429, 503])
def test_a_service_is_asked_again_when_it_said(machine, server, header, seconds, code):
    server.reply("/", status=code, retry_after=header)
    key = begin(machine, server.url("/"), **RETRIES)

    run = ask(machine)

    assert (run.status, run.available_at) == ("ready", NOON + timedelta(seconds=seconds))
    machine.wait(seconds - 1)
    assert machine.claim() == []
    machine.wait(1)
    server.reply("/", b"served")
    assert ask(machine).output["body"] == "served"
    assert (status(key), len(server.requests)) == ("completed", 2)


def test_a_service_may_name_a_date(machine, server):
    date = format_datetime(utc_now() + timedelta(hours=2), usegmt=True)
    server.reply("/", status=429, retry_after=date)
    begin(machine, server.url("/"), **RETRIES)

    run = ask(machine)

    assert timedelta(minutes=110) < run.available_at - NOON <= timedelta(hours=2)


def test_a_service_that_refuses_is_not_asked_again(machine, server):
    server.reply("/", status=404, retry_after="7")
    key = begin(machine, server.url("/"), **RETRIES)

    ask(machine)

    assert (status(key), Attempt.objects.get().error_type) == ("failed", "Permanent")


def test_every_answer_of_a_busy_service_costs_an_attempt(machine, server):
    server.reply("/", status=429, retry_after="7")
    key = begin(machine, server.url("/"), **RETRIES)

    ask(machine)
    machine.wait(7)
    ask(machine)

    assert (status(key), Attempt.objects.count()) == ("failed", 2)
