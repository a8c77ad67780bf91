"""What the installed apps bring along: the workflows of their ``workflows.py``, node classes.

A workflow belongs to the project if it is a module-level name in the ``workflows`` module of an
installed app; those modules are imported when Django starts.  `check`, `spane_validate` and
`spane_publish` see these and no others, so that workflows built for a moment, in a test or in a
view, are nobody else's business.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TypeVar

from django.apps import apps

from ..core.errors import SpaneError
from ..nodes.base import Node, registry
from .workflow import Workflow

NodeClass = TypeVar("NodeClass", bound=type[Node])


class DuplicateWorkflow(SpaneError):
    """Two workflows have the same id."""


def register(node_class: NodeClass) -> NodeClass:
    """Make a node class known under its ``type``: the class form of ``@node``.

    It is said, not inherited: a base class that several node types share is no node type.

    Raises:
        TypeError: the class has no ``type`` or no ``execute`` of its own.
        DuplicateNodeType: another class of the project has this type.
    """
    if not isinstance(getattr(node_class, "type", None), str):
        raise TypeError(f'{node_class.__qualname__} has no type: set type = "a-name"')
    if node_class.execute is Node.execute:
        raise TypeError(f"{node_class.__qualname__} does nothing: define execute(self, ctx)")
    registry.register(node_class)
    return node_class


def workflows() -> dict[str, Workflow]:
    """Return the workflows of the installed apps by id, in the order of the apps.

    Raises:
        DuplicateWorkflow: two of them share an id; the message names both modules.
    """
    found: dict[str, Workflow] = {}
    places: dict[str, str] = {}
    for module in _modules():
        for workflow in vars(module).values():
            if not isinstance(workflow, Workflow) or found.get(workflow.id) is workflow:
                continue
            place = places.setdefault(workflow.id, module.__name__)
            if workflow.id in found:
                raise DuplicateWorkflow(
                    f"two workflows have the id '{workflow.id}', in {place} and in "
                    f"{module.__name__}: rename one of them"
                )
            found[workflow.id] = workflow
    return found


def _modules() -> Iterator[ModuleType]:
    for config in apps.get_app_configs():
        module = sys.modules.get(f"{config.name}.workflows")
        if module is not None:
            yield module
