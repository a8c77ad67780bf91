"""On PostgreSQL: vacuum the hot tables by number, not by share.

By default a table is vacuumed when a fifth of it is dead.  Of ten million node runs that is two
million, and every claim walks past those that the queue's index still holds.  Who has set these
options otherwise sets them again after migrating.
"""

from django.db import migrations

OPTIONS = {
    "spane_django_noderun": {
        "autovacuum_vacuum_scale_factor": "0",
        "autovacuum_vacuum_threshold": "50000",
    },
    "spane_django_execution": {
        "autovacuum_vacuum_scale_factor": "0",
        "autovacuum_vacuum_threshold": "10000",
    },
}


def set_options(apps, schema_editor):
    for table, options in OPTIONS.items():
        wanted = ", ".join(f"{name} = {value}" for name, value in options.items())
        _alter(schema_editor, f'ALTER TABLE "{table}" SET ({wanted})')


def reset_options(apps, schema_editor):
    for table, options in OPTIONS.items():
        _alter(schema_editor, f'ALTER TABLE "{table}" RESET ({", ".join(options)})')


def _alter(schema_editor, statement):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("spane_django", "0001_initial")]

    operations = [migrations.RunPython(set_options, reset_options)]
