"""`spane_token`: make, list, rotate and revoke API tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from ...clock import now
from ...engine import tokens
from ...engine.scope import exists, has_tenants
from ...models import ApiToken
from ..base import SpaneCommand, WrongUse, add_row, table
from ..showing import ago


class Command(SpaneCommand):
    help = (
        "Makes a token that lets a program act as a user at the API, and prints it, for the "
        "only time: the database keeps a hash. Or lists, rotates and revokes tokens."
    )
    examples = """\
  manage.py spane_token alice --name "nightly import" --scope execute
  manage.py spane_token ci-bot --days 90 --tenant acme
  manage.py spane_token --list
  manage.py spane_token --rotate 7 --grace-hours 1
  manage.py spane_token --revoke 7
  TOKEN=$(manage.py spane_token alice)
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/workflows"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", nargs="?", help="The name that the user logs in with.")
        parser.add_argument(
            "--name", default="command line", help="What uses it; shown in the admin."
        )
        parser.add_argument(
            "--scope", choices=list(tokens.SCOPES), default="admin",
            help="The most that it may do (default: admin, all that its user may).",
        )  # fmt: skip
        parser.add_argument("--tenant", default="", help="The one tenant that it is good for.")
        parser.add_argument(
            "--days", type=float, metavar="N", help="How long it is good; without: until revoked."
        )
        others = parser.add_mutually_exclusive_group()
        others.add_argument("--list", action="store_true", help="List tokens, of USER if given.")
        others.add_argument("--rotate", type=int, metavar="ID", help="Give it another secret.")
        others.add_argument("--revoke", type=int, metavar="ID", help="End it at once.")
        parser.add_argument(
            "--grace-hours", type=float, default=0.0, metavar="N",
            help="With --rotate: how long the secret that it had stays good.",
        )  # fmt: skip

    def ask(self, **options: Any) -> int | None:
        if options["days"] is not None and options["days"] <= 0:
            raise WrongUse("--days takes a number above 0.")
        if options["list"]:
            return self._list(options)
        if options["revoke"] is not None:
            return self._revoke(options["revoke"])
        if options["rotate"] is not None:
            return self._rotate(options)
        if options["user"] is None:
            raise WrongUse("Say for which user: manage.py spane_token USER.")
        return self._make(options)

    def _make(self, options: dict[str, Any]) -> int | None:
        user = _user(options["user"])
        if not user.is_active:
            raise CommandError(f"The user '{options['user']}' is not active, nor would a token be.")
        tenant = options["tenant"]
        if tenant and not (has_tenants() and exists(tenant)):
            raise CommandError(f"There is no tenant '{tenant}'.")
        secret, token = tokens.issue(
            user, options["name"], now=now(), scope=options["scope"], tenant=tenant,
            expires_in=_days(options),
        )  # fmt: skip
        return self._tell(secret, token, options)

    def _rotate(self, options: dict[str, Any]) -> int | None:
        secret, token = tokens.rotate(
            options["rotate"],
            now=now(),
            grace=timedelta(hours=max(0.0, options["grace_hours"])),
            expires_in=_days(options),
        )
        return self._tell(secret, token, options)

    def _revoke(self, token_id: int) -> int | None:
        if not tokens.revoke(token_id, now=now()):
            raise CommandError(f"There is no token {token_id} that is still good.")
        self.say(f"token {token_id} is revoked")
        return None

    def _list(self, options: dict[str, Any]) -> int | None:
        found = ApiToken.objects.select_related("user").order_by("-id")
        if options["user"] is not None:
            found = found.filter(user=_user(options["user"]))
        if options["json"]:
            self.write_json([_json(token) for token in found])
            return None
        made = table("id", "name", "user", "scope", "tenant", "begins with", "used", "is")
        for token in found:
            used = ago(token.last_used_at, now=now()) if token.last_used_at else "never"
            add_row(
                made, token.pk, token.name, token.user.get_username(), token.scope,
                token.tenant or "any", f"{token.prefix}…", used, _standing(token),
            )  # fmt: skip
        self.console.print(made)
        return None

    def _tell(self, secret: str, token: ApiToken, options: dict[str, Any]) -> int | None:
        if options["json"]:
            self.write_json({**_json(token), "token": secret})
            return 0
        until = (
            f"good until {token.expires_at:%F %T} UTC" if token.expires_at else "good until revoked"
        )
        self.warn(f"{until}; it is not shown again")
        self.say(secret)
        return 0


def _user(name: str) -> Any:
    users = get_user_model()
    try:
        return users._default_manager.get_by_natural_key(name)
    except users.DoesNotExist:
        raise CommandError(
            f"There is no user '{name}': make one with manage.py createsuperuser, or in the admin."
        ) from None


def _days(options: dict[str, Any]) -> timedelta | None:
    return None if options["days"] is None else timedelta(days=options["days"])


def _standing(token: ApiToken) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is not None and token.expires_at <= now():
        return "expired"
    return "good"


def _json(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.pk,
        "name": token.name,
        "user": token.user.get_username(),
        "scope": token.scope,
        "tenant": token.tenant or None,
        "expiresAt": token.expires_at,
        "revokedAt": token.revoked_at,
        "lastUsedAt": token.last_used_at,
    }
