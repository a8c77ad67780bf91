"""What a wait must be like so that it can be recorded: names, keys, people, forms.

Answers come from the code of nodes.  One that no column takes must be that node's failure; it
would otherwise spoil the whole batch that it is written with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .json import UnstorableValue, encode, printable
from .outcome import AskApproval, Wait, WaitFor
from .schema import schema_faults

SIGNAL_CHARACTERS, KEY_CHARACTERS, PERMISSION_CHARACTERS = 100, 200, 200
MOST_APPROVALS = 1_000
NOBODY = "nobody could decide: name 'users', 'groups' or a 'permission'"


def check_wait(wait: Wait, *, limit_bytes: int) -> None:
    """Refuse a wait that cannot be recorded.

    Args:
        limit_bytes: The most that its form, as JSON, may measure.

    Raises:
        UnstorableValue: with every fault.
    """
    faults: list[str] = []
    if isinstance(wait, WaitFor):
        faults += name_faults(wait.signal)
        faults += [] if wait.key is None else key_faults(wait.key)
    elif isinstance(wait, AskApproval):
        faults += _approval_faults(wait)
        encode([wait.form, wait.escalation], limit_bytes=limit_bytes)
    if faults:
        raise UnstorableValue(f"{type(wait).__name__}: {'; '.join(faults)}")


def name_faults(name: Any) -> Iterator[str]:
    """Yield what is wrong with the name of a signal."""
    if not _is_text(name, SIGNAL_CHARACTERS) or not name:
        yield f"a signal's name is a text of 1 to {SIGNAL_CHARACTERS} characters, not {name!r}"


def key_faults(key: Any) -> Iterator[str]:
    """Yield what is wrong with the key of a signal; "" is one."""
    if not _is_text(key, KEY_CHARACTERS):
        yield f"a signal's key is a text of at most {KEY_CHARACTERS} characters, not {key!r}"


def people_faults(
    users: Sequence[Any], groups: Sequence[Any], permission: Any, *, quorum: int = 1
) -> Iterator[str]:
    """Yield why people who are named so could not decide.

    Args:
        quorum: So many of them must still approve.
    """
    for key, names in (("users", users), ("groups", groups)):
        if isinstance(names, str) or not all(_is_text(name, 150) and name for name in names):
            yield f"'{key}' must be a list of names, not {names!r}"
            return
    if not _is_text(permission, PERMISSION_CHARACTERS) or permission.count(".") != bool(permission):
        yield f"'permission' must be 'app_label.codename', not {permission!r}"
    elif not (users or groups or permission):
        yield NOBODY
    elif not (groups or permission) and len(set(users)) < quorum:
        yield f"{quorum} must approve, but only {len(set(users))} may: lower the 'quorum'"


def _approval_faults(wait: AskApproval) -> Iterator[str]:
    for key, text in (("title", wait.title), ("description", wait.description)):
        if not _is_text(text, None):
            yield f"'{key}' must be a text that can be stored, not {text!r}"
    if wait.form is not None:
        yield from map(str, schema_faults(wait.form, "form"))
    quorum = wait.quorum
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= MOST_APPROVALS:
        yield f"'quorum' must be a number from 1 to {MOST_APPROVALS:,}, not {quorum!r}"
    else:
        yield from people_faults(wait.users, wait.groups, wait.permission)


def _is_text(value: Any, longest: int | None) -> bool:
    if not isinstance(value, str) or printable(value) != value:
        return False
    return longest is None or len(value) <= longest
