"""Alerts: grouped, told once, told again when it is time, and told when it is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Thread
from typing import Any

import pytest
from django.core import mail
from django.db import connection, connections
from pytest_django import DjangoAssertNumQueries, Settings

from spane_django.conf import alert_settings, faults_of
from spane_django.core.outcome import Permanent
from spane_django.engine.retry import discard_dead_letter
from spane_django.engine.sweep import expire
from spane_django.models import Alert, DeadLetter, NodeRun
from spane_django.observability import alerts as duty_module
from spane_django.observability import delivery
from spane_django.observability.alerts import Alerts
from spane_django.observability.findings import find
from spane_django.observability.ledger import PAUSE, note, take, told
from tests.engine.helpers import SECOND, Machine

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
OPS = "ops@example.com"


def somebody(queue: str) -> int:
    return 1


def nobody(queue: str) -> int:
    return 0


@pytest.fixture
def alerting(settings: Settings) -> Any:
    """Turn alerts on, to a mail address unless it is said otherwise."""

    def turn_on(**options: Any) -> None:
        settings.SPANE = {**settings.SPANE, "ALERTS": {"MAIL": [OPS], **options}}

    turn_on()
    return turn_on


def failing(message: str, kind: type[Exception] = Permanent) -> Any:
    def body(ctx: Any) -> None:
        raise kind(message)

    return body


def fail(machine: Machine, does: Any, message: str = "no", *, workflow: str = "w") -> None:
    """Let an execution of a workflow fail now."""
    does["a"] = failing(message)
    machine.begin({"a": []}, id=workflow)
    machine.drain()


def turn(now: datetime, listeners: Any = somebody) -> list[Any]:
    """Look, note and tell as the leader does; return the mails that this has sent."""
    options = alert_settings()
    before = len(mail.outbox)
    note(find(options, listeners, now=now), options, now=now)
    if taken := take(options, now=now):
        assert delivery.deliver(duty_module.notice_of(taken), options)
        told(taken, options, now=now)
    return mail.outbox[before:]


def test_what_fails_for_one_reason_in_one_workflow_is_one_alert(
    machine: Machine, does: Any, alerting: Any
) -> None:
    for number in range(3):
        fail(machine, does, f"no {number}")
        machine.wait(1)
    fail(machine, does, workflow="other")

    (message,) = turn(machine.now)

    assert message.to == [OPS]
    assert message.subject == "[workflows] workflow 'w' fails: Permanent (and 1 more)"
    assert "3 executions in the last hour" in message.body
    assert "no 2" in message.body
    assert "workflow 'other' fails" in message.body
    assert sorted(Alert.objects.values_list("workflow_key", "count")) == [("other", 1), ("w", 3)]


def test_an_alert_is_told_once_and_again_only_when_it_goes_on_and_it_is_time(
    machine: Machine, does: Any, alerting: Any
) -> None:
    fail(machine, does)
    at_once = turn(machine.now)
    machine.wait(300)
    fail(machine, does)
    meanwhile = turn(machine.now)
    for _ in range(12):
        machine.wait(300)
        fail(machine, does)
        later = turn(machine.now)
        if later:
            break

    assert (len(at_once), len(meanwhile), len(later)) == (1, 0, 1)
    assert machine.now - Alert.objects.get().opened_at == HOUR
    assert "13 executions in the last hour" in later[0].body


def test_an_alert_that_is_over_is_told_so_once(machine: Machine, does: Any, alerting: Any) -> None:
    fail(machine, does)
    turn(machine.now)

    quiet = turn(machine.now + 599 * SECOND)
    over = turn(machine.now + 601 * SECOND)
    soon_afterwards = turn(machine.now + 15 * MINUTE)
    long_afterwards = turn(machine.now + 3 * HOUR)

    assert quiet == soon_afterwards == long_afterwards == []
    assert over[0].subject == "[workflows] over: workflow 'w' fails: Permanent"
    assert Alert.objects.get().resolved_at == machine.now + 601 * SECOND


def test_who_does_not_want_to_know_that_it_is_over_is_not_told(
    machine: Machine, does: Any, alerting: Any
) -> None:
    alerting(TELL_RESOLVED=False)
    fail(machine, does)
    turn(machine.now)

    assert turn(machine.now + 20 * MINUTE) == []
    assert Alert.objects.open().count() == 0


def test_what_breaks_again_after_it_was_over_is_told_again(
    machine: Machine, does: Any, alerting: Any
) -> None:
    fail(machine, does)
    turn(machine.now)
    turn(machine.now + 11 * MINUTE)
    machine.wait(1_200)

    fail(machine, does)
    again = turn(machine.now)

    assert [message.subject for message in again] == ["[workflows] workflow 'w' fails: Permanent"]
    assert Alert.objects.count() == 2


def test_a_dead_letter_of_an_execution_that_goes_on_is_told(
    machine: Machine, does: Any, alerting: Any
) -> None:
    does["a"] = failing("no")
    machine.begin({"a": [], "b": []})
    machine.settle(machine.run([one for one in machine.claim() if one.node_id == "a"]))

    (message,) = turn(machine.now)

    assert "workflow 'w' fails: Permanent" in message.subject
    alerting(DEAD_LETTERS=False)
    assert find(alert_settings(), somebody, now=machine.now) == []


def test_a_failed_execution_and_its_dead_letters_are_told_as_one(
    machine: Machine, does: Any, alerting: Any
) -> None:
    does.update(a=failing("no"), b=failing("no"))
    machine.begin({"a": [], "b": []})
    machine.drain()

    (finding,) = find(alert_settings(), somebody, now=machine.now)

    assert DeadLetter.objects.count() == 2
    assert len(finding.executions) == 1


def test_an_execution_that_outran_its_deadline_is_told_though_it_has_no_dead_letter(
    machine: Machine, alerting: Any
) -> None:
    machine.publish({"a": []})
    machine.start(timeout=timedelta(seconds=5))
    machine.wait(10)
    expire(now=machine.now)

    (message,) = turn(machine.now)

    assert "workflow 'w' fails: no dead letter" in message.subject
    assert "the deadline of" in message.body


def test_what_an_operator_has_dealt_with_is_no_alert(
    machine: Machine, does: Any, alerting: Any
) -> None:
    fail(machine, does)
    discard_dead_letter(DeadLetter.objects.get().pk, now=machine.now)

    assert find(alert_settings(), somebody, now=machine.now) == []


def test_what_is_older_than_an_hour_is_no_alert(machine: Machine, does: Any, alerting: Any) -> None:
    fail(machine, does)

    assert len(find(alert_settings(), somebody, now=machine.now + HOUR)) == 1
    assert find(alert_settings(), somebody, now=machine.now + HOUR + SECOND) == []


def test_a_queue_that_no_worker_serves_is_told(machine: Machine, alerting: Any) -> None:
    machine.begin({"a": []})
    machine.now += 61 * SECOND

    served = find(alert_settings(), somebody, now=machine.now)
    (message,) = turn(machine.now, nobody)

    assert served == []
    assert message.subject == "[workflows] queue 'spane' has no worker"
    assert "work has waited for 61 s" in message.body


def test_a_queue_at_which_a_drain_works_is_served(machine: Machine, alerting: Any) -> None:
    machine.begin({"a": []})
    machine.wait(61)

    assert find(alert_settings(), nobody, now=machine.now) == []


def test_work_that_waits_too_long_is_told_whatever_serves_it(
    machine: Machine, alerting: Any
) -> None:
    machine.begin({"a": []})
    machine.wait(301)

    (message,) = turn(machine.now)

    assert message.subject == "[workflows] queue 'spane' is behind"
    alerting(LATENCY_SECONDS=None)
    assert find(alert_settings(), somebody, now=machine.now) == []


def test_messages_follow_each_other_with_a_pause(
    machine: Machine, does: Any, alerting: Any
) -> None:
    fail(machine, does)
    first = turn(machine.now)
    fail(machine, does, workflow="other")

    too_soon = turn(machine.now + PAUSE - SECOND)
    in_time = turn(machine.now + PAUSE)

    assert (len(first), len(too_soon), len(in_time)) == (1, 0, 1)
    assert "workflow 'other' fails" in in_time[0].subject


def test_what_could_not_be_delivered_is_tried_again(
    machine: Machine, does: Any, alerting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> Any:
        raise ConnectionRefusedError("mail.internal:25")

    options = alert_settings()
    fail(machine, does)
    note(find(options, somebody, now=machine.now), options, now=machine.now)
    taken = take(options, now=machine.now)
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "get_connection", refused)
        delivered = delivery.deliver(duty_module.notice_of(taken), options)

    at_once = turn(machine.now + 60 * SECOND)
    later = turn(machine.now + 121 * SECOND)

    assert not delivered
    assert (len(at_once), len(later)) == (0, 1)


def test_what_another_leader_takes_meanwhile_is_not_told_twice(
    machine: Machine, does: Any, alerting: Any
) -> None:
    options, now = alert_settings(), machine.now
    fail(machine, does)
    note(find(options, somebody, now=now), options, now=now)
    elsewhere: list[Alert] = []

    def be_slower(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("UPDATE") and not elsewhere:
            elsewhere.append(Alert())
            elsewhere[:] = take(options, now=now)
        return execute(sql, *arguments)

    with connection.execute_wrapper(be_slower):
        here = take(options, now=now)

    assert (len(elsewhere), here) == (1, [])


@pytest.mark.django_db(transaction=True)
def test_of_two_leaders_one_tells(machine: Machine, does: Any, alerting: Any) -> None:
    fail(machine, does)
    options, now = alert_settings(), machine.now
    both = Barrier(2)
    taken: list[Alert] = []

    def lead() -> None:
        try:
            found = find(options, somebody, now=now)
            both.wait(10)
            note(found, options, now=now)
            both.wait(10)
            taken.extend(take(options, now=now))
        finally:
            connections.close_all()

    leaders = [Thread(target=lead) for _ in range(2)]
    for leader in leaders:
        leader.start()
    for leader in leaders:
        leader.join(30)

    assert Alert.objects.count() == len(taken) == 1


@pytest.mark.django_db(transaction=True)
def test_the_duty_tells_from_a_thread_and_notes_that_it_has(
    machine: Machine, does: Any, alerting: Any
) -> None:
    fail(machine, does)
    duty = Alerts(somebody)

    assert duty(machine.now) is False
    duty.finish()

    assert [message.to for message in mail.outbox] == [[OPS]]
    assert Alert.objects.get().notified_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_delivery_that_hangs_holds_up_nobody(
    machine: Machine, does: Any, alerting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = Barrier(2)

    def hang(*_: object) -> bool:
        hangs.wait(30)
        return True

    monkeypatch.setattr(delivery, "deliver", hang)
    monkeypatch.setattr(duty_module, "TURN_SECONDS", 0.0)
    fail(machine, does)
    duty = Alerts(somebody)

    duty(machine.now)
    duty(machine.now + HOUR)
    hangs.wait(30)
    duty.finish()

    assert Alert.objects.get().notified_at is not None


def test_without_anybody_to_tell_nothing_is_asked(
    db: None, django_assert_num_queries: DjangoAssertNumQueries, settings: Settings
) -> None:
    settings.SPANE = {**settings.SPANE, "ALERTS": {}}

    with django_assert_num_queries(0):
        Alerts(somebody)(datetime.now().astimezone())


def test_a_look_costs_the_same_however_much_has_failed(
    machine: Machine, does: Any, alerting: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(12):
        fail(machine, does)
    options = alert_settings()

    with django_assert_num_queries(5):
        find(options, somebody, now=machine.now)


@pytest.mark.django_db(transaction=True)
def test_the_scheduler_tells_before_it_ends(
    machine: Machine, does: Any, alerting: Any, no_redis: None
) -> None:
    from django.core.management import call_command

    fail(machine, does)

    call_command("spane_scheduler", "--once", verbosity=0)

    assert [message.to for message in mail.outbox] == [[OPS]]


@pytest.fixture
def hook() -> Iterator[Any]:
    """A web service that takes alerts; what it was sent is in ``bodies``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            server.bodies.append(json.loads(self.rfile.read(length)))  # type: ignore[attr-defined]
            self.send_response(server.status)  # type: ignore[attr-defined]
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.bodies, server.status = [], 200  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url_of(hook: Any) -> str:
    return f"http://127.0.0.1:{hook.server_port}/T0/secret-key"


def test_a_webhook_gets_a_text_and_the_facts(
    machine: Machine, does: Any, alerting: Any, settings: Settings, hook: Any
) -> None:
    alerting(MAIL=[], WEBHOOKS=[url_of(hook)])
    settings.SPANE = {**settings.SPANE, "HTTP_ALLOWED_HOSTS": ["127.0.0.1"]}
    fail(machine, does, "disk full")

    turn(machine.now)

    (body,) = hook.bodies
    assert body["text"].startswith("workflow 'w' fails: Permanent\n")
    (alert,) = body["alerts"]
    assert (alert["rule"], alert["status"], alert["workflowId"]) == ("failures", "open", "w")
    assert (alert["message"], alert["errorType"], alert["count"]) == ("disk full", "Permanent", 1)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_take_it_is_not_reached(
    alerting: Any, settings: Settings, hook: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    alerting(MAIL=[], WEBHOOKS=[url_of(hook)])
    settings.SPANE = {**settings.SPANE, "HTTP_ALLOWED_HOSTS": ["127.0.0.1"]}
    hook.status = status

    assert not delivery.deliver(_notice(), alert_settings())
    assert len(hook.bodies) == 1
    assert f"status {status}" in caplog.text
    assert "secret-key" not in caplog.text


def test_a_webhook_leads_to_no_private_address(
    alerting: Any, hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    alerting(MAIL=[], WEBHOOKS=[url_of(hook)])

    assert not delivery.deliver(_notice(), alert_settings())
    assert hook.bodies == []
    assert "not on the public internet" in caplog.text
    assert "secret-key" not in caplog.text


@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "http://", "words", "http://[", "https://a\nb/"]
)
def test_an_address_that_is_none_reaches_nobody(alerting: Any, url: str) -> None:
    alerting(MAIL=[], WEBHOOKS=[url])

    assert not delivery.deliver(_notice(), alert_settings())


def test_what_is_wrong_with_an_address_is_told_without_it(
    alerting: Any, caplog: pytest.LogCaptureFixture
) -> None:
    alerting(MAIL=[], WEBHOOKS=["https://hooks.example:secret-key/"])

    delivery.deliver(_notice(), alert_settings())

    assert "not delivered by webhook 1: InvalidURL" in caplog.text
    assert "secret-key" not in caplog.text


def test_one_way_that_works_is_enough(alerting: Any) -> None:
    alerting(WEBHOOKS=["http://127.0.0.1:1/"])

    assert delivery.deliver(_notice(), alert_settings())
    assert len(mail.outbox) == 1


def test_names_cannot_forge_headers(machine: Machine, does: Any, alerting: Any) -> None:
    class Odd(Permanent):
        pass

    Odd.__name__ = "Odd\nBcc: everybody@example.com"
    does["a"] = failing("no", Odd)
    machine.begin({"a": []})
    machine.drain()

    (message,) = turn(machine.now)

    assert "\n" not in message.subject
    assert message.recipients() == [OPS]


def test_what_is_wrong_with_the_settings_is_listed() -> None:
    faults = faults_of({"ALERTS": {"MAIL": OPS, "REPEAT_SECONDS": 1, "MAILS": []}})

    assert sorted(fault.partition(":")[0] for fault in faults) == [
        "ALERTS", "ALERTS.MAIL", "ALERTS.REPEAT_SECONDS",
    ]  # fmt: skip
    assert faults_of({"ALERTS": {"MAIL": (OPS,), "LATENCY_SECONDS": None}}) == []


def _notice() -> Any:
    now = datetime(2030, 1, 1).astimezone()
    alert = Alert(key="k", rule=Alert.Rule.LATENCY, queue="q", opened_at=now, last_at=now)
    return duty_module.notice_of([alert])


def test_nothing_of_it_happens_where_executions_fail(
    machine: Machine, does: Any, alerting: Any
) -> None:
    fail(machine, does)

    assert Alert.objects.count() == 0
    assert mail.outbox == []
    assert NodeRun.objects.failed().count() == 1
