"""Secrets in the admin: typed in, never shown."""

from __future__ import annotations

from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from spane_django.engine import vault
from spane_django.engine.secrets import create_secret
from spane_django.models import AuditEntry, Secret

from .conftest import Login
from .pages import list_of, page_of
from .stage import node, published, workflow

VALUE = "sk_live_51H-hunter2"
ADD = "admin:spane_django_secret_add"


def test_a_secret_is_typed_in_and_never_shown(boss: Client) -> None:
    made = boss.post(reverse(ADD), {"name": "stripe", "value": VALUE, "description": "shop"})
    secret = Secret.objects.get()
    pages = [boss.get(url).text for url in (list_of(Secret), page_of(secret), reverse(ADD))]
    history = boss.get(reverse("admin:spane_django_secret_history", args=[secret.pk])).text

    assert made.status_code == 302
    assert vault.open_sealed(secret.sealed) == VALUE
    assert "stripe" in pages[0]
    for text in (*pages, history, str(LogEntry.objects.values()), str(AuditEntry.objects.values())):
        assert VALUE not in text
        assert secret.sealed not in text


def test_a_form_with_faults_does_not_send_the_value_back(boss: Client) -> None:
    create_secret("taken", "a value", now=now())

    for name in ("not a name", "taken", ""):
        answer = boss.post(reverse(ADD), {"name": name, "value": VALUE})
        assert answer.status_code == 200
        assert "errornote" in answer.text
        assert VALUE not in answer.text
    assert boss.post(reverse(ADD), {"name": "ok", "value": ""}).status_code == 200
    assert Secret.objects.count() == 1


def test_an_empty_value_leaves_what_is_there_and_another_replaces_it(boss: Client) -> None:
    secret = create_secret("stripe", VALUE, now=now())

    boss.post(page_of(secret), {"value": "", "description": "described", "name": "renamed"})
    kept = Secret.objects.get()
    boss.post(page_of(secret), {"value": "another value", "description": "described"})
    replaced = Secret.objects.get()

    assert (kept.name, kept.description, kept.rotated_at) == (
        "stripe", "described", secret.rotated_at,
    )  # fmt: skip
    assert vault.open_sealed(kept.sealed) == VALUE
    assert vault.open_sealed(replaced.sealed) == "another value"
    assert replaced.rotated_at > secret.rotated_at


def test_secrets_are_deleted_one_by_one_or_many_and_audited(boss: Client) -> None:
    secrets = [create_secret(name, VALUE, now=now()) for name in ("a", "b", "c")]

    boss.post(reverse("admin:spane_django_secret_delete", args=[secrets[0].pk]), {"post": "yes"})
    chosen = [secret.pk for secret in secrets[1:]]
    picked = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    boss.post(list_of(Secret), picked)

    assert not Secret.objects.exists()
    deleted = AuditEntry.objects.filter(verb="delete_secret").order_by("target")
    assert [(entry.target, entry.username) for entry in deleted] == [
        ("a", "boss"), ("b", "boss"), ("c", "boss"),
    ]  # fmt: skip


def test_who_may_only_see_can_do_nothing_else(login: Login) -> None:
    secret = create_secret("stripe", VALUE, description="shop", now=now())
    viewer = login("view_secret", sees=False)

    page = viewer.get(page_of(secret))

    assert page.status_code == 200
    assert "shop" in page.text
    assert 'name="value"' not in page.text
    assert viewer.get(reverse(ADD)).status_code == 403
    assert viewer.post(page_of(secret), {"value": "another", "description": ""}).status_code == 403
    assert login(sees=False).get(list_of(Secret)).status_code == 403
    assert vault.open_sealed(Secret.objects.get().sealed) == VALUE


def test_who_uses_a_secret_is_shown(boss: Client) -> None:
    secret = create_secret("stripe", VALUE, now=now())
    published(workflow("shop", node("tell", "log", {"message": "{{ secrets.stripe }}"})))

    assert "shop v1</a>" in boss.get(list_of(Secret)).text
    assert "shop v1</a>" in boss.get(page_of(secret)).text


def test_another_tenants_secrets_cannot_be_seen_or_stored(login: Login, settings) -> None:
    from spane_django.models import Tenant

    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}
    for key in ("acme", "other"):
        Tenant.objects.create(key=key, name=key)
    mine = create_secret("mine", VALUE, tenant="acme", now=now())
    theirs = create_secret("theirs", VALUE, tenant="other", now=now())
    shared = create_secret("shared", VALUE, now=now())
    client = login("view_secret", "add_secret", "change_secret", "delete_secret", sees=False)
    Tenant.objects.get(key="acme").users.add(client.session["_auth_user_id"])

    listed = client.get(list_of(Secret)).text
    added = {
        tenant: client.post(reverse(ADD), {"tenant": tenant, "name": "new", "value": VALUE})
        for tenant in ("other", "nobody", "", "acme")
    }

    assert "mine" in listed
    assert "theirs" not in listed
    assert "shared" not in listed
    assert client.get(page_of(mine)).status_code == 200
    for hidden in (theirs, shared):
        assert client.get(page_of(hidden)).status_code == 302
        answer = client.post(page_of(hidden), {"value": "taken over", "description": ""})
        assert answer.status_code == 302
        hidden.refresh_from_db()
        assert vault.open_sealed(hidden.sealed) == VALUE
    assert [answer.status_code for answer in added.values()] == [200, 200, 200, 302]
    assert set(Secret.objects.filter(name="new").values_list("tenant", flat=True)) == {"acme"}
