"""Workflows in Python: nodes are added, ``>>`` connects them, and out comes the wire's JSON.

The JSON is the truth here too: a `Workflow` holds the document of its definition and nothing
beside it, and a `Step` is a view of one of its nodes.  So a definition that was read with
:meth:`Workflow.from_definition` comes back to the letter, extra keys and their order included.

::

    onboarding = Workflow("user-onboarding", name="User Onboarding")
    check = onboarding.add("validate-user", "transform", {"expression": "email"})
    check >> [onboarding.add("send-welcome-email", "email", {...}),
              onboarding.add("create-account", CreateAccount)]
    onboarding.start({"email": "user@example.com"})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack
from uuid import UUID

from ..core.errors import InvalidDefinition
from ..core.json import Json
from ..core.schema import Fault
from ..engine.publish import validate
from ..engine.start import UnknownWorkflow
from ..models import Execution, WorkflowVersion
from ..nodes.base import Node
from . import verbs
from .options import NodeOptions, WorkflowOptions, node_fields, workflow_fields
from .verbs import StartKeywords

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class Workflow:
    """A workflow under construction, and the handle by which the project starts it.

    Args:
        id: The name that definitions, URLs and commands use.
        name: For people; the id if absent.

    The options are those of :class:`~spane_django.authoring.options.WorkflowOptions`.
    """

    def __init__(
        self, id: str, *, name: str | None = None, **options: Unpack[WorkflowOptions]
    ) -> None:
        self._document: dict[str, Any] = {
            "id": id,
            "name": name or id,
            "entryNodeId": None,
            **workflow_fields(options),
            "nodes": [],
        }

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> Workflow:
        """Read the JSON of a definition.  The node types need not be known to this process.

        Raises:
            InvalidDefinition: it is not a workflow; every fault is listed.
        """
        _, faults = validate(definition, check_nodes=False)
        if faults:
            raise InvalidDefinition(faults)
        workflow = cls(definition["id"])
        workflow._document = deepcopy(dict(definition))
        return workflow

    @property
    def id(self) -> str:
        return str(self._document["id"])

    @property
    def name(self) -> str:
        return str(self._document["name"])

    @property
    def steps(self) -> list[Step]:
        """The nodes, in the order in which they were added."""
        return [Step(self, raw) for raw in self._document["nodes"]]

    def __getitem__(self, node_id: str) -> Step:
        for step in self.steps:
            if step.id == node_id:
                return step
        raise KeyError(node_id)

    def __repr__(self) -> str:
        return f"<Workflow {self.id}: {len(self._document['nodes'])} nodes>"

    def add(
        self,
        node_id: str,
        type: str | type[Node],
        config: Mapping[str, Any] | None = None,
        **options: Unpack[NodeOptions],
    ) -> Step:
        """Add a node and return it, to be connected with ``>>``.

        Args:
            node_id: Unique in the workflow.
            type: The name of a node type, its class, or a function under ``@node``.
            config: What the node type is to do.

        The options are those of :class:`~spane_django.authoring.options.NodeOptions`.

        Raises:
            ValueError: the workflow has a node of this id.
        """
        if any(raw["id"] == node_id for raw in self._document["nodes"]):
            raise ValueError(f"workflow '{self.id}' has a node '{node_id}' already: rename one")
        raw = {
            "id": node_id,
            "type": type if isinstance(type, str) else type.type,
            "config": deepcopy(dict(config or {})),
            "inputs": [],
            "outputs": [],
            **node_fields(options),
        }
        self._document["nodes"].append(raw)
        return Step(self, raw)

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON: a copy, which may be changed freely."""
        definition = deepcopy(self._document)
        if definition["entryNodeId"] is None:
            roots = (node["id"] for node in definition["nodes"] if not node["inputs"])
            definition["entryNodeId"] = next(roots, "")
        return definition

    def check(self) -> list[Fault]:
        """Return all that keeps the definition from being published; nothing is stored."""
        return validate(self.definition())[1]

    def publish(self, by: AbstractBaseUser | None = None) -> WorkflowVersion:
        """Make the definition the current version; unchanged, it gives that version back.

        Raises:
            InvalidDefinition: every fault is listed.
        """
        return verbs.publish(self.definition(), by=by)

    def start(self, data: Json = None, **options: Unpack[StartKeywords]) -> Execution:
        """Start an execution of the *published* version, in the caller's transaction if any.

        A workflow that was never published is published first.  One whose definition in Python
        has changed since is not: processes of two releases run side by side during a deployment
        and would overwrite each other's version.  ``manage.py spane_publish`` publishes changes
        at a moment that the deployment chooses.

        Raises:
            As :func:`spane_django.start`, and InvalidDefinition if it is published here.
        """
        try:
            return verbs.start(self.id, data, **options)
        except UnknownWorkflow:
            self.publish()
            return verbs.start(self.id, data, **options)

    def start_many(self, inputs: Sequence[Json], **options: Unpack[StartKeywords]) -> list[UUID]:
        """Start one execution per input, all or none, and return their ids in order.

        Publishes and raises as :meth:`start`.
        """
        try:
            return verbs.start_many(self.id, inputs, **options)
        except UnknownWorkflow:
            self.publish()
            return verbs.start_many(self.id, inputs, **options)


@dataclass(frozen=True, eq=False)
class Step:
    """A node of a `Workflow`.  ``a >> b`` makes b a child of a; so do lists on either side."""

    workflow: Workflow = field(repr=False)
    _raw: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        return str(self._raw["id"])

    @property
    def errors(self) -> Errors:
        """What follows if the node fails for good: ``charge.errors >> refund``."""
        return Errors(self)

    def __repr__(self) -> str:
        return f"<Step {self.workflow.id}/{self.id}>"

    def __rshift__(self, following: Connectable) -> Chain:
        return _chain(self) >> following

    def __rrshift__(self, leading: Connectable) -> Chain:
        return _chain(leading) >> self


@dataclass(frozen=True, eq=False)
class Errors:
    """The way out of a `Step` that is taken if it fails for good, and only then.

    ``charge >> ship`` and ``charge.errors >> refund``: a charge leads to one of the two.  What
    follows receives the error as its data.
    """

    step: Step

    def __rshift__(self, following: Connectable) -> Chain:
        return _chain(self) >> following

    def __rrshift__(self, leading: Connectable) -> Chain:
        return _chain(leading) >> self


@dataclass(frozen=True, eq=False)
class Chain:
    """What ``>>`` gives: connected nodes, to be connected further.

    An arrow to a chain leads to its heads, and one from it begins at its tails.  So
    ``a >> [b >> c, d] >> e`` is two ways from a to e.
    """

    heads: tuple[Step, ...]
    tails: tuple[Step | Errors, ...]

    def __rshift__(self, following: Connectable) -> Chain:
        after = _chain(following)
        for parent in self.tails:
            for child in after.heads:
                _connect(parent, child)
        return Chain(self.heads, after.tails)

    def __rrshift__(self, leading: Connectable) -> Chain:
        return _chain(leading) >> self


Connectable = Step | Errors | Chain | Iterable["Step | Errors | Chain"]
"""What may stand on either side of ``>>``."""


def _chain(connectable: Connectable) -> Chain:
    if isinstance(connectable, Chain):
        return connectable
    if isinstance(connectable, Step):
        return Chain((connectable,), (connectable,))
    if isinstance(connectable, Errors):
        return Chain((connectable.step,), (connectable,))
    parts = [_chain(part) for part in connectable]
    return Chain(
        tuple(step for part in parts for step in part.heads),
        tuple(step for part in parts for step in part.tails),
    )


def _connect(tail: Step | Errors, child: Step) -> None:
    """Write an edge to both of its ends; one that is there already stays as it is."""
    parent = tail.step if isinstance(tail, Errors) else tail
    if parent.workflow is not child.workflow:
        raise ValueError(f"{parent!r} and {child!r} belong to different workflows")
    outputs = parent._raw.setdefault("outputs", [])
    is_new = child.id not in outputs
    if is_new:
        outputs.append(child.id)
        child._raw.setdefault("inputs", []).append(parent.id)
    _mark(parent, child, is_new=is_new, is_error=isinstance(tail, Errors))


def _mark(parent: Step, child: Step, *, is_new: bool, is_error: bool) -> None:
    """Make a new edge an error edge if it is to be one; it cannot become or cease to be one."""
    if is_new and is_error:
        parent._raw.setdefault("errorOutputs", []).append(child.id)
    if is_error != (child.id in parent._raw.get("errorOutputs", ())):
        message = f"{child!r} follows {parent!r} either if it succeeds or if it fails"
        raise ValueError(message + ": for both, let each lead to a node of its own")
