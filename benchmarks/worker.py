"""A plain ``manage.py rqworker`` that knows the benchmarks' node types, for benchmarks to start.

    python benchmarks/worker.py QUEUE [options of rqworker]

DATABASE_URL and REDIS_URL say where; SPANE overrides settings, as in the demo project.
"""

from __future__ import annotations

import os
import sys

from common import ROOT


def main() -> None:
    os.chdir(ROOT)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_project.settings")
    import django
    import node_types
    from django.core.management import call_command

    django.setup()
    node_types.register()
    call_command("rqworker", *sys.argv[1:])


if __name__ == "__main__":
    main()
