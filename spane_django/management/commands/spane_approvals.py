"""`spane_approvals`: what people are asked: look, approve, reject."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.management.base import CommandParser

from ...clock import now
from ...engine.approvals import decide
from ...models import Approval
from ..base import SpaneCommand, WrongUse, add_row, coloured, table
from ..parsing import json_value
from ..showing import ago, excerpt


class Command(SpaneCommand):
    help = (
        "Lists what people are asked, or approves or rejects one of the questions as a user who "
        "may. The list holds what is open; with --user, what that user may decide now."
    )
    examples = """\
  manage.py spane_approvals list --user ada
  manage.py spane_approvals approve 12 --user ada --comment "within the budget"
  manage.py spane_approvals reject 12 --user ada --comment "too dear"
  manage.py spane_approvals approve 13 --user ada --form '{"cents": 990}'"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["list", "approve", "reject"])
        parser.add_argument("id", nargs="?", type=int, help="The approval.")
        parser.add_argument("--user", metavar="NAME", help="Who looks or decides.")
        parser.add_argument("--comment", default="", metavar="TEXT", help="Why.")
        parser.add_argument(
            "--form", type=json_value, metavar="JSON",
            help="What is to be filled in: JSON, @file, or @- for standard input.",
        )  # fmt: skip
        parser.add_argument("--all", action="store_true", help="List what is not open, too.")
        parser.add_argument(
            "--limit", type=int, default=50, help="The most rows (default: 50; 0: no limit)."
        )

    def ask(self, **options: Any) -> int | None:
        user = _user(options["user"]) if options["user"] else None
        if options["action"] == "list":
            return self._list(options, user)
        if options["id"] is None or user is None:
            raise WrongUse(f"{options['action']} takes an approval's id, and --user: who decides.")
        decided = decide(
            options["id"],
            by=user,
            is_approved=options["action"] == "approve",
            now=now(),
            comment=options["comment"],
            form=options["form"],
        )
        if options["json"]:
            self.write_json(_json(decided))
        else:
            self.say(f"recorded; approval {decided.pk} is", coloured(decided.status))
        return None

    def _list(self, options: dict[str, Any], user: AbstractBaseUser | None) -> int | None:
        if options["id"] is not None or (options["all"] and user):
            raise WrongUse("list takes --user or --all, and no id.")
        chosen = Approval.objects.all() if options["all"] else Approval.objects.open()
        if user is not None:
            chosen = Approval.objects.for_user(user, now=now())
        chosen = chosen.select_related("execution__workflow", "node_run").defer(
            "execution__input", "node_run__output", "node_run__checkpoint"
        )
        total, limit = chosen.count(), options["limit"]
        shown = list(chosen[:limit] if limit > 0 else chosen)
        if options["json"]:
            self.write_json([_json(approval) for approval in shown])
        elif not shown:
            self.say("nothing is asked")
        else:
            self._show(shown)
            if total > len(shown):
                self.warn(f"{total - len(shown):,} more: --limit 0 shows all")
        return None

    def _show(self, approvals: list[Approval]) -> None:
        made = table("id", "question", "workflow", "node", "asked", "deadline", "of", "status")
        for approval in approvals:
            add_row(
                made, approval.pk, excerpt(approval.title), approval.execution.workflow.key,
                approval.node_run.node_id, ago(approval.created_at, now=now()),
                ago(approval.deadline_at, now=now()), _people(approval),
                coloured(approval.status),
            )  # fmt: skip
        self.console.print(made)


def _user(name: str) -> AbstractBaseUser:
    model = get_user_model()
    try:
        return model._default_manager.get_by_natural_key(name)
    except model.DoesNotExist:
        raise WrongUse(f"There is no user '{name}'.") from None


def _people(approval: Approval) -> str:
    names = [*approval.users, *approval.groups, approval.permission]
    return ", ".join(filter(None, names))


def _json(approval: Approval) -> dict[str, Any]:
    return {
        "id": approval.pk,
        "title": approval.title,
        "executionId": approval.execution_id,
        "workflowId": approval.execution.workflow.key,
        "nodeId": approval.node_run.node_id,
        "users": approval.users,
        "groups": approval.groups,
        "permission": approval.permission or None,
        "quorum": approval.quorum,
        "status": approval.status,
        "createdAt": approval.created_at,
        "deadlineAt": approval.deadline_at,
        "decidedAt": approval.decided_at,
    }
