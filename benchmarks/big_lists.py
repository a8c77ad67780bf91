"""How long the admin's pages take with a long past behind them.

    python benchmarks/big_lists.py [--executions N] [--dead-letters N] [--only WORD] [--check]

Fills a PostgreSQL database with a month of executions (one node run and one log line each), then
opens every list of the admin, each of its filters, its search and its pages as a superuser, and
as a user of one tenant.  See ``--help`` for what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

from archive import fill, steps
from common import stage
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

MOST_QUERIES, MOST_MS = 12, 300.0
LISTS = {
    "executions": "execution",
    "dead letters": "deadletter",
    "node runs": "noderun",
    "log lines": "logline",
    "audit": "auditentry",
    "workflows": "workflow",
}
_CHOICES = 6
_HELP = f"""\
what is printed
  One JSON object per line and page: "page" names it, "queries" is how many statements it sends,
  "ms" the median of the milliseconds the server takes for it (request to finished HTML, through
  Django's test client, so without a network), "first_ms" what it took when it was opened first,
  "kb" the size of its HTML, "slowest" the share and the beginning of its slowest statement.

what is right
  The list of executions and each of its filters stays within {MOST_QUERIES} statements and
  {MOST_MS:.0f} ms however long the past is, since nothing of it counts or sorts all rows.  With
  --check the exit code is 1 if one of them does not.

what it stands on
  The PostgreSQL of DATABASE_URL, in a database of its own; else a server that is started for it.
  Either way nothing is left behind.  A million executions need about 2 GB of disk and two
  minutes.

examples
  python benchmarks/big_lists.py --executions 100000       a shorter past
  python benchmarks/big_lists.py --only "dead letters"     pages whose name has these words
  python benchmarks/big_lists.py | jq -s 'sort_by(-.ms)[:5]'
"""


def main() -> int:
    options = _options()
    with stage(), _bar(options.show_bar) as bar:
        from django.conf import settings

        # Every statement is kept while it is on.
        settings.DEBUG = False
        task = bar.add_task("", total=steps())

        def tell(said: str) -> None:
            bar.update(task, description=f"making {said}", advance=1)

        fill(options.executions, options.dead_letters, tell=tell)
        pages = [page for page in _pages() if options.only in page[0]]
        bar.update(task, total=len(pages), completed=0)
        slow = []
        for name, path, client in pages:
            bar.update(task, description=name)
            found = _measured(name, path, client, options.repeat)
            bar.update(task, advance=1)
            print(json.dumps(found), flush=True)
            is_slow = found["queries"] > MOST_QUERIES or found["ms"] > MOST_MS
            slow += [name] if name.startswith("executions") and is_slow else []
    if slow:
        print("over the bounds: " + ", ".join(slow), file=sys.stderr)
    return 1 if slow and options.check else 0


def _pages() -> Iterator[tuple[str, str, Any]]:
    """Yield the name of each page, its path, and a client whose user looks at it."""
    from django.urls import reverse

    boss = _client()
    for name, model in LISTS.items():
        path = reverse(f"admin:spane_django_{model}_changelist")
        yield name, path, boss
        for said, query in _ways(boss, path):
            yield f"{name}: {said}", path + query, boss
    for said, view in (("dead letters by error", "deadletter_groups"), ("dashboard", None)):
        path = reverse(f"admin:spane_django_{view or 'dashboard_changelist'}")
        yield said, path, boss
        if view is None:
            yield from ((f"dashboard: {at}", f"{path}?range={at}", boss) for at in ("1h", "30d"))
    yield from _of_a_row(boss)
    somebody = _somebody()
    for name, model in LISTS.items():
        path = reverse(f"admin:spane_django_{model}_changelist")
        yield f"{name} of a tenant", path, somebody


def _ways(client: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield every choice of each filter of a list, its search, and its other pages."""
    from spane_django.models import Execution

    listed = client.get(path).context_data["cl"]
    for spec in listed.filter_specs:
        choices = [each for each in spec.choices(listed) if not each["selected"]]
        for choice in choices[:_CHOICES]:
            query = choice["query_string"]
            yield f"{spec.title} {choice['display']}", query
    if listed.search_fields:
        ids = Execution.objects.order_by("pk").values_list("pk", flat=True)
        one = str(ids[Execution.objects.count() // 2])
        yield "search by id", f"?q={one}"
        if listed.model is Execution:
            yield "search by beginning", f"?q={one[:8]}"
        yield "search for what is not there", "?q=ffffffff-ffff-7fff-bfff-ffffffffffff"
    if listed.multi_page:
        yield "page 2", "?p=2"
        yield f"page {listed.paginator.num_pages}", f"?p={listed.paginator.num_pages}"


def _of_a_row(client: Any) -> Iterator[tuple[str, str, Any]]:
    from django.urls import reverse

    from spane_django.models import Execution, Workflow

    failed = Execution.objects.filter(status="failed").first()
    assert failed is not None
    yield (
        "one execution",
        reverse("admin:spane_django_execution_change", args=[failed.pk]),
        client,
    )
    busiest = Workflow.objects.order_by("pk").first()
    assert busiest is not None
    yield (
        "one workflow",
        reverse("admin:spane_django_workflow_change", args=[busiest.pk]),
        client,
    )


def _measured(name: str, path: str, client: Any, repeat: int) -> dict[str, Any]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def once() -> float:
        began = time.perf_counter()
        response = client.get(path)
        took = (time.perf_counter() - began) * 1_000
        assert response.status_code == 200, f"{path}: {response.status_code}"
        return took

    first = once()
    with CaptureQueriesContext(connection) as caught:
        size = len(client.get(path).content)
    slowest = max(caught.captured_queries, key=lambda query: float(query["time"]))
    return {
        "page": name,
        "queries": len(caught),
        "ms": round(statistics.median(once() for _ in range(repeat)), 1),
        "first_ms": round(first, 1),
        "kb": size // 1024,
        "slowest": f"{float(slowest['time']) * 1_000:.0f} ms {_told(slowest['sql'])}",
    }


def _told(statement: str) -> str:
    """Return a statement without its columns."""
    begin = statement.find(" FROM ")
    return f"SELECT …{statement[begin : begin + 240]}"


def _client() -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def _somebody() -> Any:
    """Return a client of a user who has one tenant, in a project that has tenants."""
    from django.contrib.auth.models import Permission, User
    from django.test import Client, override_settings

    from spane_django.models import Tenant

    class Somebody(Client):
        def get(self, *args: Any, **kwargs: Any) -> Any:
            with override_settings(SPANE={"TENANT_MODEL": "spane_django.Tenant"}):
                return super().get(*args, **kwargs)

    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    Tenant.objects.create(key="tenant-0", name="One of twenty").users.add(user)
    client = Somebody()
    client.force_login(user)
    return client


def _bar(is_shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    shown = is_shown and console.is_terminal
    return Progress(*columns, TimeElapsedColumn(), console=console, disable=not shown)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    number = {"type": int, "metavar": "N"}
    parser.add_argument("--executions", **number, default=1_000_000, help="1,000,000")
    parser.add_argument("--dead-letters", **number, default=20_000, help="open ones; 20,000")
    parser.add_argument("--repeat", **number, default=5, help="measurements per page; 5")
    parser.add_argument("--only", metavar="WORD", default="", help="pages with this in their name")
    parser.add_argument("--check", action="store_true", help="fail if executions are slow")
    parser.add_argument("--no-bar", dest="show_bar", action="store_false", help="no progress bar")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
