"""``approval``: people decide whether the workflow goes on here, and where.

One rejection rejects, a ``quorum`` of approvals approves.  ``approved`` and ``rejected`` name the
children to go on with; a rejection for which there is no branch fails the node for good.

At the ``deadline`` others are asked, if there is an ``escalation``: its people, for its own
``deadline``; what has been decided until then still counts.  With nobody left to ask,
``onDeadline`` says what an undecided question means.

The data are ``{"approved", "decisions", "form"}``: every decision, and what the last one who
approved has filled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..core.expressions import has_templates
from ..core.json import Json, encode
from ..core.outcome import AskApproval, Failure, Permanent, Result, Wait
from ..core.schema import Schema, schema_faults
from ..core.waiting import MOST_APPROVALS, NOBODY, people_faults
from .base import Context, Decided, Node
from .config import NODE_IDS, node_ids
from .durations import LENGTH, end_of, length_fault

_NAMES: Schema = {
    "type": ["string", "array"],
    "items": {"type": "string", "minLength": 1},
    "minLength": 1,
    "minItems": 1,
}
_PEOPLE: dict[str, Schema] = {
    "users": {**_NAMES, "description": "Names of users who may decide."},
    "groups": {**_NAMES, "description": "Names of groups whose members may."},
    "permission": {"type": "string", "minLength": 1, "description": "app_label.codename"},
    "deadline": LENGTH,
}


class ApprovalNode(Node):
    """Asks people, and goes on as they decide."""

    type = "approval"
    description = "Asks people, and goes on as they decide."
    config = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "minLength": 1, "description": "The question."},
            "description": {"type": "string"},
            "form": {"type": "object", "description": "JSON Schema of what approvers fill in."},
            **_PEOPLE,
            "quorum": {"type": "integer", "minimum": 1, "maximum": MOST_APPROVALS},
            "allowsStarter": {
                "type": "boolean",
                "description": "Whether who started the execution may decide.",
            },
            "escalation": {
                "type": "object",
                "description": "Who is asked when the deadline has come, and until when.",
                "properties": _PEOPLE,
                "additionalProperties": False,
            },
            "onDeadline": {"enum": ["fail", "approve", "reject"]},
            "approved": {**NODE_IDS, "description": "Where to go on if it is approved."},
            "rejected": {**NODE_IDS, "description": "Where to go on if not; failure by default."},
        },
        "required": ["title"],
        "additionalProperties": False,
    }

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        escalation = config.get("escalation")
        yield from _asked_faults(config, "", quorum=int(config.get("quorum", 1)))
        if escalation is not None:
            yield from _asked_faults(escalation, "escalation.", quorum=1)
        if config.get("deadline") is None and (escalation is not None or "onDeadline" in config):
            yield "'escalation' and 'onDeadline' are for the 'deadline': give one"
        if "rejected" in config and "approved" not in config:
            yield "with 'rejected', say where to go on if it is 'approved'"
        if "form" in config and not has_templates(config["form"]):
            yield from map(str, schema_faults(config["form"], "form"))

    def execute(self, ctx: Context) -> Result | Failure | Wait:
        found = ctx.approval
        if found is None:
            return _ask(ctx, ctx.config)
        if found.status in ("approved", "rejected"):
            return _answer(ctx, found, is_approved=found.status == "approved")
        until = _until(ctx)
        if until is None or until > ctx.now:
            # Plain, so that the question stays with whom it has been reassigned to.
            return Wait(until=until, checkpoint=ctx.checkpoint)
        if "escalation" in ctx.config and not ctx.checkpoint["isEscalated"]:
            return _ask(ctx, ctx.config["escalation"], found)
        match ctx.config.get("onDeadline", "fail"):
            case "approve":
                return _answer(ctx, found, is_approved=True)
            case "reject":
                return _answer(ctx, found, is_approved=False)
        message = f"nobody has decided in time: {_text(ctx.config['title'])}"
        return Result.failure(message, type="ApprovalExpired")


def _ask(ctx: Context, asked: Mapping[str, Any], before: Decided | None = None) -> AskApproval:
    """Ask people; with ``before``, what has been decided until now, as an escalation."""
    config, users, groups = ctx.config, _names(asked, "users"), _names(asked, "groups")
    permission, quorum = _text(asked.get("permission", "")), int(config.get("quorum", 1))
    missing = quorum - (len(before.decisions) if before else 0)
    if faults := list(people_faults(users, groups, permission, quorum=missing)):
        raise Permanent("; ".join(faults))
    until = end_of(asked.get("deadline"), "deadline", now=ctx.now)
    return AskApproval(
        until=until,
        checkpoint={"until": until and until.isoformat(), "isEscalated": before is not None},
        title=_text(config["title"]),
        description=_text(config.get("description", "")),
        form=config.get("form"),
        users=users,
        groups=groups,
        permission=permission,
        quorum=quorum,
        allows_starter=config.get("allowsStarter", False),
        escalation=_next_people(config) if before is None else None,
    )


def _answer(ctx: Context, found: Decided, *, is_approved: bool) -> Result | Failure:
    config = ctx.config
    if not is_approved and "rejected" not in config:
        return Result.failure(_why_rejected(ctx, found), type="Rejected")
    chosen = config.get("approved" if is_approved else "rejected")
    forms = [said.form for said in found.decisions if said.is_approved and said.form is not None]
    decisions = [
        {
            "user": said.user,
            "approved": said.is_approved,
            "comment": said.comment,
            "form": said.form,
            "at": said.at.isoformat(),
        }
        for said in found.decisions
    ]
    return Result(
        {"approved": is_approved, "decisions": decisions, "form": forms[-1] if forms else None},
        next_nodes=None if chosen is None else node_ids(chosen),
    )


def _why_rejected(ctx: Context, found: Decided) -> str:
    said = next((said for said in found.decisions if not said.is_approved), None)
    if said is None:
        return f"nobody has approved in time: {_text(ctx.config['title'])}"
    return f"{said.user} has rejected it" + (f": {said.comment}" if said.comment else "")


def _until(ctx: Context) -> datetime | None:
    until = ctx.checkpoint["until"]
    return None if until is None else datetime.fromisoformat(until)


def _next_people(config: Mapping[str, Any]) -> dict[str, Json] | None:
    escalation = config.get("escalation")
    if escalation is None:
        return None
    return {
        "users": _names(escalation, "users"),
        "groups": _names(escalation, "groups"),
        "permission": _text(escalation.get("permission", "")),
    }


def _names(asked: Mapping[str, Any], key: str) -> list[Any]:
    names = asked.get(key)
    if isinstance(names, str):
        return [names]
    if names is None or isinstance(names, list):
        return names or []
    raise Permanent(f"'{key}' must be a name or a list of names, not {names!r}")


def _text(value: Json) -> str:
    """Return what a template gave as a text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else encode(value)


def _asked_faults(asked: Mapping[str, Any], at: str, *, quorum: int) -> Iterator[str]:
    """Yield why those who are asked could not answer, as far as no template leaves it open."""
    if fault := length_fault(asked.get("deadline"), f"{at}deadline", now=datetime.now(UTC)):
        yield fault
    people = {key: asked[key] for key in ("users", "groups", "permission") if key in asked}
    if not people:
        yield f"{at.rstrip('.') or 'approval'}: {NOBODY}"
    elif not has_templates(people):
        named = (_names(asked, "users"), _names(asked, "groups"), asked.get("permission", ""))
        yield from (f"{at}{fault}" for fault in people_faults(*named, quorum=quorum))
