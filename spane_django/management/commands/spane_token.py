"""`spane_token`: make an API token."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from ...clock import now
from ...engine.tokens import issue
from ..base import SpaneCommand, WrongUse


class Command(SpaneCommand):
    help = (
        "Makes a token that lets a program act as a user at the API, and prints it, for the "
        "only time: the database keeps a hash. Revoke tokens in the admin."
    )
    examples = """\
  manage.py spane_token alice --name "nightly import"
  manage.py spane_token ci-bot --days 90
  TOKEN=$(manage.py spane_token alice)
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/workflows"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="The name that the user logs in with.")
        parser.add_argument(
            "--name", default="command line", help="What uses it; shown in the admin."
        )
        parser.add_argument(
            "--days", type=float, metavar="N", help="How long it is good; without: until revoked."
        )

    def ask(self, **options: Any) -> int | None:
        if options["days"] is not None and options["days"] <= 0:
            raise WrongUse("--days takes a number above 0.")
        users = get_user_model()
        try:
            user = users._default_manager.get_by_natural_key(options["user"])
        except users.DoesNotExist:
            raise CommandError(
                f"There is no user '{options['user']}': make one with manage.py createsuperuser, "
                "or in the admin."
            ) from None
        if not user.is_active:
            raise CommandError(f"The user '{options['user']}' is not active, nor would a token be.")
        expires_in = None if options["days"] is None else timedelta(days=options["days"])
        token, record = issue(user, options["name"], now=now(), expires_in=expires_in)
        until = (
            f"good until {record.expires_at:%F %T} UTC"
            if record.expires_at
            else "good until revoked"
        )
        self.warn(f"{until}; it is not shown again")
        self.say(token)
        return 0
