"""A scheduler for projects that run Celery beat as well, so that it leaves our schedules alone.

    CELERY_BEAT_SCHEDULER = "spane_django.triggers.celery_beat:DatabaseScheduler"

Celery beat reads every periodic task and would send ours to Celery, where nothing knows them.
This one reads those that have no schedule of a workflow.  Nothing else needs this module.
"""

from __future__ import annotations

from typing import Any

from django_celery_beat import schedulers


class DatabaseScheduler(schedulers.DatabaseScheduler):
    """Celery beat's, less what starts workflows."""

    def enabled_models_qs(self) -> Any:
        """Return the periodic tasks that Celery beat is to send."""
        return super().enabled_models_qs().filter(spane_schedule=None)
