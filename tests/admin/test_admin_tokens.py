"""API tokens in the admin: made, shown this once, good at the API, rotated, revoked."""

from __future__ import annotations

import re
import subprocess
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from spane_django.clock import now
from spane_django.engine import tokens
from spane_django.models import ApiToken, AuditEntry
from tests.admin.conftest import Login
from tests.admin.pages import form_on, list_of, page_of, told, user_of, verb_of
from tests.admin.stage import SCRIPT

pytestmark = pytest.mark.django_db

MAKE = reverse("admin:spane_django_apitoken_make")


def rotation(token: ApiToken) -> str:
    return reverse("admin:spane_django_apitoken_rotate", args=[token.pk])


def shown(answer: Any) -> list[str]:
    """Return what a page offers to copy."""
    return [unescape(text) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", answer.text, re.S)]


def issued(user: User, name: str = "nightly") -> ApiToken:
    return tokens.issue(user, name, now=now(), scope="read")[1]


def test_a_token_is_made_shown_this_once_and_kept_nowhere(boss: Client) -> None:
    answer = boss.post(MAKE, form_on(boss, MAKE, name="nightly", scope="execute", days="30"))

    token = ApiToken.objects.get()
    secret = shown(answer)[0]
    found = tokens.find(secret, now=now())
    later = [boss.get(url).text for url in (list_of(ApiToken), page_of(token))]
    kept = str(AuditEntry.objects.values()) + str(LogEntry.objects.values())
    lasts = (token.expires_at or now()) - now()
    assert found == token
    assert (token.name, token.scope, token.user) == ("nightly", "execute", user_of(boss))
    assert timedelta(days=29, hours=23) < lasts <= timedelta(days=30)
    assert "no-store" in answer["Cache-Control"]
    assert secret not in "".join(later) + kept + str(answer.cookies) + str(dict(boss.session))
    assert secret[:12] in later[0]
    assert AuditEntry.objects.get(verb="create_token").username == "boss"


def test_the_command_that_is_shown_is_good_when_it_is_pasted(
    transactional_db: None, login: Login, live_server: Any
) -> None:
    client = login("own_apitoken")
    answer = client.post(MAKE, form_on(client, MAKE, name="mine", scope="read"))
    here = shown(answer)[1].replace("http://testserver", str(live_server))

    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True)

    assert "200 OK" in done.stdout
    assert '"results":[]' in done.stdout


def test_a_form_that_is_sent_again_makes_nothing_more(boss: Client) -> None:
    typed = form_on(boss, MAKE, name="nightly", scope="read")

    boss.post(MAKE, typed)
    again = boss.post(MAKE, typed)

    assert told(again) == ["This form was sent before."]
    assert ApiToken.objects.count() == 1


def test_a_token_is_rotated_and_the_old_secret_stays_good_for_a_while(boss: Client) -> None:
    old, token = tokens.issue(user_of(boss), "nightly", now=now())

    page = boss.get(rotation(token)).text
    answer = boss.post(rotation(token), form_on(boss, rotation(token), grace="3600"))
    boss.post(rotation(token), form_on(boss, rotation(token), grace="3600"))

    first = shown(answer)[0]
    assert "How long it stays good" in page
    assert tokens.find(old, now=now()) is None
    assert tokens.find(first, now=now() + timedelta(minutes=59)) == token
    assert tokens.find(first, now=now() + timedelta(minutes=61)) is None


def test_a_revoked_token_is_not_rotated(boss: Client) -> None:
    token = issued(user_of(boss))

    boss.post(verb_of(ApiToken, "revoke"), {"ids": str(token.pk), "confirmed": "1"})

    assert boss.post(rotation(token), {"grace": "0"}).status_code == 403
    assert rotation(token) not in boss.get(page_of(token)).text
    assert AuditEntry.objects.get(verb="revoke_token").username == "boss"


def test_nobody_makes_a_token_that_may_more_than_they(login: Login, boss: Client) -> None:
    clerk = login("add_apitoken", "own_apitoken")

    refused = clerk.post(MAKE, form_on(clerk, MAKE, name="x", scope="admin", user="boss"))
    unknown = clerk.post(MAKE, form_on(clerk, MAKE, name="x", scope="admin", user="nobody"))

    assert "may do what you may not" in unescape(refused.text)
    assert "There is no such user" in unknown.text
    assert not ApiToken.objects.exists()


def test_who_may_own_tokens_makes_rotates_and_revokes_theirs_alone(
    login: Login, boss: Client
) -> None:
    clerk = login("own_apitoken", sees=False)
    theirs = issued(user_of(boss), name="of somebody else")

    made = clerk.post(MAKE, form_on(clerk, MAKE, name="mine", scope="read", user="boss"))
    mine = ApiToken.objects.get(name="mine")
    listed = clerk.get(list_of(ApiToken)).text
    rotated = clerk.post(rotation(mine), {"grace": "0"})
    revoked = clerk.post(verb_of(ApiToken, "revoke"), {"ids": str(mine.pk), "confirmed": "1"})
    statuses = [
        clerk.get(rotation(theirs)).status_code,
        clerk.post(
            verb_of(ApiToken, "revoke"), {"ids": str(theirs.pk), "confirmed": "1"}
        ).status_code,
    ]

    assert made.status_code == 200
    assert mine.user == user_of(clerk)
    assert "mine" in listed
    assert "of somebody else" not in listed
    assert shown(rotated)[0].startswith("spane_")
    assert told(revoked) == ["1 token was revoked."]
    assert statuses == [404, 403]
    assert tokens.revoke(theirs.pk, now=now())


def test_who_may_only_look_changes_nothing_and_forged_forms_are_refused(
    login: Login, boss: Client
) -> None:
    token = issued(user_of(boss), name=SCRIPT)
    onlooker, forger = login(), login("own_apitoken", "add_apitoken", "change_apitoken", csrf=True)
    revoke = verb_of(ApiToken, "revoke")
    data = {"ids": str(token.pk), "confirmed": "1", "name": "x", "scope": "read", "grace": "0"}

    refused = [
        client.post(url, data).status_code
        for client in (onlooker, forger)
        for url in (MAKE, rotation(token), revoke)
    ]
    pages = onlooker.get(list_of(ApiToken)).text + onlooker.get(page_of(token)).text

    token.refresh_from_db()
    assert refused == [403] * 6
    assert token.revoked_at is None
    assert SCRIPT not in pages
    assert MAKE not in pages
    assert revoke not in pages


def test_tokens_are_found_by_how_they_stand(boss: Client) -> None:
    user = user_of(boss)
    good, revoked = issued(user, "good"), issued(user, "revoked")
    tokens.revoke(revoked.pk, now=now())
    past = now() - timedelta(days=2)
    expired = tokens.issue(user, "expired", now=past, expires_in=timedelta(days=1))[1]

    def found(standing: str) -> list[ApiToken]:
        page = boss.get(list_of(ApiToken, f"?standing={standing}"))
        return list(page.context["cl"].result_list)

    assert found("good") == [good]
    assert found("revoked") == [revoked]
    assert found("expired") == [expired]
