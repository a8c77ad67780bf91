"""Operators act through the engine's verbs: who may, what changes, what is told and logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db.models import Model
from django.test import Client
from django.utils.timezone import now

from spane_django.engine import control, tokens
from spane_django.models import ApiToken, DeadLetter, Execution, Workflow
from tests.admin.conftest import Login
from tests.admin.pages import list_of, page_of, told, verb_of
from tests.admin.stage import BAD, GOOD, ended, published, started

ALL = [
    "pause_execution",
    "cancel_execution",
    "replay_execution",
    "retry_execution",
    "reassign_execution",
    "publish_workflow",
    "run_workflow",
    "change_apitoken",
]


def paused() -> Execution:
    return control.pause(started(GOOD).pk, now=now())


def failed() -> Execution:
    return ended(BAD)


def letter() -> DeadLetter:
    return ended(BAD).dead_letters.get()


def running() -> Execution:
    return started(GOOD)


def enabled() -> Workflow:
    return published(GOOD).workflow


def disabled() -> Workflow:
    workflow = published(GOOD).workflow
    Workflow.objects.update(is_enabled=False)
    return workflow


def token() -> ApiToken:
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.create_user("program")
    return tokens.issue(user, "program", now=now())[1]


Case = tuple[str, str, Callable[[], Model], Callable[[Any], object]]
CASES: dict[str, Case] = {
    "pause": ("pause", "pause_execution", running, lambda row: row.status == "paused"),
    "resume": ("resume", "pause_execution", paused, lambda row: row.status == "running"),
    "cancel": ("cancel", "cancel_execution", running, lambda row: row.status == "cancelled"),
    "replay": ("replay", "replay_execution", failed, lambda row: row.replays.count() == 1),
    "retry": ("retry", "retry_execution", failed, lambda row: row.status == "running"),
    "reassign": ("reassign", "reassign_execution", running, lambda row: row.priority == 9),
    "retry letter": ("retry", "retry_execution", letter, lambda row: row.resolution == "retried"),
    "discard": ("discard", "retry_execution", letter, lambda row: row.resolution == "discarded"),
    "enable": ("enable", "publish_workflow", disabled, lambda row: row.is_enabled),
    "disable": ("disable", "publish_workflow", enabled, lambda row: not row.is_enabled),
    "revoke": ("revoke", "change_apitoken", token, lambda row: row.revoked_at is not None),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def press(client: Client, row: Model, verb: str, **given: Any) -> Any:
    """Press the button of a row's page and confirm."""
    asked = {"discard": {"reason": "known"}, "reassign": {"priority": "9"}}.get(verb, {})
    form = {"ids": str(row.pk), "confirmed": "1", "back": page_of(row), **asked, **given}
    return client.post(verb_of(type(row), verb), form)


def choose(client: Client, verb: str, *rows: Model, query: str = "") -> Any:
    """Choose an action in the list for some of its rows."""
    form = {"action": f"{verb}_selected", "_selected_action": [str(row.pk) for row in rows]}
    return client.post(list_of(type(rows[0]), query), form)


def fresh(row: Model) -> Any:
    return type(row)._default_manager.get(pk=row.pk)


@cases
def test_who_has_the_permission_may_press_the_button(login: Login, case: Case) -> None:
    verb, permission, make, has_changed = case
    row = make()

    response = press(login(permission), row, verb)

    assert response.status_code == 302
    assert has_changed(fresh(row))


@cases
def test_who_has_every_other_permission_may_not(login: Login, case: Case) -> None:
    verb, permission, make, has_changed = case
    row = make()
    client = login(*(other for other in ALL if other != permission))

    assert press(client, row, verb).status_code == 403
    assert not has_changed(fresh(row))
    page = client.get(page_of(row)).content.decode()
    assert verb_of(type(row), verb) not in page


@cases
def test_who_may_not_see_the_rows_may_not_change_them(login: Login, case: Case) -> None:
    verb, permission, make, has_changed = case
    row = make()
    client = login(permission, sees=False)

    assert press(client, row, verb).status_code == (302 if permission == "change_apitoken" else 403)
    assert has_changed(fresh(row)) == (permission == "change_apitoken")


@cases
def test_a_forged_post_is_refused(login: Login, case: Case) -> None:
    verb, permission, make, has_changed = case
    row = make()
    client = login(permission, csrf=True)

    assert press(client, row, verb).status_code == 403
    assert choose(client, verb, row).status_code == 403
    assert not has_changed(fresh(row))


@cases
def test_a_link_changes_nothing(login: Login, case: Case) -> None:
    verb, permission, make, has_changed = case
    row = make()

    response = login(permission).get(verb_of(type(row), verb), {"ids": str(row.pk)})

    assert response.status_code == 405
    assert not has_changed(fresh(row))


@cases
def test_the_action_of_the_list_is_offered_to_who_has_the_permission(
    login: Login, case: Case
) -> None:
    verb, permission, make, has_changed = case
    row = make()
    others = login(*(other for other in ALL if other != permission))

    assert f'value="{verb}_selected"' in login(permission).get(list_of(type(row))).content.decode()
    assert f'value="{verb}_selected"' not in others.get(list_of(type(row))).content.decode()
    choose(others, verb, row)
    assert not has_changed(fresh(row))


@cases
def test_each_change_is_logged_with_who_made_it(login: Login, case: Case) -> None:
    verb, permission, make, _ = case
    row = make()
    client = login(permission)

    press(client, row, verb)

    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (
        str(row.pk),
        f"{verb}: known" if verb == "discard" else verb,
    )
    assert entry.user.username.startswith("staff")


@pytest.mark.parametrize("verb", ["replay", "cancel"])
def test_what_cannot_be_undone_asks_first_and_says_how_many(boss: Client, verb: str) -> None:
    rows = [ended(GOOD), started(GOOD), started(GOOD)]
    count = Execution.objects.count()

    html = choose(boss, verb, *rows).content.decode()

    assert 'name="confirmed"' in html
    assert f"{2 if verb == 'cancel' else 3} executions" in html
    assert Execution.objects.count() == count
    assert not Execution.objects.filter(status="cancelled").exists()


def test_what_is_confirmed_is_what_was_shown_and_nothing_else(boss: Client) -> None:
    shown = started(GOOD)
    response = choose(boss, "cancel", shown, query="?status__exact=running")
    later = started(GOOD)

    boss.post(
        response.context["url"], {"ids": response.context["ids"], "confirmed": "1", "back": "/"}
    )

    assert fresh(shown).status == "cancelled"
    assert fresh(later).status == "running"


def test_a_bulk_action_tells_how_many_changed_and_why_others_did_not(boss: Client) -> None:
    rows = [ended(GOOD), ended(GOOD), paused(), started(GOOD), started(GOOD)]

    response = choose(boss, "pause", *rows)

    assert told(response) == [
        "2 executions were paused.",
        "3 were left alone: cannot be paused: it is completed (2); "
        "cannot be paused: it is paused (1)",
    ]
    assert LogEntry.objects.count() == 2


def test_retrying_what_has_no_dead_letter_says_so(boss: Client) -> None:
    response = choose(boss, "retry", started(GOOD))

    assert "no open dead letter" in told(response)[0]
    assert not LogEntry.objects.exists()


def test_a_bulk_action_takes_no_more_than_it_can_do_at_once(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spane_django.admin.verbs.AT_ONCE", 2)
    rows = [started(GOOD) for _ in range(3)]

    response = choose(boss, "pause", *rows)

    assert Execution.objects.filter(status="paused").count() == 2
    assert told(response)[0].startswith("Only the first 2 ")


def test_the_reason_of_a_cancellation_is_kept_and_logged(boss: Client) -> None:
    execution = started(GOOD)

    press(boss, execution, "cancel", reason="ordered twice")

    assert fresh(execution).reason == "ordered twice"
    assert LogEntry.objects.get().change_message == "cancel: ordered twice"


def test_buttons_can_be_pressed_only_where_their_verb_is_legal(boss: Client) -> None:
    def legal(execution: Execution) -> set[str]:
        buttons = boss.get(page_of(execution)).context["buttons"]
        return {button.verb.name for button in buttons if button.is_legal}

    assert legal(started(GOOD)) == {"pause", "reassign", "cancel"}
    assert legal(paused()) == {"resume", "reassign", "cancel"}
    assert legal(ended(BAD)) == {"retry"}
    assert legal(control.cancel(started(GOOD).pk, now=now())) == set()


def test_a_replay_of_one_leads_to_the_new_execution(boss: Client) -> None:
    original = ended(GOOD)

    response = press(boss, original, "replay")

    assert response.url == page_of(original.replays.get())


def test_after_a_verb_the_browser_stays_on_this_site(boss: Client) -> None:
    response = press(boss, started(GOOD), "pause", back="https://evil.example/")

    assert response.url == list_of(Execution)


@pytest.mark.parametrize("ids", ["", "nonsense", ",".join(["1"] * 1_001)])
def test_malformed_ids_are_a_bad_request(boss: Client, ids: str) -> None:
    response = boss.post(verb_of(DeadLetter, "retry"), {"ids": ids})

    assert response.status_code == 400


def test_an_unknown_verb_is_not_found(boss: Client) -> None:
    response = boss.post(verb_of(Execution, "explode"), {"ids": started(GOOD).pk})

    assert response.status_code == 404


@pytest.mark.parametrize("verb", ["enable", "retry", "revoke"])
def test_a_row_that_is_gone_is_reported(boss: Client, verb: str) -> None:
    model = {"enable": Workflow, "retry": DeadLetter, "revoke": ApiToken}[verb]

    response = boss.post(verb_of(model, verb), {"ids": "99999", "confirmed": "1"})

    assert told(response)[0].startswith("1 was left alone")
