"""Instants as text: ISO 8601 with a zone, read as UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def instant_from(text: str) -> datetime | None:
    """Return the instant that a text names; None if it names none, or has no zone.

    It comes in UTC: databases know fewer zones than may be written.
    """
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC) if instant.tzinfo else None
    except (ValueError, OverflowError):
        return None
