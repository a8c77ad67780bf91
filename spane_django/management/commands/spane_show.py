"""`spane_show`: all about one execution: where it stands, why, its nodes and its log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from rich.padding import Padding

from ...clock import now
from ...dispatch.health import listeners
from ...engine.explain import Explanation, explain
from ...engine.health import live_drains
from ...models import Execution, NodeRun
from ...models.payloads import Within
from ...models.story import LogEntry, output
from ..base import SpaneCommand, add_row, coloured, table
from ..parsing import execution_of
from ..showing import ago, execution_json, node_json, nodes_table

_MOST_LINES = 50


class Command(SpaneCommand):
    help = (
        "Shows one execution: its status, why it is not moving if it is not, its nodes, its "
        "errors and its log. An id may be cut short as long as it belongs to no other."
    )
    examples = """\
  manage.py spane_show 0199c0de-7a11-7000-8000-5ca1ab1e0001
  manage.py spane_show 0199c0de7a11                  the beginning of an id is enough
  manage.py spane_show 0199c0de7a11 --payloads       with input and outputs
  manage.py spane_show 0199c0de7a11 --json"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("execution", help="The id, or the beginning of it.")
        parser.add_argument(
            "--payloads", action="store_true", help="Also show the input and the outputs."
        )
        parser.add_argument(
            "--lines", type=int, default=_MOST_LINES, metavar="N",
            help=f"The last lines of the log; {_MOST_LINES}. 0: none.",
        )  # fmt: skip

    def ask(self, **options: Any) -> int | None:
        execution = execution_of(options["execution"])
        runs = list(execution.node_runs.order_by("id"))
        at = now()
        explanation = explain(execution, now=at)
        facts = [*explanation.facts, *self._missing_workers(explanation)]
        lines = execution.logs()[-options["lines"] :] if options["lines"] > 0 else []
        if options["json"]:
            document = _document(execution, runs, lines, has_payloads=options["payloads"])
            document["explanation"] = {"sentence": explanation.sentence, "facts": facts}
            self.write_json(document)
            return None
        self._head(execution)
        self.say("", explanation.sentence)
        for fact in facts:
            self.console.print(Padding(f"- {fact}", (0, 0, 0, 2)))
        self._nodes(runs)
        self._log(lines)
        if options["payloads"]:
            self._payloads(execution, runs)
        return None

    def _missing_workers(self, explanation: Explanation) -> list[str]:
        drains = live_drains(now=now())
        return [
            f"No worker listens on queue '{queue}': start manage.py rqworker {queue}"
            for queue in explanation.queues
            if not drains[queue] and not listeners(queue)
        ]

    def _head(self, execution: Execution) -> None:
        at = now()
        rows: dict[str, object] = {
            "execution": execution.pk,
            "workflow": f"{execution.workflow.key} v{execution.version.number}",
            "status": coloured(execution.status),
            "created": _moment(execution.created_at, at),
            "starts": None if execution.started_at else _moment(execution.start_at, at),
            "started": _moment(execution.started_at, at),
            "finished": _moment(execution.finished_at, at),
            "deadline": None if execution.finished_at else _moment(execution.deadline_at, at),
            "data cleared": _moment(execution.cleared_at, at),
            "key": execution.idempotency_key,
            "replay of": execution.replay_of_id,
            "parent": execution.parent_id and f"{execution.parent_id} ({_place(execution)})",
            "children": _counted(execution.count_children()),
        }
        made = table("", "")
        made.show_header = False
        for name, value in rows.items():
            if value:
                add_row(made, name, value)
        self.console.print(made)

    def _nodes(self, runs: list[NodeRun]) -> None:
        if runs:
            self.say("")
            self.console.print(nodes_table(runs))

    def _log(self, lines: list[LogEntry]) -> None:
        if not lines:
            return
        self.say("")
        made = table("time", "level", "node", "message")
        for line in lines:
            data = f" {line.data}" if line.data else ""
            add_row(
                made, f"{line.at:%T.%f}"[:-3], coloured(line.level), line.node_id,
                line.message + data,
            )  # fmt: skip
        self.console.print(made)

    def _payloads(self, execution: Execution, runs: list[NodeRun]) -> None:
        self.say("\ninput")
        read = Within()
        self.write_json(read(execution.input))
        for run in runs:
            if run.output is not None:
                self.say(f"\noutput of {run.node_id}")
                self.write_json(read(run.output))


def _moment(instant: Any, at: Any) -> str:
    return f"{instant:%F %T} UTC ({ago(instant, now=at)})" if instant else ""


def _place(execution: Execution) -> str:
    item = "" if execution.item is None else f" {execution.item}"
    return f"{execution.get_relation_display()}{item}"


def _counted(children: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in children.items())


def _document(
    execution: Execution, runs: list[NodeRun], lines: list[LogEntry], *, has_payloads: bool
) -> dict[str, Any]:
    document = execution_json(execution)
    document["children"] = execution.count_children()
    document["nodes"] = [node_json(run) for run in runs]
    document["logs"] = [
        {
            "timestamp": line.at,
            "level": line.level,
            "nodeId": line.node_id or None,
            "attempt": line.attempt or None,
            "message": line.message,
            "data": line.data,
        }
        for line in lines
    ]
    if has_payloads:
        read = Within()
        document |= {"input": read(execution.input), "output": output(execution, read)}
        for node, run in zip(document["nodes"], runs, strict=True):
            node["output"] = read(run.output)
    return document
