"""What `manage.py check` says about tenants and rates."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from spane_django.checks import check_settings
from spane_django.conf import faults_of


def nobodys(user: Any) -> list[str]:
    """Resolve to no tenant at all."""
    return []


RESOLVER = f"{__name__}.nobodys"


@pytest.mark.parametrize(
    "given",
    [
        {"TENANT_MODEL": None},
        {"TENANT_MODEL": "spane_django.Tenant"},
        {"TENANT_MODEL": "auth.Group", "TENANT_RESOLVER": RESOLVER},
    ],
)
def test_tenants_that_can_be_told_apart_are_fine(settings: Settings, given: dict[str, Any]) -> None:
    settings.SPANE = {**settings.SPANE, **given}

    assert [fault for fault in check_settings() if fault.id == "spane.E020"] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"TENANT_RESOLVER": RESOLVER}, "TENANT_RESOLVER without TENANT_MODEL"),
        ({"TENANT_MODEL": "auth.Nothing"}, "doesn't have a 'Nothing' model"),
        ({"TENANT_MODEL": "Tenant"}, "SPANE['TENANT_MODEL']"),
        ({"TENANT_MODEL": "auth.Group"}, "nothing says whose auth.Group is"),
        (
            {"TENANT_MODEL": "auth.Group", "TENANT_RESOLVER": "nowhere.at_all"},
            "SPANE['TENANT_RESOLVER']",
        ),
    ],
)
def test_tenants_that_cannot_be_told_apart_are_an_error(
    settings: Settings, given: dict[str, Any], said: str
) -> None:
    settings.SPANE = {**settings.SPANE, **given}

    (fault,) = [fault for fault in check_settings() if fault.id == "spane.E020"]

    assert said in fault.msg
    assert fault.hint


@pytest.mark.parametrize("rate", ["1/second", "600/minute", "10000/hour", "5/day", None])
def test_a_rate_is_a_number_per_period(rate: str | None) -> None:
    assert faults_of({"API_RATE": rate}) == []


@pytest.mark.parametrize("rate", ["", "600", "0/minute", "600/week", "-1/day", "6e3/hour", 600])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    (told,) = faults_of({"API_RATE": rate})

    assert told.startswith("'API_RATE' takes")
