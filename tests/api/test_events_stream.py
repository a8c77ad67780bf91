"""The events of an execution: nothing is missed, whenever one looks and however often one left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.db import connections
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from spane_django.api import sse
from spane_django.engine.control import cancel, pause
from spane_django.engine.migrate import migrate
from spane_django.engine.publish import publish
from spane_django.engine.retry import retry_failed
from spane_django.engine.run import utc_now
from spane_django.engine.start import start
from spane_django.models import ApiToken, Execution, LogLine, NodeRun
from spane_django.observability import listeners, stream
from spane_django.observability.position import Position, read_position

from .conftest import Api, MakeApi, assert_refused, definition, run_flow, work_off

pytestmark = pytest.mark.usefixtures("wakes")

Told = list[dict[str, Any]]


def address(execution: Any, after: str = "") -> str:
    query = f"?after={after}" if after else ""
    return f"/api/executions/{execution}/events{query}"


def told(api: Api, execution: Any, after: str = "") -> tuple[Told, dict[str, Any]]:
    """Poll until there is no more; return the events and the last page."""
    events: Told = []
    while True:
        answer = api.get(address(execution, after))
        assert answer.status_code == 200, answer.content
        page = answer.json()
        events += page["results"]
        after = page["cursor"]
        if not page["hasMore"]:
            return events, page


def lines_of(events: Told) -> list[str]:
    return [event["data"]["message"] for event in events if event["event"] == "log"]


def nodes_of(events: Told) -> dict[str, str]:
    """Return where nodes stand according to the events."""
    nodes = [event["data"] for event in events if event["event"] == "node"]
    return {node["nodeId"]: node["status"] for node in nodes}


def talking(*chain: str) -> dict[str, Any]:
    """Return a chain of nodes of which each writes a line."""
    configs: dict[str, Any] = {node: {"log": f"{node} speaks"} for node in chain}
    return definition(*chain, **configs)


@pytest.fixture
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PAGE", 3)


@pytest.mark.django_db
def test_an_execution_that_has_ended_is_told_whole_and_then_its_end(api: Api) -> None:
    execution = run_flow(api, talking("a", "b", "c"))

    events, page = told(api, execution)

    assert [event["event"] for event in events] == ["execution", *["log"] * 3, *["node"] * 3, "end"]
    assert lines_of(events) == ["a speaks", "b speaks", "c speaks"]
    assert nodes_of(events) == dict.fromkeys("abc", "completed")
    assert events[-1]["data"]["status"] == "completed"
    assert events[-1]["data"]["version"] == 1
    assert page["hasEnded"]


@pytest.mark.django_db
def test_what_was_told_is_not_told_again(api: Api) -> None:
    execution = run_flow(api, talking("a", "b"))

    _, page = told(api, execution)
    events, again = told(api, execution, page["cursor"])

    assert events == []
    assert again["cursor"] == page["cursor"]
    assert again["hasEnded"]


@pytest.mark.django_db
@pytest.mark.usefixtures("_small_pages")
def test_from_every_event_on_the_rest_is_told_and_no_line_twice(api: Api) -> None:
    execution = run_flow(api, talking(*"abcdefg"))
    events, _ = told(api, execution)

    for number, event in enumerate(events, start=1):
        rest, _ = told(api, execution, event["id"])

        assert lines_of(events[:number]) + lines_of(rest) == lines_of(events)
        assert nodes_of(events[:number] + rest) == nodes_of(events)
        assert rest[-1:] == events[-1:] or number == len(events)


@pytest.mark.django_db
def test_only_what_has_changed_is_told(api: Api) -> None:
    publish(talking("a", "b"), now=utc_now())
    execution = start("flow", None, now=utc_now())

    before, page = told(api, execution.pk)
    work_off()
    after, _ = told(api, execution.pk, page["cursor"])

    assert nodes_of(before) == {"a": "ready"}
    assert not page["hasEnded"]
    assert nodes_of(after) == {"a": "completed", "b": "completed"}
    assert lines_of(after) == ["a speaks", "b speaks"]


@pytest.mark.django_db
def test_lines_come_before_the_end_of_the_attempt_that_wrote_them(api: Api) -> None:
    execution = run_flow(api, talking("a", "b"))

    events, _ = told(api, execution)

    first_node = [event["event"] for event in events].index("node")
    assert all(event["event"] != "log" for event in events[first_node:])


@pytest.mark.django_db
def test_a_retry_of_what_had_ended_is_news_and_ends_again(api: Api) -> None:
    execution = run_flow(api, definition("a", "b", b={"fail": "away", "retries": 0}))
    _, page = told(api, execution)

    retry_failed(Execution.objects.get().pk, now=utc_now())
    running, page = told(api, execution, page["cursor"])
    work_off()
    ended, _ = told(api, execution, page["cursor"])

    assert [event["data"]["status"] for event in running] == ["running", "ready"]
    assert ended[0]["data"]["status"] == "failed"
    assert ended[-1]["event"] == "end"
    assert [event["data"]["attempt"] for event in ended if event["event"] == "node"] == [2]


@pytest.mark.django_db
def test_a_pause_and_its_reason_are_news_although_no_node_has_changed(api: Api) -> None:
    publish(definition("a"), now=utc_now())
    execution = start("flow", None, now=utc_now())
    NodeRun.objects.all().delete()
    _, page = told(api, execution.pk)

    pause(execution.pk, now=utc_now(), reason="lunch")
    events, _ = told(api, execution.pk, page["cursor"])

    assert [event["data"]["reason"] for event in events] == ["lunch"]


@pytest.mark.django_db
def test_what_moves_to_another_version_is_told_afresh(api: Api) -> None:
    publish(definition("a", "b"), now=utc_now())
    execution = start("flow", None, now=utc_now())
    _, page = told(api, execution.pk)
    publish(definition("a", "c"), now=utc_now())

    migrate(execution.pk, 2, now=utc_now())
    events, _ = told(api, execution.pk, page["cursor"])

    assert events[0]["data"]["version"] == 2
    assert nodes_of(events) == {"a": "ready"}


@pytest.mark.django_db
def test_while_nothing_changes_a_look_is_one_query(
    api: Api, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    publish(talking("a", "b", "c"), now=utc_now())
    execution = start("flow", None, now=utc_now())
    follower = stream.Follower(execution.pk)
    follower.read()

    with django_assert_num_queries(1):
        assert follower.read().events == []


@pytest.mark.django_db
def test_a_thousand_nodes_are_told_with_a_bounded_cursor_and_few_queries(api: Api) -> None:
    publish(definition("a"), now=utc_now())
    execution = start("flow", None, now=utc_now())
    now = utc_now()
    NodeRun.objects.bulk_create(
        NodeRun(
            execution=execution, node_id=f"n{i}", node_type="task", status="completed",
            queue="spane", created_at=now,
        )
        for i in range(1_000)
    )  # fmt: skip
    follower = stream.Follower(execution.pk)

    readings = [follower.read() for _ in range(3)]

    assert sum(len(reading.events) for reading in readings) == 1_002
    assert [reading.has_more for reading in readings] == [True, True, False]
    assert len(readings[-1].cursor) < 320


@pytest.mark.django_db
def test_of_many_nodes_one_change_repeats_only_its_bucket_to_who_comes_back(api: Api) -> None:
    publish(definition("a"), now=utc_now())
    execution = start("flow", None, now=utc_now())
    now = utc_now()
    NodeRun.objects.bulk_create(
        NodeRun(execution=execution, node_id=f"n{i}", queue="spane", created_at=now)
        for i in range(320)
    )
    _, page = told(api, execution.pk)

    NodeRun.objects.filter(node_id="n7").update(status="skipped")
    events, _ = told(api, execution.pk, page["cursor"])

    assert nodes_of(events)["n7"] == "skipped"
    assert len(events) <= 11


@pytest.mark.django_db
def test_what_nodes_wrote_beside_a_message_is_for_those_who_may_see_payloads(
    api: Api, api_of: MakeApi
) -> None:
    publish(definition("a", a={"log": "seen"}), now=utc_now())
    execution = start("flow", {"secret": 7}, now=utc_now())
    work_off()

    (open_line,) = (e for e in told(api, execution.pk)[0] if e["event"] == "log")
    reader = api_of("view_execution")
    (closed_line,) = (e for e in told(reader, execution.pk)[0] if e["event"] == "log")

    assert open_line["data"]["data"] == {"seen": {"secret": 7}}
    assert closed_line["data"]["data"] is None
    assert "secret" not in str(told(reader, execution.pk)[0])


@pytest.mark.django_db
@pytest.mark.parametrize("cursor", ["x", "%00", "AAAA", "🙂", "a" * 5_000, "_" * 48, "0"])
def test_a_cursor_that_somebody_made_up_is_refused(api: Api, cursor: str) -> None:
    execution = run_flow(api, definition("a"))

    answer = api.get(address(execution, cursor))

    assert answer.status_code == 400
    assert_refused(answer)


@pytest.mark.django_db
def test_a_cursor_is_good_for_its_own_execution_only(api: Api) -> None:
    one, other = run_flow(api, definition("a")), run_flow(api, definition("a"))
    _, page = told(api, one)

    assert api.get(address(other, page["cursor"])).status_code == 400


@pytest.mark.django_db
def test_a_position_reads_as_it_was_written() -> None:
    key = start_one().pk
    position = Position(2**63 - 1, 5, 2**48 - 1, [number % 3 for number in range(32)], True)

    assert read_position(position.write(key), key) == position


@pytest.mark.django_db
def test_who_may_not_see_executions_is_told_nothing(api: Api, api_of: MakeApi) -> None:
    execution = run_flow(api, definition("a"))

    assert Api().get(address(execution)).status_code == 401
    assert api_of("view_workflow").get(address(execution)).status_code == 403
    assert api.get(address("0199c0de-0000-7000-8000-000000000000")).status_code == 404
    assert api.get(address("no-id")).status_code == 404


@pytest.mark.django_db
def test_without_asgi_a_stream_is_told_in_pieces_that_end(api: Api) -> None:
    execution = run_flow(api, talking("a", "b"))

    first = api.get(address(execution), Accept="text/event-stream")
    text = b"".join(first.streaming_content).decode()
    last_id = parsed(text)[-1]["id"]
    second = api.get(address(execution), Accept="text/event-stream", Last_Event_ID=last_id)

    assert first["Content-Type"] == "text/event-stream"
    assert text.startswith("retry: 2000\n\n")
    assert [event["event"] for event in parsed(text)][-1] == "end"
    assert second.status_code == 204


def parsed(text: str) -> Told:
    """Return the events of a stream's text, as a browser reads them."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "data" in fields:
            data = json.loads(fields["data"])
            events.append({"id": fields["id"], "event": fields["event"], "data": data})
    return events


def start_one() -> Execution:
    publish(definition("a", "b"), now=utc_now())
    return start("flow", None, now=utc_now())


@dataclass
class Listener:
    """A client of a stream, as a server would pass it on to Django."""

    talk: Any

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, path: str, **headers: str) -> AsyncIterator[Listener]:
        named = {"host": "testserver", "accept": "text/event-stream", **headers}
        scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "path": path,
            "query_string": b"", "headers": [(k.replace("_", "-").encode(), v.encode())
                                             for k, v in named.items()],
        }  # fmt: skip
        talk: Any = ApplicationCommunicator
        listener = cls(talk(get_asgi_application(), scope))
        await listener.talk.send_input({"type": "http.request", "body": b""})
        yield listener
        await listener.talk.send_input({"type": "http.disconnect"})
        await listener.talk.wait(timeout=10)

    async def status(self) -> int:
        status: int = (await self.talk.receive_output(timeout=10))["status"]
        return status

    async def read(self, until: str = "end") -> Told:
        """Return events up to the first of a name, or up to the end of the stream."""
        events: Told = []
        while not any(event["event"] == until for event in events):
            part = await self.talk.receive_output(timeout=10)
            events += parsed(part.get("body", b"").decode())
            if not part.get("more_body"):
                break
        return events

    async def rest(self) -> str:
        """Return what comes until the server closes."""
        text = b""
        while (part := await self.talk.receive_output(timeout=10)).get("more_body"):
            text += part["body"]
        return text.decode()


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "QUICK", 0.01)
    monkeypatch.setattr(sse, "SLOW", 0.02)


@pytest.fixture
def _reader_rests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the database only when the threads that read for streams have left it."""
    # Each request to an ASGI server has a thread of its own, which takes its connection along.
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)
    yield
    listeners._reader().submit(lambda: None).result(10)
    assert listeners.listening() == 0


live = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("_hasty", "_reader_rests"),
]


def with_marks(test: Any) -> Any:
    for mark in live:
        test = mark(test)
    return test


@with_marks
def test_a_stream_tells_what_happens_while_it_is_open_and_closes_behind_the_end(api: Api) -> None:
    publish(talking("a", "b"), now=utc_now())
    execution = start("flow", None, now=utc_now())

    async def listen() -> tuple[Told, Told]:
        async with Listener.to(address(execution.pk), authorization=f"Bearer {api.token}") as one:
            assert await one.status() == 200
            first = await one.read("node")
            await in_thread(work_off)
            return first, parsed(await one.rest())

    before, after = asyncio.run(listen())

    assert nodes_of(before) == {"a": "ready"}
    assert nodes_of(after) == {"a": "completed", "b": "completed"}
    assert lines_of(after) == ["a speaks", "b speaks"]
    assert after[-1]["event"] == "end"


@with_marks
def test_who_comes_back_to_a_stream_goes_on_where_they_were(api: Api) -> None:
    execution = run_flow(api, talking("a", "b", "c"))
    events, _ = told(api, execution)
    token = f"Bearer {api.token}"

    async def come_back(last: str) -> tuple[int, Told]:
        there = Listener.to(address(execution), authorization=token, last_event_id=last)
        async with there as one:
            return await one.status(), parsed(await one.rest())

    for number, event in enumerate(events[:-1], start=1):
        status, rest = asyncio.run(come_back(event["id"]))

        assert status == 200
        assert lines_of(events[:number]) + lines_of(rest) == lines_of(events)
        assert rest[-1]["event"] == "end"
    assert asyncio.run(come_back(events[-1]["id"])) == (204, [])


@with_marks
def test_a_stream_of_somebody_whose_token_is_revoked_is_closed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "ASK_AGAIN", 0.05)
    execution = start_one()

    async def listen() -> str:
        async with Listener.to(address(execution.pk), authorization=f"Bearer {api.token}") as one:
            await one.status()
            await one.read("node")
            await in_thread(lambda: ApiToken.objects.update(revoked_at=utc_now()))
            return await one.rest()

    assert asyncio.run(listen()).endswith(": not allowed any more\n\n")


@with_marks
@pytest.mark.parametrize("how", ["logout", "right", "inactive", "payload"])
def test_a_stream_of_a_session_is_closed_when_its_right_has_gone(
    api_of: MakeApi, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(sse, "ASK_AGAIN", 0.05)
    api_of("view_execution", "view_payload")
    user = User.objects.get()
    browser = Client()
    browser.force_login(user)
    execution = start_one()
    ways = {
        "logout": browser.logout,
        "right": lambda: user.user_permissions.clear(),
        "inactive": lambda: User.objects.update(is_active=False),
        "payload": lambda: user.user_permissions.remove(
            *user.user_permissions.filter(codename="view_payload")
        ),
    }
    cookie = f"sessionid={browser.cookies['sessionid'].value}"

    async def listen() -> str:
        async with Listener.to(address(execution.pk), cookie=cookie) as one:
            assert await one.status() == 200
            await one.read("node")
            await in_thread(ways[how])
            return await one.rest()

    assert asyncio.run(listen()).endswith(": not allowed any more\n\n")


@with_marks
def test_a_stream_goes_on_for_who_still_may(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "ASK_AGAIN", 0.0)
    execution = start_one()

    async def listen() -> Told:
        async with Listener.to(address(execution.pk), authorization=f"Bearer {api.token}") as one:
            await one.status()
            await one.read("node")
            for _ in range(5):
                await asyncio.sleep(0.02)
            await in_thread(work_off)
            return parsed(await one.rest())

    assert asyncio.run(listen())[-1]["event"] == "end"


@with_marks
def test_an_idle_stream_sends_comments(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE", 0.01)
    execution = start_one()

    async def listen() -> bytes:
        async with Listener.to(address(execution.pk), authorization=f"Bearer {api.token}") as one:
            await one.status()
            await one.read("node")
            body: bytes = (await one.talk.receive_output(timeout=10))["body"]
            return body

    assert asyncio.run(listen()) == b": still here\n\n"


@with_marks
def test_streams_of_a_user_are_counted_and_a_place_is_free_when_one_goes(
    api: Api, settings: Settings
) -> None:
    settings.SPANE = {**settings.SPANE, "STREAMS_PER_USER": 1}
    execution = start_one()
    token = f"Bearer {api.token}"

    async def listen() -> list[int]:
        seen = []
        async with Listener.to(address(execution.pk), authorization=token) as one:
            seen.append(await one.status())
            await one.read("node")
            async with Listener.to(address(execution.pk), authorization=token) as two:
                seen.append(await two.status())
        async with Listener.to(address(execution.pk), authorization=token) as three:
            seen.append(await three.status())
            await three.read("node")
        return seen

    assert asyncio.run(listen()) == [200, 429, 200]


@with_marks
def test_streams_hold_no_threads_and_share_one_connection(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", None)
    execution = start_one()
    token = f"Bearer {api.token}"

    async def listen(number: int) -> set[str]:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(number):
                to = Listener.to(address(execution.pk), authorization=token)
                one = await stack.enter_async_context(to)
                assert await one.status() == 200
                await one.read("node")
            await in_thread(lambda: None)
            return {thread.name for thread in threading.enumerate()}

    one, many = asyncio.run(listen(1)), asyncio.run(listen(8))

    assert len(many - {"MainThread"}) <= len(one - {"MainThread"}) + 1


@with_marks
def test_a_stream_of_what_is_pruned_meanwhile_ends(api: Api) -> None:
    execution = start_one()

    async def listen() -> str:
        async with Listener.to(address(execution.pk), authorization=f"Bearer {api.token}") as one:
            await one.status()
            await one.read("node")
            await in_thread(forget)
            return await one.rest()

    def forget() -> None:
        cancel(execution.pk, now=utc_now())
        NodeRun.objects.all().delete()
        LogLine.objects.all().delete()
        Execution.objects.all().delete()

    assert parsed(asyncio.run(listen())) == []


async def in_thread(work: Any) -> Any:
    """Do something synchronous as the test itself would, beside the event loop."""

    def done() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return await asyncio.to_thread(done)
