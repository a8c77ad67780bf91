"""The demo's workflows, what it sends through them, and the login that it makes."""

from __future__ import annotations

import stat
from itertools import chain
from pathlib import Path
from random import Random

import pytest
from django.contrib.auth.models import User
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from demo_project import login, nodes, traffic
from spane_django import workflows
from spane_django.core.schema import faults_in
from spane_django.models import Execution, Signal


@pytest.fixture
def data_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    settings.DEBUG = True
    return tmp_path


def test_every_workflow_of_the_demo_can_be_published() -> None:
    assert {key: flow.check() for key, flow in workflows().items() if flow.check()} == {}


def test_the_demo_sends_something_through_every_workflow() -> None:
    sent = [scene.workflow.id for scene in traffic.SCENES]

    others = [key for key in workflows() if key not in sent]

    assert sent == [key for key in workflows() if key in sent]
    # One is an error handler, one a sub-workflow, one is left open for whoever looks.
    assert others == ["order-trouble", "invoice", "large-order"]


@pytest.mark.parametrize("scene", traffic.SCENES, ids=lambda scene: scene.workflow.id)
def test_inputs_vary_fit_their_workflow_and_are_the_same_on_every_run(
    scene: traffic.Scene,
) -> None:
    first, again = ([scene.make_input(random) for _ in range(50)] for random in two_alike())

    assert first == again
    assert len({str(data) for data in first}) > 1
    schema = scene.workflow.definition().get("inputSchema")
    assert not schema or not any(list(faults_in(schema, data, "")) for data in first)


@pytest.mark.django_db
@pytest.mark.usefixtures("wakes")
def test_executions_are_spread_evenly_over_the_workflows() -> None:
    started = traffic.start(17)

    counts = [
        Execution.objects.filter(pk__in=started, workflow__key=scene.workflow.id).count()
        for scene in traffic.SCENES
    ]
    assert counts == [2, 2, 2, 2, 2, 2, 2, 2, 1]


@pytest.mark.django_db
@pytest.mark.usefixtures("wakes")
def test_every_wholesale_order_is_paid_but_the_one_that_is_left_open() -> None:
    started = traffic.start(len(traffic.SCENES) * 3)
    left_open = traffic.leave_open()

    orders = Execution.objects.filter(pk__in=started, workflow__key="wholesale-order")
    paid = set(Signal.objects.filter(name="payment").values_list("key", flat=True))

    assert paid == {order.input["orderId"] for order in orders}
    assert [execution.workflow.key for execution in left_open] == [
        "large-order",
        "large-order",
        "wholesale-order",
    ]
    assert left_open[-1].input["orderId"] not in paid


@given(st.lists(st.integers(1, 19_000), max_size=30))
def test_no_parcel_is_too_heavy_and_nothing_is_left_out(grams: list[int]) -> None:
    items = [{"grams": weight, "quantity": 2} for weight in grams]

    parcels = nodes._packed(nodes._weights(items))

    assert all(sum(parcel) <= 20_000 for parcel in parcels)
    assert sorted(chain.from_iterable(parcels)) == sorted(grams * 2)


@pytest.mark.parametrize(
    ("card", "passes"),
    [
        ("4111 1111 1111 1111", True),
        ("5555555555554444", True),
        ("378282246310005", True),
        ("4111111111111112", False),
        ("1111", False),
        ("", False),
    ],
)
def test_card_numbers_have_a_check_digit(card: str, passes: bool) -> None:
    assert nodes._passes_luhn(card) is passes


def test_primes_are_counted_by_definition() -> None:
    assert [number for number in range(30) if nodes._is_prime(number)] == [
        2, 3, 5, 7, 11, 13, 17, 19, 23, 29,
    ]  # fmt: skip


@pytest.mark.django_db
def test_the_login_works_and_stays_the_same(data_dir: Path) -> None:
    password = login.admin_login()

    user = User.objects.get(username="admin")
    assert password is not None
    assert user.check_password(password)
    assert (user.is_staff, user.is_superuser, user.is_active) == (True, True, True)
    assert login.admin_login() == password
    assert stat.S_IMODE((data_dir / "admin-password").stat().st_mode) == 0o600


@pytest.mark.django_db
def test_two_demos_have_two_passwords(data_dir: Path) -> None:
    first = login.admin_login()
    User.objects.all().delete()

    assert login.admin_login() != first


@pytest.mark.django_db
@pytest.mark.usefixtures("data_dir")
def test_a_user_that_somebody_else_made_is_left_alone() -> None:
    User.objects.create_user("admin", password="their own")

    assert login.admin_login() is None
    assert User.objects.get().check_password("their own")


@pytest.mark.django_db
@pytest.mark.usefixtures("data_dir")
def test_no_login_is_made_outside_of_development(settings: Settings) -> None:
    settings.DEBUG = False

    assert login.admin_login() is None
    assert not User.objects.exists()


def two_alike() -> tuple[Random, Random]:
    return Random(1), Random(1)
