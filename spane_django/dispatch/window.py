"""How many node runs a drain keeps at hand: as many as it can run soon, never more.

Claiming ahead saves a transaction per node while nodes are quick, and keeps other workers from
helping while they are slow.  So the window follows how long plain nodes were measured to hold
their thread, and how many of the nodes are plain: ``async`` ones hold none.
"""

from __future__ import annotations

# Work for this long is kept at hand: long against a commit, short against a person's patience.
AHEAD_SECONDS = 0.1
# The weight of the newest node in the moving averages.
_WEIGHT = 0.1


class Window:
    """The number of plain node runs to hold at once, and what to claim to come to that.

    Args:
        least: The threads that run them.
        most: The largest batch.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = max(least, most)
        self._seconds = AHEAD_SECONDS
        self._plain = 1.0
        self._size = least

    def claimed(self, *, is_plain: bool) -> None:
        """Take a claim into account: whether its node needs a thread."""
        self._plain += _WEIGHT * (is_plain - self._plain)

    def observe(self, seconds: float) -> None:
        """Take into account how long a plain node ran."""
        self._seconds += _WEIGHT * (seconds - self._seconds)
        within = AHEAD_SECONDS / max(self._seconds, 1e-6)
        self._size = max(self._least, min(self._most, int(within * self._least)))

    def room(self, held: int) -> int:
        """Return how many node runs to claim, of which as many as fit will be plain.

        Args:
            held: Plain node runs at hand.
        """
        free = max(0, self._size - held)
        return min(self._most, int(free / max(self._plain, 1 / self._most)))

    def shrink(self) -> None:
        """Hold no more than the threads can run at once: what was claimed ahead had to wait."""
        self._seconds = max(self._seconds, AHEAD_SECONDS)
        self._size = self._least
