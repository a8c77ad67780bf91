"""Secrets from the command line: read from standard input, told by name alone."""

from __future__ import annotations

import io

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from spane_django.engine import vault
from spane_django.engine.publish import publish
from spane_django.engine.run import utc_now
from spane_django.models import Secret, Tenant
from tests.management.conftest import ask

pytestmark = pytest.mark.django_db(transaction=True)

VALUE = "sk_live_51H-hunter2"


@pytest.fixture
def acme(settings: Settings) -> str:
    """A tenant."""
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}
    return str(Tenant.objects.create(key="acme", name="Acme").pk)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    def type_(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return type_


def test_a_value_is_read_from_standard_input_without_the_end_of_its_line(typed) -> None:
    typed(f"{VALUE}\n")
    made = ask("spane_secrets", "set", "stripe", "--description", "shop")
    typed("two\nlines\n")
    replaced = ask("spane_secrets", "set", "stripe")

    secret = Secret.objects.get()
    assert made.out == "stored; configs refer to it as {{ secrets.stripe }}\n"
    assert (secret.description, vault.open_sealed(secret.sealed)) == ("shop", "two\nlines")
    assert VALUE not in made.out + made.err + replaced.out


def test_secrets_are_listed_with_who_uses_them(typed, acme: str) -> None:
    typed(VALUE)
    ask("spane_secrets", "set", "stripe", "--tenant", acme)
    assert ask("spane_secrets", "list", "--tenant", "other").out == "no secret is stored\n"
    log = {"id": "a", "type": "log", "config": {"message": "{{ secrets.stripe }}"}}
    nodes = [{**log, "inputs": [], "outputs": []}]
    publish({"id": "w", "name": "W", "entryNodeId": "a", "nodes": nodes}, now=utc_now())

    shown, (told,) = ask("spane_secrets", "list").out, ask("spane_secrets", "list", "--json").json

    assert "stripe" in shown
    assert "w v1" in shown
    assert (told["tenant"], told["usedBy"]) == ("acme", [{"workflowId": "w", "version": 1}])
    assert VALUE not in shown + str(told)


def test_a_tenant_that_there_is_not_gets_no_secret(typed, acme: str) -> None:
    typed(VALUE)

    assert ask("spane_secrets", "set", "stripe", "--tenant", "nobody").code == 2
    assert not Secret.objects.exists()


def test_an_export_holds_the_reference_and_not_the_value(typed, tmp_path) -> None:
    typed(VALUE)
    ask("spane_secrets", "set", "stripe")
    log = {"id": "a", "type": "log", "config": {"message": "{{ secrets.stripe }}"}}
    nodes = [{**log, "inputs": [], "outputs": []}]
    publish({"id": "w", "name": "W", "entryNodeId": "a", "nodes": nodes}, now=utc_now())

    for form in ("json", "yaml"):
        ask("spane_export", "--all", "--directory", tmp_path, "--format", form)
        text = (tmp_path / f"w.{form}").read_text()
        assert "{{ secrets.stripe }}" in text
        assert VALUE not in text


def test_a_secret_is_deleted_where_it_is(typed, acme: str) -> None:
    typed(VALUE)
    ask("spane_secrets", "set", "stripe", "--tenant", acme)

    wrong = ask("spane_secrets", "delete", "stripe")
    right = ask("spane_secrets", "delete", "stripe", "--tenant", "acme")

    assert (wrong.code, right.code, Secret.objects.count()) == (1, 0, 0)
    assert "there is no secret 'stripe'" in wrong.err


def test_keys_are_rotated_and_what_does_not_open_is_told(typed, settings: Settings) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.SPANE = {**settings.SPANE, "SECRET_KEYS": [old]}
    for name in ("a", "b", "c"):
        typed(VALUE)
        ask("spane_secrets", "set", name)
    settings.SPANE = {**settings.SPANE, "SECRET_KEYS": [new, old]}

    rotated = ask("spane_secrets", "rotate-keys", "--batch", 2, "--json")
    settings.SPANE = {**settings.SPANE, "SECRET_KEYS": [new]}
    values = {vault.open_sealed(secret.sealed) for secret in Secret.objects.all()}
    settings.SPANE = {**settings.SPANE, "SECRET_KEYS": [Fernet.generate_key().decode()]}
    lost = ask("spane_secrets", "rotate-keys")

    assert (rotated.code, rotated.json) == (0, {"resealed": 3, "unreadable": []})
    assert values == {VALUE}
    assert lost.code == 1
    assert "set these values again" in lost.err


@pytest.mark.parametrize(
    "wrong",
    [("set",), ("delete",), ("list", "stripe"), ("rotate-keys", "x"), ("list", "--batch", 0)],
)
def test_wrong_use_is_told(wrong: tuple[str, ...]) -> None:
    assert ask("spane_secrets", *wrong).code == 2


def test_a_value_that_is_refused_is_not_repeated(typed) -> None:
    typed("")
    empty = ask("spane_secrets", "set", "stripe")
    typed(VALUE * 5_000)
    large = ask("spane_secrets", "set", "stripe")

    assert (empty.code, large.code, Secret.objects.count()) == (1, 1, 0)
    assert VALUE not in large.out + large.err
