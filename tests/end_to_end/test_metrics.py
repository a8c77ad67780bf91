"""What work horses of several RQ workers have counted is there after they are gone."""

from __future__ import annotations

import pytest

from tests.end_to_end.plant import plant, until

pytestmark = pytest.mark.end_to_end

CHAIN = {
    "id": "counted",
    "name": "Counted",
    "entryNodeId": "a",
    "nodes": [
        {"id": "a", "type": "log", "config": {"message": "a"}, "inputs": [], "outputs": ["b"]},
        {"id": "b", "type": "log", "config": {"message": "b"}, "inputs": ["a"], "outputs": []},
    ],
}
TOTALS = """
from spane_django.observability.counts import totals
found = totals()
print(sum(found[key] for key in found if key[0] == "spane_executions_started"),
      sum(found[key] for key in found if key[0] == "spane_executions_finished"),
      sum(found[key] for key in found if key[0] == "spane_node_attempts"))
"""


def test_every_execution_and_every_node_is_counted_once() -> None:
    with plant(METRICS=True, LINGER_SECONDS=0.5) as running:
        for name in ("one", "two"):
            running.start(name, "rqworker", "spane")
        ids = running.begin(CHAIN, [None] * 40)
        done = "SELECT count(*) FROM spane_django_execution WHERE status = 'completed'"
        at_work = "SELECT count(*) FROM spane_django_worker WHERE stopped_at IS NULL"

        assert until(lambda: running.value(done) == len(ids)), running.log("one")
        assert until(lambda: running.value(at_work) == 0)
        assert until(lambda: running.python(TOTALS) == "40.0 40.0 80.0"), running.python(TOTALS)
