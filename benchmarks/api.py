"""How many requests the API answers: starting, reading and listing executions.

    python benchmarks/api.py [--requests N] [--clients N]

Gunicorn with two workers of four threads on PostgreSQL, a token, clients on threads of another
process that keep their connections; 10,000 finished executions to list.  The baseline is
``GET /health/live``, which touches no database, in the same rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from concurrent.futures import ProcessPoolExecutor

from common import fork, silence, stage, until_completed, workers
from http_load import gunicorn, request, send_all
from output import parser, progress, say, say_machine
from shapes import chain, publish_shape

ROUNDS = 3
LISTED = 10_000
WARM = 100


def main() -> None:
    options = _options()
    os.environ["SPANE"] = json.dumps({"API_RATE": None})
    say_machine()
    with stage(), progress(2 + ROUNDS) as step:
        step(f"{LISTED} executions")
        requests = _requests(_token(), _executions())
        with silence(), gunicorn() as port, ProcessPoolExecutor(1, mp_context=fork) as client:

            def measure(one: bytes, count: int) -> tuple[float, list[float]]:
                return client.submit(send_all, port, [one] * count, options.clients).result()

            step("warm-up")
            samples = {name: [] for name in requests}
            for one in requests.values():
                measure(one, WARM)
            for number in range(ROUNDS):
                step(f"round {number + 1}")
                for name, one in requests.items():
                    samples[name].append(measure(one, options.requests))
    base = statistics.median(rate for rate, _ in samples["health_live"])
    for name, rounds in samples.items():
        latencies = sorted(1_000 * took for _, each in rounds for took in each)
        say(
            name, statistics.median(rate for rate, _ in rounds), "requests/s", baseline=base,
            p50_ms=latencies[len(latencies) // 2], p95_ms=latencies[int(len(latencies) * 0.95)],
        )  # fmt: skip


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--requests", type=int, default=1_000, help="of each kind and round; 1,000")
    made.add_argument("--clients", type=int, default=8, help="at once; 8")
    return made.parse_args()


def _executions() -> str:
    """Run what is to be listed, and return the id of one."""
    from django.db import connection
    from django.utils import timezone

    from spane_django.engine.start import start_many

    publish_shape("api", chain(1))
    with workers(2):
        ids = start_many("api", [{"n": 1}] * LISTED, now=timezone.now())
        until_completed(ids)
    with connection.cursor() as cursor:
        # As autovacuum does within a minute; until then a page of the list takes thrice as long.
        cursor.execute("ANALYZE")
    publish_shape("api", chain(10))
    return str(ids[-1])


def _token() -> str:
    from django.contrib.auth.models import User
    from django.utils import timezone

    from spane_django.engine.tokens import issue

    user = User.objects.create_superuser("benchmark")
    return issue(user, "benchmark", scope="admin", now=timezone.now())[0]


def _requests(token: str, execution: str) -> dict[str, bytes]:
    known = {"Authorization": f"Bearer {token}"}
    start = known | {"Content-Type": "application/json"}
    body = json.dumps({"initialData": {"n": 1}}).encode()
    return {
        "health_live": request("GET", "/health/live"),
        "start": request("POST", "/api/workflows/api/execute", start, body),
        "read": request("GET", f"/api/executions/{execution}", known),
        "list": request("GET", "/api/executions?limit=50", known),
    }


if __name__ == "__main__":
    main()
