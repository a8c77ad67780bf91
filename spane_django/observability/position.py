"""How far a listener has been told of an execution: the cursor of its events.

A position holds what the listener knows, not when it was told: the number of the last log line,
a fingerprint of the execution, and fingerprints of its nodes.  Whoever compares it with the rows
finds each change, whatever the clocks said, in whatever order transactions committed, and however
long nobody listened.  Nothing has to be written for it when a node runs.

Nodes share `BUCKETS` fingerprints (each the sum, by exclusive or, of those of its nodes), so that
a position of five thousand nodes is as short as one of fifty.  Of a bucket that differs all nodes
are told again: an event may come twice, none is lost but by a collision of 48 bits.

As text it is opaque to clients: they hand back what they were given.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from uuid import UUID

from ..core.errors import SpaneError

BUCKETS = 32

_FORM = 1
_ENDED = 0x80
_TAG_BYTES = 4
_LINE_BYTES = 8
_PRINT_BYTES = 6
_MAP_BYTES = BUCKETS // 8
_FIXED = (1, _TAG_BYTES, _LINE_BYTES, _PRINT_BYTES, _PRINT_BYTES, _MAP_BYTES)
_LONGEST = 4 * (sum(_FIXED) + BUCKETS * _PRINT_BYTES)


class UnknownPosition(SpaneError):
    """The cursor is none of this execution: leave it away to be told everything."""


@dataclass(slots=True)
class Position:
    """What a listener knows.

    Attributes:
        line: The last log line that was told; 0: none.
        execution: The fingerprint of the execution as it was told; 0: it was not.
        version: The fingerprint of the version whose nodes were told.
        nodes: The fingerprints of the buckets.
        has_ended: Whether the end was told, with nothing after it.
    """

    line: int = 0
    execution: int = 0
    version: int = 0
    nodes: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    has_ended: bool = False

    def write(self, execution_id: UUID) -> str:
        """Return it as text."""
        used = [number for number, found in enumerate(self.nodes) if found]
        parts = (
            (_FORM | _ENDED if self.has_ended else _FORM).to_bytes(1, "big"),
            _tag(execution_id),
            self.line.to_bytes(_LINE_BYTES, "big"),
            _bytes(self.execution),
            _bytes(self.version),
            sum(1 << number for number in used).to_bytes(_MAP_BYTES, "big"),
            *(_bytes(self.nodes[number]) for number in used),
        )
        return urlsafe_b64encode(b"".join(parts)).decode().rstrip("=")


def read_position(text: str, execution_id: UUID) -> Position:
    """Return the position that a text tells.

    Raises:
        UnknownPosition: it tells none, or one of another execution.
    """
    try:
        parts = _Parts(urlsafe_b64decode(text[:_LONGEST] + "=" * (-len(text) % 4)))
        form, tag = parts.number(1), parts.take(_TAG_BYTES)
        line = parts.number(_LINE_BYTES)
        execution, version = parts.number(_PRINT_BYTES), parts.number(_PRINT_BYTES)
        used = parts.number(_MAP_BYTES)
        nodes = [parts.number(_PRINT_BYTES) if used >> n & 1 else 0 for n in range(BUCKETS)]
    except (binascii.Error, ValueError):
        raise UnknownPosition from None
    is_known = form & ~_ENDED == _FORM and tag == _tag(execution_id) and not parts.left
    # No database has a row with a larger number.
    if not is_known or line >= 1 << 63:
        raise UnknownPosition
    return Position(line, execution, version, nodes, bool(form & _ENDED))


def fingerprint(values: Iterable[object]) -> int:
    """Return a number that tells these values from others; never 0."""
    text = "\x1f".join(map(str, values)).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=_PRINT_BYTES).digest(), "big") or 1


class _Parts:
    def __init__(self, left: bytes) -> None:
        self.left = left

    def take(self, size: int) -> bytes:
        taken, self.left = self.left[:size], self.left[size:]
        if len(taken) < size:
            raise ValueError("too short")
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")


def _bytes(found: int) -> bytes:
    return found.to_bytes(_PRINT_BYTES, "big")


def _tag(execution_id: UUID) -> bytes:
    return blake2b(execution_id.bytes, digest_size=_TAG_BYTES).digest()
