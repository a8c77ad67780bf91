"""Secrets in use: opened for one attempt, and hidden in all that is kept of it.

A secret is looked up when a node needs it, for the tenant of its execution and then among those
that everybody shares, so a new value counts from the next attempt on.  Nothing is cached, and
nothing is asked for nodes that name none.

What an attempt has opened is replaced by ``***`` in its log lines, error, traceback, output,
checkpoint and whatever else it answers, before any of it is shortened or stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any
from uuid import UUID

from django.db.models import Q, Subquery

from ..core.json import decode, encode
from ..core.outcome import Child, Outcome, Permanent, Result, Wait
from ..core.redaction import HIDING, Redactor
from ..models import Execution, Secret
from .finished import Line
from .reading import read
from .vault import Unsealable, open_sealed

_NOTHING = Redactor(())


class MissingSecret(Permanent, KeyError):
    """A node names a secret that there is not."""

    def __str__(self) -> str:
        return str(self.args[0])


class Opened(Mapping[str, str]):
    """The secrets by name, opened when asked for.

    Raises:
        MissingSecret: there is none of this name.
        Unsealable: no key of this process opens it.
    """

    def __init__(self, execution_id: UUID) -> None:
        self._execution_id = execution_id
        self._values: dict[str, str] = {}
        self._redactor = _NOTHING

    def __getitem__(self, name: str) -> str:
        self.open((name,))
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        found = self._within_reach().order_by("name").values_list("name", flat=True)
        return iter(read(lambda: list(found.distinct())))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def open(self, names: Collection[str]) -> None:
        """Open secrets, by one query for those that are not open yet."""
        unknown = [name for name in names if name not in self._values]
        if not unknown:
            return
        found = self._within_reach().filter(name__in=unknown)
        # The tenant's own come last, and count.
        rows = found.order_by("tenant").values_list("name", "sealed")
        sealed = dict(read(lambda: list(rows)))
        if missing := sorted(set(unknown) - sealed.keys()):
            raise MissingSecret(_missing(missing))
        self._values |= {name: _open(name, text) for name, text in sealed.items()}
        self._redactor = Redactor(self._values.values())
        HIDING.set(self._redactor)

    def close(self) -> None:
        """Say that the attempt is over, as far as the process's own log is concerned."""
        if self._values:
            HIDING.set(None)

    def hide(self, text: str) -> str:
        """Return a text without the values."""
        return self._redactor.text(text) if self._redactor else text

    def hide_in_lines(self, lines: list[Line]) -> list[Line]:
        """Return log lines without the values."""
        hide = self._redactor
        if not hide:
            return lines
        return [
            replace(line, message=hide.text(line.message), data=hide.json(line.data))
            for line in lines
        ]

    def hide_in_answer(
        self, outcome: Outcome, output: str, children: Sequence[str]
    ) -> tuple[Outcome, str]:
        """Return an answer and its data as JSON text without the values.

        Args:
            children: The ids that a node may choose, which are no secrets.
        """
        if not self._redactor:
            return outcome, output
        if isinstance(outcome, Wait):
            return self._hidden_wait(outcome), output
        if not isinstance(outcome, Result):
            return outcome, output
        chosen = outcome.next_nodes
        if chosen is not None:
            chosen = [node if node in children else self.hide(node) for node in chosen]
        data = self._redactor.json(decode(output))
        return Result(data, next_nodes=chosen), encode(data)

    def _hidden_wait(self, wait: Wait) -> Wait:
        given = {field.name: getattr(wait, field.name) for field in fields(wait)}
        return replace(wait, **{name: self._hidden(value) for name, value in given.items()})

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, Sequence) and value and isinstance(value[0], Child):
            return [replace(child, input=self._redactor.json(child.input)) for child in value]
        is_text = isinstance(value, str | Mapping | list | tuple)
        return self._redactor.json(value) if is_text else value

    def _within_reach(self) -> Any:
        tenant = Execution.objects.filter(pk=self._execution_id).values("tenant")
        return Secret.objects.filter(Q(tenant="") | Q(tenant=Subquery(tenant)))


def _open(name: str, sealed: str) -> str:
    try:
        return open_sealed(sealed)
    except Unsealable as error:
        raise Unsealable(f"secret '{name}': {error}") from None


def _missing(names: Sequence[str]) -> str:
    what = "there is no secret" if len(names) == 1 else "there are no secrets"
    listed = ", ".join(repr(name) for name in names)
    return f"{what} {listed}: store it (manage.py spane_secrets set) or mend the config"
