"""What a node type is, what it is given, and the registry that knows them all.

A node type is a class with a ``type``, a config declaration and ``execute(ctx)``; a function
under :func:`node` becomes one.  It works for a workflow in the outside world and knows nothing
of claims, retries or the graph: it answers, and the engine decides.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from uuid import UUID

from ..core.json import Json
from ..core.limits import Breaker, Limit
from ..core.outcome import Permanent
from ..core.retry import DEFAULT, Retry
from ..core.schema import Schema, schema_of

if TYPE_CHECKING:
    from django.db.models import Model


class Log(Protocol):
    """Writes lines to the execution's log; further keywords are stored beside the message."""

    def debug(self, message: str, **data: Json) -> None: ...
    def info(self, message: str, **data: Json) -> None: ...
    def warning(self, message: str, **data: Json) -> None: ...
    def error(self, message: str, **data: Json) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRun:
    """An execution that a node started, as it stands.

    Attributes:
        status: ``completed``, ``failed`` or ``cancelled``; another if it has not ended.
        output: What it came to; None unless it completed.
        error: Why it failed or was cancelled, in one sentence; "" if it did neither.
    """

    execution_id: UUID
    item: int
    status: str
    output: Json = None
    error: str = ""

    @property
    def has_completed(self) -> bool:
        return self.status == "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A signal that a node waited for."""

    payload: Json
    sent_at: datetime
    sent_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one person said about an approval."""

    user: str
    is_approved: bool
    comment: str
    form: Json
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of an approval.

    Attributes:
        status: ``approved``, ``rejected``, ``expired``, or ``open`` while it is undecided.
    """

    status: str
    decisions: tuple[Decision, ...] = ()


@dataclass(slots=True, kw_only=True)
class Context:
    """What a node is given to work with: one attempt of one node of one execution.

    Attributes:
        input: What the parents handed on: the execution's input for a node without parents,
            the parent's data for one parent, an object keyed by parent id for several.
        config: The node's config, with its ``{{ … }}`` templates filled in: an instance of the
            type's dataclass if it declares one, else a mapping.
        previous_results: Every finished node's data by node id, read when asked for.
        attempt: 1 for the first run of this node.
        checkpoint: What this node's last ``Delay``, or other wait, handed on; None at first.
        round: The same while a node goes on after waits and lost workers; another after each
            retry.
        now: When this attempt began; aware, UTC.
        deadline: When the attempt is given up; None if the node has no timeout.
        log: The execution's log.
        secrets: Values by name, opened when asked for; hidden in all that is kept of the
            attempt: ``ctx.secrets["stripe"]``.
    """

    execution_id: UUID
    workflow_id: str
    node_id: str
    node_type: str
    config: Any
    input: Json = None
    previous_results: Mapping[str, Json] = field(default_factory=dict)
    attempt: int = 1
    checkpoint: Json = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    deadline: datetime | None = None
    log: Log
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    round: int = 1
    is_cancelled: Callable[[], bool] = lambda: False
    read_children: Callable[[int], list[ChildRun]] = lambda first: []
    read_signal: Callable[[], Arrived | None] = lambda: None
    read_approval: Callable[[], Decided | None] = lambda: None
    read_initial_data: Callable[[], Json] = lambda: None
    read_subject: Callable[[], Model | None] = lambda: None

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this node: hand it to services that refuse doubles."""
        return f"{self.execution_id}:{self.node_id}"

    @property
    def cancelled(self) -> bool:
        """Whether the result is no longer wanted; long nodes look now and then and stop."""
        return self.is_cancelled()

    def children(self, first: int = 0) -> list[ChildRun]:
        """Return the executions that this node has started and waited for, by their item.

        Args:
            first: Leave out those of lower items.
        """
        return self.read_children(first)

    @property
    def signal(self) -> Arrived | None:
        """The signal that this node waited for; None: it has not come."""
        return self.read_signal()

    @property
    def approval(self) -> Decided | None:
        """What became of the approval that this node asked for; None: it has not asked."""
        return self.read_approval()

    @property
    def initial_data(self) -> Json:
        """The execution's input, whichever node asks."""
        return self.read_initial_data()

    @property
    def subject(self) -> Model | None:
        """The business object that the execution is about, read anew each time it is asked for.

        None: it is about none, or the object has been deleted.
        """
        return self.read_subject()


Declaration = type | Schema | None
"""What a config must fit: a dataclass or a JSON Schema; None takes any object."""

NodeClass = type["Node"]


class Node:
    """A node type.  Subclasses set ``type`` and define :meth:`execute`, plain or ``async``.

    Attributes:
        type: The name that definitions use.
        config: A dataclass or a JSON Schema that configs must fit; None takes any object.
        retry: The policy of nodes whose config names none.
        timeout: How long one attempt may take; None: no limit.
        queue: The queue whose workers run it; None: the workflow's.
        limit: How many of its nodes run or start at once; a node's own replaces it.
        breaker: When its nodes are held back because they keep failing.
        is_pure: True promises no side effects (nothing but the answer changes).
        is_transactional: True commits what the node writes to the engine's database together
            with its result, or neither: for ORM work alone, exactly once.  Not for ``async``.
        description: One sentence for people who choose among node types.
    """

    type: ClassVar[str]
    config: ClassVar[Declaration] = None
    retry: ClassVar[Retry] = DEFAULT
    timeout: ClassVar[timedelta | None] = None
    queue: ClassVar[str | None] = None
    limit: ClassVar[Limit | None] = None
    breaker: ClassVar[Breaker | None] = None
    is_pure: ClassVar[bool] = False
    is_transactional: ClassVar[bool] = False
    description: ClassVar[str] = ""

    def body(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the node that this one repeats, as its config holds it; None: there is none."""
        return None

    def starts(self, config: Mapping[str, Any]) -> Iterable[str]:
        """Return the ids of the workflows that a config says it starts."""
        return ()

    def execute(self, ctx: Context) -> Any:
        """Do the work: return data or an answer of ``core.outcome``; raise to fail."""
        raise NotImplementedError

    def check(self, config: Mapping[str, Any]) -> Iterable[str]:
        """Yield what is wrong with a config beyond its schema, as sentences."""
        return ()

    @classmethod
    def schema(cls) -> Schema | None:
        """Return the JSON Schema that configs must fit; None: any object does."""
        return schema_of(cls.config)

    @classmethod
    def load(cls, config: Mapping[str, Any]) -> Any:
        """Return what ``ctx.config`` is: an instance if the declaration is a dataclass."""
        return cls.config(**config) if isinstance(cls.config, type) else config


class UnknownNodeType(Permanent):
    """No node type of this name is registered."""


class DuplicateNodeType(ValueError):
    """Two node types have the same name."""


class Registry:
    """The node types of this process, by name.

    Built-in types may be replaced by a project's own of the same name; two of the project's
    may not share a name.
    """

    def __init__(self) -> None:
        self._types: dict[str, Node] = {}
        self._built_in: set[str] = set()

    def register(self, node_class: type[Node], *, built_in: bool = False) -> NodeClass:
        """Make a node type known.  May be used as a class decorator.

        Raises:
            TypeError: it is both ``async`` and transactional.
            DuplicateNodeType: another class of the project has this name already.
        """
        name = node_class.type
        if node_class.is_transactional and inspect.iscoroutinefunction(node_class.execute):
            raise TypeError(f"node type '{name}' is async, so it cannot be transactional")
        known = self._types.get(name)
        is_taken = known is not None and name not in self._built_in
        if is_taken and not _is_same(type(known), node_class):
            raise DuplicateNodeType(f"two node types are named '{name}': rename one of them")
        self._types[name] = node_class()
        (self._built_in.add if built_in else self._built_in.discard)(name)
        return node_class

    def get(self, name: str) -> Node:
        """Return the node type.

        Raises:
            UnknownNodeType: with the names that are registered.
        """
        try:
            return self._types[name]
        except KeyError:
            known = ", ".join(sorted(self._types)) or "none"
            raise UnknownNodeType(
                f"unknown node type '{name}'; registered are: {known}. "
                "Define it with @node in the nodes.py of an installed app"
            ) from None

    def is_built_in(self, name: str) -> bool:
        """Say whether a type comes with this package."""
        return name in self._built_in

    def __contains__(self, name: str) -> bool:
        return name in self._types

    def __iter__(self) -> Iterator[Node]:
        return iter(sorted(self._types.values(), key=lambda node: node.type))


registry = Registry()


def node(  # noqa: PLR0913  # as many as a node type has attributes
    type: str,
    *,
    config: Declaration = None,
    retry: Retry = DEFAULT,
    timeout: float | None = None,
    queue: str | None = None,
    limit: Limit | None = None,
    breaker: Breaker | None = None,
    pure: bool = False,
    transactional: bool = False,
    description: str = "",
) -> Callable[[Callable[[Context], Any]], NodeClass]:
    """Register a function, plain or ``async``, as a node type.

    Args:
        type: The name that definitions use.
        timeout: Seconds that one attempt may take; None: no limit.

    The other arguments are the attributes of :class:`Node`.
    """

    def decorate(function: Callable[[Context], Any]) -> NodeClass:
        body: dict[str, Any] = {
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "type": type,
            "config": config,
            "retry": retry,
            "timeout": None if timeout is None else timedelta(seconds=timeout),
            "queue": queue,
            "limit": limit,
            "breaker": breaker,
            "is_pure": pure,
            "is_transactional": transactional,
            "description": description or (inspect.getdoc(function) or "").partition("\n")[0],
            "execute": staticmethod(function),
        }
        return registry.register(_type(function.__name__, (Node,), body))

    return decorate


_type = type


def _is_same(known: type, again: type) -> bool:
    """Say whether a module was merely imported again (autoreload, tests)."""
    return (known.__module__, known.__qualname__) == (
        again.__module__,
        again.__qualname__,
    )
