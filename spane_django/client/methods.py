"""The methods of both clients: each is said once, by the function of a call.

A method of `Client` returns the answer; the same of `AsyncClient` is awaited for it.  Lists are
iterators in the one and asynchronous iterators in the other, and fetch page after page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from . import routes_access as of_access
from . import routes_executions as of_executions
from . import routes_operating as of_operating
from . import routes_triggers as of_triggers
from . import routes_workflows as of_workflows
from .exchange import Call

if TYPE_CHECKING:
    from .asynchronous import AsyncClient
    from .sync import Client

P = ParamSpec("P")
T = TypeVar("T")


class Method(Generic[P, T]):
    """A method that sends one call."""

    def __init__(self, function: Callable[P, Call[T]]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, client: Client, owner: type[Any]) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, client: AsyncClient, owner: type[Any]
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: None, owner: type[Any]) -> Method[P, T]: ...
    def __get__(self, client: Any, owner: type[Any]) -> Any:
        if client is None:
            return self

        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.send(self.function(*args, **kwargs))

        return method


class Listing(Generic[P, T]):
    """A method that yields what is on one page after the other."""

    def __init__(self, function: Callable[P, Call[T]]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, client: Client, owner: type[Any]) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type[Any]) -> Callable[P, AsyncIterator[T]]: ...
    @overload
    def __get__(self, client: None, owner: type[Any]) -> Listing[P, T]: ...
    def __get__(self, client: Any, owner: type[Any]) -> Any:
        if client is None:
            return self

        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.pages(self.function(*args, **kwargs))

        return method


class Methods:
    """What both clients can do."""

    workflows = Listing(of_workflows.workflows)
    node_types = Method(of_workflows.node_types)
    register = Method(of_workflows.register)
    workflow = Method(of_workflows.workflow)
    change_workflow = Method(of_workflows.change_workflow)
    graph = Method(of_workflows.graph)
    archive_workflow = Method(of_workflows.archive_workflow)
    validate = Method(of_workflows.validate)
    start = Method(of_workflows.start)
    run = Method(of_workflows.run)
    start_many = Method(of_workflows.start_many)
    run_node = Method(of_workflows.run_node)
    versions = Listing(of_workflows.versions)
    version = Method(of_workflows.version)
    diff = Method(of_workflows.diff)
    activate = Method(of_workflows.activate)
    archive_version = Method(of_workflows.archive_version)
    draft = Method(of_workflows.draft)
    save_draft = Method(of_workflows.save_draft)
    discard_draft = Method(of_workflows.discard_draft)
    publish_draft = Method(of_workflows.publish_draft)
    export = Method(of_workflows.export)
    export_yaml = Method(of_workflows.export_yaml)
    import_workflows = Method(of_workflows.import_workflows)
    migrate = Method(of_workflows.migrate)

    executions = Listing(of_executions.executions)
    execution = Method(of_executions.execution)
    nodes = Listing(of_executions.nodes)
    logs = Listing(of_executions.logs)
    explain = Method(of_executions.explain)
    trace = Method(of_executions.trace)
    news = Method(of_executions.news)
    pause = Method(of_executions.pause)
    resume = Method(of_executions.resume)
    cancel = Method(of_executions.cancel)
    retry = Method(of_executions.retry)
    replay = Method(of_executions.replay)
    reassign = Method(of_executions.reassign)
    rerun = Method(of_executions.rerun)
    rerun_from = Method(of_executions.rerun_from)
    retry_now = Method(of_executions.retry_now)
    skip = Method(of_executions.skip)
    complete = Method(of_executions.complete)

    bulk = Method(of_operating.bulk)
    operation = Method(of_operating.operation)
    signal = Method(of_operating.signal)
    signal_execution = Method(of_operating.signal_execution)
    approvals = Listing(of_operating.approvals)
    approval = Method(of_operating.approval)
    approve = Method(of_operating.approve)
    reject = Method(of_operating.reject)
    reassign_approval = Method(of_operating.reassign_approval)
    dead_letters = Listing(of_operating.dead_letters)
    retry_dead_letter = Method(of_operating.retry_dead_letter)
    discard_dead_letter = Method(of_operating.discard_dead_letter)
    retry_dead_letters = Method(of_operating.retry_dead_letters)
    discard_dead_letters = Method(of_operating.discard_dead_letters)
    gates = Listing(of_operating.gates)
    open_gate = Method(of_operating.open_gate)
    close_gate = Method(of_operating.close_gate)
    reset_gate = Method(of_operating.reset_gate)
    audit = Listing(of_operating.audit)
    stats = Method(of_operating.stats)
    autoscaling = Method(of_operating.autoscaling)
    load = Method(of_operating.load)
    health = Method(of_operating.health)

    emit = Method(of_triggers.emit)
    workflow_triggers = Method(of_triggers.workflow_triggers)
    event_triggers = Listing(of_triggers.event_triggers)
    event_trigger = Method(of_triggers.event_trigger)
    create_event_trigger = Method(of_triggers.create_event_trigger)
    change_event_trigger = Method(of_triggers.change_event_trigger)
    delete_event_trigger = Method(of_triggers.delete_event_trigger)
    webhooks = Listing(of_triggers.webhooks)
    webhook = Method(of_triggers.webhook)
    create_webhook = Method(of_triggers.create_webhook)
    change_webhook = Method(of_triggers.change_webhook)
    delete_webhook = Method(of_triggers.delete_webhook)
    rotate_webhook = Method(of_triggers.rotate_webhook)
    deliveries = Listing(of_triggers.deliveries)
    delivery = Method(of_triggers.delivery)
    redeliver = Method(of_triggers.redeliver)
    schedules = Listing(of_triggers.schedules)
    schedule = Method(of_triggers.schedule)
    create_schedule = Method(of_triggers.create_schedule)
    change_schedule = Method(of_triggers.change_schedule)
    delete_schedule = Method(of_triggers.delete_schedule)
    pause_schedule = Method(of_triggers.pause_schedule)
    resume_schedule = Method(of_triggers.resume_schedule)
    run_schedule = Method(of_triggers.run_schedule)
    backfill_schedule = Method(of_triggers.backfill_schedule)
    next_runs = Method(of_triggers.next_runs)
    scheduled_starts = Listing(of_triggers.scheduled_starts)

    secrets = Listing(of_access.secrets)
    secret = Method(of_access.secret)
    create_secret = Method(of_access.create_secret)
    set_secret = Method(of_access.set_secret)
    delete_secret = Method(of_access.delete_secret)
    tokens = Listing(of_access.tokens)
    create_token = Method(of_access.create_token)
    revoke_token = Method(of_access.revoke_token)
    rotate_token = Method(of_access.rotate_token)
    tenants = Listing(of_access.tenants)
