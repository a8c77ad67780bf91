"""How often somebody may ask: so many requests of one token, or of one session's user, per period.

Counted in Django's cache, in windows that begin with the first request of each.  A cache that
cannot be reached, or that keeps nothing, refuses nobody: a limit is no lock.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from typing import Any

from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from ..conf import settings
from .auth import token_of

logger = logging.getLogger("spane_django.api")

_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}


class PerCaller(BaseThrottle):
    """Lets as many requests of one caller through as ``API_RATE`` says."""

    def allow_request(self, request: Request, view: Any) -> bool:
        rate = settings.API_RATE
        if rate is None or request.user.pk is None:
            return True
        most, period = _parsed(rate)
        window, passed = divmod(time.time(), period)
        self._left = period - passed
        token = token_of(request)
        caller = f"user:{request.user.pk}" if token is None else f"token:{token.pk}"
        return _counted(f"spane:rate:{caller}:{period}:{window:.0f}", period) <= most

    def wait(self) -> float:
        """Return after how many seconds the next window begins."""
        return max(1.0, self._left)


@lru_cache(maxsize=8)
def _parsed(rate: str) -> tuple[int, int]:
    count, _, period = rate.partition("/")
    return int(count), _SECONDS[period]


def _counted(key: str, period: int) -> int:
    """Count a request and return how many there have been; 0 if nobody knows."""
    try:
        cache.add(key, 0, timeout=period * 2)
        return cache.incr(key)
    except ValueError:
        return 0  # a cache that keeps nothing, or has just forgotten it
    except Exception:  # each cache has errors of its own
        logger.warning("requests are not counted: the cache does not answer", exc_info=True)
        return 0
