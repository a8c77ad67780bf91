"""What listens: receivers are connected as the settings want it, and none without a setting."""

from __future__ import annotations

import logging
from importlib import import_module
from types import ModuleType

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from ..conf import settings
from . import counting

logger = logging.getLogger("spane_django.observability")

# Imported only where it is wanted: OpenTelemetry need not be installed.
_TRACING = "spane_django.observability.tracing"

_connected: dict[str, ModuleType] = {}


def connect() -> None:
    """Connect what the settings turn on and disconnect what they do not."""
    try:
        counts, traces = settings.METRICS, settings.TRACING
    except (ImproperlyConfigured, AttributeError):
        return  # no dict, or one with faults: the system checks say what is wrong
    if counts:
        counting.connect()
    else:
        counting.disconnect()
    _trace(traces)


def _trace(is_wanted: bool) -> None:
    if is_wanted and _TRACING not in _connected:
        try:
            _connected[_TRACING] = import_module(_TRACING)
        except ImportError as error:
            logger.error("nothing is traced: %s (pip install spane-django[otel])", error)
            return
        _connected[_TRACING].connect()
    elif not is_wanted and _TRACING in _connected:
        _connected.pop(_TRACING).disconnect()


# After the receiver of `conf`, which was connected first and forgets the old settings.
@receiver(setting_changed, dispatch_uid="spane_django.observability.connect")
def _follow(*, setting: str, **_: object) -> None:
    if setting == "SPANE":
        connect()
