"""Payloads that lie in the file storage: what stands for them in a column, and reading them.

A column of data (an input, an output, a checkpoint) holds the JSON itself, or one of three forms
under the single key `KEY`:

* ``{"name", "bytes", "preview"}``: the JSON lies in the storage under that name;
* ``{"literal": …}``: the JSON itself, which happens to have that key, too;
* ``{"parts": …}``: an object or a list of which some values are such forms.

Whoever writes such a column writes a value that has the key as a literal, so that no data can
pass for a reference (`engine.payloads`, where writing is).  A name that the engine would not have
given is not followed in any case.  Whoever reads such a column for a node reads it with
:func:`load`; for a page, :func:`shown` does without the file, and `Within` bounds an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.core.files.storage import Storage, storages

from ..conf import settings
from ..core.errors import SpaneError
from ..core.json import Json, decode

KEY = "$spanePayload"
# The key stands alone, so both JSON as it was written and PostgreSQL's way to print it begin so.
MARK = '{"$spanePayload"'

DIRECTORY = "spane"
_NAME = re.compile(DIRECTORY + r"/\d{4}-\d\d-\d\d/[0-9a-f]{32}\w*\.json")


class PayloadUnavailable(SpaneError):
    """A payload could not be read from the file storage, or not be written to it."""


def storage() -> Storage:
    """Return the storage of large payloads: ``SPANE["PAYLOAD_STORAGE"]`` of ``STORAGES``."""
    return storages[settings.PAYLOAD_STORAGE]


def is_form(value: Json) -> bool:
    """Say whether a column's value stands for another one."""
    return isinstance(value, dict) and KEY in value


def load(value: Json) -> Json:
    """Return what the value of a column stands for; most stand for themselves.

    Raises:
        PayloadUnavailable: the storage does not give it.
    """
    if not is_form(value):
        return value
    form = value[KEY]
    if "literal" in form:
        return form["literal"]
    if "parts" in form:
        return _each(load, form["parts"])
    return _read(form["name"])


def shown(value: Json) -> Json:
    """Return the value of a column for people: of what lies in the storage, how it begins."""
    if not is_form(value):
        return value
    form = value[KEY]
    if "literal" in form:
        return form["literal"]
    if "parts" in form:
        return _each(shown, form["parts"])
    return {"sizeBytes": form["bytes"], "preview": form["preview"]}


class Within:
    """Loads the values of columns for one answer, as many bytes of files as it has room for.

    What is too large for the room that is left, or cannot be read, is `shown` instead, so that
    an answer is bounded, and a file that is gone hides nothing else.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._left = limit_bytes

    def __call__(self, value: Json) -> Json:
        size = _size(value)
        if self._left is not None and size > self._left:
            return shown(value)
        try:
            loaded = load(value)
        except PayloadUnavailable as error:
            return {**_object(shown(value)), "unavailable": str(error)}
        if self._left is not None:
            self._left -= size
        return loaded


def _size(value: Json) -> int:
    """Return how many bytes of files a value stands for."""
    if not is_form(value):
        return 0
    form = value[KEY]
    parts = form.get("parts", ())
    inner = parts.values() if isinstance(parts, dict) else parts
    return int(form.get("bytes", 0)) + sum(map(_size, inner))


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {"parts": value}


def _each(change: Callable[[Json], Json], parts: Json) -> Json:
    if isinstance(parts, list):
        return [change(part) for part in parts]
    return {key: change(part) for key, part in parts.items()}


def _read(name: str) -> Json:
    if not _NAME.fullmatch(name):
        raise PayloadUnavailable(f"'{name}' is no name that a payload has: it was not read")
    try:
        with storage().open(name) as file:
            return decode(file.read())
    except Exception as error:  # each storage has errors of its own
        raise PayloadUnavailable(
            f"the payload '{name}' cannot be read from the storage "
            f"'{settings.PAYLOAD_STORAGE}' ({type(error).__name__}: {error}); if its files are "
            "on another machine, share them with this one"
        ) from error
