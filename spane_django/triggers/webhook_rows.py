"""The two statements that every delivery costs, written out once.

Django compiles a query anew each time, which took a third of the time of a request to a webhook.
Columns and values are still those of the models, as Django prepares and converts them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ..engine.db import alias, connection
from ..models import Webhook, WebhookDelivery

_NAMES = [field.attname for field in Webhook._meta.concrete_fields]
_FIELDS = WebhookDelivery._meta.concrete_fields


def find(path: str) -> Webhook | None:
    """Return the webhook of a path, if there is one."""
    used = connection()
    statement, columns = _query(alias())
    with used.cursor() as cursor:
        cursor.execute(statement, [path])
        row = cursor.fetchone()
    if row is None:
        return None
    values = [_value(used, column, value) for column, value in zip(columns, row, strict=True)]
    return Webhook.from_db(alias(), _NAMES, values)


def insert(delivery: WebhookDelivery) -> None:
    """Insert a delivery, in the caller's transaction.

    Raises:
        IntegrityError: there is one with its id or its digest.
    """
    used = connection()
    values = [
        field.get_db_prep_save(field.pre_save(delivery, True), connection=used) for field in _FIELDS
    ]
    with used.cursor() as cursor:
        cursor.execute(_insertion(alias()), values)


@cache
def _query(using: str) -> tuple[str, list[Any]]:
    """Return the query of a webhook by its path, and its columns."""
    compiler = Webhook.objects.filter(path="").order_by().query.get_compiler(using)
    statement, _ = compiler.as_sql()
    return statement, [column for column, *_ in compiler.select or ()]


def _value(used: Any, column: Any, value: Any) -> Any:
    for convert in (*used.ops.get_db_converters(column), *column.get_db_converters(used)):
        value = convert(value, column, used)
    return value


@cache
def _insertion(using: str) -> str:
    quote = connection().ops.quote_name
    columns = ", ".join(quote(field.column) for field in _FIELDS)
    places = ", ".join(["%s"] * len(_FIELDS))
    # Names of this package's own columns, and nothing that anybody has sent.
    return f"INSERT INTO {quote(WebhookDelivery._meta.db_table)} ({columns}) VALUES ({places})"  # noqa: S608
