"""The engine beside its peers, as a picture made of the lines of `peers/compare.py`.

    python benchmarks/picture.py results.jsonl > docs/images/performance.svg

Bars are nodes per second on a logarithmic scale, as they differ by orders of magnitude; those of
engines that keep their state in PostgreSQL are solid, the others are outlined.  Colours follow
the reader's choice of light or dark.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

TITLES = {
    "chain10": "1,000 chains of 10",
    "fan100": "20 × 1 → 100 → 1",
    "fan1000": "1 → 1,000 → 1",
}
NAMES = {
    "spane_django": "spane_django",
    "dbos": "DBOS",
    "celery": "Celery canvas",
    "rq": "RQ depends_on",
    "prefect": "Prefect",
}
DURABLE = {"spane_django", "dbos"}
WIDTH, LEFT, RIGHT, TOP = 760, 150, 90, 64
BAR, GAP, TITLE = 18, 6, 34
STYLE = """
  svg { font: 13px system-ui, sans-serif; color: #1f2328; background: #ffffff }
  text { fill: currentColor }
  .soft { fill: #59636e }
  .title { font-weight: 600 }
  .ours { fill: #0a6e6e } .durable { fill: #57606a } .other { fill: none; stroke: #57606a }
  .line { stroke: #d1d9e0 }
  @media (prefers-color-scheme: dark) {
    svg { color: #e6edf3; background: #0d1117 }
    .soft { fill: #9198a1 }
    .ours { fill: #3fb6b6 } .durable { fill: #9198a1 } .other { stroke: #9198a1 }
    .line { stroke: #3d444d }
  }
"""


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("results", type=Path)
    lines = [json.loads(line) for line in made.parse_args().results.read_text().splitlines()]
    print(picture(lines))


def picture(lines: Iterable[dict[str, Any]]) -> str:
    """Return the picture of what was compared.

    Raises:
        ValueError: nothing was.
    """
    lines = [line for line in lines if line["benchmark"] == "compare"]
    figures = [line for line in lines if line.get("unit") == "nodes/s" and line["value"]]
    if not figures:
        raise ValueError("there are no figures of peers/compare.py")
    machine = next(line for line in lines if line["name"] == "machine")
    most = math.ceil(math.log10(max(line["value"] for line in figures)))
    parts, top = [], TOP
    for name, title in TITLES.items():
        rows = [line for line in figures if line["name"] == name]
        if rows:
            parts += [_text(LEFT, top + 12, title, "title"), *_bars(rows, top + 20, most)]
            top += TITLE + len(rows) * (BAR + GAP)
    return _svg(parts, top + 24, machine, most)


def _bars(rows: list[dict[str, Any]], top: int, most: int) -> Iterable[str]:
    for number, line in enumerate(rows):
        y = top + number * (BAR + GAP)
        end = _x(line["value"], most)
        engine = line["engine"]
        kind = "ours" if engine == "spane_django" else "durable" if engine in DURABLE else "other"
        yield _text(LEFT - 8, y + 14, NAMES[engine], "", anchor="end")
        yield f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR}"/>'
        yield _text(end + 6, y + 14, f"{line['value']:,.0f}", "")


def _svg(parts: list[str], height: int, machine: dict[str, Any], most: int) -> str:
    about = f"{machine['at'][:10]}, {machine['cores']} cores ({machine['cpu']}), medians"
    grid = []
    for power in range(1, most + 1):
        x = _x(10**power, most)
        grid.append(f'<path class="line" d="M{x:.1f} {TOP - 10}V{height - 24}"/>')
        grid.append(_text(x, height - 8, f"{10**power:,}", "soft", anchor="middle"))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="t">',
            '<title id="t">Nodes per second, beside other engines in the same run</title>',
            f"<style>{STYLE}</style>",
            _text(16, 24, "Nodes per second (logarithmic), no-op nodes, same run", "title"),
            _text(16, 42, f"{about}; solid: durable in PostgreSQL, outlined: not", "soft"),
            *grid,
            *parts,
            "</svg>",
        ]
    )


def _x(value: float, most: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * max(0.0, math.log10(max(value, 1))) / most


def _text(x: float, y: float, text: str, kind: str, *, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    main()
