"""The settings of the processes that these tests start: the demo's, with shorter times."""

import os

from demo_project.settings import *  # noqa: F403
from demo_project.settings import INSTALLED_APPS

INSTALLED_APPS = ["tests.management.held_app", *INSTALLED_APPS]
SPANE = {
    "CONCURRENCY": 2,
    "HEARTBEAT_SECONDS": 0.5,
    "LEASE_SECONDS": 3.0,
    "SWEEP_SECONDS": 1.0,
    "LINGER_SECONDS": 1.0,
    "SHUTDOWN_SECONDS": float(os.environ.get("SPANE_TEST_SHUTDOWN_SECONDS", "20")),
}
