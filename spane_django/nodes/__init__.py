"""Nodes work: what a step of a workflow does, one module per built-in type.

`base` holds what a node type is and the registry; the built-in types beside it know nothing of
each other, of the database or of the engine.  A project adds its own with ``@node``.
"""

from __future__ import annotations

from .approval import ApprovalNode
from .base import (
    Context,
    DuplicateNodeType,
    Log,
    Node,
    Registry,
    UnknownNodeType,
    node,
    registry,
)
from .compensate import CompensateNode
from .condition import ConditionNode
from .delay import DelayNode
from .email import EmailNode
from .function import FunctionNode, register_function
from .http import HttpNode
from .log import LogNode
from .loop import LoopNode
from .map import MapNode
from .merge import MergeNode
from .set import SetNode
from .sub_workflow import SubWorkflowNode
from .switch import SwitchNode
from .transform import TransformNode
from .wait import WaitNode

BUILT_INS: tuple[type[Node], ...] = (
    ApprovalNode,
    CompensateNode,
    ConditionNode,
    DelayNode,
    EmailNode,
    FunctionNode,
    HttpNode,
    LogNode,
    LoopNode,
    MapNode,
    MergeNode,
    SetNode,
    SubWorkflowNode,
    SwitchNode,
    TransformNode,
    WaitNode,
)


def register_built_ins(target: Registry = registry) -> None:
    """Make the built-in types known, except those whose name the project has taken already."""
    for node_class in BUILT_INS:
        if node_class.type not in target:
            target.register(node_class, built_in=True)


__all__ = [
    "BUILT_INS",
    "Context",
    "DuplicateNodeType",
    "Log",
    "Node",
    "Registry",
    "UnknownNodeType",
    "node",
    "register_built_ins",
    "register_function",
    "registry",
]
