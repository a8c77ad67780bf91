"""The picture of a workflow: boxes and lines for a template to draw, with what became of each node.

The layout is computed once per version and process.  A box is a link, so that the picture works
without a script; its status is an icon and a word as well as a colour.  Many nodes that are alike
stand behind one box, which tells how many of them have which status and opens when it is followed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from django.utils.translation import gettext as _

from ..core.definition import Definition
from ..core.fold import Folded, fold
from ..core.graph import Graph
from ..core.layout import BOX_HEIGHT, BOX_WIDTH, Layout, Point, lay_out
from ..core.statuses import NodeStatus
from ..models import NodeRun, WorkflowVersion
from .present import ICONS, WORDS

MOST_BOXES = 1_000
"""More are drawn only when somebody asks for it: the rest of the page is there at once."""

LABEL_CHARACTERS = 19
HINT_CHARACTERS = 24
# Of nodes behind one box, the first of these that any of them has is the box's.
_URGENCY = (
    NodeStatus.FAILED, NodeStatus.RUNNING, NodeStatus.WAITING, NodeStatus.READY,
    NodeStatus.PENDING, NodeStatus.CANCELLED, NodeStatus.COMPLETED, NodeStatus.SKIPPED,
)  # fmt: skip
_LED_ON = frozenset({NodeStatus.COMPLETED, NodeStatus.FAILED})
_NOT_REACHED = frozenset({"", NodeStatus.SKIPPED})

UrlOf = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Box:
    """A node, or several that are alike.

    Attributes:
        label: Its id, shortened to what fits.
        title: The whole of it, where it was shortened, with what stands beside it.
        status: Empty before anything has reached it, and in the picture of a definition.
        said: Its status in words, or its type.
        is_group: Whether it stands for several nodes.
    """

    node_id: str
    x: str
    y: str
    label: str
    title: str
    status: str
    icon: str
    said: str
    url: str
    is_group: bool


@dataclass(frozen=True, slots=True)
class Line:
    """An edge.

    Attributes:
        kind: ``taken``, ``left`` (nothing came along it) or empty: not yet known; between two
            versions what has become of it.
        mark: A sign that stands in the middle of it, at ``x`` and ``y``; `said` says it in words.
    """

    path: str
    kind: str
    mark: str = ""
    said: str = ""
    x: str = ""
    y: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a template draws; lengths are pixels at full size."""

    width: int
    height: int
    box_width: int
    box_height: int
    boxes: list[Box]
    lines: list[Line]
    hidden: int = 0


def picture_of(
    version: WorkflowVersion,
    *,
    url_of: UrlOf,
    group_url_of: UrlOf,
    runs: Iterable[NodeRun] | None = None,
    opened: Sequence[str] = (),
    draws_all: bool = False,
) -> Picture:
    """Return the picture of a version, or of an execution of it.

    Args:
        url_of: The address behind a node, by its id.
        group_url_of: The address behind a box for several, by the id of the first.
        runs: The execution's; None: the picture is of the definition.
        opened: Groups whose nodes are drawn one by one.
        draws_all: Draw however many boxes there are.
    """
    drawn = _drawn(version.pk, version.content_hash, tuple(sorted(set(opened))))
    if len(drawn.layout.boxes) > MOST_BOXES and not draws_all:
        return Picture(0, 0, 0, 0, [], [], hidden=len(drawn.layout.boxes))
    statuses = None if runs is None else {run.node_id: run.status for run in runs}
    of_box = {
        node: _Of(drawn.folded.members.get(node, (node,)), statuses) for node in drawn.layout.boxes
    }
    return Picture(
        width=int(drawn.layout.width),
        height=int(drawn.layout.height) + 1,
        box_width=int(BOX_WIDTH),
        box_height=int(BOX_HEIGHT),
        boxes=[
            _box(
                node,
                corner,
                of_box[node],
                drawn.types[node],
                url_of if len(of_box[node].nodes) == 1 else group_url_of,
            )
            for node, corner in drawn.layout.boxes.items()
        ],
        lines=[
            Line(path(points), _kind(of_box[parent], of_box[child]))
            for (parent, child), points in drawn.layout.lines.items()
        ],
    )


@dataclass(frozen=True, slots=True)
class _Drawn:
    folded: Folded
    layout: Layout
    types: dict[str, str]


@lru_cache(maxsize=128)
def _drawn(version_id: int, content_hash: str, opened: tuple[str, ...]) -> _Drawn:
    """Return the layout of a version; a draft that has changed has another hash."""
    definition = Definition(WorkflowVersion.objects.get(pk=version_id).definition)
    types = {node.id: node.type for node in definition.nodes.values()}
    folded = folded_graph(definition.graph, types, opened)
    return _Drawn(folded, lay_out(folded.graph), types)


def folded_graph(graph: Graph, likeness: Mapping[str, str], opened: Sequence[str]) -> Folded:
    """Put nodes that are alike behind one box, except those of groups that were opened.

    Args:
        likeness: By node, what it has in common with others, such as its type.
    """
    members = fold(graph, likeness).members if opened else {}
    # What is opened is no longer like the others.
    alone = {node: f"{node} opened" for group in opened for node in members.get(group, ())}
    return fold(graph, {**likeness, **alone})


class _Of:
    """What became of the nodes behind a box."""

    def __init__(self, nodes: Sequence[str], statuses: Mapping[str, str] | None) -> None:
        self.nodes = nodes
        self.is_known = statuses is not None
        self.counts = Counter((statuses or {}).get(node, "") for node in nodes)

    @property
    def status(self) -> str:
        return next((status.value for status in _URGENCY if self.counts[status.value]), "")

    @property
    def said(self) -> str:
        if len(self.nodes) == 1:
            return str(WORDS[self.status]) if self.status else _("not reached")
        counts = sorted(self.counts.items())
        return " ".join(f"{ICONS.get(status, '–')} {count}" for status, count in counts)


def _box(node: str, corner: Point, of_box: _Of, kind: str, url_of: UrlOf) -> Box:
    many = len(of_box.nodes)
    name = node if many == 1 else f"{node} … {of_box.nodes[-1]}"
    said = of_box.said if of_box.is_known else kind
    return Box(
        node_id=node,
        x=f"{corner[0]:.0f}",
        y=f"{corner[1]:.0f}",
        label=cut(name if many == 1 else f"{many} × {kind}", LABEL_CHARACTERS),
        title="" if many == 1 and len(name) <= LABEL_CHARACTERS else f"{name} ({kind}): {said}",
        status=of_box.status,
        icon=ICONS[of_box.status] if of_box.status and many == 1 else "",
        said=cut(said if of_box.is_known or many == 1 else name, HINT_CHARACTERS),
        url=url_of(node),
        is_group=many > 1,
    )


def _kind(parent: _Of, child: _Of) -> str:
    if not parent.is_known or not any(parent.counts[status] for status in _FINAL):
        return ""
    came = any(parent.counts[status] for status in _LED_ON)
    went = any(count for status, count in child.counts.items() if status not in _NOT_REACHED)
    return "taken" if came and went else "left"


_FINAL = [status.value for status in NodeStatus if status.is_final]


def path(points: Sequence[Point]) -> str:
    """Return a line through points that leaves and arrives level."""
    parts = [f"M{points[0][0]:.0f} {points[0][1]:.0f}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        if abs(y - to_y) < 1:
            parts.append(f"H{to_x:.0f}")
        else:
            middle = (x + to_x) / 2
            parts.append(f"C{middle:.0f} {y:.0f} {middle:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}")
    return "".join(parts)


def cut(text: str, most: int) -> str:
    """Return a text, shortened to what fits."""
    return text if len(text) <= most else text[: most - 1] + "…"
