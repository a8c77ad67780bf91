"""Dead letters by filter: listed, counted, retried and discarded, also of what others started."""

from __future__ import annotations

from typing import Any

import pytest

from spane_django.models import AuditEntry, DeadLetter

from .conftest import Api, MakeApi, definition, run_flow, work_off

pytestmark = pytest.mark.django_db

VERBS = ("retry", "discard")


def fail(api: Api, key: str = "flow", node: str = "a", why: str = "no") -> str:
    return run_flow(api, definition(node, key=key, **{node: {"fail": why, "retries": 0}}))


def mapped(api: Api) -> str:
    """Fail two items of a map."""
    body = {"type": "task", "config": {"fail": "no item", "retries": 0}}
    config = {"items": "@", "node": body}
    node = {"id": "each", "type": "map", "config": config, "inputs": [], "outputs": []}
    raw = {"id": "mapped", "name": "Mapped", "entryNodeId": "each", "nodes": [node]}
    return run_flow(api, raw, [1, 2])


def test_dead_letters_are_found_by_what_they_are(api: Api) -> None:
    one = fail(api, "mail", "send", "no Route")
    two = fail(api, "pay", "charge")
    DeadLetter.objects.filter(execution=two).update(error_type="Declined")

    def found(query: str) -> list[str]:
        answer = api.get(f"/api/dlq?{query}")
        assert answer.status_code == 200, answer.content
        return [letter["executionId"] for letter in answer.json()["results"]]

    assert found("") == [two, one]
    assert found("workflow=mail") == [one]
    assert found("node=charge") == [two]
    assert found("nodeType=task&text=route") == [one]
    assert found("errorType=Declined") == [two]
    assert found(f"execution={one}") == [one]
    assert found("createdSince=2100-01-01T00:00:00Z") == []
    assert found("createdUntil=2100-01-01T00:00:00Z") == [two, one]


@pytest.mark.parametrize("verb", VERBS)
def test_all_that_a_filter_chooses_are_counted_before_anything_changes(api: Api, verb: str) -> None:
    for _ in range(3):
        fail(api)
    fail(api, "other")

    counted = api.post(f"/api/dlq/{verb}-all", {"workflow": "flow"})

    assert (counted.status_code, counted.json()["count"]) == (200, 3)
    assert DeadLetter.objects.open().count() == 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", VERBS)
def test_all_that_a_filter_chooses_are_dealt_with_and_nothing_else(api: Api, verb: str) -> None:
    for _ in range(3):
        fail(api)
    kept = fail(api, "other")

    done = api.post(
        f"/api/dlq/{verb}-all", {"workflow": "flow", "dryRun": False, "reason": "bank is back"}
    )

    told = done.json()
    assert (done.status_code, told["changed"], told["refused"]) == (202, 3, 0)
    assert [str(one.execution_id) for one in DeadLetter.objects.open()] == [kept]
    assert AuditEntry.objects.filter(verb=verb, reason="bank is back").count() == 3
    assert api.get(f"/api/executions/bulk/{told['operationId']}").json() == told


@pytest.mark.django_db(transaction=True)
def test_dead_letters_of_what_others_started_are_among_them(api: Api) -> None:
    mapped(api)
    items = DeadLetter.objects.open().filter(execution__parent__isnull=False)
    assert items.count() == 2

    done = api.post("/api/dlq/discard-all", {"text": "no item", "dryRun": False}).json()

    assert (done["changed"], items.count()) == (3, 0)


@pytest.mark.django_db(transaction=True)
def test_all_open_dead_letters_are_chosen_only_by_saying_so(api: Api) -> None:
    fail(api)

    nothing = api.post("/api/dlq/retry-all", {"dryRun": False})
    both = api.post("/api/dlq/retry-all", {"all": True, "node": "a"})
    every = api.post("/api/dlq/retry-all", {"all": True, "dryRun": False})
    work_off()

    assert (nothing.status_code, both.status_code, every.status_code) == (400, 400, 202)
    assert DeadLetter.objects.filter(resolution="retried").count() == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"workflow": ""}, "workflow"),
        ({"execution": "x"}, "execution"),
        ({"createdSince": "yesterday"}, "createdSince"),
        ({"nodes": "a"}, ""),
        ({"all": False}, "all"),
    ],
)
def test_a_filter_that_is_none_is_refused(api: Api, body: dict[str, Any], path: str) -> None:
    answer = api.post("/api/dlq/retry-all", body)

    assert answer.status_code == 400
    assert path in [item["path"] for item in answer.json()["error"]["details"]]


def test_only_operators_deal_with_all_of_them(api: Api, api_of: MakeApi) -> None:
    fail(api)

    answers = [
        api_of("view_deadletter").post(f"/api/dlq/{verb}-all", {"all": True}) for verb in VERBS
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
