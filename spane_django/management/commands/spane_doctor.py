"""`spane_doctor`: what is wrong with this site, and how to put it right."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ...clock import now
from ..base import SpaneCommand, add_row, coloured, table
from ..doctor import ERROR, OK, WARNING, Finding, examine


class Command(SpaneCommand):
    help = (
        "Looks at settings, database, Redis, workers, scheduler and the work itself, and says "
        "how to put right what is wrong. Writes nothing. Exit code 1: there are errors."
    )
    examples = """\
  manage.py spane_doctor
  manage.py spane_doctor --json"""
    has_json = True

    def ask(self, **options: Any) -> int | None:
        findings = examine(now=now())
        if options["json"]:
            self.write_json([asdict(finding) for finding in findings])
        else:
            self._tell(findings)
        return int(any(finding.level == ERROR for finding in findings))

    def _tell(self, findings: list[Finding]) -> None:
        made = table("", "", "")
        made.show_header = False
        for finding in findings:
            add_row(made, coloured(finding.level), finding.area, finding.message)
            if finding.fix and finding.level != OK:
                add_row(made, "", "", f"→ {finding.fix}")
        self.console.print(made)
        counts = {
            level: sum(item.level == level for item in findings) for level in (ERROR, WARNING)
        }
        self.say(f"\nerrors: {counts[ERROR]}, warnings: {counts[WARNING]}")
