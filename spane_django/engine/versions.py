"""A version made ready to run: its definition joined with what its node types say.

Built once per process and version.  A node type that this process does not know is no error
here: the node fails when it runs, with a clear message, and everything around it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver

from ..conf import settings
from ..core.definition import Definition, NodeDefinition
from ..core.errors import SpaneError
from ..core.expressions import referenced_secrets
from ..core.graph import Graph
from ..core.lanes import owned
from ..core.plan import Join
from ..core.retry import DEFAULT
from ..core.starting import MaxExecutions
from ..core.verdict import Policy
from ..models.workflow import WorkflowVersion
from ..nodes.base import Node, registry
from . import rules
from .rules import Rule, rule_for

# What the slots of a workflow begin with; others belong to a node that has children.
WORKFLOW_SLOT = "workflow:"


class UnknownVersion(SpaneError):
    """There is no such version."""


class WrongVersionStatus(SpaneError):
    """The version is not what this can be done to."""


@dataclass(frozen=True, slots=True)
class PreparedNode:
    """A node with everything that its definition, its type and the settings say about it.

    Attributes:
        rule: What limits it; None: nothing.
        config: Without the body that the node repeats, whose templates are not the node's own.
        secrets: The names of those that the config puts in.
    """

    definition: NodeDefinition
    config: dict[str, Any]
    type: str
    queue: str
    priority: int | None
    timeout: timedelta | None
    policy: Policy
    rule: Rule | None = None
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PreparedVersion:
    """A version with its graph and its prepared nodes."""

    id: int
    number: int
    workflow_id: int
    workflow_key: str
    definition: Definition
    graph: Graph
    joins: dict[str, Join]
    nodes: dict[str, PreparedNode]
    part: str = ""
    max_concurrency: int | None = None
    max_executions: MaxExecutions | None = None

    @property
    def has_sequels(self) -> bool:
        """Whether the end of an execution may start others."""
        return self.definition.error_handler is not None or self.definition.has_ending

    def slot_for(self, key: str, tenant: str = "") -> tuple[str, int | None]:
        """Return the slot of an execution and how many it takes; ("", None): there is no limit.

        Tenants share no places, not even those of a workflow that they share.

        Args:
            key: The execution's.
        """
        limit = self.max_executions
        if limit is None:
            return "", None
        whose = f"@{tenant}" if tenant else ""
        suffix = f":{key}" if limit.is_per_key and key else ""
        return f"{WORKFLOW_SLOT}{self.workflow_id}{whose}{suffix}", limit.most


@lru_cache(maxsize=512)
def prepared(version_id: int) -> PreparedVersion:
    """Return a version, ready to run; read from the database once per process."""
    version = WorkflowVersion.objects.select_related("workflow").get(pk=version_id)
    definition = Definition(version.definition)
    return PreparedVersion(
        id=version.pk,
        number=version.number,
        workflow_id=version.workflow_id,
        workflow_key=version.workflow.key,
        definition=definition,
        graph=definition.graph,
        joins=definition.joins,
        nodes={node.id: _prepare(version, definition, node) for node in definition.nodes.values()},
        part=version.part,
        max_concurrency=definition.max_concurrency,
        max_executions=definition.max_executions,
    )


def require_startable(version_id: int) -> None:
    """Refuse a version that starts nothing any more.

    Raises:
        WrongVersionStatus: it is archived.
    """
    archived = WorkflowVersion.objects.filter(pk=version_id, status=WorkflowVersion.Status.ARCHIVED)
    version = archived.select_related("workflow").defer("definition").first()
    if version is not None:
        raise WrongVersionStatus(f"{version} is archived: start the current version instead")


@lru_cache(maxsize=2_048)
def part_of(version_id: int, part: str) -> PreparedVersion:
    """Return a part of a version, or another part of the version that a part belongs to.

    Raises:
        WorkflowVersion.DoesNotExist: it has no such part.
    """
    whole = prepared(version_id)
    parts = WorkflowVersion.objects.filter(
        workflow_id=whole.workflow_id, number=whole.number, part=part
    )
    return prepared(parts.values_list("id", flat=True).get())


def _prepare(
    version: WorkflowVersion, definition: Definition, node: NodeDefinition
) -> PreparedNode:
    node_type = registry.get(node.type) if node.type in registry else None
    queue = node.options.get("queue") or (node_type and node_type.queue) or definition.queue
    queue = queue or settings.QUEUE
    config = _own_config(node, node_type)
    return PreparedNode(
        definition=node,
        config=config,
        type=node.type,
        queue=queue,
        priority=node.priority,
        timeout=node.timeout or (node_type.timeout if node_type else None),
        policy=Policy(
            retry=node.retry(node_type.retry if node_type else DEFAULT),
            continues=node.continues_on_fail,
            error_nodes=tuple(node.error_outputs),
            usual_nodes=node.usual_outputs,
            max_losses=settings.MAX_LOSSES,
        ),
        rule=rule_for(
            node.raw,
            node_type,
            workflow=_place(version),
            tenant=version.workflow.tenant,
            version_id=version.pk,
            queue=queue,
        ),
        secrets=frozenset(referenced_secrets(config)),
    )


def _place(version: WorkflowVersion) -> str:
    """Return what tells the nodes of a version from those of the same ids elsewhere."""
    place = owned(version.workflow.tenant, version.workflow.key)
    return f"{place}[{version.part}]" if version.part else place


def _own_config(node: NodeDefinition, node_type: Node | None) -> dict[str, Any]:
    body = node_type.body(node.config) if node_type else None
    return {key: value for key, value in node.config.items() if body is None or value is not body}


@receiver(setting_changed, dispatch_uid="spane_django.engine.versions")
def _forget(*, setting: str, **_: object) -> None:
    if setting == "SPANE":
        prepared.cache_clear()
        rules.forget()
        part_of.cache_clear()
