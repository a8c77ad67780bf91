"""Runs the benchmarks one after the other and puts what they found into the documents.

    python benchmarks/report.py --all --peers DIRECTORY --data DIRECTORY
    python benchmarks/report.py throughput length          (these alone)
    python benchmarks/report.py --only-write               (documents from the lines that are kept)

Some 25 minutes for all on two quiet cores; nothing else should run meanwhile.  PostgreSQL and
Redis are started once for all of them, but for `scale`, which has a PostgreSQL of its own.  The
lines are kept in docs/performance.jsonl: those of a benchmark replace its earlier ones.  Tables
in docs/performance.md and docs/scaling.md stand between ``<!-- results: NAME -->`` and
``<!-- end -->``; the picture is docs/images/performance.svg.  `long_run` is not among all: it
takes half an hour by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import ROOT
from output import parser
from picture import NAMES, TITLES, picture

DOCS = ROOT / "docs"
KEPT = DOCS / "performance.jsonl"
DOCUMENTS = (DOCS / "performance.md", DOCS / "scaling.md")
PICTURE = DOCS / "images" / "performance.svg"
ALL = (
    "throughput", "latency", "length", "fanout", "starts", "waiting", "map", "limits", "fairness",
    "webhooks", "api", "memory", "queries", "simulate", "compare", "scale",
)  # fmt: skip
MARKED = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
Lines = list[dict[str, Any]]


def main() -> None:
    options = _options()
    lines = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    if not options.only_write:
        for name, found in _run_all(options):
            lines = [line for line in lines if line["benchmark"] != name] + found
            KEPT.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    write(lines)


def write(lines: Lines) -> None:
    """Put lines into the documents and the picture."""

    def table(found: re.Match[str]) -> str:
        mine = [line for line in lines if line["benchmark"] == found[2]]
        return f"{found[1]}{TABLES.get(found[2], _plain)(mine)}{found[3]}"

    for document in DOCUMENTS:
        document.write_text(MARKED.sub(table, document.read_text()))
    if any(line["benchmark"] == "compare" for line in lines):
        PICTURE.write_text(picture(lines) + "\n")


def _run_all(options: argparse.Namespace) -> Any:
    from tests.services import postgres, redis

    with postgres() as database_url, redis() as redis_url:
        servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        for name in ALL if options.all else options.benchmark:
            arguments = _arguments(name, options)
            if arguments is None:
                print(f"{name}: left out, its directory is not given", file=sys.stderr)
                continue
            script = f"peers/{name}.py" if name == "compare" else f"{name}.py"
            done = subprocess.run(
                [sys.executable, str(ROOT / "benchmarks" / script), *arguments],
                cwd=ROOT, env=os.environ | servers, stdout=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                print(f"{name}: ended with {done.returncode}", file=sys.stderr)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            # What each minute of a run was like is for those who watch it.
            yield name, [line for line in lines if "minute" not in line]


def _arguments(name: str, options: argparse.Namespace) -> list[str] | None:
    given = {"compare": [options.peers], "scale": ["--data", options.data]}.get(name, [])
    return None if None in given else [str(one) for one in given]


def _plain(lines: Lines) -> str:
    rows = [line for line in lines if line["name"] != "machine"]
    if not rows:
        return "Not measured yet.\n"
    head = "| figure | value | | baseline | ratio |\n|---|---:|---|---:|---:|\n"
    return _machine(lines) + head + "".join(_row(line) for line in rows)


def _row(line: dict[str, Any]) -> str:
    base, ratio = line.get("baseline"), line.get("ratio")
    shown = [
        f"`{line['name']}`", _number(line["value"]), line["unit"],
        "" if base is None else _number(base), "" if ratio is None else _number(ratio),
    ]  # fmt: skip
    return f"| {' | '.join(shown)} |\n"


def _compared(lines: Lines) -> str:
    rows = [line for line in lines if line["name"] != "machine"]
    if not rows:
        return "Not measured yet.\n"
    titles = TITLES | {"lone100": "a lone chain of 100", "single": "one node, start to end"}
    text = "![nodes per second beside other engines](images/performance.svg)\n\n"
    text += _machine(lines) + "| | engine | value | | the engine is | scale |\n"
    text += "|---|---|---:|---|---:|---:|\n"
    for line in rows:
        times = f"{line['times_faster']:.1f} ×" if "times_faster" in line else ""
        name = NAMES[line["engine"]] if "engine" in line else "?"
        shown = [
            titles[line["name"]], name, _number(line["value"]), line["unit"], times,
            _number(line.get("scale", 1)),
        ]  # fmt: skip
        text += f"| {' | '.join(shown)} |\n"
    said = {line["engine"]: line for line in rows if "guarantee" in line}
    text += "\n| engine | guarantees | run as |\n|---|---|---|\n"
    for engine, line in said.items():
        run_as = line.get("settings", "2 workers, PostgreSQL with fsync on")
        version = f" ({line['version']})" if "version" in line else ""
        text += f"| {NAMES[engine]}{version} | {line['guarantee']} | {run_as} |\n"
    return text


def _simulated(lines: Lines) -> str:
    rows = [line for line in lines if "limit" in line]
    if not rows:
        return "Not measured yet.\n"
    text = (
        _machine(lines)
        + "Measured of one worker: "
        + ", ".join(
            f"{line['name'].removeprefix('measured_')} {_number(line['value'])}"
            for line in lines
            if line["name"].startswith("measured_")
        )
    )
    text += ".\n\n| database cores | node | workers | nodes/s | × one worker | busiest |\n"
    text += "|---:|---:|---:|---:|---:|---|\n"
    for line in rows:
        shown = [
            str(line["database_cores"]), f"{line['node_ms']:g} ms", str(line["connections"]),
            _number(line["value"]), _number(line["ratio"]),
            f"{line['limit']} ({line['limit_used']:.0%})",
        ]  # fmt: skip
        text += f"| {' | '.join(shown)} |\n"
    return text


TABLES: dict[str, Callable[[Lines], str]] = {"compare": _compared, "simulate": _simulated}


def _machine(lines: Lines) -> str:
    machine = next((line for line in lines if line["name"] == "machine"), None)
    if machine is None:
        return ""
    return (
        f"{machine['at'][:16].replace('T', ' ')} UTC, {machine['cores']} cores ({machine['cpu']}), "
        f"{machine['memory_gb']} GB, Python {machine['python']}, "
        f"load before the run {machine['load_before']}.\n\n"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("benchmark", nargs="*", help=", ".join(ALL) + ", long_run")
    made.add_argument("--all", action="store_true", help="all but long_run")
    made.add_argument("--peers", type=Path, help="where peers/install.py has put the peers")
    made.add_argument("--data", type=Path, help="where scale.py keeps its PostgreSQL")
    made.add_argument("--only-write", action="store_true", help="run nothing")
    options = made.parse_args()
    unknown = set(options.benchmark) - {*ALL, "long_run"}
    if unknown:
        made.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    if not (options.all or options.benchmark or options.only_write):
        made.error("say --all, or which benchmarks")
    return options


if __name__ == "__main__":
    main()
