"""How a line of a log is told: on the page, to a page that follows it, and in a file.

Messages and data are cut off on a page and whole in a file.  In a file each line begins with its
instant: further lines of a message are indented, and what a terminal takes for a command is
replaced, so that nothing a node writes looks like something else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from ..models import LogLine, NodeRun
from ..models.story import LogEntry, latest
from ..observability.stream import Event
from .log_lines import Told, Wanted, told_by
from .present import ICONS, WORDS, brief, chip, moment, moment_text

_MESSAGE_CHARACTERS = 2_000
_DATA_CHARACTERS = 1_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def shown(told: Told, *, with_data: bool) -> dict[str, object]:
    """Return a line for the page."""
    entry = told.entry
    return {
        "at": moment(entry.at),
        "level": chip(entry.level),
        "node_id": entry.node_id,
        "attempt": entry.attempt,
        "message": entry.message[:_MESSAGE_CHARACTERS],
        "data": _data(entry) if with_data else "",
        "is_event": not told.line,
    }


def text_line(entry: LogEntry, with_data: bool) -> str:
    """Return a line of a file of text."""
    place = f"{entry.node_id}#{entry.attempt}" if entry.attempt else entry.node_id or "-"
    text = (
        f"{entry.message} {json.dumps(entry.data)}" if with_data and entry.data else entry.message
    )
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).replace("\n", "\n    ")
    at = entry.at.isoformat(timespec="milliseconds")
    return f"{at} {entry.level.upper():7} {place} {text}\n"


def json_line(entry: LogEntry, with_data: bool) -> str:
    """Return a line of a file of JSON lines, named as the API names it."""
    line = {
        "timestamp": entry.at.isoformat(),
        "level": entry.level,
        "message": entry.message,
        "nodeId": entry.node_id or None,
        "attempt": entry.attempt or None,
        "data": entry.data if with_data else None,
    }
    return json.dumps(line, ensure_ascii=False) + "\n"


def sent(events: Iterable[Event], wanted: Wanted, *, with_data: bool) -> list[list[object]]:
    """Return the lines that events add to a log that is followed, as `tail.js` wants them."""
    found = (_line_of(event, wanted) for event in events)
    return [_sent(told, with_data=with_data) for told in found if told and wanted.fits(told.entry)]


def _line_of(event: Event, wanted: Wanted) -> Told | None:
    match event.subject:
        case LogLine():
            return told_by(event.subject)
        case NodeRun() if not wanted.only_lines:
            entry = latest(event.subject)
            return Told(entry) if entry else None
    return None


def _sent(told: Told, *, with_data: bool) -> list[object]:
    entry = told.entry
    node = f"{entry.node_id} #{entry.attempt}" if entry.attempt else entry.node_id
    return [
        told.line,
        entry.at.isoformat(timespec="microseconds"),
        moment_text(entry.at),
        entry.level,
        ICONS[entry.level],
        str(WORDS[entry.level]),
        node,
        entry.message[:_MESSAGE_CHARACTERS],
        _data(entry) if with_data else "",
    ]


def _data(entry: LogEntry) -> str:
    if not entry.data:
        return ""
    return brief(json.dumps(entry.data, ensure_ascii=False), _DATA_CHARACTERS)
