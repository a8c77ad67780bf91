"""What listens: receivers are connected as the settings want it, and none without a setting."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from ..conf import settings
from . import counting


def connect() -> None:
    """Connect what the settings turn on and disconnect what they do not."""
    try:
        counts = settings.METRICS
    except (ImproperlyConfigured, AttributeError):
        return  # a dict it is not, or with faults: the system checks say what is wrong
    if counts:
        counting.connect()
    else:
        counting.disconnect()


# After the receiver of `conf`, which was connected first and forgets the old settings.
@receiver(setting_changed, dispatch_uid="spane_django.observability.connect")
def _follow(*, setting: str, **_: object) -> None:
    if setting == "SPANE":
        connect()
