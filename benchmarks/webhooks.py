"""How many requests to a webhook the demo project takes in, each checked, stored and started.

    python benchmarks/webhooks.py [--requests N] [--clients N]

Gunicorn with two workers of four threads on PostgreSQL; clients on threads of another process
keep their connections and send small JSON bodies, signed as GitHub does.  Rounds of the webhook
take turns with rounds of ``GET /health/live``, which touches no database, so that a machine that
is busy with something else is busy for both: that one is the baseline.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

from common import fork, publish, silence, stage
from http_load import gunicorn, request, send_all
from output import parser, say, say_machine

SECRET = "known-to-the-sender-too"
ROUNDS = 3

DEFINITION = {
    "id": "intake",
    "name": "Intake",
    "entryNodeId": "note",
    "nodes": [
        {"id": "note", "type": "log", "config": {"message": "in"}, "inputs": [], "outputs": []}
    ],
}


def main() -> None:
    options = _options()
    say_machine()
    with stage(), silence():
        publish(DEFINITION)
        path = _make_webhook()
        with gunicorn() as port, ProcessPoolExecutor(1, mp_context=fork) as client:

            def measure(requests: list[bytes]) -> tuple[float, list[float]]:
                return client.submit(send_all, port, requests, options.clients).result()

            live = [request("GET", "/health/live")] * options.requests
            measure(live[:200])
            measure(_deliveries(path, 200))
            samples = [
                (measure(live)[0], *measure(_deliveries(path, options.requests)))
                for _ in range(ROUNDS)
            ]
        _check(200 + ROUNDS * options.requests)
    base = statistics.median(sample[0] for sample in samples)
    rate = statistics.median(sample[1] for sample in samples)
    latencies = sorted(1_000 * latency for sample in samples for latency in sample[2])
    say("health_live", base, "requests/s")
    say("webhooks", rate, "requests/s", baseline=base)
    say("webhooks_p50", latencies[len(latencies) // 2], "ms")
    say("webhooks_p95", latencies[int(len(latencies) * 0.95)], "ms")


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--requests", type=int, default=2_000, help="of each round; 2,000")
    made.add_argument("--clients", type=int, default=8, help="at once; 8")
    return made.parse_args()


def _make_webhook() -> str:
    from spane_django.clock import now
    from spane_django.triggers.webhooks import create

    asked = {"workflowId": "intake", "signature": {"kind": "github"}, "secret": SECRET}
    return create(asked, now=now())[0].path


def _deliveries(path: str, count: int) -> list[bytes]:
    from spane_django.clock import now
    from spane_django.core.signatures import PRESETS, sign

    made = []
    for number in range(count):
        body = json.dumps({"order": f"{time.time_ns()}-{number}", "total": 990}).encode()
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Delivery": f"{time.time_ns()}-{number}",
            **sign(PRESETS["github"], body, SECRET, now=now()),
        }
        made.append(request("POST", f"/api/webhooks/{path}", headers, body))
    return made


def _check(count: int) -> None:
    from spane_django.models import Execution, WebhookDelivery

    found = Execution.objects.count(), WebhookDelivery.objects.filter(status="started").count()
    if found != (count, count):
        raise AssertionError(f"{found} are stored and started, not {count}")


if __name__ == "__main__":
    main()
