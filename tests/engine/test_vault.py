"""Laws of sealing: what goes in comes out, keys change without a stop, nothing is told."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from spane_django.engine.vault import Unsealable, key_faults, open_sealed, reseal, seal

VALUE = "s3cret-ünicode-\x00-value"


def test_what_is_sealed_opens_and_does_not_show():
    sealed = seal(VALUE)

    assert open_sealed(sealed) == VALUE
    assert "s3cret" not in sealed
    assert seal(VALUE) != sealed


def test_the_first_key_seals_and_all_open():
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    with override_settings(SPANE={"SECRET_KEYS": [old]}):
        sealed = seal(VALUE)

    with override_settings(SPANE={"SECRET_KEYS": [new, old]}):
        resealed = reseal(sealed)
        assert open_sealed(sealed) == open_sealed(resealed) == VALUE

    with override_settings(SPANE={"SECRET_KEYS": [new]}):
        assert open_sealed(resealed) == VALUE
        with pytest.raises(Unsealable):
            open_sealed(sealed)


def test_without_keys_they_come_from_djangos_secret_keys():
    with override_settings(SECRET_KEY="old"):
        sealed = seal(VALUE)

    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"]):
        assert open_sealed(sealed) == VALUE
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[]), pytest.raises(Unsealable):
        open_sealed(sealed)


@pytest.mark.parametrize("text", ["", "plain", "gAAAAA", seal(VALUE)[:-4] + "AAA="])
def test_what_was_changed_does_not_open_and_is_not_repeated(text):
    with pytest.raises(Unsealable) as told:
        open_sealed(text)

    assert not text or text not in str(told.value)
    assert told.value.__cause__ is None


def test_a_key_that_is_none_is_named_by_its_place_and_not_repeated():
    with override_settings(SPANE={"SECRET_KEYS": [Fernet.generate_key().decode(), "hunter2"]}):
        with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEYS'\]\[1\]") as told:
            seal(VALUE)
        assert key_faults() == [str(told.value)]

    assert "hunter2" not in str(told.value)
    assert key_faults() == []
