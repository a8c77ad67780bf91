"""Tokens over HTTP: shown once, never more than who makes them, rotated, revoked, limited."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import Settings

from spane_django.engine.run import utc_now
from spane_django.engine.tokens import find, issue, permissions_of, rotate, scope_for
from spane_django.models import ApiToken, AuditEntry, Tenant

from .conftest import EVERYTHING, Api, MakeApi, MakeUser, assert_refused, definition

OWN = "own_apitoken"


@pytest.fixture
def tenancy(settings: Settings, db: None) -> None:
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}
    for key in ("acme", "other"):
        Tenant.objects.create(key=key, name=key.title())


def member(user: User, *tenants: str) -> User:
    for key in tenants:
        Tenant.objects.get(key=key).users.add(user)
    return user


def with_token(user: User, **options: Any) -> Api:
    return Api(issue(user, "test", now=utc_now(), **options)[0])


def make(api: Api, **given: Any) -> dict[str, Any]:
    answer = api.post("/api/tokens", {"name": "import", "scope": "read", **given})
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def test_a_token_is_shown_once_and_good_at_once(api_of: MakeApi) -> None:
    api = api_of(OWN, "view_execution")

    made = make(api, expiresInDays=7)
    listed = api.get("/api/tokens").json()["results"]

    assert Api(made["token"]).get("/api/stats").status_code == 200
    assert made["token"].startswith(made["prefix"])
    assert {**listed[0], "token": made["token"]} == made
    assert made["token"] not in str(listed)
    assert (made["scope"], made["tenant"], made["revokedAt"]) == ("read", None, None)
    lasts = datetime.fromisoformat(made["expiresAt"]) - datetime.fromisoformat(made["createdAt"])
    assert lasts == timedelta(days=7)


def test_a_scope_is_less_than_the_user_may(api_of: MakeApi) -> None:
    made = make(api_of(OWN, *EVERYTHING), scope="read")
    api = Api(made["token"])

    refused = api.post("/api/workflows", definition("a"))

    assert api.get("/api/executions").status_code == 200
    assert refused.status_code == 403
    assert "scope 'define': this one has 'read'" in refused.json()["error"]["message"]


def test_a_scope_gives_nothing_that_the_user_may_not(make_user: MakeUser) -> None:
    api = with_token(make_user("view_execution"), scope="admin")

    assert api.get("/api/executions").status_code == 200
    assert api.post("/api/workflows", definition("a")).status_code == 403


def test_payloads_are_hidden_from_a_token_whose_user_may_not_see_them(
    api: Api, make_user: MakeUser
) -> None:
    api.post("/api/workflows", definition("a"))
    key = api.post("/api/workflows/flow/execute", {"initialData": "4111"}).json()["executionId"]
    reader = with_token(make_user("view_execution"), scope="read")

    assert reader.get(f"/api/executions/{key}").json()["input"] is None
    assert api.get(f"/api/executions/{key}").json()["input"] == "4111"


def test_each_scope_has_those_before_it_and_admin_the_rest() -> None:
    held = [permissions_of(name) for name in ("read", "execute", "operate", "define", "admin")]

    assert all(less < more for less, more in pairwise(held[:4]))
    assert scope_for("spane_django.pause_execution") == "operate"
    assert scope_for("spane_django.whatever_comes_next") == "admin"


def test_a_rotated_token_has_another_secret_and_the_old_one_for_a_while(api_of: MakeApi) -> None:
    api = api_of(OWN, "view_execution")
    made = make(api)

    path = f"/api/tokens/{made['id']}/rotate"
    rotated = api.post(path, {"graceSeconds": 60}).json()
    both = [Api(one["token"]).get("/api/stats").status_code for one in (made, rotated)]
    at_once = api.post(path, {}).json()
    old = [Api(one["token"]).get("/api/stats").status_code for one in (made, rotated, at_once)]

    assert (rotated["id"], both) == (made["id"], [200, 200])
    assert rotated["oldSecretUntil"] is not None
    assert old == [401, 401, 200]


def test_an_old_secret_ends_with_its_grace_and_with_the_token(make_user: MakeUser) -> None:
    now, user = utc_now(), make_user()
    old, token = issue(user, "test", now=now)
    rotate(token.pk, now=now, grace=timedelta(seconds=60))

    assert find(old, now=now + timedelta(seconds=59)) is not None
    assert find(old, now=now + timedelta(seconds=60)) is None
    ApiToken.objects.update(revoked_at=now)
    assert find(old, now=now) is None


def test_a_revoked_token_is_refused_and_cannot_be_rotated(api_of: MakeApi) -> None:
    api = api_of(OWN, "view_execution")
    made = make(api)

    revoked = api.post(f"/api/tokens/{made['id']}/revoke", {})
    again = api.post(f"/api/tokens/{made['id']}/rotate", {})

    assert (revoked.status_code, revoked.json()["revokedAt"] is None) == (200, False)
    assert Api(made["token"]).get("/api/stats").status_code == 401
    assert (again.status_code, again.json()["error"]["code"]) == (404, "unknown_token")


def test_whatever_happens_to_a_token_is_audited_without_its_secret(api_of: MakeApi) -> None:
    api = api_of(OWN)
    made = make(api)
    rotated = api.post(f"/api/tokens/{made['id']}/rotate", {}).json()
    api.post(f"/api/tokens/{made['id']}/revoke", {})

    entries = AuditEntry.objects.filter(username="user-0").order_by("id")

    verbs = ["create_token", "rotate_token", "revoke_token"]
    assert [entry.verb for entry in entries] == verbs
    told = str(list(entries.values()))
    assert made["token"] not in told
    assert rotated["token"] not in told


def test_use_is_written_at_most_once_a_minute(
    make_user: MakeUser, django_assert_num_queries: Callable[[int], Any]
) -> None:
    now = utc_now()
    secret, token = issue(make_user(), "test", now=now)

    find(secret, now=now)
    with django_assert_num_queries(1):
        find(secret, now=now + timedelta(seconds=59))
    find(secret, now=now + timedelta(seconds=61))

    token.refresh_from_db()
    assert token.last_used_at == now + timedelta(seconds=61)


def test_others_tokens_do_not_exist_without_the_permission(
    api_of: MakeApi, make_user: MakeUser
) -> None:
    theirs = issue(make_user(), "theirs", now=utc_now())[1]
    plain, seeing, changing = (
        api_of(OWN), api_of(OWN, "view_apitoken"), api_of(OWN, "view_apitoken", "change_apitoken"),
    )  # fmt: skip
    path = f"/api/tokens/{theirs.pk}/revoke"

    names = [
        {token["name"] for token in api.get("/api/tokens").json()["results"]}
        for api in (plain, seeing)
    ]
    statuses = [api.post(path, {}).status_code for api in (plain, seeing, changing)]

    assert [("theirs" in seen) for seen in names] == [False, True]
    assert statuses == [404, 403, 200]


def test_a_token_for_somebody_else_gives_nothing_that_its_maker_lacks(
    api_of: MakeApi, make_user: MakeUser
) -> None:
    weaker, stronger = make_user("view_execution"), make_user("publish_workflow")
    boss = User.objects.create(username="boss", is_superuser=True)
    plain, api = api_of(OWN), api_of(OWN, "add_apitoken", "view_execution")
    body = {"name": "x", "scope": "admin"}

    unpermitted = plain.post("/api/tokens", {**body, "user": weaker.username})
    made = api.post("/api/tokens", {**body, "user": weaker.username})
    refused = [
        api.post("/api/tokens", {**body, "user": user.username}) for user in (stronger, boss)
    ]

    assert unpermitted.status_code == 403
    assert (made.status_code, made.json()["user"]) == (201, weaker.username)
    assert [answer.status_code for answer in refused] == [403, 403]
    assert "spane_django.publish_workflow" in refused[0].json()["error"]["message"]


def test_a_token_makes_none_that_outlives_it(make_user: MakeUser) -> None:
    api = with_token(make_user(OWN), expires_in=timedelta(days=1))

    refused = api.post("/api/tokens", {"name": "x", "scope": "read"})
    longer = api.post("/api/tokens", {"name": "x", "scope": "read", "expiresInDays": 2})

    assert [refused.status_code, longer.status_code] == [403, 403]
    assert refused.json()["error"]["code"] == "too_much"
    assert make(api, expiresInDays=0.5)["token"]


def test_a_token_below_admin_makes_none(make_user: MakeUser) -> None:
    api = with_token(make_user(OWN), scope="define")

    assert api.post("/api/tokens", {"name": "x", "scope": "read"}).status_code == 403
    assert api.get("/api/tokens").status_code == 403


def test_a_session_makes_tokens_too_with_its_csrf_token(make_user: MakeUser) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user(OWN))
    client.cookies["csrftoken"] = "a" * 32
    body = {"name": "x", "scope": "read"}

    forged = client.post("/api/tokens", body, "application/json")
    meant = client.post("/api/tokens", body, "application/json", headers={"X-CSRFToken": "a" * 32})

    assert (forged.status_code, meant.status_code) == (403, 201)


@pytest.mark.parametrize(
    "body",
    [
        {}, [], {"name": "x"}, {"scope": "read"}, {"name": "", "scope": "read"},
        {"name": "x" * 101, "scope": "read"}, {"name": "x", "scope": "root"},
        {"name": "x", "scope": "read", "expiresInDays": 0},
        {"name": "x", "scope": "read", "expiresInDays": 1e300},
        {"name": "x", "scope": "read", "colour": 1}, {"name": "x", "scope": ["read"]},
        {"name": "x", "scope": "read", "tenant": "acme"},
        {"name": "x", "scope": "read", "user": "nobody"},
    ],
)  # fmt: skip
def test_a_bad_wish_for_a_token_is_refused(api_of: MakeApi, body: Any) -> None:
    assert_refused(api_of(OWN, "add_apitoken").post("/api/tokens", body))
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize("token_id", ["0", "999999999999999999999", "x", "-1", "%00"])
def test_a_token_that_is_none_cannot_be_changed(api_of: MakeApi, token_id: str) -> None:
    api = api_of(OWN)

    assert api.post(f"/api/tokens/{token_id}/rotate", {}).status_code == 404
    assert api.post(f"/api/tokens/{token_id}/revoke", {}).status_code == 404


@pytest.mark.usefixtures("tenancy")
class TestOfTenants:
    def test_a_tokens_tenant_is_one_of_its_users(self, make_user: MakeUser) -> None:
        api = with_token(member(make_user(OWN, "view_tenant"), "acme"))

        made = make(api, tenant="acme")
        refused = api.post("/api/tokens", {"name": "x", "scope": "read", "tenant": "other"})
        unknown = api.post("/api/tokens", {"name": "x", "scope": "read", "tenant": "nobody"})

        assert made["tenant"] == "acme"
        assert [refused.status_code, unknown.status_code] == [404, 404]

    def test_a_token_of_one_tenant_touches_no_other_of_its_user(self, make_user: MakeUser) -> None:
        user = member(make_user(OWN, *EVERYTHING, "view_tenant"), "acme", "other")
        bound, free = with_token(user, tenant="acme"), with_token(user)

        seen = [api.get("/api/tenants").json()["results"] for api in (bound, free)]
        other = bound.get("/api/executions", Spane_Tenant="other")
        widened = bound.post("/api/tokens", {"name": "x", "scope": "read"})
        listed = bound.get("/api/tokens").json()["results"]

        assert seen[0] == [{"key": "acme", "name": "Acme"}]
        assert [tenant["key"] for tenant in seen[1]] == ["acme", "other"]
        assert (other.status_code, widened.status_code) == (404, 403)
        assert [token["tenant"] for token in listed] == ["acme"]

    def test_who_has_several_tenants_names_one(self, make_user: MakeUser) -> None:
        api = with_token(member(make_user(*EVERYTHING), "acme", "other"))

        unnamed = api.post("/api/workflows", definition("a"))
        named = api.post("/api/workflows", definition("a"), Spane_Tenant="other")

        assert unnamed.status_code == 400
        assert unnamed.json()["error"]["code"] == "which_tenant"
        assert named.status_code == 201
        started = api.post("/api/workflows/flow/execute", {}, Spane_Tenant="other")
        assert started.status_code == 202
        assert len(api.get("/api/executions").json()["results"]) == 1
        assert api.get("/api/executions", Spane_Tenant="acme").json()["results"] == []

    def test_who_has_no_tenant_sees_what_is_shared_and_makes_nothing(self, api_of: MakeApi) -> None:
        api = api_of(*EVERYTHING)

        assert api.get("/api/executions").json()["results"] == []
        assert api.post("/api/workflows", definition("a")).status_code == 403

    def test_an_execution_of_another_tenant_and_one_that_is_none_look_the_same(
        self, make_user: MakeUser
    ) -> None:
        mine = with_token(member(make_user(*EVERYTHING), "acme"))
        theirs = with_token(member(make_user(*EVERYTHING), "other"))
        mine.post("/api/workflows", definition("a"))
        key = mine.post("/api/workflows/flow/execute", {}).json()["executionId"]
        none = key[:-4] + ("0000" if key[-4:] != "0000" else "1111")

        answers = [
            theirs.post(f"/api/executions/{one}/{verb}", {}).json()["error"]
            for one in (key, none)
            for verb in ("cancel", "replay", "retry")
        ]

        told = {str(answer).replace(key, "…").replace(none, "…") for answer in answers}
        assert len(told) == 1

    def test_who_makes_a_token_for_somebody_has_their_tenants(self, make_user: MakeUser) -> None:
        free = make_user()
        both = member(make_user(), "acme", "other")
        api = with_token(member(make_user(OWN, "add_apitoken"), "acme"))
        body = {"name": "x", "scope": "read", "user": both.username}

        wide = api.post("/api/tokens", body)
        narrow = api.post("/api/tokens", {**body, "tenant": "acme"})

        assert (wide.status_code, narrow.status_code) == (403, 201)
        assert free.pk is not None


@pytest.fixture
def rated(settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "API_RATE": "3/hour"}
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "rates"
        }
    }  # fmt: skip
    from django.core.cache import cache

    cache.clear()


@pytest.mark.usefixtures("rated")
def test_too_many_requests_of_one_token_are_told_when_to_come_again(make_user: MakeUser) -> None:
    user = make_user("view_execution")
    one, another = with_token(user), with_token(user)

    statuses = [one.get("/api/stats").status_code for _ in range(3)]
    refused = one.get("/api/stats")

    assert statuses == [200, 200, 200]
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 3_600
    assert refused.json()["error"]["code"] == "throttled"
    assert another.get("/api/stats").status_code == 200


@pytest.mark.usefixtures("rated")
def test_a_session_is_counted_by_its_user_and_health_not_at_all(make_user: MakeUser) -> None:
    client = Client()
    client.force_login(make_user("view_execution"))

    statuses = [client.get("/api/stats").status_code for _ in range(4)]
    healths = [client.get("/health/live").status_code for _ in range(5)]

    assert statuses == [200, 200, 200, 429]
    assert healths == [200] * 5


@pytest.mark.usefixtures("rated")
def test_a_cache_that_is_away_refuses_nobody(make_user: MakeUser, settings: Settings) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1",
        }
    }
    api = with_token(make_user("view_execution"))

    assert [api.get("/api/stats").status_code for _ in range(5)] == [200] * 5


@pytest.mark.usefixtures("rated")
def test_without_a_rate_nobody_counts(make_user: MakeUser, settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "API_RATE": None}
    api = with_token(make_user("view_execution"))

    assert [api.get("/api/stats").status_code for _ in range(5)] == [200] * 5


def test_every_permission_of_the_models_is_one_that_somebody_can_have(db: None) -> None:
    codenames = Permission.objects.filter(content_type__app_label="spane_django")

    verbs = {"run_workflow", "publish_workflow", "pause_execution", "cancel_execution",
             "replay_execution", "retry_execution", "decide_approval", "view_payload",
             "own_apitoken"}  # fmt: skip

    assert verbs <= set(codenames.values_list("codename", flat=True))
