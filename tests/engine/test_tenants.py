"""Tenants keep to themselves: what one has, starts, sends and limits is nothing to another."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from pytest_django import Settings

from spane_django.core.outcome import Failure
from spane_django.engine import bulk
from spane_django.engine.current import UnknownWorkflow
from spane_django.engine.drafts import activate, archive_workflow, find_version, save_draft
from spane_django.engine.enable import disable
from spane_django.engine.migrate import movable
from spane_django.engine.publish import publish
from spane_django.engine.retry import replay
from spane_django.engine.scope import EVERYTHING, Scope, exists, scope_of
from spane_django.engine.signals import signal
from spane_django.engine.start import DuplicateExecution, NoRoom, StartOptions, start
from spane_django.engine.sweep import sweep
from spane_django.models import (
    ApiToken,
    AuditEntry,
    Execution,
    Gate,
    Lease,
    NodeRun,
    Tenant,
    Worker,
    Workflow,
    WorkflowVersion,
)
from tests.engine.helpers import Machine, definition, execution, status, statuses

pytestmark = pytest.mark.django_db

ONE = {"a": []}
ACME, OTHER = "acme", "other"


@pytest.fixture(autouse=True)
def tenancy(settings: Settings, db: None) -> None:
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}
    for key in (ACME, OTHER):
        Tenant.objects.create(key=key, name=key.title())


def publish_for(tenant: str, machine: Machine, edges: Any = ONE, **more: Any) -> WorkflowVersion:
    return publish(definition(edges, **more), now=machine.now, tenant=tenant)


def test_a_tenants_own_workflow_hides_the_shared_one_from_it_alone(machine: Machine):
    shared = publish_for("", machine)
    own = publish_for(ACME, machine)

    by_acme = execution(machine.start(tenant=ACME))
    by_other = execution(machine.start(tenant=OTHER))
    by_nobody = execution(machine.start())

    assert (by_acme.version, by_other.version, by_nobody.version) == (own, shared, shared)
    assert (by_acme.tenant, by_other.tenant, by_nobody.tenant) == (ACME, OTHER, "")


def test_another_tenants_workflow_does_not_exist(machine: Machine):
    publish_for(ACME, machine)

    with pytest.raises(UnknownWorkflow):
        machine.start(tenant=OTHER)
    with pytest.raises(UnknownWorkflow):
        machine.start()


def test_a_tenant_changes_its_own_workflow_and_never_the_shared_one(machine: Machine):
    publish_for("", machine)
    shared = Workflow.objects.get()
    verbs = [
        lambda: disable("w", now=machine.now, tenant=ACME),
        lambda: activate("w", 1, now=machine.now, tenant=ACME),
        lambda: archive_workflow("w", now=machine.now, tenant=ACME),
    ]

    for verb in verbs:
        with pytest.raises(UnknownWorkflow):
            verb()
    save_draft(definition(ONE), now=machine.now, tenant=ACME)

    shared.refresh_from_db()
    assert (shared.is_enabled, shared.versions.count()) == (True, 1)
    assert Workflow.objects.get(tenant=ACME).versions.get().status == "draft"


def test_versions_are_those_of_the_workflow_that_the_tenant_means(machine: Machine):
    publish_for("", machine)
    publish_for("", machine, {"a": ["b"]})
    own = publish_for(ACME, machine, {"z": []})

    assert find_version("w", 1, tenant=ACME) == own
    assert find_version("w", 1, tenant=OTHER).workflow.tenant == ""
    assert find_version("w", 2, tenant=OTHER).definition["nodes"][1]["id"] == "b"


def test_a_sub_workflow_is_the_parents_own_before_the_shared_one(machine: Machine, does):
    calls = {"types": {"a": "sub-workflow"}, "nodes": {"a": {"config": {"workflowId": "child"}}}}
    publish_for("", machine, {"shared": []}, id="child")
    own = publish_for(ACME, machine, {"own": []}, id="child")
    publish_for("", machine, ONE, **calls)

    keys = [machine.start(tenant=tenant) for tenant in (ACME, OTHER)]
    worked = machine.drain()

    assert sorted(worked) == ["a", "a", "a", "a", "own", "shared"]
    assert Execution.objects.get(parent_id=keys[0]).version == own
    assert [Execution.objects.get(parent_id=key).tenant for key in keys] == [ACME, OTHER]


def test_an_error_handler_is_the_parents_own_and_inherits_the_tenant(machine: Machine, does):
    does["a"] = lambda ctx: Failure(message="no", is_retryable=False)
    publish_for(OTHER, machine, {"theirs": []}, id="alert")
    publish_for(ACME, machine, {"own": []}, id="alert")
    publish_for("", machine, ONE, onError={"workflowId": "alert"})

    key = machine.start(tenant=ACME)

    assert machine.drain() == ["a", "own"]
    assert Execution.objects.get(parent_id=key).tenant == ACME


def test_a_workflow_that_would_start_itself_is_found_among_the_tenants_own(machine: Machine):
    calls = {"types": {"a": "sub-workflow"}, "nodes": {"a": {"config": {"workflowId": "w"}}}}
    publish_for("", machine, ONE)
    publish_for(ACME, machine, ONE, **{**calls, "id": "back"})

    with pytest.raises(Exception, match="w → back → w"):
        publish_for(
            ACME, machine, ONE, types={"a": "sub-workflow"},
            nodes={"a": {"config": {"workflowId": "back"}}},
        )  # fmt: skip


def waiting(machine: Machine, tenant: str) -> Any:
    publish_for("", machine, {"w": ["z"]}, types={"w": "wait"},
                nodes={"w": {"config": {"signal": "paid", "key": "7"}}})  # fmt: skip
    key = machine.start(tenant=tenant)
    machine.drain()
    return key


def test_a_signal_of_one_tenant_wakes_no_wait_of_another(machine: Machine):
    acme, other = waiting(machine, ACME), waiting(machine, OTHER)

    signal("paid", now=machine.now, key="7", tenant=OTHER)
    sweep(now=machine.now)
    machine.drain()

    assert (status(acme), status(other)) == ("running", "completed")


def test_a_signal_that_was_kept_is_taken_by_its_own_tenant_alone(machine: Machine):
    sent = signal("paid", now=machine.now, key="7", tenant=OTHER)

    acme = waiting(machine, ACME)
    taken_by_acme = sent.node_run_id
    other = waiting(machine, OTHER)

    assert taken_by_acme is None
    assert (status(acme), status(other)) == ("running", "completed")


def test_a_signal_to_an_execution_is_of_its_tenant(machine: Machine):
    publish_for("", machine, {"w": []}, types={"w": "wait"},
                nodes={"w": {"config": {"signal": "paid"}}})  # fmt: skip
    key = machine.start(tenant=ACME)
    machine.drain()

    sent = signal("paid", now=machine.now, execution_id=key)
    machine.drain()

    assert (sent.tenant, status(key)) == (ACME, "completed")


def test_tenants_share_no_places_of_a_workflow_that_they_share(machine: Machine):
    publish_for("", machine, ONE, maxExecutions={"max": 1, "overflow": "reject"})

    keys = [machine.start(tenant=tenant) for tenant in (ACME, OTHER, "")]

    assert [status(key) for key in keys] == ["running"] * 3
    with pytest.raises(NoRoom):
        machine.start(tenant=ACME)


def test_a_place_that_becomes_free_is_taken_by_the_same_tenant(machine: Machine):
    publish_for("", machine, ONE, maxExecutions={"max": 1})
    keys = [machine.start(tenant=tenant) for tenant in (ACME, ACME, OTHER, OTHER)]

    machine.settle([machine.finish(machine.claim(1)[0])])
    sweep(now=machine.now)

    assert [status(key) for key in keys] == ["completed", "running", "running", "pending"]


def test_an_idempotency_key_is_a_tenants_own(machine: Machine):
    publish_for("", machine)

    first, again = (machine.start(tenant=ACME, idempotency_key="1") for _ in "12")
    others = machine.start(tenant=OTHER, idempotency_key="1")

    assert first == again != others


def test_duplicates_are_looked_for_among_the_tenants_own(machine: Machine):
    publish_for("", machine)
    options = {"on_duplicate": "reject", "duplicate_key": "1"}
    machine.start(tenant=ACME, **options)

    machine.start(tenant=OTHER, **options)

    with pytest.raises(DuplicateExecution):
        machine.start(tenant=ACME, **options)


def test_a_limit_that_a_tenant_names_is_not_that_of_another(machine: Machine):
    for tenant in (ACME, OTHER):
        named = {"nodes": {"a": {"limit": {"max": 1, "name": "mail"}}}}
        publish_for(tenant, machine, ONE, **named)
        machine.start(tenant=tenant)

    claimed = machine.claim()

    assert len(claimed) == 2
    assert set(Gate.objects.values_list("key", flat=True)) == {
        "limit:acme/mail", "limit:other/mail",
    }  # fmt: skip


def test_a_limit_per_key_counts_the_same_key_of_each_tenant_apart(machine: Machine):
    publish_for("", machine, ONE, nodes={"a": {"limit": {"max": 1, "perKey": True}}})
    for tenant in (ACME, ACME, OTHER, OTHER):
        machine.start(tenant=tenant, key="7")

    claimed = machine.claim()

    tenants = {execution(one.execution_id).tenant for one in claimed}
    assert (len(claimed), tenants) == (2, {ACME, OTHER})


def test_tenants_take_turns_without_any_key(machine: Machine):
    publish_for("", machine)
    for tenant in (*[ACME] * 20, OTHER):
        machine.start(tenant=tenant)

    claimed = machine.claim(4)

    assert OTHER in {execution(one.execution_id).tenant for one in claimed}


def test_a_replay_stays_with_its_tenant(machine: Machine):
    publish_for("", machine)
    key = machine.start(tenant=ACME)

    assert replay(key, now=machine.now).tenant == ACME


def test_what_is_moved_to_another_version_is_of_the_workflow_that_the_tenant_means(machine):
    publish_for("", machine)
    publish_for(ACME, machine)
    own, shared = machine.start(tenant=ACME), machine.start(tenant=OTHER)

    assert [found.pk for found in movable("w", 2, tenant=ACME)] == [own]
    assert [found.pk for found in movable("w", 2)] == [shared]


def test_a_bulk_operation_never_leaves_its_tenant(machine: Machine):
    publish_for("", machine)
    mine, theirs = machine.start(tenant=ACME), machine.start(tenant=OTHER)
    selections: list[dict[str, Any]] = [{"all": True}, {"workflow": "w"}]

    counts = [bulk.plan("cancel", chosen, tenant=ACME) for chosen in selections]
    named = bulk.begin("pause", {"ids": [str(mine), str(theirs)]}, now=machine.now, tenant=ACME)
    named = bulk.advance(named.pk, now=machine.now)

    assert counts == [1, 1]
    assert (named.changed, named.refused, status(theirs)) == (1, 1, "running")
    assert named.refusals == {str(theirs): f"there is no execution {theirs}"}


def test_the_name_of_another_tenants_workflow_cannot_be_found_out_by_a_filter(machine: Machine):
    publish_for(OTHER, machine, id="secret-plans")

    with pytest.raises(Exception, match="no workflow 'secret-plans'"):
        bulk.plan("cancel", {"workflow": "secret-plans"}, tenant=ACME)


def test_an_audit_entry_knows_the_tenant_of_what_was_done(machine: Machine):
    publish_for(ACME, machine)
    key = machine.start(tenant=ACME)
    replay(key, now=machine.now)
    disable("w", now=machine.now, tenant=ACME)

    entries = AuditEntry.objects.order_by("id").values_list("verb", "tenant")

    assert list(entries) == [("publish", ACME), ("replay", ACME), ("disable", ACME)]


def test_a_scope_holds_the_rows_of_its_tenants_and_shared_workflows(machine: Machine):
    publish_for("", machine)
    publish_for(ACME, machine, id="mine")
    publish_for(OTHER, machine, id="theirs")
    keys = {
        tenant: start(key, now=machine.now, options=StartOptions(tenant=tenant)).pk
        for tenant, key in ((ACME, "mine"), (OTHER, "theirs"), ("", "w"))
    }
    scope = Scope(frozenset({ACME}))

    seen = scope.within(Workflow.objects.all())
    changed = scope.within(Workflow.objects.all(), changing=True)

    assert set(seen.values_list("key", flat=True)) == {"w", "mine"}
    assert set(changed.values_list("key", flat=True)) == {"mine"}
    assert [row.pk for row in scope.within(Execution.objects.all())] == [keys[ACME]]
    assert scope.within(NodeRun.objects.all()).get().execution_id == keys[ACME]
    assert not scope.within(Worker.objects.all()).exists()
    assert EVERYTHING.within(Execution.objects.all()).count() == 3


def test_a_model_that_nobody_has_spoken_for_is_refused_to_all():
    for scope in (EVERYTHING, Scope(frozenset({ACME}))):
        with pytest.raises(TypeError, match=r"Group has no line"):
            scope.within(Group.objects.all())
    assert not Scope(frozenset({ACME})).within(Lease.objects.all()).exists()


def test_whose_rows_a_user_may_touch_is_said_by_their_tenants_and_their_token():
    ada = User.objects.create_user("ada")
    Tenant.objects.get(key=ACME).users.add(ada)
    root = User.objects.create(username="root", is_superuser=True)

    assert scope_of(ada) == Scope(frozenset({ACME}))
    assert scope_of(root) == EVERYTHING
    assert scope_of(root, ApiToken(tenant=OTHER)) == Scope(frozenset({OTHER}))
    assert scope_of(ada, ApiToken(tenant=OTHER)) == Scope(frozenset())
    assert scope_of(AnonymousUser()) == Scope(frozenset())


def all_groups(user: Any) -> list[int] | None:
    """Resolve groups as tenants, as a project with a model of its own would."""
    return None if user.is_superuser else list(user.groups.values_list("pk", flat=True))


def test_a_project_may_use_a_model_of_its_own_as_tenant(settings: Settings, machine: Machine):
    settings.SPANE = {
        **settings.SPANE,
        "TENANT_MODEL": "auth.Group",
        "TENANT_RESOLVER": f"{__name__}.all_groups",
    }
    team = Group.objects.create(name="Team")
    ada = User.objects.create_user("ada")
    ada.groups.add(team)
    publish_for("", machine)
    key = machine.start(tenant=str(team.pk))
    machine.start(tenant="0")

    scope = scope_of(ada)

    assert scope == Scope(frozenset({str(team.pk)}))
    assert [row.pk for row in scope.within(Execution.objects.all())] == [key]
    assert list(scope.within(Group.objects.all())) == [team]
    assert (exists(str(team.pk)), exists("0"), exists("x")) == (True, False, False)


def test_without_tenants_nothing_is_asked_and_everything_is_seen(
    settings: Settings, django_assert_num_queries: Any
):
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": None}
    ada = User.objects.create_user("ada")

    with django_assert_num_queries(0):
        scope = scope_of(ada, ApiToken(tenant=ACME))

    assert scope is EVERYTHING
    assert str(scope.within(Execution.objects.all()).query) == str(Execution.objects.all().query)


def test_a_wait_of_no_tenant_takes_no_signal_of_one(machine: Machine):
    key = waiting(machine, "")

    signal("paid", now=machine.now, key="7", tenant=ACME)
    machine.drain()

    assert statuses(key) == {"w": "waiting"}
