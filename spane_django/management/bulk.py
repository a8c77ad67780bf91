"""Applying a verb to many rows: count first, ask, go on one by one, tell what was refused.

Each row is a transaction of its own.  Interrupted, what is done stays done, and calling again
goes on with the rest, because rows that the verb has changed are not chosen again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from ..clock import now
from ..engine.control import each
from .base import SpaneCommand, add_row, table

Key = TypeVar("Key")

# How many of the chosen, or refused, rows people are shown.
_MOST_SHOWN = 20


@dataclass(kw_only=True)
class Bulk(Generic[Key]):
    """A verb and what it is applied to.

    Attributes:
        verb: What the command is told, such as ``cancel``.
        apply: The engine's verb, called with a key and ``now``.
        keys: Of what was chosen.
        noun: What the keys name, in the singular.
    """

    verb: str
    apply: Callable[..., Any]
    keys: Sequence[Key]
    noun: str
    changed: list[Any] = field(default_factory=list)
    refused: dict[Key, str] = field(default_factory=dict)

    def run(self, command: SpaneCommand, options: dict[str, Any], *, ask: bool) -> int:
        """Do it, and return the exit code: 0 if all that was chosen has changed.

        Args:
            options: Of the command: ``dry_run``, ``yes``, ``reason``, ``json``.
            ask: Whether so much changes that somebody must say yes.
        """
        if options["dry_run"]:
            return self._tell_plan(command, options)
        question = f"{self.verb.capitalize()} {self._count()}?"
        if ask and self.keys and not command.confirm(question, yes=options["yes"]):
            command.say("nothing changed")
            return 1
        with command.progress() as progress:
            keys = progress.track(self.keys, description=self.verb)
            self._apply(keys, at=now(), reason=options.get("reason") or "")
        self._tell(command, options)
        return int(bool(self.refused) or not self.changed)

    def _apply(self, keys: Iterable[Key], *, at: datetime, reason: str) -> None:
        def apply(key: Key, **arguments: Any) -> None:
            self.changed.append(self.apply(key, **arguments))

        self.refused = each(apply, keys, now=at, reason=reason)

    def _tell_plan(self, command: SpaneCommand, options: dict[str, Any]) -> int:
        if options["json"]:
            document = {"verb": self.verb, "dryRun": True, "chosen": len(self.keys)}
            command.write_json({**document, "ids": list(self.keys)})
        else:
            command.say(f"would {self.verb} {self._count()}")
            for key in self.keys[:_MOST_SHOWN]:
                command.say(f"  {key}")
            if len(self.keys) > _MOST_SHOWN:
                command.say(f"  … and {len(self.keys) - _MOST_SHOWN:,} more")
        return int(not self.keys)

    def _tell(self, command: SpaneCommand, options: dict[str, Any]) -> None:
        if options["json"]:
            command.write_json(
                {
                    "verb": self.verb,
                    "chosen": len(self.keys),
                    "changed": [item.pk for item in self.changed],
                    "refused": [{"id": key, "why": why} for key, why in self.refused.items()],
                }
            )
            return
        if not self.keys:
            command.say(f"nothing to {self.verb}: no {self.noun} is chosen")
            return
        command.say(f"{self.verb}: {len(self.changed):,} of {self._count()}")
        for item in self.changed[:_MOST_SHOWN]:
            if item.pk not in self.keys:
                command.say(f"  {item.replay_of_id} → {item.pk}")
        self._tell_refused(command)

    def _tell_refused(self, command: SpaneCommand) -> None:
        if not self.refused:
            return
        made = table("refused", "why")
        for key in list(self.refused)[:_MOST_SHOWN]:
            add_row(made, key, self.refused[key])
        command.console.print(made)
        if len(self.refused) > _MOST_SHOWN:
            command.say(f"… and {len(self.refused) - _MOST_SHOWN:,} more; --json lists them all")

    def _count(self) -> str:
        return f"{len(self.keys):,} {self.noun}{'' if len(self.keys) == 1 else 's'}"
