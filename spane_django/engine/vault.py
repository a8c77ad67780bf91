"""Sealing: how a text that nobody but a worker may read is kept in the database.

Fernet of the `cryptography` package: AES-128-CBC with an HMAC, so that a text that was changed does
not open.  Several keys are known at once: the first seals, all of them open, so keys change
without a stop (put the new one first, deploy, ``manage.py spane_secrets rotate-keys``, drop the
old one).  Which keys these are is decided in :mod:`.vault_keys`.

No error here holds a key, a text or a sealed text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

from ..core.errors import SpaneError

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class Unsealable(SpaneError):
    """A sealed text does not open: it was sealed with a key that is not known (any more)."""


def seal(text: str) -> str:
    """Return ``text`` encrypted with the first key, as ASCII; each time another one.

    Raises:
        ImproperlyConfigured: a key of the settings is none.
    """
    return _keys().encrypt(text.encode()).decode("ascii")


def open_sealed(text: str) -> str:
    """Return what :func:`seal` was given, with any of the keys.

    Raises:
        Unsealable: no known key opens it, or it was changed.
        ImproperlyConfigured: a key of the settings is none.
    """
    return _unlock(_keys().decrypt, text)


def reseal(text: str) -> str:
    """Return a sealed text sealed anew with the first key.

    Raises:
        Unsealable: no known key opens it, or it was changed.
        ImproperlyConfigured: a key of the settings is none.
    """
    return _unlock(_keys().rotate, text)


def key_faults() -> list[str]:
    """Return what is wrong with the keys of the settings, as sentences without the keys."""
    try:
        _keys()
    except ImproperlyConfigured as error:
        return [str(error)]
    return []


def _keys() -> MultiFernet:
    # Not before: cryptography holds 6 MB, and most workers never meet a secret.
    from .vault_keys import known  # noqa: PLC0415

    return known()


def _unlock(use: Callable[[bytes], bytes], sealed: str) -> str:
    """Use a sealed text, which one of the keys must have sealed."""
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  # as above

    try:
        return use(sealed.encode()).decode()
    except InvalidToken:
        raise Unsealable(
            "a sealed text does not open with any of the keys: put the key that sealed it back "
            "(SPANE['SECRET_KEYS'], or SECRET_KEY_FALLBACKS), or set the value again"
        ) from None
