"""Instants are read as UTC, and what is none is None."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spane_django.core.instants import instant_from


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-01-31T12:00:00Z", datetime(2025, 1, 31, 12, tzinfo=UTC)),
        ("2025-01-31T12:00:00+02:30", datetime(2025, 1, 31, 9, 30, tzinfo=UTC)),
        ("0016-02-03T02:50:36.20+23:54", datetime(16, 2, 2, 2, 56, 36, 200_000, tzinfo=UTC)),
        ("2025-01-31T12:00:00", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("soon", None),
        ("", None),
    ],
)
def test_an_instant_is_read_as_utc(text: str, instant: datetime | None) -> None:
    found = instant_from(text)

    assert found == instant
    assert found is None or found.utcoffset() == UTC.utcoffset(None)
