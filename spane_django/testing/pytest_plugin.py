"""The fixture ``spane`` for pytest; needs pytest-django.

A project asks for it in its ``conftest.py``::

    pytest_plugins = ["spane_django.testing.pytest_plugin"]

Nothing of Django is imported before a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .inline import InlineEngine


@pytest.fixture
def spane(db: None) -> Iterator[InlineEngine]:
    """Give the engine, inline, with the database; both are the test's own."""
    from . import InlineEngine  # noqa: PLC0415  # models cannot be imported any earlier

    with InlineEngine() as engine:
        yield engine
