"""What operators do to gates, as a project calls it.

Like `verbs`: these read the clock and join the caller's transaction.
"""

from __future__ import annotations

from typing import Unpack

from ..clock import now
from ..core.limits import BreakerStatus
from ..engine import gates
from ..models import Gate
from .operating import Who


def flip_gate(key: str, status: BreakerStatus | str, **who: Unpack[Who]) -> Gate:
    """Open or close the breaker of a gate by hand.

    Args:
        key: Such as ``type:http``, ``limit:crm`` or ``orders/push``; with a limit per key
            followed by ``:`` and the key.
        status: ``open`` holds everything back until somebody closes it; ``half_open`` lets one
            node at a time try; ``closed`` lets all through and forgets the failures.

    Raises:
        UnknownGate: no node has come to such a gate yet.
        ValueError: there is no such status.
    """
    return gates.flip(key, BreakerStatus(status), now=now(), **who)
