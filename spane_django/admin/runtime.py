"""Who is at work, and which programs may use the API."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..clock import now as current_time
from ..conf import settings
from ..core.errors import SpaneError
from ..engine import tokens
from ..engine.scope import Scope
from ..models import ApiToken, NodeRun, Worker
from .base import ReadOnlyAdmin, scope_in
from .present import chip, code, instant, lately
from .verbs import Order, Verb, VerbsAdmin


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Drains at work, and those that have stopped or fallen silent."""

    list_display = (
        "name", "standing", "queue", "node_runs", "pid", "lately", "seen",
    )  # fmt: skip
    list_filter = ("queue",)
    fields = ("name", "id", "queue", "pid", "began", "heartbeat", "stopped", "node_runs")
    empty_hint = _("No worker has been at work yet. Start one:")
    empty_command = "python manage.py rqworker spane"

    def prepare(self, rows: list[Any], scope: Scope) -> None:
        found = NodeRun.objects.running().filter(worker_id__in=[row.pk for row in rows])
        counts = dict(found.order_by().values_list("worker_id").annotate(Count("pk")))
        for row in rows:
            row.running = counts.get(row.pk, 0)

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        self.prepare([obj], scope_in(request))
        return {"chip": self.standing(obj)}

    @admin.display(description=_("status"))
    def standing(self, worker: Worker) -> SafeString:
        if worker.stopped_at is not None:
            return chip("skipped", _("stopped"))
        if worker.heartbeat_at < current_time() - settings.lease:
            return chip("failed", _("silent"))
        return chip("running", _("at work"))

    @admin.display(description=_("nodes running"))
    def node_runs(self, worker: Any) -> int:
        return int(worker.running)

    @admin.display(description=_("started"))
    def began(self, worker: Worker) -> SafeString | None:
        return instant(worker.started_at)

    @admin.display(description=_("last heartbeat"))
    def heartbeat(self, worker: Worker) -> SafeString | None:
        return instant(worker.heartbeat_at)

    @admin.display(description=_("started"))
    def lately(self, worker: Worker) -> SafeString | None:
        return lately(worker.started_at)

    @admin.display(description=_("heartbeat"))
    def seen(self, worker: Worker) -> SafeString | None:
        return lately(worker.heartbeat_at)

    @admin.display(description=_("stopped"))
    def stopped(self, worker: Worker) -> SafeString | None:
        return instant(worker.stopped_at)


class NotRevoked(SpaneError):
    """It was revoked before."""


def _revoke(pk: int, order: Order) -> None:
    if not tokens.revoke(pk, now=order.now, by=order.by):
        raise NotRevoked


def _is_good(token: ApiToken) -> bool:
    return token.revoked_at is None


REVOKE = Verb(
    name="revoke",
    label=_("Revoke"),
    done=ngettext_lazy("%(count)d token was revoked.", "%(count)d tokens were revoked.", "count"),
    permission="change_apitoken",
    apply=_revoke,
    is_legal=_is_good,
    warning=_("Whatever uses the token is refused from now on. A token cannot be revived."),
)


@admin.register(ApiToken)
class ApiTokenAdmin(VerbsAdmin):
    """API tokens, by name; the token itself is shown once, by the command that makes it."""

    list_display = ("name", "standing", "user", "scope", "begins_with", "used", "expires")
    list_select_related = ("user",)
    search_fields = ("name", "prefix")
    verbs = (REVOKE,)
    fields = (
        "name", "user", "scope", "tenant", "begins_with", "created", "used", "expires", "revoked",
    )  # fmt: skip
    empty_hint = _("No program has a token for the API yet. Make one; it is shown once:")
    empty_command = "python manage.py spane_token USERNAME"

    @admin.display(description=_("status"))
    def standing(self, token: ApiToken) -> SafeString:
        if token.revoked_at is not None:
            return chip("cancelled", _("revoked"))
        if token.expires_at is not None and token.expires_at <= current_time():
            return chip("skipped", _("expired"))
        return chip("completed", _("good"))

    @admin.display(description=_("begins with"))
    def begins_with(self, token: ApiToken) -> SafeString:
        return code(f"{token.prefix}…")

    @admin.display(description=_("created"))
    def created(self, token: ApiToken) -> SafeString | None:
        return instant(token.created_at)

    @admin.display(description=_("last used"))
    def used(self, token: ApiToken) -> SafeString | None:
        return lately(token.last_used_at)

    @admin.display(description=_("expires"))
    def expires(self, token: ApiToken) -> SafeString | None:
        return instant(token.expires_at)

    @admin.display(description=_("revoked"))
    def revoked(self, token: ApiToken) -> SafeString | None:
        return instant(token.revoked_at)
