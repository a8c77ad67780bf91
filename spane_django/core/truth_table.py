"""The truth table of joins: what a rule makes of every way in which two parents may stand.

The table of ``docs/joins.md`` is not written but asked of `plan.advance`, so it says what the
engine does; a test compares the two.  To write it anew, after a rule has changed::

    python -m spane_django.core.truth_table docs/joins.md

Without a file the table is printed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import combinations_with_replacement
from pathlib import Path

from .graph import Graph
from .plan import Decision, Ended, Join, JoinRule, advance
from .statuses import NodeStatus

BEGIN, END = "<!-- truth table -->", "<!-- end of the truth table -->"

RULES = (
    Join(JoinRule.ALL),
    Join(JoinRule.ANY),
    Join(JoinRule.N_OF_M, needed=2),
    Join(JoinRule.ALL_DONE),
    Join(JoinRule.NONE_FAILED),
)


class Parent(StrEnum):
    """How a parent stands to the join behind it."""

    COMPLETED = "completed"
    CHOSE_OTHERS = "completed, chose others"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"
    OPEN = "not ended"


_WORDS = {
    Decision.RELEASE: "**runs**",
    Decision.SKIP: "skipped",
    Decision.BLOCK: "cancelled",
    Decision.WAIT: "waits",
}


def decision(join: Join, parents: Sequence[Parent]) -> Decision:
    """Return what becomes of a node with this join once its parents stand like this."""
    names = [f"p{place}" for place in range(len(parents))]
    graph = Graph({**{name: ["join", "other"] for name in names}, "join": [], "other": []})
    stands = zip(names, parents, strict=True)
    ended = [_end(name, parent) for name, parent in stands if parent is not Parent.OPEN]
    progress = advance(graph, ended, {"join": join}, {})
    for nodes, meaning in (
        (progress.released, Decision.RELEASE),
        (progress.skipped, Decision.SKIP),
        (progress.blocked, Decision.BLOCK),
    ):
        if "join" in nodes:
            return meaning
    return Decision.WAIT


def table() -> str:
    """Return the table of two parents and every rule, in Markdown."""
    return "\n".join(_lines())


def written(document: str) -> str:
    """Return a document with the table between its two marks written anew.

    Raises:
        ValueError: the document has no such marks.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _end(name: str, parent: Parent) -> Ended:
    if parent is Parent.CHOSE_OTHERS:
        return Ended(name, NodeStatus.COMPLETED, frozenset({"other"}))
    return Ended(name, NodeStatus(parent.value))


def _lines() -> Iterator[str]:
    yield f"| one parent | the other | {' | '.join(map(_name, RULES))} |"
    yield "|---" * (2 + len(RULES)) + "|"
    for parents in combinations_with_replacement(Parent, 2):
        words = [_WORDS[decision(join, parents)] for join in RULES]
        yield f"| {' | '.join([*parents, *words])} |"


def _name(join: Join) -> str:
    needed = f", n = {join.needed}" if join.rule is JoinRule.N_OF_M else ""
    return f"`{join.rule.value}`{needed}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        path.write_text(written(path.read_text()))
    else:
        sys.stdout.write(table() + "\n")
