"""What a definition says beside its nodes, in words, and what holds where it says nothing.

Each row names the option as a definition writes it, so that whoever wants it otherwise knows what
to publish; a value that the definition does not give is marked as the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ..conf import settings
from ..core.definition import Definition, NodeDefinition
from ..core.limits import breaker_from, limit_from
from ..core.retry import Backoff
from ..core.starting import OnDuplicate, Overflow
from ..models import Workflow, WorkflowVersion
from .present import WORDS, code, length, link, list_of

MOST_NODES = 100

Words = SafeString | str | Promise


@dataclass(frozen=True, slots=True)
class Setting:
    """A row: what is said, in words, and where.

    Attributes:
        option: As a definition writes it.
        is_default: The definition does not say it.
    """

    label: Words
    option: str
    value: Words
    is_default: bool


def setting_rows(version: WorkflowVersion, site: str) -> list[Setting]:
    """Return what holds for the executions of a version."""
    definition = Definition(version.definition)
    return [
        Setting(label, option, value(definition), option not in definition.raw)
        for label, option, value in (*_ROWS, (_LABEL_OF_HANDLER, "onError", _handler_in(site)))
    ]


def node_rows(version: WorkflowVersion) -> list[tuple[str, Words]]:
    """Return what single nodes say of themselves: limits, retries, queues and the like."""
    definition = Definition(version.definition)
    told = ((key, _of_node(node)) for key, node in definition.nodes.items())
    return [(node, words) for node, words in told if words][:MOST_NODES]


def _queue(definition: Definition) -> Words:
    return code(definition.queue or settings.QUEUE)


def _priority(definition: Definition) -> Words:
    return _("%d of 10, higher goes first") % definition.priority


def _timeout(definition: Definition) -> Words:
    return length(definition.timeout) or _("none: an execution may take as long as it likes")


def _nodes_at_once(definition: Definition) -> Words:
    most = definition.max_concurrency
    if most is None:
        return _("any number of nodes of one execution run at once")
    told = ngettext("%d node of one execution", "%d nodes of one execution at once", most)
    return told % most


def _executions_at_once(definition: Definition) -> Words:
    limit = definition.max_executions
    if limit is None:
        return _("any number")
    whose = _("%d of each key") if limit.is_per_key else "%d"
    return f"{whose % limit.most}; {_OVERFLOWS[limit.overflow]}"


_OVERFLOWS: dict[Overflow, Any] = {
    Overflow.QUEUE: gettext_lazy("one more waits, higher priority first"),
    Overflow.REJECT: gettext_lazy("one more is refused"),
    Overflow.CANCEL_OLDEST: gettext_lazy("one more cancels the oldest"),
}


def _key(definition: Definition) -> Words:
    if definition.key is None:
        return _("nobody's in particular: executions have no key unless their start gives one")
    return format_html("{} {}", _("of whom this finds in the input:"), code(definition.key))


def _duplicates(definition: Definition) -> Words:
    rule = definition.duplicates
    if rule is None:
        return _("nothing is a duplicate")
    action = _ACTIONS[rule.action]
    if rule.wait is not None:
        action = format_html("{} ({})", action, length(rule.wait))
    alike = code(rule.key) if rule.key else _("all of the input")
    return format_html("{}; {} {}", action, _("alike by"), alike)


_ACTIONS: dict[OnDuplicate, Any] = {
    OnDuplicate.ALLOW: gettext_lazy("both run"),
    OnDuplicate.REJECT: gettext_lazy("the second one is refused"),
    OnDuplicate.RETURN: gettext_lazy("the first one is given back"),
    OnDuplicate.REPLACE: gettext_lazy("the second one replaces one that has not begun"),
    OnDuplicate.DEBOUNCE: gettext_lazy("it starts once nothing alike has come for a while"),
}


def _fail_fast(definition: Definition) -> Words:
    if definition.is_fail_fast:
        return _("nothing new starts anywhere")
    return _("what follows that node is cancelled; other branches go on")


def _handler_in(site: str) -> Callable[[Definition], Words]:
    def told(definition: Definition) -> Words:
        key = definition.error_handler
        if key is None:
            return _("nothing else is started")
        url = list_of(Workflow, site, q=key)
        return format_html("{} {}", link(url, code(key)), _("is started"))

    return told


def _finally(definition: Definition) -> Words:
    body = definition.raw.get("finally")
    undo = [_("what was done is undone if it has failed")] if definition.has_undo else []
    ends = [format_html("{} {}", code(body["type"]), _("runs"))] if body else []
    return format_html_join("; ", "{}", [(part,) for part in (*undo, *ends)]) or _("nothing")


def _saves(definition: Definition) -> Words:
    return str(_SAVES[definition.save_data])


_SAVES: dict[str, Any] = {
    "all": gettext_lazy("inputs and outputs of all executions"),
    "failed": gettext_lazy("inputs and outputs of those that failed; of others they go at the end"),
    "none": gettext_lazy("none: inputs and outputs go when an execution ends"),
}


def _kept(definition: Definition) -> Words:
    own = definition.keep_days
    told = []
    for status in ("completed", "failed", "cancelled"):
        days = own[status] if status in own else settings.KEEP_DAYS.get(status)
        kept = _("for ever") if days is None else _("%g days") % days
        from_settings = "" if status in own or days is None else " " + _("(by the settings)")
        told.append((WORDS[status], f"{kept}{from_settings}"))
    return format_html_join(", ", "{}: {}", told)


def _schema(definition: Definition) -> Words:
    schema = definition.input_schema
    if schema is None:
        return _("anything")
    fields = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    needed = set(schema.get("required", ())) if isinstance(schema, Mapping) else set()
    named = [(code(f"{name}*" if name in needed else name),) for name in fields]
    return format_html_join(", ", "{}", named) or _("what its schema allows")


_LABEL_OF_HANDLER = gettext_lazy("If an execution fails")
_ROWS: tuple[tuple[Any, str, Callable[[Definition], Words]], ...] = (
    (gettext_lazy("Queue"), "queue", _queue),
    (gettext_lazy("Priority"), "priority", _priority),
    (gettext_lazy("Input"), "inputSchema", _schema),
    (gettext_lazy("Time limit"), "timeout", _timeout),
    (gettext_lazy("Executions at once"), "maxExecutions", _executions_at_once),
    (gettext_lazy("Nodes at once"), "maxConcurrency", _nodes_at_once),
    (gettext_lazy("Key"), "key", _key),
    (gettext_lazy("Duplicates"), "onDuplicate", _duplicates),
    (gettext_lazy("If a node fails"), "failFast", _fail_fast),
    (gettext_lazy("At the end"), "finally", _finally),
    (gettext_lazy("Data that are kept"), "saveData", _saves),
    (gettext_lazy("Executions are kept"), "keepDays", _kept),
)


def _of_node(node: NodeDefinition) -> Words:
    told = [*_retries(node), *_limits(node), *_places(node)]
    return format_html_join("; ", "{}", [(part,) for part in told])


def _retries(node: NodeDefinition) -> Iterator[Words]:
    if "retries" in node.options or "retryPolicy" in node.options:
        policy = node.retry()
        told = ngettext("%d attempt", "%d attempts", policy.attempts) % policy.attempts
        yield (
            told
            if policy.attempts == 1
            else format_html(
                "{}, {} {} {}",
                told,
                _("the second after"),
                length(policy.base),
                _WAITS[policy.backoff],
            )
        )
    if node.continues_on_fail:
        yield _("a failure is handed on as data")
    if node.error_outputs:
        yield _("a failure leads elsewhere")


_WAITS: dict[Backoff, Any] = {
    Backoff.EXPONENTIAL: gettext_lazy("and longer each time"),
    Backoff.LINEAR: gettext_lazy("and so much longer each time"),
    Backoff.FIXED: gettext_lazy("and always so"),
}


def _limits(node: NodeDefinition) -> Iterator[Words]:
    limit = limit_from(node.raw.get("limit", {}))
    if limit.max is not None:
        yield _("%d at once") % limit.max
    if limit.rate is not None:
        yield format_html("{} {} {}", limit.rate.count, _("in"), length(limit.rate.per))
    if limit.per_key:
        yield _("for each key")
    if limit.name:
        yield format_html("{} {}", _("shared as"), code(limit.name))
    if "circuitBreaker" in node.raw:
        breaker = breaker_from(node.raw["circuitBreaker"])
        told = ngettext(
            "%d failure in a row holds it back for", "%d failures in a row hold it back for",
            breaker.failures,
        ) % breaker.failures  # fmt: skip
        yield format_html("{} {}", told, length(breaker.cooldown))


def _places(node: NodeDefinition) -> Iterator[Words]:
    if node.timeout is not None:
        yield format_html("{} {}", _("at most"), length(node.timeout))
    if "queue" in node.options:
        yield format_html("{} {}", _("queue"), code(node.options["queue"]))
    if node.priority is not None:
        yield _("priority %d") % node.priority
    if "undo" in node.raw:
        yield format_html("{} {}", _("undone by"), code(node.raw["undo"]["type"]))
