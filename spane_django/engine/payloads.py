"""Payloads too large for a row: written to the file storage, with a reference in their place.

* A file is written *before* the transaction that commits its reference, on the thread that made
  the data, and never while rows are locked.  It is one of a kind: nothing is ever overwritten.
* The same transaction writes a `Payload` row, which says whose the file is.  It goes with its
  last execution, after the commit that deletes the row.  A file whose transaction never
  committed has no row; :func:`orphans` finds it once it is a day old.
* Names are random, and tell nothing of the data.

What a reference looks like, and reading it, is in `models.payloads`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any
from uuid import UUID

from django.core.files.base import ContentFile

from ..conf import settings
from ..core.json import Json, decode, encode
from ..models import Payload
from ..models.payloads import DIRECTORY, KEY, MARK, PayloadUnavailable, is_form, load, storage
from .db import on_commit
from .reading import read

logger = logging.getLogger("spane_django.engine")

PREVIEW_CHARACTERS = 500
_QUOTED_KEY = f'"{KEY}"'
# A character is at most so many bytes of UTF-8.
_WIDEST = 4
_ORPHAN_DAYS = timedelta(days=2)  # by the date in its name: a whole day has passed for sure
_NAMES = 500  # asked for in one query


def is_large(text: str) -> bool:
    """Say whether JSON text is longer than ``SPANE["OFFLOAD_BYTES"]``."""
    limit = settings.OFFLOAD_BYTES
    return 0 < limit < len(text) * _WIDEST and len(text.encode()) > limit


def store(text: str, *, now: datetime) -> str:
    """Return the JSON text for a column: as it is, or a reference to a file just written.

    Raises:
        PayloadUnavailable: the storage does not take it.
    """
    if is_large(text):
        return _written(text, now=now)
    if _QUOTED_KEY in text and is_form(decode(text)):
        return f'{MARK}:{{"literal":{text}}}}}'
    return text


def stored(value: Json, *, now: datetime) -> Json:
    """Return the value for a column, as :func:`store` does for text."""
    text = encode(value)
    kept = store(text, now=now)
    return value if kept is text else decode(kept)


def composed(parts: dict[str, Json] | list[Json]) -> Json:
    """Return an object or a list made of values of columns, itself fit for a column."""
    values = parts if isinstance(parts, list) else [*parts.values(), parts]
    return {KEY: {"parts": parts}} if any(map(is_form, values)) else parts


def load_text(text: str) -> Json:
    """Return what the JSON text of a column stands for, wherever the caller's code runs.

    Raises:
        PayloadUnavailable: the storage does not give it.
    """
    value = decode(text)
    return read(lambda: load(value)) if text.startswith(MARK) else value


def record(written: Iterable[tuple[UUID, str]], *, now: datetime) -> None:
    """Note whose files are referred to, in the transaction that writes the references.

    Args:
        written: Executions, each with the JSON text of a column.
    """
    rows = [
        Payload(execution_id=key, name=form["name"], size_bytes=form["bytes"], created_at=now)
        for key, text in written
        if text.startswith(MARK)
        for form in _references(decode(text))
    ]
    if rows:
        Payload.objects.bulk_create(rows)


def forget(execution_ids: Collection[UUID]) -> None:
    """Delete the payloads of executions: the rows now, the files once that is committed."""
    rows = Payload.objects.filter(execution_id__in=execution_ids)
    names = list(rows.values_list("name", flat=True))
    if names:
        rows.delete()
        on_commit(lambda: delete_files(_ownerless(names)))


def delete_files(names: Iterable[str]) -> None:
    """Delete files of the storage.  One that cannot be deleted is logged, and an orphan now."""
    for name in names:
        try:
            storage().delete(name)
        except Exception as error:  # each storage has errors of its own
            logger.warning("the payload %s could not be deleted: %s", name, error)


def orphans(*, now: datetime) -> Iterator[list[str]]:
    """Yield the files that belong to no execution, in lists of a few hundred names.

    Those of the last two days are left alone: their transaction may be open still.

    Raises:
        PayloadUnavailable: the storage cannot list its files.
    """
    youngest = f"{now - _ORPHAN_DAYS:%Y-%m-%d}"
    for day in sorted(_listed(DIRECTORY)[0]):
        if day <= youngest:
            names = [f"{DIRECTORY}/{day}/{file}" for file in _listed(f"{DIRECTORY}/{day}")[1]]
            for begin in range(0, len(names), _NAMES):
                yield _ownerless(names[begin : begin + _NAMES])


def _written(text: str, *, now: datetime) -> str:
    data = text.encode()
    wanted = f"{DIRECTORY}/{now:%Y-%m-%d}/{token_hex(16)}.json"
    try:
        name = storage().save(wanted, ContentFile(data))
    except Exception as error:  # each storage has errors of its own
        raise PayloadUnavailable(
            f"a payload of {len(data):,} bytes cannot be written to the storage "
            f"'{settings.PAYLOAD_STORAGE}' ({type(error).__name__}: {error})"
        ) from error
    preview = text[:PREVIEW_CHARACTERS]
    return encode({KEY: {"name": name, "bytes": len(data), "preview": preview}})


def _references(value: Json) -> Iterator[dict[str, Any]]:
    if not is_form(value):
        return
    form = value[KEY]
    if "name" in form:
        yield form
    parts = form.get("parts", ())
    for part in parts.values() if isinstance(parts, dict) else parts:
        yield from _references(part)


def _listed(directory: str) -> tuple[list[str], list[str]]:
    try:
        return storage().listdir(directory)
    except FileNotFoundError:
        return [], []
    except NotImplementedError as error:
        raise PayloadUnavailable(
            f"the storage '{settings.PAYLOAD_STORAGE}' cannot list its files: {error}"
        ) from error


def _ownerless(names: list[str]) -> list[str]:
    owned = set(Payload.objects.filter(name__in=names).values_list("name", flat=True))
    return [name for name in names if name not in owned]
