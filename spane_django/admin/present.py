"""Values as safe HTML: statuses, identifiers, instants, durations, JSON, links.

A status is always an icon, a word and a colour, never a colour alone.  JSON is bounded while it
is written, so that a payload of megabytes costs no more than what is shown of it.  Whatever
comes from outside is escaped here, once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

JSON_CHARACTERS = 20_000
ERROR_CHARACTERS = 200
# The time of a UUID 7 and its first random digits: enough to tell executions apart and to
# search for them.
_SHORT_ID_CHARACTERS = 18

# U+FE0E asks for the plain symbol where a font also has a coloured one.
ICONS = {
    "pending": "○",
    "ready": "◔",
    "running": "▶\ufe0e",
    "waiting": "◑",
    "paused": "❙❙",
    "completed": "✓",
    "failed": "✕",
    "skipped": "↷",
    "cancelled": "⊘",
    "debug": "·",
    "info": "i",
    "warning": "!",
    "error": "✕",
    "added": "+",
    "removed": "−",
    "changed": "~",
}
WORDS: Mapping[str, str | Promise] = {
    "pending": gettext_lazy("pending"),
    "ready": gettext_lazy("ready"),
    "running": gettext_lazy("running"),
    "waiting": gettext_lazy("waiting"),
    "paused": gettext_lazy("paused"),
    "completed": gettext_lazy("completed"),
    "failed": gettext_lazy("failed"),
    "skipped": gettext_lazy("skipped"),
    "cancelled": gettext_lazy("cancelled"),
    "debug": gettext_lazy("debug"),
    "info": gettext_lazy("info"),
    "warning": gettext_lazy("warning"),
    "error": gettext_lazy("error"),
    "added": gettext_lazy("added"),
    "removed": gettext_lazy("removed"),
    "changed": gettext_lazy("changed"),
}


def chip(status: str, word: str | Promise = "", *, count: int | None = None) -> SafeString:
    """Return a status, or the level of a log line, as an icon and a word in its colour.

    Args:
        status: Gives the icon and the colour.
        word: Another word than that of the status.
        count: How many there are of it.
    """
    return format_html(
        '<span class="spane-chip spane-{}"><span aria-hidden="true">{}</span> {}{}</span>',
        status,
        ICONS[status],
        "" if count is None else f"{count} ",
        word or WORDS[status],
    )


def short_id(pk: UUID) -> str:
    """Return the beginning of an execution's id, by which it can also be searched."""
    return str(pk)[:_SHORT_ID_CHARACTERS]


def code(text: object, title: str = "") -> SafeString:
    """Return an identifier in a fixed-width face, isolated from the direction of the page."""
    return format_html('<bdi><code title="{}">{}</code></bdi>', title, text)


def instant(at: datetime | None) -> SafeString | None:
    """Return an instant to the second in the current time zone."""
    return None if at is None else _time(at, localtime(at).strftime("%Y-%m-%d %H:%M:%S"))


def lately(at: datetime | None) -> SafeString | None:
    """Return an instant for a narrow column: today's without the day, others without seconds."""
    if at is None:
        return None
    here = localtime(at)
    is_today = here.date() == localtime().date()
    return _time(at, here.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M"))


def moment(at: datetime) -> SafeString:
    """Return an instant to the millisecond, today's without the day."""
    return _time(at, moment_text(at))


def moment_text(at: datetime) -> str:
    """Return the text of `moment`."""
    here = localtime(at)
    day = "" if here.date() == localtime().date() else f"{here:%Y-%m-%d} "
    return day + here.time().isoformat("milliseconds")


def length(span: timedelta | None) -> SafeString | None:
    """Return a duration in its two largest units."""
    return None if span is None else format_html("<bdi>{}</bdi>", spelled(span))


def spelled(span: timedelta) -> str:
    """Return a duration in its two largest units, as text."""
    milliseconds = max(round(span.total_seconds() * 1_000), 0)
    if milliseconds < 1_000:
        return _("%d ms") % milliseconds
    if milliseconds < 59_950:
        return _("%.1f s") % (milliseconds / 1_000)
    minutes, rest = divmod(round(milliseconds / 1_000), 60)
    if minutes < 60:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    days, hours = divmod(hours, 24)
    return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours}


def progress(done: int, total: int) -> SafeString:
    """Return how many of the nodes are done, as a bar and in figures."""
    return format_html(
        '<span class="spane-nowrap"><progress class="spane-progress" value="{}" max="{}"'
        ' aria-label="{}"></progress> {}/{}</span>',
        done,
        max(total, 1),
        _("progress"),
        done,
        total,
    )


def pretty(value: Any, *, limit: int = JSON_CHARACTERS) -> SafeString:
    """Return JSON, indented and cut off at ``limit`` characters, in a box that scrolls."""
    text = ""
    for chunk in json.JSONEncoder(indent=2, ensure_ascii=False, default=str).iterencode(value):
        text += chunk[: limit + 1]
        if len(text) > limit:
            return block(text[:limit]) + _cut(limit)
    return block(text)


def block(text: str) -> SafeString:
    """Return preformatted text in a box that scrolls and can be reached by keyboard."""
    return format_html('<pre class="spane-block" tabindex="0" dir="ltr">{}</pre>', text)


def command(text: str) -> SafeString:
    """Return text that is there to be copied, in a box like that of `block`."""
    return format_html(
        '<pre class="spane-block spane-copied" tabindex="0" dir="ltr" data-copy="{}"'
        ' data-copied="{}">{}</pre>',
        _("Copy"),
        _("Copied"),
        text,
    )


def brief(text: str, limit: int = ERROR_CHARACTERS) -> str:
    """Return the first line of a text, cut off at ``limit`` characters."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= limit else line[: limit - 1] + "…"


def page_of(obj: Model | type[Model], pk: object, site: str) -> str:
    """Return the address of a row's page in the admin site of this name."""
    meta = obj._meta
    name = f"admin:{meta.app_label}_{meta.model_name}_change"
    return reverse(name, args=[quote(str(pk))], current_app=site)


def list_of(model: type[Model], site: str, **lookups: str | int) -> str:
    """Return the address of a model's list, narrowed by ``lookups``."""
    meta = model._meta
    path = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist", current_app=site)
    return f"{path}?{urlencode(lookups)}" if lookups else path


def link(url: str, content: object) -> SafeString:
    """Return a link."""
    return format_html('<a href="{}">{}</a>', url, content)


def _time(at: datetime, text: str) -> SafeString:
    full = localtime(at).isoformat(sep=" ", timespec="milliseconds")
    return format_html(
        '<time class="spane-nowrap" dir="ltr" datetime="{}" title="{}">{}</time>',
        at.isoformat(),
        full,
        text,
    )


def query(request: HttpRequest, **changes: Any) -> str:
    """Return the page's query with some of it changed."""
    changed = request.GET.copy()
    for name, value in changes.items():
        changed.setlist(name, value if isinstance(value, list) else [value])
    return f"?{changed.urlencode()}"


def spark(values: Sequence[float], *, width: float = 120.0, height: float = 24.0) -> str:
    """Return a line through values as the path of an SVG; empty of fewer than two."""
    if len(values) < 2:
        return ""
    most = max(values) or 1
    step = width / (len(values) - 1)
    points = (
        f"{index * step:.1f} {height - value / most * height:.1f}"
        for index, value in enumerate(values)
    )
    return "M" + "L".join(points)


def drawn_spark(values: Sequence[float]) -> SafeString:
    """Return a line through values as a small picture."""
    return format_html(
        '<svg class="spane-spark" viewBox="0 -1 120 26" width="120" height="26"'
        ' aria-hidden="true"><path d="{}"/></svg>',
        spark(values),
    )


def _cut(limit: int) -> SafeString:
    note = _("Cut off after %(limit)d characters.") % {"limit": limit}
    return format_html('<p class="spane-note">{}</p>', note)
