"""The timeline of an execution: what each node did and when, with long pauses shortened."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from spane_django.admin import timeline
from spane_django.admin.scale import Scale
from spane_django.admin.stretches import wait_of
from spane_django.engine import retry
from spane_django.models import Execution, NodeRun
from spane_django.nodes import Context, register_function
from tests.admin.conftest import Login
from tests.admin.pages import Inline, page_of
from tests.admin.stage import (
    ATTRIBUTE,
    BAD,
    EACH,
    EVIL,
    GOOD,
    SCRIPT,
    SLOW,
    WIDE,
    ended,
    node,
    published,
    work,
    workflow,
)

pytestmark = pytest.mark.django_db

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@register_function("admin-tests-third-time")
def third_time(ctx: Context) -> None:
    if ctx.attempt < 3:
        raise ConnectionError(f"attempt {ctx.attempt} {SCRIPT}")


TWICE = workflow(
    "twice",
    node(
        "call",
        "function",
        {
            "name": "admin-tests-third-time",
            "retryPolicy": {"maxAttempts": 3, "backoff": {"type": "fixed", "delay": 1}},
        },
        [],
        ["end"],
    ),
    node("end", "log", {"message": "end"}, ["call"], []),
)
NESTED = workflow("nested", node("child", "sub-workflow", {"workflowId": "good"}))
REMINDED = workflow(
    "reminded",
    node("first", "log", {"message": "first"}, [], ["nap"]),
    node("nap", "delay", {"duration": "PT2H"}, ["first"], ["last"]),
    node("last", "log", {"message": "last"}, ["nap"], []),
)


def seconds(*pairs: tuple[float, float]) -> list[tuple[datetime, datetime]]:
    return [
        (BEGIN + timedelta(seconds=begin), BEGIN + timedelta(seconds=end)) for begin, end in pairs
    ]


def scale(length: float, *work: tuple[float, float], is_even: bool = False) -> Scale:
    return Scale(BEGIN, BEGIN + timedelta(seconds=length), seconds(*work), is_even=is_even)


def table(html: str) -> str:
    """Return the timeline's rows."""
    begin = html.index('class="spane-nodes spane-timeline"')
    return html[html.index("<tbody>", begin) : html.index("</table>", begin)]


def rows(html: str) -> list[str]:
    """Return the names of the rows in their order."""
    return re.findall(r"<th scope=row><bdi><a [^>]*>([^<]*)</a>", table(html))


def shown(client: Client, execution: Execution, query: str = "") -> str:
    response = client.get(page_of(execution) + query)
    assert response.status_code == 200
    return response.content.decode()


def thrice() -> Execution:
    """Return an execution whose first node has failed twice and then completed."""
    execution = ended(TWICE)
    for _ in range(2):
        execution.node_runs.filter(status="ready").update(available_at=now())
        work()
    execution.refresh_from_db()
    assert execution.status == "completed"
    return execution


def reminded() -> Execution:
    """Return an execution that has slept for two hours between two quick nodes."""
    execution = ended(REMINDED)
    execution.node_runs.filter(status="waiting").update(available_at=now())
    work()
    late = timedelta(hours=2)
    for run in execution.node_runs.exclude(node_id="first"):
        if run.node_id != "nap":
            run.created_at += late
        run.available_at = run.available_at + late if run.available_at else None
        run.started_at = run.started_at + late if run.started_at else None
        run.finished_at = run.finished_at + late if run.finished_at else None
        run.save()
    execution.refresh_from_db()
    assert execution.finished_at is not None
    execution.finished_at += late
    execution.save()
    return execution


def test_every_instant_keeps_its_order_on_the_scale():
    placed = scale(7_210, (0, 5), (7_205, 7_210))

    places = [placed.place(BEGIN + timedelta(seconds=at)) for at in range(-10, 7_220, 7)]

    assert places == sorted(places)
    assert (places[0], places[-1]) == (0.0, pytest.approx(100.0))


def test_a_long_stretch_in_which_nothing_ran_is_shortened_and_told_in_words():
    placed = scale(7_210, (0, 5), (7_205, 7_210))

    assert [found.length for found in placed.breaks()] == ["2 h 0 min"]
    assert "2 h 0 min" in [label.text for label in placed.labels()]
    assert placed.place(BEGIN + timedelta(seconds=5)) == pytest.approx(47.0)
    assert placed.place(BEGIN + timedelta(seconds=7_205)) == pytest.approx(53.0)


def test_a_scale_that_is_even_shortens_nothing_and_knows_what_it_could():
    placed = scale(7_210, (0, 5), (7_205, 7_210), is_even=True)

    assert placed.breaks() == []
    assert len(placed.long) == 1
    assert placed.place(BEGIN + timedelta(seconds=3_605)) == pytest.approx(50.0)


def test_a_pause_that_is_shorter_than_the_work_stays_as_long_as_it_was():
    assert scale(30, (0, 10), (15, 30)).breaks() == []


def test_an_execution_in_which_nothing_ran_has_no_breaks():
    assert scale(7_200).breaks() == []


def test_however_many_breaks_there_are_they_take_half_of_the_scale():
    work = [(at, at + 1.0) for at in range(0, 100_000, 1_000)]

    breaks = scale(100_000, *work).breaks()

    assert len(breaks) == 100
    assert sum(float(found.width.rstrip("%")) for found in breaks) == pytest.approx(50.0)


@pytest.mark.parametrize("length", [0.0, 0.003, 1, 59, 3_600, 86_400, 40_000_000])
def test_labels_stand_apart_and_within_the_scale(length: float):
    placed = scale(length, (0, length / 3), (length / 2, length))

    places = [float(label.x.rstrip("%")) for label in placed.labels()]

    assert places
    assert places == sorted(places)
    assert all(after - before >= 12 for before, after in pairwise(places))
    assert 0 <= places[0] <= places[-1] <= 100


def test_failed_attempts_are_bars_of_their_own_with_the_waits_between_them(boss: Client):
    html = table(shown(boss, thrice()))

    assert "attempt 1 failed" in html
    assert "attempt 2 failed" in html
    assert "attempt 3 completed" in html
    assert html.count("waited for its next attempt") == 2
    assert SCRIPT not in html


def test_one_attempt_of_each_node_is_shown_when_it_is_asked_for(boss: Client):
    execution = thrice()

    second, fourth = shown(boss, execution, "?attempt=2"), shown(boss, execution, "?attempt=4")

    assert rows(second) == ["call"]
    assert "attempt 3" not in table(second)
    assert "attempt 2 &lt;script&gt;" in table(second)
    assert "No node is to be shown" in fourth


def test_an_attempt_in_the_address_is_opened(boss: Client):
    html = shown(boss, thrice(), "?node=call&attempt=2")

    opened = re.findall(r'<details class="spane-attempt" open>\s*<summary>#(\d)', html)
    assert opened == ["2"]


def test_what_was_waited_for_is_told_apart_from_what_was_queued(boss: Client):
    execution = reminded()
    run = execution.node_runs.get(node_id="nap")
    assert run.available_at is not None
    run.started_at = run.available_at + timedelta(seconds=3)
    run.finished_at = run.started_at + timedelta(seconds=1)
    run.save()

    html = table(shown(boss, execution))

    nap = html[html.index(">nap<") :]
    cells = re.findall(r"<td>([^<]*)", nap)
    assert cells[2:5] == ["3.0 s", "2 h 0 min", "1.0 s"]


def test_a_pause_of_two_hours_is_a_break_that_a_link_removes(boss: Client):
    execution = reminded()

    short, long = shown(boss, execution), shown(boss, execution, "?gaps=show")

    assert "nothing ran:" in short
    assert 'href="#spane-breaks"' in table(short)
    assert "gaps=show" in short
    assert 'href="#spane-breaks"' not in table(long)


def test_what_waits_for_a_signal_an_approval_or_a_timer_says_so():
    def said(node_type: str, **columns: object) -> str:
        return wait_of(NodeRun(node_type=node_type, **columns))

    assert said("delay") == "waited for a timer"
    assert said("wait", signal_name="paid") == "waited for a signal"
    assert said("approval") == "waited for an approval"
    assert said("map", failures_tolerated=0) == "waited for its children"


def test_finished_nodes_can_be_left_out(boss: Client):
    execution = ended(BAD)
    retry.replay(execution.pk, now=now())
    slow = ended(SLOW)

    assert rows(shown(boss, execution, "?finished=hide")) == ["explode", "after"]
    assert rows(shown(boss, slow, "?finished=hide")) == ["nap"]
    assert "No node is to be shown" in shown(boss, ended(GOOD), "?finished=hide")


def test_the_children_of_a_node_stand_under_it_when_they_are_opened(boss: Client):
    published(GOOD)
    execution = ended(NESTED)
    child = execution.children.get()

    closed, opened = shown(boss, execution), shown(boss, execution, "?nested=child")

    assert "nested=child" in closed
    assert page_of(child) not in table(closed)
    assert rows(opened) == ["child", "#0"]
    assert f'href="{page_of(child)}"' in table(opened)


def test_no_more_children_are_shown_than_can_be_looked_at(
    boss: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(timeline, "MOST_CHILDREN", 3)
    execution = ended(EACH, list(range(10)))

    html = shown(boss, execution, "?nested=each")

    assert rows(html) == ["each", "#0", "#1", "#2"]
    assert "7 more" in table(html)


def test_opened_children_cost_one_more_query_however_many_there_are(boss: Client):
    def cost(items: int) -> int:
        execution = ended(EACH, list(range(items)))
        shown(boss, execution)
        with CaptureQueriesContext(connection) as queries:
            shown(boss, execution, "?nested=each")
        return len(queries)

    assert cost(2) == cost(12)


def test_more_rows_than_can_be_drawn_are_parted_and_the_part_of_the_node_comes_first(
    boss: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(timeline, "MOST_ROWS", 50)
    execution = ended(WIDE)
    last = rows(shown(boss, execution, "?rows=5"))

    first, fifth = shown(boss, execution), shown(boss, execution, f"?node={last[0]}")

    assert len(rows(first)) == 50
    assert "rows=2#spane-timeline" in first
    assert len(last) == 1
    assert rows(fifth) == last


def test_the_label_and_the_bar_lead_to_the_node(boss: Client):
    html = table(shown(boss, ended(GOOD)))

    assert html.count('href="?node=greet#spane-node"') == 2


@pytest.mark.parametrize(
    "query",
    ["?attempt=-1", "?attempt=x", "?attempt=99999999999999", "?rows=0", "?rows=77", "?nested=none"],
)
def test_what_makes_no_sense_in_the_address_does_no_harm(boss: Client, query: str):
    assert boss.get(page_of(ended(GOOD)) + query).status_code == 200


def test_names_and_errors_are_text_and_nothing_is_inline(boss: Client):
    for execution in (ended(EVIL), ended(BAD), thrice()):
        html = shown(boss, execution, "?gaps=show")

        assert SCRIPT not in html
        assert ATTRIBUTE not in html
        assert Inline(html).refused == []


def test_the_timeline_is_for_those_who_may_see_executions(login: Login):
    execution = ended(GOOD)

    assert login().get(page_of(execution)).status_code == 200
    assert login("view_payload", sees=False).get(page_of(execution)).status_code == 403
