"""How many node runs a drain keeps at hand: as many as it can run soon, never more.

Claiming ahead saves a transaction per node while nodes are quick, and keeps other workers from
helping while they are slow.  So the window follows the measured duration of the nodes.
"""

from __future__ import annotations

# Work for this long is kept at hand: long against a commit, short against a person's patience.
AHEAD_SECONDS = 0.1
# The weight of the newest node in the moving average of durations.
_WEIGHT = 0.1


class Window:
    """The number of plain node runs to hold at once.

    Args:
        least: The threads that run them.
        most: The largest batch.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = max(least, most)
        self._seconds = AHEAD_SECONDS
        self.size = least

    def observe(self, seconds: float) -> None:
        """Take the duration of a node run into account."""
        self._seconds += _WEIGHT * (seconds - self._seconds)
        within = AHEAD_SECONDS / max(self._seconds, 1e-6)
        self.size = max(self._least, min(self._most, int(within * self._least)))

    def shrink(self) -> None:
        """Hold no more than the threads can run at once: what was claimed ahead had to wait."""
        self._seconds = max(self._seconds, AHEAD_SECONDS)
        self.size = self._least
