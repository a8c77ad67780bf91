"""Workers: who is at work, who has stopped and who has fallen silent."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..conf import settings
from ..engine.scope import Scope
from ..models import NodeRun, Worker
from .base import ReadOnlyAdmin, scope_in
from .present import chip, instant, lately


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
