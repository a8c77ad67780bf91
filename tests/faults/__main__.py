"""``python -m tests.faults``: inject faults on both databases, and print what was struck.

Further arguments are pytest's: ``-n 2 --dist loadfile`` uses two processes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

DATABASES = ("sqlite", "postgresql")
# The form of the report that has room for what each test tells.
_FORM = "junit_family=xunit1"


def main() -> int:
    """Run the tests on each database and print the table; return 0 if all of them hold."""
    struck: dict[str, Counter[str]] = {}
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        for database in DATABASES:
            told = Path(directory) / f"{database}.xml"
            chosen = [f"--database={database}", f"--junitxml={told}", *sys.argv[1:]]
            command = [sys.executable, "-m", "pytest", "tests/faults", "-o", _FORM, *chosen]
            failed |= bool(subprocess.run(command, check=False).returncode)
            struck[database] = _counts(told)
    sys.stdout.write(_table(struck))
    return int(failed)


def _table(struck: dict[str, Counter[str]]) -> str:
    rows = [(verb, [count[verb] for count in struck.values()]) for verb in sorted(_verbs(struck))]
    rows.append(("in all", [count.total() for count in struck.values()]))
    head = f"\n{'verb':<20}" + "".join(f"{database:>12}" for database in struck)
    lines = [f"{verb:<20}" + "".join(f"{count:>12,}" for count in counts) for verb, counts in rows]
    return "\n".join([head, *lines, ""])


def _verbs(struck: dict[str, Counter[str]]) -> set[str]:
    return set().union(*struck.values())


def _counts(told: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for each in ElementTree.parse(told).iter("property"):
        counts[each.attrib["name"]] += int(each.attrib["value"])
    return counts


if __name__ == "__main__":
    sys.exit(main())
