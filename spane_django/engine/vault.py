"""Sealing: how a text that nobody but a worker may read is kept in the database.

Fernet of the `cryptography` package: AES-128-CBC with an HMAC, so that a text that was changed does
not open.  Several keys are known at once: the first seals, all of them open, so keys change
without a stop (put the new one first, deploy, ``manage.py spane_secrets rotate-keys``, drop the
old one).  Keys are ``SPANE["SECRET_KEYS"]``; without it they are derived (HKDF, RFC 5869) from
Django's ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS``.

No error here holds a key, a text or a sealed text.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from ..conf import settings
from ..core.errors import SpaneError

_PURPOSE = b"spane_django.engine.vault"


class Unsealable(SpaneError):
    """A sealed text does not open: it was sealed with a key that is not known (any more)."""


def seal(text: str) -> str:
    """Return ``text`` encrypted with the first key, as ASCII; each time another one.

    Raises:
        ImproperlyConfigured: a key of the settings is none.
    """
    return _fernet().encrypt(text.encode()).decode("ascii")


def open_sealed(text: str) -> str:
    """Return what :func:`seal` was given, with any of the keys.

    Raises:
        Unsealable: no known key opens it, or it was changed.
        ImproperlyConfigured: a key of the settings is none.
    """
    try:
        return _fernet().decrypt(text.encode()).decode()
    except InvalidToken:
        raise _unsealable() from None


def reseal(text: str) -> str:
    """Return a sealed text sealed anew with the first key.

    Raises:
        Unsealable: no known key opens it, or it was changed.
        ImproperlyConfigured: a key of the settings is none.
    """
    try:
        return _fernet().rotate(text.encode()).decode("ascii")
    except InvalidToken:
        raise _unsealable() from None


def key_faults() -> list[str]:
    """Return what is wrong with the keys of the settings, as sentences without the keys."""
    try:
        _fernet()
    except ImproperlyConfigured as error:
        return [str(error)]
    return []


def _fernet() -> MultiFernet:
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


def _unsealable() -> Unsealable:
    return Unsealable(
        "a sealed text does not open with any of the keys: put the key that sealed it back "
        "(SPANE['SECRET_KEYS'], or SECRET_KEY_FALLBACKS), or set the value again"
    )
