"""Options that choose rows, and the querysets they mean: the same words in every command."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from ..core.statuses import ExecutionStatus
from ..engine.naming import named
from ..engine.scope import exists, has_tenants
from ..engine.start import UnknownWorkflow
from ..models import DeadLetter, Execution, Workflow
from ..models.execution import ExecutionQuerySet
from ..models.history import DeadLetterQuerySet
from .base import WrongUse
from .parsing import execution_of, instant


def add_tenant(parser: ArgumentParser) -> None:
    """Add the option that `tenant_in` understands."""
    parser.add_argument(
        "--tenant", default="", metavar="KEY",
        help="For whom, in a project that keeps tenants apart; without: what all of them share.",
    )  # fmt: skip


def tenant_in(options: dict[str, Any]) -> str:
    """Return the tenant that is named; "": none is.

    Raises:
        WrongUse: there is no such tenant.
    """
    tenant = str(options["tenant"])
    if tenant and not (has_tenants() and exists(tenant)):
        raise WrongUse(f"There is no tenant '{tenant}'.")
    return tenant


def add_execution_filters(parser: ArgumentParser) -> None:
    """Add the options that `executions_of` understands."""
    add_tenant(parser)
    parser.add_argument("--workflow", metavar="ID", help="Only executions of this workflow.")
    parser.add_argument(
        "--status", action="append", choices=[status.value for status in ExecutionStatus],
        help="Only executions of this status; may be repeated.",
    )  # fmt: skip
    parser.add_argument(
        "--since", type=instant, metavar="TIME",
        help="Only executions created at or after: 2025-01-31T12:00, or 2h for two hours ago.",
    )  # fmt: skip
    parser.add_argument(
        "--until", type=instant, metavar="TIME", help="Only executions created before."
    )
    parser.add_argument("--key", metavar="KEY", help="Only the one with this idempotency key.")
    parser.add_argument(
        "--parent", metavar="ID",
        help="Those that this execution has started; without: those that none has.",
    )  # fmt: skip


def executions_of(options: dict[str, Any]) -> ExecutionQuerySet:
    """Return the executions that the options choose, newest first; children only if asked for.

    Raises:
        UnknownWorkflow, WrongUse, UnknownExecution: what they name does not exist.
    """
    executions = Execution.objects.select_related("workflow", "version").order_by("-id")
    parent = options["parent"]
    executions = executions.filter(parent=execution_of(parent) if parent else None)
    filters = {
        "tenant": tenant_in(options),
        "workflow": _workflow(options["workflow"], options["tenant"]),
        "status__in": options["status"],
        "created_at__gte": options["since"],
        "created_at__lt": options["until"],
        "idempotency_key": options["key"],
    }
    return executions.filter(**{name: value for name, value in filters.items() if value})


def has_execution_filter(options: dict[str, Any]) -> bool:
    """Say whether any option restricts the executions."""
    return any(options[name] for name in _EXECUTION_FILTERS)


def ids_of(given: Sequence[str]) -> list[UUID]:
    """Return the executions that ids, or beginnings of ids, name; each once.

    Raises:
        WrongUse, UnknownExecution: one of them names none, or several.
    """
    return list(dict.fromkeys(execution_of(text).pk for text in given))


def add_dead_letter_filters(parser: ArgumentParser) -> None:
    """Add the options that `dead_letters_of` understands."""
    add_tenant(parser)
    parser.add_argument("--workflow", metavar="ID", help="Only nodes of this workflow.")
    parser.add_argument("--node", metavar="NODE", help="Only this node of workflows.")
    parser.add_argument("--type", metavar="TYPE", help="Only nodes of this type.")
    parser.add_argument("--execution", metavar="ID", help="Only nodes of this execution.")
    parser.add_argument(
        "--error", metavar="TEXT", help="Only errors whose type or message holds this text."
    )
    parser.add_argument(
        "--since", type=instant, metavar="TIME",
        help="Only those written at or after: 2025-01-31T12:00, or 2h for two hours ago.",
    )  # fmt: skip
    parser.add_argument("--until", type=instant, metavar="TIME", help="Only those written before.")


def dead_letters_of(options: dict[str, Any]) -> DeadLetterQuerySet:
    """Return the dead letters that the options choose, newest first.

    Raises:
        UnknownWorkflow, WrongUse, UnknownExecution: what they name does not exist.
    """
    letters = DeadLetter.objects.select_related("execution__workflow").order_by("-id")
    execution = options["execution"]
    filters: dict[str, Any] = {
        "execution__tenant": tenant_in(options),
        "execution__workflow": _workflow(options["workflow"], options["tenant"]),
        "node_id": options["node"],
        "node_type": options["type"],
        "execution": execution and execution_of(execution),
        "created_at__gte": options["since"],
        "created_at__lt": options["until"],
    }
    chosen = letters.filter(**{name: value for name, value in filters.items() if value})
    text = options["error"]
    if not text:
        return chosen
    return chosen.filter(error_message__icontains=text) | chosen.filter(error_type__icontains=text)


def has_dead_letter_filter(options: dict[str, Any]) -> bool:
    """Say whether any option restricts the dead letters."""
    names = ("tenant", "workflow", "node", "type", "execution", "error", "since", "until")
    return any(options[name] for name in names)


def check_choice(*, ids: Sequence[object], has_filter: bool, takes_all: bool) -> None:
    """Refuse what chooses nothing, or in two ways at once: a slip must not change everything.

    Raises:
        WrongUse: it does.
    """
    if ids and (has_filter or takes_all):
        raise WrongUse("Give ids, or filters, not both.")
    if takes_all and has_filter:
        raise WrongUse("--all takes everything, so leave out either it or the filters.")
    if not (ids or has_filter or takes_all):
        raise WrongUse("Nothing is chosen: give ids, or filters such as --workflow (see --help).")


_EXECUTION_FILTERS = ("tenant", "workflow", "status", "since", "until", "key", "parent")


def _workflow(key: str | None, tenant: str) -> Workflow | None:
    if not key:
        return None
    found = named(key, tenant).first()
    if found is None:
        among = Workflow.objects.filter(tenant__in={"", tenant})
        known = ", ".join(among.values_list("key", flat=True)[:10]) or "none"
        raise UnknownWorkflow(f"There is no workflow '{key}'.  Published are: {known}.")
    return found
