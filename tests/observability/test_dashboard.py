"""The dashboard and the rules that are shipped use the metrics that there are, and all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_django import Settings

from spane_django.observability.catalogue import COUNTERS, DURATION, GAUGES

from .conftest import Show
from .reading import exported

GRAFANA = Path(__file__).parents[2] / "docs" / "grafana"
NAME = re.compile(r"\bspane_\w+")


def expressions(value: Any) -> Iterator[str]:
    """Yield everything in a document that is asked of Prometheus."""
    if isinstance(value, dict):
        yield from (text for key, text in value.items() if key in ("expr", "query") and text)
        yield from (text for item in value.values() for text in expressions(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in expressions(item))


def names(document: Any) -> set[str]:
    return {
        name
        for text in expressions(document)
        if isinstance(text, str)
        for name in NAME.findall(text)
    }


@pytest.fixture
def there(db: None, redis: Any, settings: Settings, shown: Show) -> set[str]:
    return exported(**shown("view_metrics"))


def test_the_dashboard_uses_exactly_the_metrics_that_are_exported(there: set[str]) -> None:
    used = names(json.loads((GRAFANA / "spane.json").read_text()))

    assert used == there


def test_the_rules_use_metrics_that_are_exported(there: set[str]) -> None:
    used = names(yaml.safe_load((GRAFANA / "alerts.yml").read_text()))

    assert used
    assert used <= there


def test_every_panel_has_a_place_of_its_own() -> None:
    panels = json.loads((GRAFANA / "spane.json").read_text())["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(set(cells)) == len(cells)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(x < 24 for x, _ in cells)


def test_every_metric_is_documented() -> None:
    page = (GRAFANA.parent / "metrics.md").read_text()
    documented = set(NAME.findall(page))
    endings = [("_total", COUNTERS), ("", (*GAUGES, DURATION))]

    assert {metric.name + end for end, metrics in endings for metric in metrics} <= documented
