"""Pages by cursor: nothing is skipped, told twice or counted, whatever comes meanwhile."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from spane_django.engine.run import utc_now
from spane_django.engine.start import start_many
from spane_django.models import Execution

from .conftest import Api, definition

pytestmark = pytest.mark.django_db


def start(api: Api, count: int) -> list[str]:
    assert api.post("/api/workflows", definition("a")).status_code in (200, 201)
    return [str(key) for key in start_many("flow", [None] * count, now=utc_now())]


def walk(api: Api, path: str, direction: str = "next") -> list[list[str]]:
    """Return the ids of each page from one on."""
    pages = []
    while path:
        page = api.get(path).json()
        assert set(page) == {"results", "next", "previous"}
        pages.append([item["executionId"] for item in page["results"]])
        path = page[direction]
    return pages


def test_pages_have_every_row_once_and_lead_back_to_the_first(api: Api) -> None:
    ids = start(api, 7)

    forth = walk(api, "/api/executions?limit=3")
    last = api.get(api.get("/api/executions?limit=3").json()["next"]).json()["next"]
    back = walk(api, last, "previous")

    assert [len(page) for page in forth] == [3, 3, 1]
    assert [key for page in forth for key in page] == sorted(ids, reverse=True)
    assert back == forth[::-1]


def test_what_is_started_meanwhile_moves_no_page(api: Api) -> None:
    ids = sorted(start(api, 4), reverse=True)

    first = api.get("/api/executions?limit=2").json()
    start(api, 3)
    second = api.get(first["next"]).json()

    assert [item["executionId"] for item in second["results"]] == ids[2:]
    assert second["next"] is None


def test_rows_of_one_instant_are_told_apart(api: Api) -> None:
    ids = start(api, 5)
    Execution.objects.update(created_at=utc_now())
    seen: list[str] = []

    path = "/api/executions?limit=1"
    while path:
        page = api.get(path).json()
        seen += [item["executionId"] for item in page["results"]]
        path = page["next"]

    assert seen == sorted(ids, reverse=True)


def test_a_list_never_counts_its_table(api: Api) -> None:
    start(api, 3)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        api.get("/api/executions?limit=2")

    assert not [query for query in queries if "COUNT(" in query["sql"].upper()]


def test_filters_stay_from_page_to_page(api: Api) -> None:
    start(api, 3)
    api.post("/api/workflows", definition("a", key="other"))
    start_many("other", [None] * 3, now=utc_now())

    pages = walk(api, "/api/executions?limit=2&workflow=other")

    assert [len(page) for page in pages] == [2, 1]


@pytest.mark.parametrize(
    "made_up",
    [
        "",
        "x",
        [],
        [False],
        [False, 1],
        [False, "1"],
        [False, "a\x00b"],
        {"a": 1},
        [[[]]],
        "[" * 900,
    ],
)
def test_a_made_up_cursor_is_refused_by_its_name(api: Api, made_up: Any) -> None:
    text = made_up if isinstance(made_up, str) else json.dumps(made_up)
    cursor = base64.urlsafe_b64encode(text.encode()).decode()

    answer = api.get(f"/api/executions?cursor={cursor}")

    assert answer.status_code == 400
    assert [item["path"] for item in answer.json()["error"]["details"]] == ["cursor"]


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("staus=failed", ["staus"]),
        ("status=done&parent=x&version=0", ["parent", "status", "version"]),
        ("createdSince=2025-01-01&createdUntil=soon", ["createdSince", "createdUntil"]),
        ("limit=0", ["limit"]),
        ("limit=201", ["limit"]),
        ("workflow=", ["workflow"]),
        ("key=a%00b", ["key"]),
    ],
)
def test_every_parameter_that_is_refused_is_listed(api: Api, query: str, paths: list[str]) -> None:
    answer = api.get(f"/api/executions?{query}")

    assert answer.status_code == 400
    details = answer.json()["error"]["details"]
    assert sorted(item["path"] for item in details) == paths


def test_executions_are_found_by_what_they_are(api: Api) -> None:
    ids = start(api, 6)
    begun = Execution.objects.get(pk=ids[0]).created_at
    changes: list[dict[str, Any]] = [
        {"status": "failed", "reason": "no room in the OVEN"},
        {"tenant": "acme", "key": "k-1"},
        {"trigger": "schedule:7", "created_at": begun + timedelta(days=1)},
        {"subject_type": "shop.order", "subject_id": "17"},
        {"idempotency_key": "once", "created_at": begun - timedelta(days=1)},
    ]
    for key, change in zip(ids, changes, strict=False):
        Execution.objects.filter(pk=key).update(**change)
    later = (begun + timedelta(hours=1)).isoformat().replace("+", "%2B")
    earlier = (begun - timedelta(hours=1)).isoformat().replace("+", "%2B")

    def found(query: str) -> list[int]:
        page = api.get(f"/api/executions?{query}")
        assert page.status_code == 200, page.content
        return sorted(ids.index(item["executionId"]) for item in page.json()["results"])

    assert found("status=failed") == [0]
    assert found("status=failed,running") == [0, 1, 2, 3, 4, 5]
    assert found("text=oven") == [0]
    assert found("tenant=acme") == [1]
    assert found("key=k-1") == [1]
    assert found("trigger=schedule") == [2]
    assert found("trigger=schedule:7") == [2]
    assert found("trigger=schedule:77") == []
    assert found(f"createdSince={later}") == [2]
    assert found(f"createdUntil={earlier}") == [4]
    assert found("subject=shop.order") == [3]
    assert found("subject=shop.order:17") == [3]
    assert found("subject=shop.order:1") == []
    assert found("idempotencyKey=once") == [4]
    assert found("version=1") == [0, 1, 2, 3, 4, 5]
    assert found("version=2") == []
