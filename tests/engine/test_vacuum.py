"""On PostgreSQL the hot tables are vacuumed by number: a fifth of a long history is too late."""

from __future__ import annotations

import importlib

import pytest
from django.apps import apps
from django.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

HOT = ("spane_django_execution", "spane_django_noderun")
migration = importlib.import_module("spane_django.migrations.0002_autovacuum")


@pytest.fixture(autouse=True)
def on_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no autovacuum of this kind")


def options() -> dict[str, dict[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reloptions FROM pg_class WHERE relname = ANY(%s)", [list(HOT)]
        )
        return {
            table: dict(option.split("=") for option in given or ())
            for table, given in cursor.fetchall()
        }


def test_a_hot_table_is_vacuumed_by_the_number_of_its_dead_rows_and_not_by_their_share():
    found = options()

    assert set(found) == set(HOT)
    for table in HOT:
        assert found[table]["autovacuum_vacuum_scale_factor"] == "0"
        assert 0 < int(found[table]["autovacuum_vacuum_threshold"]) <= 50_000


def test_migrating_back_leaves_the_tables_as_postgresql_has_them_and_forth_again_as_they_were():
    before = options()

    with connection.schema_editor() as editor:
        migration.reset_options(apps, editor)
    without = options()
    with connection.schema_editor() as editor:
        migration.set_options(apps, editor)

    assert without == {table: {} for table in HOT}
    assert options() == before
