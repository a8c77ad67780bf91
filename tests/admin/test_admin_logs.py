"""The log on the page of an execution: filters, pages by cursor, files, and lines that follow."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from spane_django.admin.log_lines import Log, Place, Wanted
from spane_django.core.ids import uuid7
from spane_django.models import Execution, LogLine
from tests.admin.conftest import Login
from tests.admin.pages import page_of
from tests.admin.stage import ATTRIBUTE, BAD, GOOD, SCRIPT, SLOW, ended, started, work
from tests.admin.test_admin_live import asked, live_of

pytestmark = pytest.mark.django_db


def file_of(execution: Execution, form: str = "txt") -> str:
    return reverse(f"admin:spane_django_execution_log_{form}", args=[execution.pk])


def text_of(response: Any) -> str:
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def log_of(client: Client, execution: Execution, query: str = "") -> str:
    html = client.get(page_of(execution) + query).content.decode()
    return html[html.index('id="spane-log"') :]


def messages(html: str) -> list[str]:
    return re.findall(r'spane-message" dir="auto">([^<]+)', html)


def followed(client: Client, url: str, cursor: str, **filters: str) -> Any:
    response = client.get(url, {"cursor": cursor, "tail": "1", **filters})
    assert response.status_code == 200
    return response.json()


def written(execution: Execution, *messages: str, **columns: Any) -> None:
    """Write lines as a node would."""
    LogLine.objects.bulk_create(
        LogLine(
            **{
                "execution": execution,
                "node_id": "greet",
                "attempt": 1,
                "level": "info",
                "created_at": now(),
                **columns,
                "message": message,
            }
        )
        for message in messages
    )


def test_lines_are_told_newest_first_or_oldest_first(boss: Client):
    execution = started(GOOD)
    written(execution, "one", "two", "three")

    newest, oldest = (log_of(boss, execution, f"?order={order}") for order in ("newest", "oldest"))

    assert messages(newest)[:3] == ["three", "two", "one"]
    assert messages(oldest)[-3:] == ["one", "two", "three"]


@pytest.mark.parametrize("is_newest_first", [True, False])
@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_pages_hold_every_line_once_and_in_order(size: int, is_newest_first: bool):
    execution = ended(GOOD)
    begin = now()
    for index in range(9):
        at = begin - timedelta(seconds=index % 3)
        written(execution, f"line {index}", created_at=at)
    whole = Log(execution, Wanted(), is_newest_first=is_newest_first).page(Place(), 1_000)

    parts = Log(execution, Wanted(), is_newest_first=is_newest_first).pages(size)
    told = [told for part in parts for told in part]

    assert whole.after is None
    assert told == whole.lines
    rows = [one.line for one in told if one.line]
    assert rows == sorted(rows, reverse=is_newest_first)
    assert len(rows) == execution.log_lines.count()
    assert len(told) - len(rows) == 6


def test_events_of_one_instant_are_told_once_however_they_are_parted():
    execution = ended(BAD)
    same = now()
    execution.node_runs.update(started_at=same, finished_at=same)
    Execution.objects.filter(pk=execution.pk).update(started_at=same, finished_at=same)
    execution.refresh_from_db()
    whole = Log(execution, Wanted(only_lines=False), is_newest_first=False).page(Place(), 100)

    parts = Log(execution, Wanted(), is_newest_first=False).pages(1)

    assert [told for part in parts for told in part] == whole.lines


def test_a_page_of_the_log_leads_to_the_next(boss: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("spane_django.admin.log_view._LINES", 2)
    execution = ended(GOOD)
    found: list[str] = []
    query = "?order=oldest"

    for _ in range(10):
        html = log_of(boss, execution, query)
        found += messages(html)
        after = re.search(r'href="(\?[^"]*log=[^"#]*)#spane-log">Later', html)
        if after is None:
            break
        query = after[1].replace("&amp;", "&")

    everything = messages(log_of(boss, execution, "?order=oldest"))
    assert found[:2] == everything
    assert len(found) == 7
    assert found[-1].endswith("good completed")


def test_a_page_reads_no_more_of_a_long_log_than_it_shows(boss: Client):
    execution = ended(GOOD)
    written(execution, *(f"line {index}" for index in range(500)))

    with CaptureQueriesContext(connection) as queries:
        html = log_of(boss, execution)

    read = [each["sql"] for each in queries if 'FROM "spane_django_logline"' in each["sql"]]
    assert len(messages(html)) == 50
    assert len(read) == 1
    assert "LIMIT 51" in read[0]


def test_lines_are_filtered_by_node_attempt_level_and_text(boss: Client):
    execution = started(GOOD)
    written(execution, "greeting")
    written(execution, "again", attempt=2)
    written(execution, "told", node_id="tell")
    written(execution, "careful", level="warning")
    written(execution, "broken 100%", level="error")

    def found(query: str) -> set[str]:
        return set(messages(log_of(boss, execution, f"?lines=only&{query}")))

    assert found("of=tell") == found("node=tell") == {"told"}
    assert found("node=tell&of=") == found("") != {"told"}
    assert found("attempt=2") == {"again"}
    assert found("level=warning") == {"careful", "broken 100%"}
    assert found("text=GREET") == {"greeting"}
    assert found("text=100%25") == {"broken 100%"}
    assert found("text=%25") == {"broken 100%"}


def test_filters_hold_for_what_happened_as_for_what_was_written(boss: Client):
    execution = ended(BAD)

    errors = messages(log_of(boss, execution, "?level=error"))
    after = messages(log_of(boss, execution, "?of=after"))
    only = messages(log_of(boss, execution, "?lines=only"))

    assert any(message.startswith("Node execution failed") for message in errors)
    assert not any(message.startswith("Executing") for message in errors)
    assert after == ["Node cancelled: upstream failed"]
    assert len(only) == 1


def test_a_log_without_lines_says_so(boss: Client):
    empty = log_of(boss, started(GOOD, options=None), "?lines=only&of=greet&text=nothing")
    execution = started(GOOD)
    Execution.objects.filter(pk=execution.pk).update(started_at=None)
    new = log_of(boss, execution)

    assert "No line fits." in empty
    assert "Nothing has happened yet" in new


@pytest.mark.parametrize(
    "query", ["?log=x", "?log=1.2", "?log=-1.0.0", "?log=1.1.1e9", "?text=%00"]
)
def test_what_makes_no_sense_in_the_address_does_no_harm(boss: Client, query: str):
    assert boss.get(page_of(ended(GOOD)) + query).status_code == 200


def test_what_nodes_write_is_text(boss: Client):
    execution = ended(GOOD)
    written(execution, SCRIPT, ATTRIBUTE, data={"key": SCRIPT})

    html = log_of(boss, execution)

    assert SCRIPT not in html
    assert "<img src=x" not in html
    assert html.count("&lt;script&gt;") >= 2


def test_data_are_for_those_who_may_see_payloads(login: Login):
    execution = ended(GOOD)
    written(execution, "card", data={"card": "4242"})
    blind, seeing = login(), login("view_payload")

    for form in ("txt", "jsonl"):
        assert "4242" not in text_of(blind.get(file_of(execution, form)))
        assert "4242" in text_of(seeing.get(file_of(execution, form)))
    assert "4242" not in log_of(blind, execution)
    assert "4242" in log_of(seeing, execution)


def test_a_file_is_named_after_its_execution_and_has_all_lines(boss: Client):
    execution = ended(GOOD)
    written(execution, *(f"line {index}" for index in range(2_500)))

    response = boss.get(file_of(execution))
    text = text_of(response)

    named = f'attachment; filename="execution-{execution.pk}.log.txt"'
    assert response["Content-Disposition"] == named
    assert re.findall(r"line (\d+)\n", text) == [str(index) for index in range(2_500)]
    assert len(text.splitlines()) == 2_500 + 7


def test_a_file_holds_what_the_filters_let_through(boss: Client):
    execution = ended(BAD)

    text = text_of(boss.get(file_of(execution) + "?level=error&order=oldest"))

    assert " INFO " not in text
    assert text.count(" ERROR ") == 3


def test_json_lines_are_objects_one_per_line(boss: Client):
    execution = ended(GOOD)
    written(execution, "two\nlines", data={"n": 1})

    lines = [
        json.loads(line) for line in text_of(boss.get(file_of(execution, "jsonl"))).split("\n")[:-1]
    ]

    assert {"timestamp", "level", "message", "nodeId", "attempt", "data"} == set(lines[0])
    [one] = [line for line in lines if line["message"] == "two\nlines"]
    assert (one["nodeId"], one["attempt"], one["data"]) == ("greet", 1, {"n": 1})


def test_no_message_looks_like_another_line_or_commands_a_terminal(boss: Client):
    execution = ended(GOOD)
    written(
        execution, "first\n2026-01-01T00:00:00.000+00:00 ERROR   - forged", "\x1b[2J\rgone\u2028x"
    )

    text = text_of(boss.get(file_of(execution)))

    assert "\n    2026-01-01T00:00:00.000+00:00 ERROR" in text
    assert not re.search(r"^2026-01-01", text, re.M)
    assert not {"\x1b", "\r", "\u2028"} & set(text)


def test_files_are_for_those_who_may_see_the_execution(login: Login, client: Client):
    execution = ended(GOOD)

    assert login("view_payload", sees=False).get(file_of(execution)).status_code == 403
    seeing = login()
    assert seeing.get(file_of(execution)).status_code == 200
    assert client.get(file_of(execution)).status_code == 302
    gone = file_of(execution).replace(str(execution.pk), str(uuid7()))
    assert seeing.get(gone).status_code == 404


def test_a_log_that_is_followed_is_told_each_new_line_once(boss: Client):
    execution = started(GOOD)
    html = boss.get(page_of(execution)).content.decode()
    url, cursor = live_of(html)
    assert 'data-spane-tail="?tail=1"' in html
    work()

    first = followed(boss, url, cursor)
    second = followed(boss, url, first["cursor"])

    told = [line[-2] for line in first["lines"]]
    assert told.count("said hello") == 1
    assert told.count("Node execution completed successfully") == 2
    assert second["lines"] == []


def test_lines_that_are_followed_keep_to_the_filters_and_to_the_permissions(
    boss: Client, login: Login
):
    execution = started(BAD)
    url, cursor = live_of(boss.get(page_of(execution)).content.decode())
    work()

    wanted = followed(boss, url, cursor, level="error", lines="only")["lines"]
    blind = followed(login(), url, cursor)["lines"]

    assert [line[-2] for line in wanted] == [SCRIPT]
    assert wanted[0][-1] != ""
    assert [line[-1] for line in blind if line[-2] == SCRIPT] == [""]


def test_who_does_not_follow_the_log_is_told_no_lines(boss: Client):
    url, cursor = live_of(boss.get(page_of(started(GOOD))).content.decode())

    assert "lines" not in asked(boss, url, cursor)


def test_a_log_is_followed_where_its_newest_lines_are(boss: Client):
    execution = ended(SLOW)
    written(execution, *(f"line {index}" for index in range(120)))
    older = re.search(r'href="(\?log=[^"#]*)', log_of(boss, execution))
    assert older is not None

    assert "data-spane-tail" in log_of(boss, execution)
    assert "data-spane-tail" not in log_of(boss, execution, older[1])
    assert "data-spane-tail" not in log_of(boss, execution, "?order=oldest")
    assert "data-spane-tail" not in log_of(boss, ended(GOOD))


def test_a_page_begins_to_follow_without_reading_what_was_written(boss: Client):
    execution = ended(SLOW)
    written(execution, *(f"line {index}" for index in range(2_000)))

    with CaptureQueriesContext(connection) as queries:
        html = boss.get(page_of(execution)).content.decode()
    url, cursor = live_of(html)

    assert followed(boss, url, cursor)["lines"] == []
    assert len(queries) <= 26
