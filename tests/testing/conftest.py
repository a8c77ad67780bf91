"""The kit's own tests use it as a project does: the fixture ``spane``, real workflows, no Redis."""

from __future__ import annotations

from spane_django.testing.pytest_plugin import spane

__all__ = ["spane"]
