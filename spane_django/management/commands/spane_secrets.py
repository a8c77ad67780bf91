"""`spane_secrets`: values that configs refer to by name: store, list, delete, seal anew."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import CommandParser

from ...clock import now
from ...engine.advice import Use, uses_of
from ...engine.scope import exists, has_tenants
from ...engine.secrets import delete_secret, rotate_keys, sealed_texts, store_secret
from ...models import Secret
from ..base import SpaneCommand, WrongUse, add_row, table
from ..showing import ago

_TAKE_NAMES = ("set", "delete")


class Command(SpaneCommand):
    help = (
        "Stores secrets, which configs refer to as {{ secrets.NAME }}, lists them with who uses "
        "them, and deletes them. A value is asked for or read from standard input, so that it "
        "stands in no shell history; nothing shows it again. rotate-keys seals all values anew "
        "with the first of SPANE['SECRET_KEYS']; exit code 1: some do not open."
    )
    examples = """\
  manage.py spane_secrets set stripe --description "restricted key of the shop"
  pass show stripe | manage.py spane_secrets set stripe
  manage.py spane_secrets list
  manage.py spane_secrets delete stripe
  manage.py spane_secrets rotate-keys"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["set", "list", "delete", "rotate-keys"])
        parser.add_argument("name", nargs="?", help="The secret's.")
        parser.add_argument(
            "--tenant", metavar="KEY",
            help="Whose it is (default: everybody's); list: only this tenant's.",
        )  # fmt: skip
        parser.add_argument("--description", metavar="TEXT", help="What it is for.")
        parser.add_argument(
            "--batch", type=int, default=200, metavar="N",
            help="The most values that rotate-keys reads at once (default: 200).",
        )  # fmt: skip

    def ask(self, **options: Any) -> int | None:
        action, name = options["action"], options["name"]
        if (name is not None) != (action in _TAKE_NAMES):
            raise WrongUse(f"{action} takes {'a' if action in _TAKE_NAMES else 'no'} name.")
        if options["batch"] < 1:
            raise WrongUse("--batch takes a number above 0.")
        if action == "set" and options["tenant"] and not _is_tenant(options["tenant"]):
            raise WrongUse(f"There is no tenant '{options['tenant']}'.")
        if action == "rotate-keys":
            return self._rotate(options)
        if action == "set":
            self._set(name, options)
        elif action == "list":
            self._list(options)
        else:
            delete_secret(name, tenant=options["tenant"] or "", now=now())
            self.say(f"deleted {name}")
        return None

    def _set(self, name: str, options: dict[str, Any]) -> None:
        store_secret(
            name,
            _asked(),
            tenant=options["tenant"] or "",
            description=options["description"],
            now=now(),
        )
        self.say(f"stored; configs refer to it as {{{{ secrets.{name} }}}}")

    def _list(self, options: dict[str, Any]) -> None:
        secrets = Secret.objects.defer("sealed")
        if options["tenant"] is not None:
            secrets = secrets.filter(tenant=options["tenant"])
        found = list(secrets)
        uses = uses_of(found)
        if options["json"]:
            self.write_json([_json(secret, uses[secret.pk]) for secret in found])
        elif not found:
            self.say("no secret is stored")
        else:
            made = table("name", "tenant", "value set", "used by", "description")
            for secret in found:
                users = ", ".join(f"{use.workflow} v{use.version}" for use in uses[secret.pk])
                add_row(
                    made, secret.name, secret.tenant, ago(secret.rotated_at, now=now()),
                    users or "nobody", secret.description,
                )  # fmt: skip
            self.console.print(made)

    def _rotate(self, options: dict[str, Any]) -> int:
        resealed, unreadable = 0, list[str]()
        with self.progress() as bar:
            task = bar.add_task("sealing anew", total=sealed_texts())
            for step in rotate_keys(batch=options["batch"]):
                resealed += step.resealed
                unreadable += step.unreadable
                bar.advance(task, step.resealed + len(step.unreadable))
        if options["json"]:
            self.write_json({"resealed": resealed, "unreadable": unreadable})
        else:
            self.say(f"{resealed:,} sealed anew with the first key")
        if unreadable:
            self.warn(f"no known key opens: {', '.join(unreadable)}; set these values again")
        return int(bool(unreadable))


def _is_tenant(key: str) -> bool:
    return has_tenants() and exists(key)


def _asked() -> str:
    """Return the value: typed unseen, or from standard input without the last line's end."""
    if sys.stdin.isatty():
        return getpass.getpass("Value: ")
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")


def _json(secret: Secret, uses: list[Use]) -> dict[str, Any]:
    return {
        "name": secret.name,
        "tenant": secret.tenant,
        "description": secret.description,
        "createdAt": secret.created_at,
        "updatedAt": secret.updated_at,
        "valueSetAt": secret.rotated_at,
        "usedBy": [{"workflowId": use.workflow, "version": use.version} for use in uses],
    }
