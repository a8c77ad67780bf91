"""Metrics as a scraper reads them."""

from __future__ import annotations

from typing import Any

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


def scrape(**headers: str) -> dict[str, dict[Labels, float]]:
    """Return every sample of ``/metrics`` by its name and labels."""
    answer: Any = Client().get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.content
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def exported(**headers: str) -> set[str]:
    """Return the names of all metrics that are there, with or without samples."""
    answer: Any = Client().get("/metrics", headers=headers)
    names = set()
    for family in text_string_to_metric_families(answer.content.decode()):
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {family.name + ending for ending in endings.get(family.type, [""])}
    return names
