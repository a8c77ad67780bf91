"""The dashboard: how the engine does now, and how it has done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils.timezone import now

from spane_django.admin.present import spark
from spane_django.engine import workers
from spane_django.models import Dashboard, Rollup
from tests.admin.conftest import Login
from tests.admin.pages import Inline, list_of, user_of
from tests.admin.stage import BAD, GOOD, ended, published, started

pytestmark = pytest.mark.django_db


def page(client: Client, query: str = "") -> str:
    response = client.get(list_of(Dashboard, query))
    assert response.status_code == 200
    return str(response.content.decode())


def test_without_anything_the_dashboard_says_so(boss: Client):
    html = page(boss)

    assert "No worker is at work" in html
    assert not Inline(html).refused


def test_work_that_waits_without_a_worker_is_a_banner_with_the_command(boss: Client):
    started(GOOD)

    html = page(boss)

    assert "no worker listens" in html
    assert "python manage.py rqworker spane" in html


def test_a_worker_at_work_takes_the_banner_away(boss: Client):
    started(GOOD)
    workers.enlist("here:1", "spane", pid=1, now=now())

    html = page(boss)

    assert "no worker listens" not in html
    assert "here:1" in html


def test_the_past_is_told_from_rollups(boss: Client):
    workflow = published(GOOD).workflow
    Rollup.objects.create(
        workflow=workflow, period="minute", at=now() - timedelta(minutes=5), started=12,
        completed=9, failed=3, durations={"20": 9},
    )  # fmt: skip

    html = page(boss, "?range=1h")

    assert "3 (25.0%)" in html
    assert html.count('class="spane-bar spane-completed"') == 60


def test_hours_and_the_minutes_of_the_current_one_are_counted_once(boss: Client):
    workflow = published(GOOD).workflow
    at = (now() - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    common = {"workflow": workflow, "started": 7}
    Rollup.objects.create(period="hour", at=at, **common)
    Rollup.objects.create(period="minute", at=at + timedelta(minutes=1), **common)

    html = page(boss)

    assert ">7</a>" in html


def test_open_dead_letters_are_counted(boss: Client):
    ended(BAD)

    assert ">1</a>" in page(boss)


def test_an_unknown_range_is_the_usual_one(boss: Client):
    assert '<strong aria-current="true">24 hours</strong>' in page(boss, "?range=ever")


def test_the_dashboard_takes_its_permission(login: Login):
    clerk = login(sees=False)

    assert clerk.get(list_of(Dashboard)).status_code == 403
    user_of(clerk).user_permissions.add(Permission.objects.get(codename="view_dashboard"))
    assert clerk.get(list_of(Dashboard)).status_code == 200


def test_a_spark_needs_two_values():
    assert spark([1]) == ""
    assert spark([0, 2]) == "M0.0 24.0L120.0 0.0"
