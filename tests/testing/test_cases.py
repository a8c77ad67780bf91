"""The kit in test cases of Django's: rolled back, committed, asynchronous, by a plugin."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.core import mail
from django.db import transaction
from django.test import TestCase, TransactionTestCase
from django.utils import timezone

from spane_django import Permanent, Workflow
from spane_django.models import Execution
from spane_django.testing import InlineEngine, WorkflowTestCase, WorkflowTestMixin, make_workflow

from .shop import fulfilment

ROOT = Path(__file__).resolve().parents[2]


class RolledBackTests(TestCase):
    """``TestCase``: nothing ever commits."""

    def test_an_order_is_shipped_although_the_carrier_is_down_for_a_while(self) -> None:
        with InlineEngine() as spane:
            spane.stub("charge", {"receipt": 1})
            spane.fail("ship", ConnectionError("down"), times=2)
            execution = fulfilment().start({"name": "Ada"})

            spane.run_until_done()

            spane.assert_path(execution, ["charge", "ship"])
            spane.assert_completed(execution)
            assert len(spane.calls("ship")) == 3

    def test_the_callbacks_of_the_project_are_left_alone(self) -> None:
        called: list[str] = []

        def mine() -> None:
            called.append("mine")

        with InlineEngine() as spane, self.captureOnCommitCallbacks() as callbacks:
            transaction.on_commit(mine)
            make_workflow({"a": []}).start()
            spane.run()

        assert called == []
        assert mine in callbacks

    def test_mail_is_kept_in_memory(self) -> None:
        flow = Workflow("mail")
        flow.add("tell", "email", {"to": "ada@example.com", "subject": "Hi", "text": "there"})
        with InlineEngine() as spane:
            execution = flow.start()
            spane.run()
            spane.assert_completed(execution)

        assert [message.subject for message in mail.outbox] == ["Hi"]


class OwnTimeTests(WorkflowTestCase):
    """``WorkflowTestCase``: the engine is at hand."""

    def test_an_instant_that_the_code_has_read_itself_is_reached_by_travelling(self) -> None:
        execution = make_workflow({"a": []}).start(start_at=timezone.now() + timedelta(hours=1))

        self.spane.travel(hours=1)
        self.spane.run()

        self.spane.assert_completed(execution)

    async def test_an_async_test_works_too(self) -> None:
        flow = await sync_to_async(make_workflow)({"a": []})
        execution = await sync_to_async(flow.start)(7)

        await sync_to_async(self.spane.run)()

        await sync_to_async(self.spane.assert_output)(execution, 7)

    async def test_an_async_test_runs_async_nodes(self) -> None:
        flow = await sync_to_async(make_workflow)({"a": []}, nodes={"a": {"type": "shop-look-up"}})
        execution = await sync_to_async(flow.start)(7)

        await sync_to_async(self.spane.run)()

        expected = {"groups": [], "order": 7, "nodes": []}
        await sync_to_async(self.spane.assert_output)(execution, expected)


class CommittedTests(WorkflowTestMixin, TransactionTestCase):
    """``TransactionTestCase``: everything commits, and no Redis hears of it."""

    def test_what_is_started_in_a_transaction_runs_after_it(self) -> None:
        flow = make_workflow({"a": ["b"]}, nodes={"b": {"type": "shop-look-up"}})
        with transaction.atomic():
            execution = flow.start(7)
            with pytest.raises(RuntimeError, match="after the transaction"):
                self.spane.run()

        self.spane.run()

        self.spane.assert_completed(execution)

    def test_children_come_and_go(self) -> None:
        make_workflow({"inner": []}, id="child")
        each = {"type": "map", "config": {"workflowId": "child"}}
        flow = make_workflow({"each": []}, nodes={"each": each})
        self.spane.fail("inner", Permanent("no"), times=1)

        execution = flow.start([1, 2])
        self.spane.run_until_done()

        self.spane.assert_failed(execution, "no")
        assert not Execution.objects.unfinished().exists()


TEST = """
def test_it(spane):
    from spane_django.testing import make_workflow
    execution = make_workflow({"a": ["b"]}).start(7)
    spane.run()
    spane.assert_output(execution, 7)
"""


def test_pytest_loads_the_plugin_before_django_is_ready(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TEST)
    plugin = "spane_django.testing.pytest_plugin"

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", plugin, f"-c{ROOT}/pyproject.toml", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr
