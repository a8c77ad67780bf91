"""Large payloads over HTTP, and what is left of data that a workflow does not keep."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import storages
from django.utils import timezone
from pytest_django import Settings

from spane_django.engine.clear import clear
from spane_django.models import Payload

from .conftest import Api, definition, run_flow

LARGE = {"text": "x" * 500}
SIZE = 511  # bytes of it


@pytest.fixture(autouse=True)
def _files(settings: Settings) -> None:
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "large": memory}
    settings.SPANE = {**settings.SPANE, "OFFLOAD_BYTES": 300, "PAYLOAD_STORAGE": "large"}


def shown(api: Api, execution_id: str) -> dict[str, Any]:
    answer = api.get(f"/api/executions/{execution_id}")
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_large_inputs_and_outputs_are_shown_whole(api: Api) -> None:
    execution_id = run_flow(api, definition("a", "b", b={"return": LARGE}), LARGE)

    body = shown(api, execution_id)

    assert Payload.objects.count() == 2
    assert (body["input"], body["output"], body["nodeResults"]["b"]["data"]) == (LARGE,) * 3


def test_an_answer_is_bounded_and_shows_how_the_rest_begins(api: Api, settings: Settings) -> None:
    execution_id = run_flow(api, definition("a", "b", b={"return": LARGE}), LARGE)
    settings.SPANE = {**settings.SPANE, "MAX_PAYLOAD_BYTES": 2 * SIZE}

    body = shown(api, execution_id)

    assert (body["input"], body["output"]) == (LARGE, LARGE)
    rest = body["nodeResults"]["b"]["data"]
    assert (rest["sizeBytes"], rest["preview"][:12]) == (SIZE, '{"text":"xxx')


def test_a_file_that_is_gone_hides_nothing_else(api: Api) -> None:
    execution_id = run_flow(api, definition("a", "b", b={"return": LARGE}), {"n": 1})
    storages["large"].delete(Payload.objects.get().name)

    body = shown(api, execution_id)

    assert (body["input"], body["nodeResults"]["a"]["data"]) == ({"n": 1}, {"from": "a"})
    assert "cannot be read from the storage 'large'" in body["output"]["unavailable"]


def test_a_dead_letter_shows_its_large_input(api: Api) -> None:
    raw = definition("a", "b", a={"return": LARGE}, b={"fail": "boom", "retries": 0})
    run_flow(api, raw)

    (letter,) = api.get("/api/dlq").json()["results"]

    assert letter["input"] == LARGE


def test_a_large_input_whose_file_is_gone_cannot_be_replayed(api: Api) -> None:
    execution_id = run_flow(api, definition("a"), LARGE)
    storages["large"].delete(Payload.objects.get().name)

    answer = api.post(f"/api/executions/{execution_id}/replay")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "payload_unavailable")


def test_what_has_been_cleared_says_so_and_cannot_be_replayed(api: Api) -> None:
    execution_id = run_flow(api, {**definition("a"), "saveData": "none"}, LARGE)
    clear(now=timezone.now() + timedelta(minutes=2))

    body = shown(api, execution_id)
    answer = api.post(f"/api/executions/{execution_id}/replay")

    assert (body["input"], body["output"], body["status"]) == (None, None, "completed")
    assert body["dataClearedAt"]
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "data_cleared")
