"""Running an execution again from its page: what is foretold, what is given, who may."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from spane_django.models import AuditEntry, Execution
from spane_django.models.payloads import KEY
from tests.admin.conftest import Login
from tests.admin.pages import page_of, told, user_of
from tests.admin.stage import BAD, GOOD, SCRIPT, ended, node, published, started, work, workflow

pytestmark = pytest.mark.django_db

SCHEMA = {
    "type": "object",
    "required": ["order"],
    "properties": {
        "order": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "items": {"type": "string"}},
        "at": {"type": "string", "format": "date-time"},
        "gift": {"type": "boolean"},
        "size": {"enum": ["S", "M"], "default": "M"},
    },
}
ORDER = {**workflow("order", node("keep", "log", {"message": "kept"})), "inputSchema": SCHEMA}
CHAIN = workflow(
    "chain",
    node("one", "log", {"message": "1"}, [], ["two"]),
    node("two", "log", {"message": "2"}, ["one"], ["three"]),
    node("three", "log", {"message": "3"}, ["two"], []),
)


def replay_page(execution: Execution, query: str = "") -> str:
    return reverse("admin:spane_django_execution_replay", args=[execution.pk]) + query


def confirm(client: Client, url: str, **given: Any) -> Any:
    """Post the form of a page as a browser would, with some of it changed."""
    page = client.get(url)
    fields = dict(_fields(page))
    return client.post(url, {**fields, **given})


def _fields(page: Any) -> Any:
    form, given = page.context["form"], page.context["given"]
    yield "mark", page.context["mark"]
    yield "key", str(form["key"].value())
    yield "reason", ""
    for field in given.form or ():
        if (value := field.value()) not in (None, False):
            yield field.html_name, str(field.field.widget.format_value(value) or "")


def test_the_page_tells_what_runs_again_and_what_is_kept(boss: Client):
    execution = ended(CHAIN)

    page = boss.get(replay_page(execution, "?from=node:two"))

    told_ = [(re.sub("<.*?>", "", chip), nodes) for chip, nodes, _ in page.context["fates"]]
    assert told_ == [("◔ 2 to run again", ["two", "three"]), ("✓ 1 kept", ["one"])]
    said = {box.node_id: box.said for box in page.context["picture"].boxes}
    assert said == {"one": "kept", "two": "to run again", "three": "to run again"}


def test_a_node_of_the_graph_leads_to_what_happens_from_there(boss: Client):
    execution = ended(CHAIN)

    page = boss.get(replay_page(execution))

    urls = {box.node_id: box.url for box in page.context["picture"].boxes}
    assert boss.get(replay_page(execution) + urls["three"]).context["choice"].text == "node:three"


def test_from_the_start_a_new_execution_runs_with_the_same_input(boss: Client):
    execution = ended(GOOD, {"n": 1})

    response = confirm(boss, replay_page(execution), reason="the gateway was down")

    replayed = execution.replays.get()
    assert response["Location"] == page_of(replayed)
    assert replayed.input == {"n": 1}
    entry = AuditEntry.objects.get(verb="replay")
    assert (entry.user, entry.reason) == (user_of(boss), "the gateway was down")
    assert "input" not in entry.after


def test_a_second_click_starts_nothing_more(boss: Client):
    execution = ended(GOOD)
    page = boss.get(replay_page(execution))
    form = dict(_fields(page))

    boss.post(replay_page(execution), form)
    boss.post(replay_page(execution), form)

    assert execution.replays.count() == 1


def test_the_input_can_be_edited_as_json(boss: Client):
    execution = ended(GOOD, {"n": 1})

    confirm(boss, replay_page(execution), **{"given-whole": '{"n": 2}'})

    assert execution.replays.get().input == {"n": 2}
    assert AuditEntry.objects.get(verb="replay").after["input"] == {"n": 2}


def test_the_input_can_be_edited_in_a_form_of_the_schema(boss: Client):
    was = {"order": 7, "tags": ["a", "b"], "at": "2030-01-01T10:00:00Z"}
    execution = ended(ORDER, was)

    confirm(boss, replay_page(execution), **{"given-f0": "8"})

    made = execution.replays.get().input
    assert (made["order"], made["tags"], made["at"]) == (8, ["a", "b"], "2030-01-01T10:00:00Z")
    assert "size" not in made


@pytest.mark.parametrize("query", ["", "?json=1"])
def test_what_is_left_as_it_was_is_not_given_at_all(boss: Client, query: str):
    execution = ended(ORDER, {"order": 7, "tags": ["a", "b"], "at": "2030-01-01T10:00:00Z"})

    confirm(boss, replay_page(execution, query))

    assert execution.replays.get().input == execution.input
    assert "input" not in AuditEntry.objects.get(verb="replay").after


def test_an_input_with_more_than_the_schema_names_is_asked_for_as_json(boss: Client):
    execution = ended(ORDER, {"order": 7, "more": 1})

    page = boss.get(replay_page(execution))

    assert page.context["given"].is_json
    assert page.context["given"].other_url == ""


def test_what_the_schema_refuses_is_told_at_its_field(boss: Client):
    execution = ended(ORDER, {"order": 7, "more": 1})

    response = confirm(boss, replay_page(execution), **{"given-whole": '{"order": 0}'})

    assert "minimum" in str(response.context["given"].errors)
    assert not execution.replays.exists()


def test_what_stands_for_a_hidden_value_is_never_written_back(boss: Client):
    execution = ended(GOOD, {"card": "***", "n": 1})
    page = boss.get(replay_page(execution)).content.decode()

    changed = {"given-whole": '{"card": "***", "n": 2}'}
    refused = confirm(boss, replay_page(execution), **changed)

    assert "*** stands for a value that was hidden" in page
    assert "card: *** stands for a hidden value" in refused.content.decode()
    assert not execution.replays.exists()
    confirm(boss, replay_page(execution), **{"given-whole": '{"card": "4111", "n": 2}'})
    assert execution.replays.get().input == {"card": "4111", "n": 2}


def test_what_stands_for_a_hidden_value_is_no_output_either(boss: Client):
    execution = ended(BAD)
    url = reverse("admin:spane_django_execution_node", args=[execution.pk, "complete"])

    response = boss.post(f"{url}?node=explode", {"output": '{"token": ["Bearer ***"]}'})

    assert "token[0]: *** stands for a hidden value" in response.content.decode()
    assert execution.node_runs.get(node_id="explode").status == "failed"


def test_who_may_not_see_payloads_runs_it_again_with_the_input_that_it_had(login: Login):
    execution = ended(GOOD, {"secret": SCRIPT})
    client = login("replay_execution")

    page = client.get(replay_page(execution)).content.decode()
    confirm(client, replay_page(execution), **{"given-whole": '{"secret": "mine"}'})

    assert "alert(" not in page
    assert "as you may not see payloads" in page
    assert execution.replays.get().input == {"secret": SCRIPT}


def test_an_input_whose_file_is_gone_cannot_be_edited_and_its_beginning_is_never_the_input(
    boss: Client,
):
    execution = ended(GOOD)
    gone = {"name": "spane/2030-01-01/" + "0" * 32 + ".json", "bytes": 9, "preview": '{"n":1'}
    Execution.objects.filter(pk=execution.pk).update(input={KEY: gone})

    page = boss.get(replay_page(execution))
    response = confirm(boss, replay_page(execution), **{"given-whole": '{"n": 2}'})

    assert page.context["given"].form is None
    assert "cannot be edited" in page.content.decode()
    assert "cannot be read" in response.content.decode()
    assert not execution.replays.exists()


def test_an_input_that_is_too_large_is_not_edited_here_but_runs(boss: Client):
    execution = ended(GOOD, {"text": "x" * 200_000})

    page = boss.get(replay_page(execution))
    confirm(boss, replay_page(execution))

    assert "too large to be edited" in page.content.decode()
    assert execution.replays.count() == 1


def test_from_a_node_it_goes_back_itself_and_the_node_can_be_given_another_input(boss: Client):
    execution = ended(GOOD)
    url = replay_page(execution, "?from=node:tell")

    response = confirm(boss, url, **{"given-whole": '{"greeting": "again"}'})
    work()

    run = execution.node_runs.get(node_id="tell")
    assert response["Location"] == page_of(execution)
    assert told(response) == ["It runs again."]
    assert (run.output, run.attempt) == ({"greeting": "again"}, 2)
    assert execution.node_runs.get(node_id="greet").attempt == 1


def test_in_the_current_version_it_leads_to_the_new_execution(boss: Client):
    execution = ended(GOOD)
    published({**GOOD, "description": "Another"})

    response = confirm(boss, replay_page(execution, "?from=node:tell&version=latest"))

    newest = Execution.objects.latest("id")
    assert newest.version.number == 2
    assert response["Location"] == page_of(newest)


def test_from_the_start_in_the_current_version_everything_runs(boss: Client):
    execution = ended(GOOD)
    published({**GOOD, "description": "Another"})

    confirm(boss, replay_page(execution, "?version=latest"))

    assert execution.replays.get().version.number == 2


def test_from_what_failed_no_input_is_asked_for(boss: Client):
    execution = ended(BAD)
    url = replay_page(execution, "?from=failed")

    page = boss.get(url)
    confirm(boss, url)

    assert page.context["given"].form is None
    assert execution.node_runs.get(node_id="explode").status == "ready"
    assert execution.dead_letters.get().resolution == "retried"


def test_what_would_happen_by_now_is_shown_before_it_does(boss: Client):
    execution = ended(CHAIN)
    url = replay_page(execution, "?from=node:three&version=latest")
    form = dict(_fields(boss.get(url)))
    published({**CHAIN, "description": "Another"})

    response = boss.post(url, form)

    assert "Something else would happen by now" in response.content.decode()
    assert not execution.replays.exists()
    boss.post(url, dict(_fields(response)))
    assert execution.replays.get().version.number == 2


def test_what_cannot_be_done_is_said_and_offers_no_button(boss: Client):
    execution = started(GOOD)

    page = boss.get(replay_page(execution, "?from=node:greet"))

    assert page.context["refusal"]
    assert "button default" not in page.content.decode()


@pytest.mark.parametrize("query", ["?from=nothing", "?from=node"])
def test_an_unknown_beginning_is_not_found(boss: Client, query: str):
    assert boss.get(replay_page(ended(GOOD), query)).status_code == 404


def test_each_beginning_takes_its_permission(login: Login):
    execution = ended(BAD)
    replayer, retrier = login("replay_execution"), login("retry_execution", "view_payload")

    assert list(replayer.get(replay_page(execution)).context["offered"]) == ["start"]
    assert list(retrier.get(replay_page(execution)).context["offered"]) == [
        "failed",
        "node:explode",
    ]
    assert replayer.post(replay_page(execution, "?from=failed")).status_code == 403
    assert replayer.post(replay_page(execution, "?from=node:explode")).status_code == 403
    assert retrier.post(replay_page(execution, "?from=start")).status_code == 403


def test_the_pages_of_an_execution_lead_here_where_it_is_allowed(login: Login):
    execution = ended(BAD)
    nobody, replayer, retrier = login(), login("replay_execution"), login("retry_execution", "x")
    link, of_node = f'href="{replay_page(execution)}"', "from=node%3Aexplode"

    pages = [client.get(page_of(execution)).content.decode() for client in (nobody, replayer)]
    of_retrier = retrier.get(page_of(execution)).content.decode()

    assert [link in page for page in pages] == [False, True]
    assert [of_node in page for page in (*pages, of_retrier)] == [False, False, True]
