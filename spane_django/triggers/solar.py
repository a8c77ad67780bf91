"""Solar events as ticks: sunrise, dusk and the like at a place, as celery computes them.

Celery's `solar` knows the horizons and names the methods of the package ``ephem``, which has to
be installed: ``pip install spane-django[solar]``.  An event is searched from the midnight or noon
(UTC) before it and told to the second, so that everybody who asks finds the same instant.  Near
the poles an event may not happen for months; a place where it never does has no ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from celery.exceptions import ImproperlyConfigured
from celery.schedules import solar

from ..core.errors import SpaneError

# Events of a kind are about a day apart: half a day holds one at most.
_SLOT = timedelta(hours=12)
_SLOTS = 2 * 370
_ROUNDING = timedelta(milliseconds=500)


class NoEphemeris(SpaneError):
    """Solar schedules need the package 'ephem': pip install spane-django[solar]."""


@dataclass(frozen=True, slots=True)
class Solar:
    """An event of the sun at a place, in degrees north and east."""

    event: str
    latitude: float
    longitude: float

    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick later than ``moment``.

        Raises:
            NoEphemeris: the package that computes it is missing.
        """
        slot = _slot_of(moment.astimezone(UTC))
        for _ in range(_SLOTS):
            found = self._found_from(slot)
            if found is not None and found >= slot + _SLOT:
                # From the slot of the event itself, whichever slot it was met from.
                found = self._found_from(_slot_of(found))
            if found is not None and found > moment:
                return found
            slot += _SLOT
        return None

    def _found_from(self, start: datetime) -> datetime | None:
        """Return the first event after ``start``; None: there is none within a day or so."""
        known = _ephemeris(self.event, self.latitude, self.longitude)
        keywords = {"use_center": True} if known.use_center else {}
        date = known.ephem.Date(start.replace(tzinfo=None))
        try:
            found = getattr(known.cal, known.method)(known.ephem.Sun(), start=date, **keywords)
        except known.ephem.CircumpolarError:
            return None
        at: datetime = found.datetime().replace(tzinfo=UTC) + _ROUNDING
        return at.replace(microsecond=0)


@lru_cache(maxsize=256)
def _ephemeris(event: str, latitude: float, longitude: float) -> Any:
    try:
        return solar(event, latitude, longitude)
    except ImproperlyConfigured:
        raise NoEphemeris from None


def _slot_of(at: datetime) -> datetime:
    return at.replace(hour=at.hour // 12 * 12, minute=0, second=0, microsecond=0)
