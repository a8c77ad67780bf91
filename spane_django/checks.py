"""System checks: what `manage.py check` says about the settings and the project's workflows.

Errors are what would keep workflows from running or from being safe; warnings are what works
and will hurt.  Each has a hint that says what to do.  Nothing here writes, and only
:func:`check_sqlite_journal` asks the database, so it runs where Django runs database checks:
with ``migrate`` and with ``check --database default``.

E001-E009 are about settings and databases, E010-E019 about workflows, E020 is about
tenants, E021 about schedules, E022 about the keys of secrets, W001-W009 warn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.files.storage import FileSystemStorage, InvalidStorageError, storages
from django.db import connections, router
from django.utils.module_loading import import_string

from .authoring.registered import DuplicateWorkflow, workflows
from .conf import Settings, faults_of, settings
from .core.definition import Definition
from .engine.db import alias
from .engine.scope import has_tenants, tenant_model
from .engine.vault import key_faults
from .models import Tenant
from .nodes.base import registry
from .triggers.watching import model_triggers

TAG = "spane"

_VENDORS = ("postgresql", "sqlite")
# Settings for which 0 means "never", or "none".
_MAY_BE_ZERO = frozenset({"AUDIT_KEEP_DAYS", "OFFLOAD_BYTES", "WAITERS"})


@register(TAG)
def check_settings(**_: Any) -> list[CheckMessage]:
    """Check ``SPANE``: its keys and types, then what its values mean together."""
    given = getattr(django_settings, "SPANE", {})
    if not isinstance(given, dict):
        message = f"SPANE is {type(given).__name__}, not a dict"
        return [Error(message, hint="Write SPANE = {...}, or leave it out.", id="spane.E001")]
    faults = faults_of(given)
    if faults:
        hint = "The settings and their types are documented in spane_django.conf.Settings."
        return [Error(f"SPANE: {fault}", hint=hint, id="spane.E001") for fault in faults]
    return [
        *_amount_faults(), *_lease_faults(), *_dispatcher_faults(), *_clock_faults(),
        *_storage_faults(), *_tenant_faults(), *_tracing_faults(), *_key_faults(),
    ]  # fmt: skip


@register(TAG)
def check_queues(**_: Any) -> list[CheckMessage]:
    """Check that ``RQ_QUEUES`` has every queue that the settings and the workflows name."""
    if not _has_readable_settings() or settings.DISPATCHER != Settings.DISPATCHER:
        return []
    known = getattr(django_settings, "RQ_QUEUES", {})
    return [
        Error(
            f"the queue '{queue}' of {user} is not in RQ_QUEUES",
            hint=f"Add RQ_QUEUES['{queue}'] and a worker for it: manage.py rqworker {queue}",
            id="spane.E003",
        )
        for queue, user in _queues_in_use().items()
        if queue not in known
    ]


@register(TAG)
def check_database(**_: Any) -> list[CheckMessage]:
    """Check that one database holds all tables, that it is one we speak, and how SQLite locks."""
    models = apps.get_app_config("spane_django").get_models()
    used = sorted({router.db_for_write(model) for model in models})
    if len(used) > 1:
        hint = "Let DATABASE_ROUTERS send every model of spane_django to the same database."
        message = f"the tables of workflows are spread over databases: {', '.join(used)}"
        return [Error(message, hint=hint, id="spane.E005")]
    connection = connections[used[0]]
    if connection.vendor not in _VENDORS:
        hint = f"Use one of {', '.join(_VENDORS)}, or route spane_django to a database of its own."
        message = f"workflows cannot be stored in {connection.display_name}"
        return [Error(message, hint=hint, id="spane.E006")]
    mode = connection.settings_dict.get("OPTIONS", {}).get("transaction_mode")
    if connection.vendor == "sqlite" and str(mode).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        hint = f"Set DATABASES['{used[0]}']['OPTIONS']['transaction_mode'] = 'IMMEDIATE'."
        message = "SQLite begins transactions as readers, so that workers meet 'database is locked'"
        return [Warning(message, hint=hint, id="spane.W001")]
    return []


@register(TAG, deploy=True)
def check_storage(**_: Any) -> list[CheckMessage]:
    """Check that large payloads have a place of their own."""
    is_used = _has_readable_settings() and settings.OFFLOAD_BYTES
    if not is_used or settings.PAYLOAD_STORAGE not in django_settings.STORAGES:
        return []
    storage = storages[settings.PAYLOAD_STORAGE]
    if not isinstance(storage, FileSystemStorage) or storage.base_location:
        return []
    return [
        Warning(
            "large inputs and outputs would be written below the current directory",
            hint="Set MEDIA_ROOT, or give STORAGES a storage and name it in PAYLOAD_STORAGE.",
            id="spane.W003",
        )
    ]


@register(Tags.database)
def check_sqlite_journal(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Check that SQLite writes ahead (WAL), so that readers and the writer do not block."""
    if alias() not in (databases or ()) or connections[alias()].vendor != "sqlite":
        return []
    with connections[alias()].cursor() as cursor:
        (journal,) = cursor.execute("PRAGMA journal_mode").fetchone()
    if journal.lower() in ("wal", "memory"):
        return []
    hint = f"Set DATABASES['{alias()}']['OPTIONS']['init_command'] = 'PRAGMA journal_mode=WAL;'."
    message = f"SQLite's journal is in the mode '{journal}', in which readers block workers"
    return [Warning(message, hint=hint, id="spane.W002")]


@register(TAG)
def check_beat(**_: Any) -> list[CheckMessage]:
    """Check that the tables of django-celery-beat are there, which say when schedules are due."""
    if apps.is_installed("django_celery_beat"):
        return []
    hint = "Add 'django_celery_beat' to INSTALLED_APPS and run: manage.py migrate"
    return [Error("schedules need django_celery_beat", hint=hint, id="spane.E021")]


@register(TAG)
def check_workflows(**_: Any) -> list[CheckMessage]:
    """Check the workflows of the installed apps as publishing would."""
    if not _has_readable_settings():
        return []
    try:
        known = workflows()
    except DuplicateWorkflow as error:
        hint = "Ids are unique over all installed apps: prefix them with the app's name."
        return [Error(str(error), hint=hint, id="spane.E011")]
    return [
        Error(
            f"workflow '{workflow.id}': {fault}",
            hint="It cannot be published like this; manage.py spane_validate checks it alone.",
            id="spane.E010",
        )
        for workflow in known.values()
        for fault in workflow.check()
    ]


@register(TAG)
def check_model_triggers(**_: Any) -> list[CheckMessage]:
    """Check that models and the executions that they start are in one database."""
    return [
        Warning(
            f"{trigger.model._meta.label} is kept in another database than workflows: what "
            f"'{trigger.name}' starts is started after the save has committed",
            hint="A process that dies in between starts nothing: route both to one database.",
            id="spane.W004",
        )
        for trigger in model_triggers()
        if router.db_for_write(trigger.model) != alias()
    ]


def _has_readable_settings() -> bool:
    """Say whether `check_settings` has nothing to say that keeps others from reading them."""
    given = getattr(django_settings, "SPANE", {})
    return isinstance(given, dict) and not faults_of(given)


def _amount_faults() -> Iterator[CheckMessage]:
    for field in fields(Settings):
        value = getattr(settings, field.name)
        least = 0 if field.name in _MAY_BE_ZERO else 1e-9
        is_amount = isinstance(value, int | float) and not isinstance(value, bool)
        if is_amount and value < least:
            hint = f"Use a number above 0; the default is {field.default}."
            yield Error(f"SPANE['{field.name}'] is {value}", hint=hint, id="spane.E004")


def _lease_faults() -> Iterator[CheckMessage]:
    heartbeat, lease = settings.HEARTBEAT_SECONDS, settings.LEASE_SECONDS
    if heartbeat * 3 > lease:
        yield Error(
            f"a worker has {lease:g} s to be heard of and speaks every {heartbeat:g} s: one slow "
            "heartbeat, and its nodes run twice",
            hint=f"Set SPANE['LEASE_SECONDS'] to {heartbeat * 3:g} or more.",
            id="spane.E002",
        )


def _dispatcher_faults() -> Iterator[CheckMessage]:
    try:
        import_string(settings.DISPATCHER)
    except ImportError as error:
        hint = "Give the dotted path of a function wake(queues), or leave it out."
        yield Error(f"SPANE['DISPATCHER']: {error}", hint=hint, id="spane.E007")


def _clock_faults() -> Iterator[CheckMessage]:
    if not django_settings.USE_TZ:
        hint = "Set USE_TZ = True: the engine stores instants, not local times."
        yield Error("workflows need USE_TZ", hint=hint, id="spane.E008")


def _key_faults() -> Iterator[CheckMessage]:
    for fault in key_faults():
        hint = "Put a key of Fernet's there; the first seals, all of them open."
        yield Error(fault, hint=hint, id="spane.E022")


def _storage_faults() -> Iterator[CheckMessage]:
    if not settings.OFFLOAD_BYTES:
        return
    try:
        storages[settings.PAYLOAD_STORAGE]
    except InvalidStorageError as error:
        hint = "Name one of STORAGES, or set SPANE['OFFLOAD_BYTES'] = 0."
        yield Error(f"SPANE['PAYLOAD_STORAGE']: {error}", hint=hint, id="spane.E009")


def _tenant_faults() -> Iterator[CheckMessage]:
    resolver = settings.TENANT_RESOLVER
    if not has_tenants():
        if resolver:
            hint = "Set SPANE['TENANT_MODEL'], such as 'spane_django.Tenant'."
            yield Error("TENANT_RESOLVER without TENANT_MODEL", hint=hint, id="spane.E020")
        return
    try:
        model = tenant_model()
    except (LookupError, ValueError) as error:
        hint = "Name a model as 'app_label.Model', or 'spane_django.Tenant'."
        yield Error(f"SPANE['TENANT_MODEL']: {error}", hint=hint, id="spane.E020")
        return
    try:
        if resolver:
            import_string(resolver)
    except ImportError as error:
        hint = "Give the dotted path of a function from a user to the keys of their tenants."
        yield Error(f"SPANE['TENANT_RESOLVER']: {error}", hint=hint, id="spane.E020")
    if model is not Tenant and not resolver:
        hint = "Set SPANE['TENANT_RESOLVER'] to a function from a user to their tenants' keys."
        yield Error(f"nothing says whose {model._meta.label} is", hint=hint, id="spane.E020")


def _tracing_faults() -> Iterator[CheckMessage]:
    if settings.TRACING and find_spec("opentelemetry") is None:
        hint = "pip install 'spane-django[otel]', or leave SPANE['TRACING'] out."
        message = "TRACING is on without OpenTelemetry: nothing is traced"
        yield Warning(message, hint=hint, id="spane.W005")


def _queues_in_use() -> dict[str, str]:
    """Return every queue that is named anywhere, with who names it first."""
    queues = {settings.QUEUE: "SPANE['QUEUE']"}
    for node_type in registry:
        if node_type.queue:
            queues.setdefault(node_type.queue, f"the node type '{node_type.type}'")
    try:
        known = workflows()
    except DuplicateWorkflow:  # `check_workflows` says so
        return queues
    for workflow in known.values():
        definition = Definition(workflow.definition())
        named = [node.options.get("queue") for node in definition.nodes.values()]
        for queue in (definition.queue, *named):
            if queue:
                queues.setdefault(queue, f"the workflow '{workflow.id}'")
    return queues
