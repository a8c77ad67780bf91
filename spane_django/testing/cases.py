"""Test cases with the engine at hand as ``self.spane``."""

from __future__ import annotations

from django.test import SimpleTestCase, TestCase

from .inline import InlineEngine


class WorkflowTestMixin(SimpleTestCase):
    """Gives a test case of Django's the engine: put it before ``TransactionTestCase``, say.

    Attributes:
        spane: Made anew for each test.
    """

    spane: InlineEngine

    def setUp(self) -> None:
        super().setUp()
        self.spane = self.enterContext(InlineEngine())


class WorkflowTestCase(WorkflowTestMixin, TestCase):
    """A ``TestCase`` with the engine at hand; all that it writes is rolled back."""
