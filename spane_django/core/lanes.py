"""Who goes next: nodes wait in lanes, and the lanes of one priority take turns.

A *lane* is a line of node runs behind each other: those of one gate and one key of executions,
such as a tenant.  A claim deals its room out to the lanes of the highest priority one by one, so
that a long line does not keep a short one waiting; what they leave goes to the next priority.
Where there are more lanes than room, the next claim goes on behind the last lane that was dealt
to.

The name of a lane says what it is, so that whoever reads it needs nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b

COMMON = ""
"""The lane of everything that has neither gate nor key."""

_BETWEEN = "\x1f"
# What the columns hold, less the character between.
_GATE_LENGTH = 150
_KEY_LENGTH = 99
_DIGEST_BYTES = 8


def owned(tenant: str, key: str) -> str:
    """Return a key of executions such that those of two tenants are never the same."""
    return f"{tenant}/{key}" if tenant else key


def gate_key(base: str, key: str) -> str:
    """Return the key of a gate.

    Args:
        base: What is limited.
        key: The execution's key if each has a gate of its own, else "".
    """
    return _short(f"{base}:{key}" if key else base, _GATE_LENGTH)


def lane(gate: str, key: str) -> str:
    """Return the lane of a node run with this gate and this key of its execution."""
    return f"{gate}{_BETWEEN}{_short(key, _KEY_LENGTH)}" if gate or key else COMMON


def deal(gates: Sequence[str], room: int, free: Mapping[str, int | None]) -> list[int]:
    """Return how many each lane may claim: one each in turn, until the room is dealt out.

    Args:
        gates: The gate of each lane, "" for none, in the order of their turn.
        free: How many each gate lets through; None: any number.
    """
    shares = [0] * len(gates)
    left = {gate: room if (most := free.get(gate)) is None else most for gate in gates}
    turns = [turn for turn, gate in enumerate(gates) if left[gate]]
    while room and turns:
        sharing = Counter(gates[turn] for turn in turns)
        enough = min(left[gate] // lanes for gate, lanes in sharing.items())
        each = max(1, min(enough, room // len(turns)))
        for turn in turns:
            most = min(each, left[gates[turn]], room)
            shares[turn] += most
            left[gates[turn]] -= most
            room -= most
        turns = [turn for turn in turns if left[gates[turn]]]
    return shares


def pivot(lanes: Sequence[str], dealt: Sequence[int]) -> str | None:
    """Return the lane behind which the next claim goes on: the last of those that had most.

    None: nothing was dealt out.

    Args:
        dealt: How many each of ``lanes`` was given.
    """
    most = max(dealt, default=0)
    return lanes[len(dealt) - 1 - dealt[::-1].index(most)] if most else None


def _short(text: str, length: int) -> str:
    """Return a text that fits, and another one for another text."""
    if len(text) <= length:
        return text
    digest = blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{text[: length - len(digest) - 1]}~{digest}"
