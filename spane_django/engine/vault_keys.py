"""The keys of the vault, from the settings.

They are ``SPANE["SECRET_KEYS"]``; without it they are derived (HKDF, RFC 5869) from Django's
``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS``.  This module needs the `cryptography` package, so
:mod:`.vault` imports it when the first text is sealed or opened.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from ..conf import settings

# Part of every derived key: changed, no sealed text would open any more.
_PURPOSE = b"spane_django.engine.vault"


def known() -> MultiFernet:
    """Return what seals with the first key and opens with all of them.

    Raises:
        ImproperlyConfigured: a key of the settings is none; the message does not hold it.
    """
    given = tuple(settings.SECRET_KEYS)
    if given:
        return _of_keys(given)
    return _derived((django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=4)
def _of_keys(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([_key(key, position) for position, key in enumerate(keys)])


def _key(key: str, position: int) -> Fernet:
    try:
        return Fernet(key)
    except (ValueError, TypeError, AttributeError):
        raise ImproperlyConfigured(
            f"SPANE['SECRET_KEYS'][{position}] is no key; make one with "
            "`python -c 'from cryptography.fernet import Fernet; "
            "print(Fernet.generate_key().decode())'`"
        ) from None


@lru_cache(maxsize=4)
def _derived(passwords: tuple[str | bytes, ...]) -> MultiFernet:
    """Return what seals with keys that are made of Django's own secret keys."""
    return MultiFernet([Fernet(_stretched(password)) for password in passwords])


def _stretched(password: str | bytes) -> bytes:
    raw = password.encode() if isinstance(password, str) else password
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(raw)
    return base64.urlsafe_b64encode(key)
