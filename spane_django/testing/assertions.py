"""Assertions about executions: each reads the rows anew, and tells the whole story if it fails.

They take an execution, its id or the id's text, and work under unittest and pytest alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from ..authoring.verbs import AnyExecution
from ..core.json import Json
from ..core.statuses import NodeStatus
from ..models import Execution, NodeRun
from ..models.payloads import load
from .story import excerpt, pending_stories, story


class Assertions:
    """What a test may say about executions.

    Args:
        now: The clock of the test.
        ran: The nodes that have run, in the order of work.
    """

    def __init__(self, now: Callable[[], datetime], ran: Sequence[tuple[UUID, str]]) -> None:
        self._now = now
        self._ran = ran

    def assert_status(self, execution: AnyExecution, status: str) -> Execution:
        """Assert the status of an execution, and return it as it is now."""
        found = self._found(execution)
        self._check(found, found.status == status, f"it is {found.status}, not {status}")
        return found

    def assert_completed(self, execution: AnyExecution) -> Execution:
        """Assert that an execution has completed, and return it as it is now."""
        return self.assert_status(execution, "completed")

    def assert_failed(self, execution: AnyExecution, error: str | None = None) -> Execution:
        """Assert that an execution has failed, and return it as it is now.

        Args:
            error: Some words of the reason or of a failed node's error, or the error's type.
        """
        found = self.assert_status(execution, "failed")
        if error is not None:
            failed = found.node_runs.filter(status=NodeStatus.FAILED)
            errors = [f"{run.error_type}: {run.error_message}" for run in failed]
            told = "; ".join(filter(None, [found.reason, *errors]))
            self._check(found, error in told, f"it failed because of {told!r}, not {error!r}")
        return found

    def assert_nodes(self, execution: AnyExecution, statuses: Mapping[str, str]) -> None:
        """Assert the statuses of nodes by id; other nodes may have any.

        A node that nothing has led to yet is ``pending``.
        """
        found = self._found(execution)
        known = {node["id"] for node in found.version.definition["nodes"]}
        actual = dict(found.node_runs.values_list("node_id", "status"))
        for node_id, status in statuses.items():
            self._check(found, node_id in known, f"it has no node '{node_id}'")
            is_now = actual.get(node_id, NodeStatus.PENDING.value)
            self._check(found, is_now == status, f"'{node_id}' is {is_now}, not {status}")

    def assert_path(self, execution: AnyExecution, nodes: Sequence[str]) -> None:
        """Assert which nodes of an execution have run, in the order in which they first did.

        Nodes that were skipped are not on the path; nodes that ran and failed are.
        """
        found = self._found(execution)
        ran = dict.fromkeys(node_id for key, node_id in self._ran if key == found.pk)
        self._check(found, list(ran) == list(nodes), f"it ran {list(ran)}, not {list(nodes)}")

    def assert_output(
        self, execution: AnyExecution, expected: Json, *, node: str | None = None
    ) -> None:
        """Assert what an execution, or one of its nodes, has come to."""
        found = self._found(execution)
        if node is None:
            self.assert_completed(found)
            actual, what = found.output, "its output"
        else:
            self.assert_nodes(found, {node: "completed"})
            actual = load(NodeRun.objects.get(execution=found, node_id=node).output)
            what = f"the output of '{node}'"
        message = f"{what} is {excerpt(actual)}, not {excerpt(expected)}"
        self._check(found, actual == expected, message)

    def assert_nothing_pending(self) -> None:
        """Assert that every execution has ended: nothing waits, nothing is ready."""
        stories = pending_stories(now=self._now())
        if stories:
            told = "\n".join(stories)
            raise AssertionError(f"{len(stories)} executions have not ended\n{told}")

    def story(self, execution: AnyExecution) -> str:
        """Return what has become of an execution and of each of its nodes, to be printed."""
        return story(self._found(execution), now=self._now())

    def _found(self, execution: AnyExecution) -> Execution:
        key = execution.pk if isinstance(execution, Execution) else execution
        found = Execution.objects.select_related("workflow", "version").filter(pk=key).first()
        if found is None:
            raise AssertionError(f"there is no execution {key}: it was rolled back, or deleted")
        return found

    def _check(self, execution: Execution, holds: bool, message: str) -> None:
        if not holds:
            raise AssertionError(f"{message}\n{story(execution, now=self._now())}")
