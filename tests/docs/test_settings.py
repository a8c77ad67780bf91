"""Every setting stands in the documentation."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from spane_django.conf import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def test_every_setting_is_in_the_table_of_settings():
    told = PAGE.read_text()

    assert [field.name for field in fields(Settings) if f"`{field.name}`" not in told] == []
