"""A large payload is shown by its size and its beginning; its file is not even opened."""

from __future__ import annotations

from django.core.files.storage import storages
from django.test import Client
from pytest_django import Settings

from spane_django.models import Payload
from tests.admin.pages import page_of
from tests.admin.stage import GOOD, ended


def test_a_large_input_is_shown_by_its_beginning_even_if_its_file_is_gone(
    boss: Client, settings: Settings
) -> None:
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "large": memory}
    settings.SPANE = {**settings.SPANE, "OFFLOAD_BYTES": 1_000, "PAYLOAD_STORAGE": "large"}
    execution = ended(GOOD, {"text": "abc" * 1_000})
    for payload in Payload.objects.all():
        storages["large"].delete(payload.name)

    page = boss.get(page_of(execution))

    text = page.content.decode()
    assert page.status_code == 200
    assert "sizeBytes&quot;: 3011" in text
    assert "abcabc" in text
    assert len(text) < 100_000
