"""``merge``: make one value of what several parents hand on.

Modes: ``object`` merges the parents' objects in their order, later keys win; ``list`` lists the
parents' values; ``keyed`` leaves the object keyed by parent id as it is.  Parents that were
skipped are absent.
"""

from __future__ import annotations

from ..core.json import Json
from ..core.outcome import Permanent
from .base import Context, Node


class MergeNode(Node):
    """Makes one value of what several parents hand on."""

    type = "merge"
    description = "Makes one value of what several parents hand on."
    is_pure = True
    config = {
        "type": "object",
        "properties": {"mode": {"enum": ["object", "list", "keyed"], "default": "object"}},
        "additionalProperties": False,
    }

    def execute(self, ctx: Context) -> Json:
        parents = ctx.input
        if not isinstance(parents, dict):
            raise Permanent("there is nothing to merge: the node needs several parents")
        match ctx.config.get("mode", "object"):
            case "list":
                return list(parents.values())
            case "keyed":
                return parents
            case _:
                return _merged(parents)


def _merged(parents: dict[str, Json]) -> dict[str, Json]:
    others = [name for name, value in parents.items() if not isinstance(value, dict)]
    if others:
        raise Permanent(
            f"only objects can be merged, and these parents hand on something else: "
            f"{', '.join(others)}; use the mode 'list' or 'keyed'"
        )
    return {key: value for parent in parents.values() for key, value in parent.items()}
