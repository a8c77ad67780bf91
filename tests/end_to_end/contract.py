"""Whether the API keeps what its document says: generated requests, every check, every scope.

``python -m tests.end_to_end.contract --cases 5000`` starts PostgreSQL, Redis, a worker and the
API on gunicorn, lets schemathesis send requests with a token of each scope, and prints what came
of them.  The same cases come again for the same ``--seed``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import requests
import schemathesis
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.engine import Status, events, from_schema
from schemathesis.openapi.checks import RejectedPositiveData

from .plant import Plant, plant, until

SCOPES = ("read", "execute", "operate", "define", "admin")
# What gunicorn says before it asks the API.
_TOO_LONG = 414
# What a body may hold in JSON, but in no database: NUL, integers beyond 64 bits.
_UNSTORABLE = ("parse_error", "unreadable_body")
# A definition holds whatever its author likes, a health check whatever it has measured.
_OPEN = ("Definition", "Check")


@dataclass
class Totals:
    """What came of the requests with one token or with all.

    Attributes:
        checks: How many checks were made, by name.
        failures: What they found, by name and operation.
        waived: Refusals of what fits the document, for reasons that no schema can say.
        samples: One failure of each kind, to see.
    """

    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    waived: int = 0
    samples: dict[tuple[str, str], str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def add(self, other: Totals) -> None:
        self.cases += other.cases
        self.statuses += other.statuses
        self.checks += other.checks
        self.failures += other.failures
        self.waived += other.waived
        self.samples = other.samples | self.samples
        self.errors += other.errors

    @property
    def server_errors(self) -> int:
        return sum(number for status, number in self.statuses.items() if status >= 500)


@dataclass(frozen=True)
class Site:
    """An API that answers, and what lies in its database.

    Attributes:
        tokens: By scope.
        ids: By path parameter, what there is.
    """

    url: str
    tokens: dict[str, str]
    ids: dict[str, list[str]]


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Serve an API on gunicorn, with PostgreSQL, Redis and a worker behind it."""
    with plant(WAITERS=2, API_RATE=None) as running, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        running.environment |= {"DEBUG": "0", "SECRET_KEY": "for-this-run-alone-" + "x" * 40}
        running.start("worker", "rqworker", "spane", "--verbosity", "0")
        running.launch(
            "api", "-m", "gunicorn", "demo_project.wsgi", "--bind", address,
            "--limit-request-line", "8190", "--workers", "2", "--threads", "4",
            "--log-level", "error",
        )  # fmt: skip
        known = _prepare(running)
        assert until(lambda: _answers(address)), running.log("api")
        yield Site(f"http://{address}", known["tokens"], known["ids"])
        print(running.log("api")[-3_000:])


def _prepare(running: Plant) -> dict[str, Any]:
    """Fill the database of a plant and wait until its worker has done what it can."""
    printed = running.python(
        "import json\n"
        "from tests.end_to_end.contract_data import prepare\n"
        "print(json.dumps(prepare()))\n"
    )
    ready = "SELECT count(*) FROM spane_django_noderun WHERE status IN ('ready', 'running')"
    assert until(lambda: not running.value(ready), seconds=60), running.log("worker")
    known: dict[str, Any] = json.loads(printed)
    return known


def document_of(url: str, token: str) -> dict[str, Any]:
    """Return the document of the API, under which answers hold nothing that it does not name."""
    headers = {"Authorization": f"Bearer {token}"}
    found = requests.get(f"{url}/api/schema", headers=headers, timeout=60)
    document: dict[str, Any] = found.json()
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema and name not in _OPEN:
            schema.setdefault("additionalProperties", False)
    return document


def check(
    site: Site,
    scope: str,
    document: dict[str, Any],
    *,
    seed: int,
    examples: int,
    is_thorough: bool = True,
) -> Totals:
    """Send requests with a token of a scope and check every answer against a document.

    Args:
        examples: The most random requests that each operation gets.
        is_thorough: Also send what covers every bound of every schema, and sequences.
    """
    config = _config(site, scope, seed=seed, examples=examples)
    phases = config.projects.default.phases
    phases.coverage.enabled = phases.stateful.enabled = is_thorough
    schema = schemathesis.openapi.from_dict(document, config=config)
    _send_what_exists(schema, site.ids)
    _accept_what_no_schema_can_say(schema)
    totals = Totals()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _count(totals, event.recorder)
        elif isinstance(event, events.NonFatalError):
            totals.errors.append(f"{event.label}: {event.value!r}"[:500])
        elif isinstance(event, events.FatalError):
            raise event.exception
    return totals


def _config(site: Site, scope: str, *, seed: int, examples: int) -> SchemathesisConfig:
    # What a definition must be beyond its shape, no schema can say.
    accepted = PositiveDataAcceptanceConfig(
        expected_statuses=["2xx", "401", "403", "404", "409", "422"]
    )
    project = ProjectConfig(
        base_url=site.url,
        headers={"Authorization": f"Bearer {site.tokens[scope]}"},
        request_timeout=60,
        checks=ChecksConfig(positive_data_acceptance=accepted),
        generation=GenerationConfig(max_examples=examples, no_shrink=True, database="none"),
        continue_on_failure=True,
    )
    return SchemathesisConfig(seed=seed, projects=ProjectsConfig(default=project))


def _send_what_exists(schema: Any, ids: dict[str, list[str]]) -> None:
    """Put ids that there are into most paths; what was generated says which."""

    @schema.hook
    def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
        chosen = dict(path_parameters or {})
        for name, value in chosen.items():
            known = ids.get(name)
            number = crc32(repr(value).encode())
            if known and (number % 4 or name == "tokenId"):
                chosen[name] = known[number // 4 % len(known)]
        return chosen

    @schema.hook
    def map_query(context: Any, query: dict[str, Any]) -> dict[str, Any]:
        if isinstance(query, dict) and str(query.get("wait", "")).isdigit():
            return {**query, "wait": min(int(query["wait"]), 1)}
        return query


def _accept_what_no_schema_can_say(schema: Any) -> None:
    """Let requests that fit the document be refused for what they mean, but not for their shape."""

    @schema.hook
    def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
        if response.status_code == _TOO_LONG:
            return False
        if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
            return True
        error = response.json()["error"]
        codes = {detail["code"] for detail in error["details"]}
        return "schema" in codes or not (codes or error["code"] in _UNSTORABLE)


def _count(totals: Totals, recorder: Any) -> None:
    totals.waived += sum(recorder.filtered_failures.values())
    for key, interaction in recorder.interactions.items():
        totals.cases += 1
        if interaction.response is not None:
            totals.statuses[interaction.response.status_code] += 1
        for node in recorder.checks.get(key, ()):
            totals.checks[node.name] += 1
            if node.status is Status.FAILURE:
                kind = (node.name, recorder.label)
                totals.failures[kind] += 1
                totals.samples.setdefault(kind, _told(node, recorder.cases[key].value, interaction))


def _told(node: Any, case: Any, interaction: Any) -> str:
    failure = node.failure_info.failure if node.failure_info else None
    answer = interaction.response
    content = answer.content[:300] if answer is not None else b""
    status = answer.status_code if answer is not None else None
    return f"{failure}\n  {case.as_curl_command()[:600]}\n  -> {status} {content!r}"


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def show(totals: Totals) -> None:
    """Print what came of the requests."""
    print(f"{totals.cases:,} cases, {sum(totals.checks.values()):,} checks")
    print("statuses: " + ", ".join(f"{code}: {n:,}" for code, n in sorted(totals.statuses.items())))
    by_check = Counter[str]()
    for (name, _), number in totals.failures.items():
        by_check[name] += number
    for name, number in sorted(totals.checks.items()):
        print(f"  {name:32} {number:8,} checks {by_check[name]:6,} failures")
    print(f"refused for what they mean, not for their shape: {totals.waived:,}")
    print(f"5xx: {totals.server_errors}")
    for (name, label), number in sorted(totals.failures.items()):
        print(f"\n{name}: {label} ({number})\n{totals.samples[name, label]}")
    for error in totals.errors:
        print(f"\nerror: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5_000, help="At least so many requests.")
    parser.add_argument("--examples", type=int, default=10, help="Per operation, at random.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scopes", nargs="+", default=SCOPES, choices=SCOPES)
    options = parser.parse_args()
    whole, seed, begun = Totals(), options.seed, time.monotonic()
    with site() as served:
        document = document_of(served.url, served.tokens["read"])
        while whole.cases < options.cases:
            for scope in options.scopes:
                found = check(served, scope, document, seed=seed, examples=options.examples)
                failed = sum(found.failures.values())
                print(f"{scope}: {found.cases:,} cases, {failed:,} failures", flush=True)
                whole.add(found)
            seed += 1
    show(whole)
    print(f"{time.monotonic() - begun:.0f} s")
    return 1 if whole.failures or whole.errors or whole.server_errors else 0


if __name__ == "__main__":
    sys.exit(main())
