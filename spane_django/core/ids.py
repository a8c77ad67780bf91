"""Identifiers that are never given twice, newer ones after older ones.

Executions have UUIDs of version 7.  Versions have integers: those that a database counts come
again after a rollback (SQLite), and processes remember a version by its id.

See: RFC 9562, section 5.7.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from uuid import UUID

_last = 0


def uuid7() -> UUID:
    """Return a new UUID of version 7, greater than all that this process has made before.

    48 bits of Unix milliseconds, 12 of their fraction (RFC 9562, section 6.2, method 3), 62 random.
    """
    global _last  # two threads at once may share a stamp; the random bits differ
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    _last = stamp = max(_last + 1, milliseconds << 12 | nanoseconds * 4_096 // 1_000_000)
    value = (stamp >> 12 << 80) | (stamp & 0xFFF) << 64 | int.from_bytes(os.urandom(8), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    return UUID(int=value & ~(0x3 << 62) | (0x2 << 62))


def first_id(at: datetime) -> UUID:
    """Return the smallest id of an execution made at or after an instant."""
    return UUID(int=int(at.timestamp() * 1_000) << 80)


def serial() -> int:
    """Return a new positive integer of 63 bits: 42 bits of Unix milliseconds, then 21 random."""
    milliseconds = time.time_ns() // 1_000_000
    return milliseconds << 21 | int.from_bytes(os.urandom(3), "big") >> 3
