"""Secrets: stored sealed, opened for one attempt, never kept in what that leaves behind."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from spane_django.core.errors import InvalidInput
from spane_django.core.outcome import (
    AskApproval,
    Child,
    Delay,
    Permanent,
    Result,
    StartChildren,
)
from spane_django.engine import vault
from spane_django.engine.advice import advice, uses_of
from spane_django.engine.opened import MissingSecret
from spane_django.engine.reading import reader
from spane_django.engine.run import TRACEBACK_CHARACTERS, run, run_async
from spane_django.engine.scope import Scope
from spane_django.engine.secrets import (
    MAX_BYTES,
    SecretExists,
    UnknownSecret,
    create_secret,
    delete_secret,
    replace_secret,
    rotate_keys,
    sealed_texts,
    store_secret,
)
from spane_django.models import Attempt, AuditEntry, DeadLetter, Execution, LogLine, NodeRun, Secret
from spane_django.nodes.base import Context, Node, registry
from spane_django.observability.logs import HideSecrets
from tests.doubles import bodies
from tests.engine.helpers import NOON, Machine, after, definition, node_run, outputs, statuses

pytestmark = pytest.mark.django_db

VALUE = 'sk_live_"51H\\x&y z'
TOKEN = {"a": {"config": {"header": "Bearer {{ secrets.stripe }}"}}}


@registry.register
class Writing(Node):
    type = "secret-write"
    is_transactional = True

    def execute(self, ctx: Context) -> Any:
        return bodies[ctx.node_id](ctx)


@registry.register
class Async(Node):
    type = "secret-async"

    async def execute(self, ctx: Context) -> Any:
        return await bodies[ctx.node_id](ctx)


def everything_kept() -> str:
    """Return every row of every table of the engine, as the database holds it."""
    tables = [name for name in connection.introspection.table_names() if "spane" in name]
    with connection.cursor() as cursor:
        rows = []
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += cursor.fetchall()
    return repr(rows)


def forms(value: str) -> list[str]:
    escaped = json.dumps(value)[1:-1]
    return [value, escaped, repr(value)[1:-1], base64.b64encode(value.encode()).decode()[:-4]]


def assert_kept_nowhere(value: str = VALUE) -> None:
    kept = everything_kept()
    assert all(form not in kept and repr(form)[1:-1] not in kept for form in forms(value))


def stored(name: str = "stripe", value: str = VALUE, **more: Any) -> Secret:
    return create_secret(name, value, now=NOON, **more)


def test_a_value_is_kept_sealed_and_audited_by_name_alone():
    secret = stored(description="of the shop")
    replace_secret("stripe", value=VALUE + "2", now=after(1))
    delete_secret("stripe", now=after(2))

    assert vault.open_sealed(secret.sealed) == VALUE
    assert [entry.verb for entry in AuditEntry.objects.order_by("id")] == [
        "create_secret", "replace_secret", "delete_secret",
    ]  # fmt: skip
    assert {entry.target for entry in AuditEntry.objects.all()} == {"stripe"}
    assert_kept_nowhere()


def test_a_name_is_taken_once_in_each_tenant():
    stored()
    stored(tenant="acme")

    with pytest.raises(SecretExists):
        stored(value="another")
    assert Secret.objects.count() == 2


def test_replacing_changes_what_is_given_and_the_times_that_tell():
    stored(description="old")

    described = replace_secret("stripe", description="new", now=after(5))
    replaced = replace_secret("stripe", value="another", now=after(9))

    assert (described.rotated_at, described.updated_at) == (after(0), after(5))
    assert (replaced.rotated_at, replaced.description) == (after(9), "new")
    assert vault.open_sealed(replaced.sealed) == "another"
    assert store_secret("stripe", "third", now=after(10)).description == "new"


@pytest.mark.parametrize(
    ("name", "value", "description"),
    [
        ("", "v", ""), ("1st", "v", ""), ("a b", "v", ""), ("a\n", "v", ""), ("ä", "v", ""),
        ("x" * 101, "v", ""), ("ok", "", ""), ("ok", "\ud800", ""), ("ok", "v", "x" * 501),
        ("ok", "v", "\x00"), ("ok", "s" * MAX_BYTES + "s", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_and_not_repeated(name: str, value: str, description: str):
    with pytest.raises(InvalidInput) as refused:
        create_secret(name, value, description=description, now=NOON)

    assert len(value) < 4 or value not in str(refused.value)
    assert not Secret.objects.exists()


def test_of_what_is_not_there_nothing_is_changed():
    with pytest.raises(UnknownSecret):
        replace_secret("nothing", value="v", now=NOON)
    with pytest.raises(UnknownSecret):
        delete_secret("nothing", now=NOON)
    stored(tenant="acme")
    with pytest.raises(UnknownSecret):
        delete_secret("stripe", tenant="other", now=NOON)
    assert not AuditEntry.objects.exclude(verb="create_secret").exists()


def test_a_config_gets_the_value_and_a_definition_keeps_the_reference(machine: Machine, does):
    stored()
    seen = []
    does["a"] = lambda ctx: seen.append((ctx.config["header"], ctx.secrets["stripe"]))
    key = machine.begin({"a": []}, nodes=TOKEN)

    machine.drain()

    assert seen == [(f"Bearer {VALUE}", VALUE)]
    version = Execution.objects.get(pk=key).version
    assert version.definition["nodes"][0]["config"] == TOKEN["a"]["config"]
    assert_kept_nowhere()


def test_the_tenants_own_secret_comes_before_the_shared_one(machine: Machine, does):
    stored(value="shared value")
    stored(value="acme value", tenant="acme")
    stored(value="other value", tenant="other")
    seen = {}
    does["a"] = lambda ctx: seen.setdefault(ctx.initial_data, ctx.config["header"])
    machine.publish({"a": []}, nodes=TOKEN)
    for tenant in ("", "acme", "nobody"):
        machine.start(tenant, tenant=tenant)

    machine.drain()

    assert seen == {
        "": "Bearer shared value", "acme": "Bearer acme value", "nobody": "Bearer shared value",
    }  # fmt: skip


def test_another_tenants_secret_is_none(machine: Machine, does):
    stored(tenant="acme")
    machine.publish({"a": [], "b": []}, nodes=TOKEN)
    does["b"] = lambda ctx: [sorted(ctx.secrets), "stripe" in ctx.secrets, len(ctx.secrets)]
    key = machine.start(tenant="other")

    machine.drain()

    assert node_run(key, "a").error_type == "MissingSecret"
    assert outputs(key)["b"] == [[], False, 0]


def test_an_unknown_secret_is_a_final_failure_that_names_it(machine: Machine, does):
    nodes = {"a": {"config": {"x": "{{ secrets.one }}", "y": "{{secrets.two}}", "retries": 3}}}
    does["a"] = lambda ctx: "must not run"
    key = machine.begin({"a": []}, nodes=nodes)

    machine.drain()

    run_ = node_run(key, "a")
    assert (run_.status, run_.attempt, run_.error_type) == ("failed", 1, "MissingSecret")
    assert "'one', 'two'" in run_.error_message
    assert issubclass(MissingSecret, Permanent)


def test_a_python_node_that_asks_for_an_unknown_secret_fails_for_good(machine: Machine, does):
    does["a"] = lambda ctx: ctx.secrets["nothing"]
    does["b"] = lambda ctx: ctx.secrets.get("nothing", "a default")
    key = machine.begin({"a": [], "b": []})

    machine.drain()

    assert "there is no secret 'nothing'" in node_run(key, "a").error_message
    assert outputs(key) == {"b": "a default"}


def test_a_secret_that_does_not_open_is_named_and_tried_again(
    machine: Machine, does, settings: Settings
):
    stored()
    settings.SPANE = {**settings.SPANE, "SECRET_KEYS": [Fernet.generate_key().decode()]}
    key = machine.begin({"a": []}, nodes=TOKEN)

    machine.drain()

    assert (node_run(key, "a").status, node_run(key, "a").error_type) == ("ready", "Unsealable")
    assert "secret 'stripe'" in Attempt.objects.get().error_message


def test_what_data_hold_is_no_reference(machine: Machine, does):
    stored()
    does["a"] = lambda ctx: ctx.config
    key = machine.begin(
        {"a": []}, {"x": "{{ secrets.stripe }}"}, nodes={"a": {"config": {"v": "{{ input.x }}"}}}
    )

    machine.drain()

    assert outputs(key)["a"] == {"v": "{{ secrets.stripe }}"}


def leak(ctx) -> Any:
    """Leave a value in every way that a node has."""
    value = ctx.secrets["stripe"]
    ctx.log.info(f"using {value}", header=f"Bearer {value}", deep=[{"k": (value,)}])
    ctx.log.error("repr", what={value})
    if ctx.config.get("does") == "raise":
        try:
            raise KeyError(value)
        except KeyError as error:
            raise RuntimeError(f"{'x' * 3_990}{value}") from error
    return Result(
        {"plain": value, value: base64.b64encode(f"me:{value}".encode()).decode(), "n": 1},
        next_nodes=["b", value],
    )


def test_nothing_that_a_node_leaves_behind_holds_the_value(machine: Machine, does):
    stored()
    does["a"] = leak
    key = machine.begin({"a": ["b"]}, nodes=TOKEN)

    machine.drain()

    assert outputs(key)["a"] == {"plain": "***", "***": "bWU***", "n": 1}
    assert statuses(key)["b"] == "completed"
    first, second = LogLine.objects.filter(execution=key).order_by("id")
    assert first.message == "using ***"
    assert first.data == {"header": "Bearer ***", "deep": [{"k": ["***"]}]}
    assert second.data == {"what": "{'***'}"}
    assert_kept_nowhere()


def test_errors_tracebacks_and_dead_letters_do_not_hold_it_even_where_they_are_cut(
    machine: Machine, does
):
    stored()
    does["a"] = leak
    key = machine.begin(
        {"a": []}, nodes={"a": {"config": {**TOKEN["a"]["config"], "does": "raise", "retries": 0}}}
    )

    machine.drain()

    letter = DeadLetter.objects.get()
    assert node_run(key, "a").error_message.endswith("***")
    assert "KeyError: '***'" in letter.traceback
    assert "sk_live" not in everything_kept()


def test_a_traceback_is_cut_after_the_value_has_been_taken_out(machine: Machine, does):
    stored()

    def fail(ctx):
        # The end of the traceback that is kept begins in the middle of the value.
        end = "\n" + "y" * (TRACEBACK_CHARACTERS - len(VALUE) // 2)
        raise RuntimeError(ctx.secrets["stripe"] + end)

    does["a"] = fail
    machine.begin({"a": []}, nodes={"a": {"config": {"retries": 0}}})

    machine.drain()

    assert VALUE[len(VALUE) // 2 + 2 :] not in DeadLetter.objects.get().traceback


def test_a_returned_failure_does_not_hold_it(machine: Machine, does):
    stored()
    does["a"] = lambda ctx: Result.failure(f"no: {ctx.secrets['stripe']}", type=VALUE)
    key = machine.begin({"a": []})

    machine.drain()

    assert (node_run(key, "a").error_message, node_run(key, "a").error_type) == ("no: ***", "***")
    assert_kept_nowhere()


@pytest.mark.parametrize(
    "answer",
    [
        Delay(NOON + timedelta(days=1), checkpoint={"k": [VALUE]}),
        AskApproval(title=f"pay with {VALUE}?", description=VALUE, users=["ada"]),
        StartChildren(children=[Child(workflow="w", input={"token": VALUE})]),
    ],
    ids=["checkpoint", "approval", "child"],
)
def test_what_a_node_waits_for_does_not_hold_it(machine: Machine, does, answer):
    stored()
    machine.publish({"a": []}, id="w", nodes={"a": {"config": {}}})
    machine.publish({"s": []}, id="v")

    def wait(ctx):
        assert ctx.secrets["stripe"] == VALUE
        return answer

    does["s"] = wait
    machine.start(workflow="v")

    machine.step()

    assert NodeRun.objects.get(node_id="s").status == "waiting"
    assert "***" in everything_kept()
    assert_kept_nowhere()


def test_a_transactional_node_whose_commit_fails_does_not_tell_it(machine: Machine, does):
    from django.db import IntegrityError

    stored()

    def write(ctx):
        raise IntegrityError(f"duplicate key ({ctx.secrets['stripe']})")

    does["a"] = write
    key = machine.begin(
        {"a": []}, types={"a": "secret-write"}, nodes={"a": {"config": {"retries": 0}}}
    )

    machine.drain()

    assert "sk_live" not in everything_kept()
    assert node_run(key, "a").status == "failed"


def test_what_is_shorter_than_four_characters_is_left(machine: Machine, does):
    stored(value="abc")
    does["a"] = lambda ctx: f"abc {ctx.secrets['stripe']}"
    key = machine.begin({"a": []})

    machine.drain()

    assert outputs(key)["a"] == "abc abc"


def test_a_new_value_counts_from_the_next_attempt_on(machine: Machine, does):
    stored(value="value one")
    seen = []
    does["a"] = lambda ctx: seen.append(ctx.config["header"])
    machine.publish({"a": []}, nodes=TOKEN)
    machine.start()
    machine.drain()

    replace_secret("stripe", value="value two", now=after(1))
    machine.start()
    machine.drain()

    assert seen == ["Bearer value one", "Bearer value two"]


def queries_of(machine: Machine) -> int:
    (work,) = machine.works(machine.claim())
    with CaptureQueriesContext(connection) as queries:
        run(work, clock=lambda: machine.now)
    return len(queries)


def test_nodes_that_name_no_secret_ask_nothing_and_those_that_do_ask_once(machine: Machine, does):
    for name in ("one", "two", "stripe"):
        stored(name, f"value of {name}")
    machine.publish({"a": []}, id="plain", nodes={"a": {"config": {"x": "{{ input }}"}}})
    three = {"x": ["{{ secrets.one }}", "{{ secrets.two }}"], **TOKEN["a"]["config"]}
    machine.publish({"a": []}, id="with", nodes={"a": {"config": three}})
    does["a"] = lambda ctx: [ctx.secrets["one"]] if len(ctx.config) > 1 else None

    machine.start(workflow="plain")
    none = queries_of(machine)
    machine.start(workflow="with")
    once = queries_of(machine)

    assert (none, once) == (0, 1)


def test_keys_rotate_in_steps_while_values_stay_usable(machine: Machine, does, settings: Settings):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.SPANE = {**settings.SPANE, "SECRET_KEYS": [old]}
    for number in range(5):
        stored(f"s{number}", f"value {number}")
    settings.SPANE = {**settings.SPANE, "SECRET_KEYS": [new, old]}
    broken = Secret.objects.create(
        name="broken", sealed="nonsense", created_at=NOON, updated_at=NOON, rotated_at=NOON
    )

    steps = list(rotate_keys(batch=2))

    assert sealed_texts() == 6
    assert [step.resealed for step in steps] == [2, 2, 1]
    assert [text for step in steps for text in step.unreadable] == [f"secret {broken.pk}"]
    settings.SPANE = {**settings.SPANE, "SECRET_KEYS": [new]}
    values = [vault.open_sealed(one.sealed) for one in Secret.objects.exclude(pk=broken.pk)]
    assert sorted(values) == [f"value {number}" for number in range(5)]


def test_a_value_replaced_during_a_rotation_is_not_put_back(monkeypatch: pytest.MonkeyPatch):
    from spane_django.engine import secrets

    stored(value="value one")

    def meanwhile(text: str) -> str:
        replace_secret("stripe", value="value two", now=after(1))
        return vault.reseal(text)

    monkeypatch.setattr(secrets, "reseal", meanwhile)
    (step,) = rotate_keys()

    assert step.resealed == 0
    assert vault.open_sealed(Secret.objects.get().sealed) == "value two"


def test_the_log_of_the_process_hides_what_the_node_has_opened(machine: Machine, does, caplog):
    stored()
    caplog.handler.addFilter(HideSecrets())
    library = logging.getLogger("some.library")

    def call(ctx):
        url = f"https://x/?token={ctx.secrets['stripe']}"
        library.warning("GET %s", url)
        try:
            raise ValueError(url)
        except ValueError:
            library.exception("failed")

    does["a"] = call
    machine.begin({"a": []})
    machine.drain()
    library.warning("later %s", VALUE)

    assert caplog.messages[0] == "GET https://x/?token=***"
    assert "sk_live" not in caplog.text.partition("later")[0]
    assert "ValueError: https://x/?token=***" in caplog.text
    assert caplog.messages[-1] == f"later {VALUE}"


@pytest.mark.django_db(transaction=True)
def test_an_async_node_opens_secrets_too(machine: Machine, does):
    stored()
    key = machine.begin({"a": []}, types={"a": "secret-async"}, nodes=TOKEN)

    async def body(ctx):
        return {"seen": ctx.config["header"] == f"Bearer {VALUE}", "v": ctx.secrets["stripe"]}

    does["a"] = body
    (work,) = machine.works(machine.claim())
    machine.settle([asyncio.run(run_async(work, clock=lambda: machine.now))])
    reader(os.getpid()).submit(connections.close_all).result()

    assert outputs(key)["a"] == {"seen": True, "v": "***"}


@pytest.mark.parametrize(
    "template",
    [
        "{{ secrets }}", "{{ secrets.* }}", "{{ reverse(secrets.stripe) }}", "{{ secrets.a.b }}",
        "{{ secrets | keys(@) }}", "{{ [secrets.stripe] }}", "{{ secrets.stripe[0] }}",
        "{{ {a: secrets.stripe} }}", "{{ secrets.a || 'x' }}",
        "{{ not_null(secrets.stripe) }}", "{{ @.secrets.stripe.x }}", "{{ to_string(@.secrets) }}",
    ],
)  # fmt: skip
def test_a_secret_is_put_in_as_it_is_or_not_at_all(template: str):
    from spane_django.core.expressions import referenced_secrets, template_faults

    (fault,) = template_faults({"x": template}, "config")

    assert fault.code == "template"
    assert referenced_secrets({"x": template}) == set()


def test_an_unknown_secret_and_one_in_clear_are_advice_and_no_faults(machine: Machine):
    raw = definition(
        {"a": ["b"], "b": []},
        nodes={
            "a": {"config": {"x": "{{ secrets.stripe }} {{ secrets.later }}"}},
            "b": {
                "config": {"auth": {"password": "hunter2"}, "apiKey": "{{ secrets.stripe }}"},
                "undo": {"type": "call", "config": {"dbPassword": "hunter3", "maxTokens": "4096"}},
            },
        },
    )
    stored()

    advised = advice(raw)

    assert [(fault.path, fault.code) for fault in advised] == [
        ("nodes[0].config", "unknown_secret"),
        ("nodes[1].config.auth.password", "secret_in_clear"),
        ("nodes[1].undo.config.dbPassword", "secret_in_clear"),
    ]
    assert "'later'" in advised[0].message
    assert "hunter" not in str(advised)
    machine.publish({"a": []}, nodes=TOKEN)


def test_who_uses_a_secret_is_known_from_the_current_versions(machine: Machine):
    shared, own, unused = stored(), stored(tenant="acme"), stored("unused")
    machine.publish({"a": []}, id="x", nodes={"a": {"config": {"v": "{{ secrets.unused }}"}}})
    machine.publish({"a": []}, id="x", nodes=TOKEN)
    machine.publish({"a": []}, id="plain")
    machine.publish({"a": []}, id="word", nodes={"a": {"config": {"v": "secrets.stripe"}}})

    with CaptureQueriesContext(connection) as queries:
        uses = uses_of([shared, own, unused])

    assert len(queries) == 1
    assert [(use.workflow, use.version, use.paths) for use in uses[shared.pk]] == [
        ("x", 2, ("nodes[0].config",))
    ]
    assert uses[own.pk] == uses[shared.pk]
    assert uses[unused.pk] == []
    assert uses_of([shared], scope=Scope(frozenset({"acme"})))[shared.pk] == uses[shared.pk]


def test_a_dump_of_the_database_holds_no_value(capsys):
    stored()

    call_command("dumpdata", "spane_django")

    dumped = capsys.readouterr().out
    assert "stripe" in dumped
    assert "sk_live" not in dumped
