"""What the demo sends through its workflows, and how each of them is meant to end.

The inputs vary but are the same on every run, so that two runs can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from spane_django import Workflow, signal
from spane_django.core.json import Json
from spane_django.core.statuses import ExecutionStatus
from spane_django.models import Execution

from . import workflows

UNPAID = "W-UNPAID"  # the order that waits for its payment
_BATCH = 100  # executions that one transaction starts
_GOOD_CARD, _BAD_CARD = "4111111111111111", "4111111111111112"
_NAMES = ("Ada", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Alan", "Radia")
_PRICES = (("lamp", "39.90", 1_200), ("desk", "249.00", 18_500), ("cable", "7.50", 90))


@dataclass(frozen=True)
class Scene:
    """One workflow of the demo.

    Attributes:
        make_input: Makes the input of one execution.
        ends: How its executions are meant to end.
        then: What happens outside once an execution has been started with an input.
    """

    workflow: Workflow
    make_input: Callable[[Random], Json]
    ends: ExecutionStatus = ExecutionStatus.COMPLETED
    then: Callable[[Any], object] = lambda data: None


def _user(random: Random) -> Json:
    name = random.choice(_NAMES)
    return {"email": f"{name}.{random.randrange(1000)}@example.com", "name": name}


def _order(random: Random, card: str = _GOOD_CARD) -> Json:
    items = [
        {"sku": sku, "price": price, "grams": grams, "quantity": random.randint(1, 4)}
        for sku, price, grams in random.sample(_PRICES, random.randint(1, 3))
    ]
    return {"email": "customer@example.com", "card": card, "items": items}


def _declined_order(random: Random) -> Json:
    return _order(random, _BAD_CARD)


def _heavy_order(random: Random) -> Json:
    desks = {"sku": "desk", "price": "249.00", "grams": 18_500, "quantity": random.randint(2, 9)}
    return {"email": "office@example.com", "card": _GOOD_CARD, "items": [desks]}


def _wholesale_order(random: Random) -> dict[str, Json]:
    items = [
        {"sku": sku, "price": price, "grams": grams, "quantity": random.randint(10, 40)}
        for sku, price, grams in _PRICES * 2
    ]
    return {
        "orderId": f"W{random.randrange(10**6):06}",
        "email": "wholesale@example.com",
        "items": items,
    }


def _pay(data: Any) -> None:
    signal("payment", {"method": "transfer"}, key=data["orderId"])


def _ticket(random: Random) -> Json:
    return {
        "customer": random.choice(_NAMES),
        "topic": random.choice(["billing", "outage", "something else"]),
        "urgent": random.random() < 0.3,
    }


def _payment(random: Random) -> Json:
    return {"amount": str(random.randint(10, 900)), "currency": random.choice(["USD", "GBP"])}


def _note(random: Random) -> Json:
    return {"email": "me@example.com", "what": random.choice(["the milk", "the rent", "to rest"])}


def _range(random: Random) -> Json:
    return {"upTo": random.randrange(2_000, 6_000, 20)}


SCENES = (
    Scene(workflows.onboarding, _user),
    Scene(workflows.fulfilment, _order),
    Scene(workflows.routing, _ticket),
    Scene(workflows.flaky, _payment),
    Scene(workflows.declined, _declined_order, ends=ExecutionStatus.FAILED),
    Scene(workflows.reminder, _note),
    Scene(workflows.primes, _range),
    Scene(workflows.undeliverable, _heavy_order, ends=ExecutionStatus.FAILED),
    Scene(workflows.wholesale, _wholesale_order, then=_pay),
)


def start(executions: int) -> dict[UUID, Scene]:
    """Start so many executions, spread evenly over the scenes, and return them by id."""
    random = Random(7)
    started: dict[UUID, Scene] = {}
    for scene, count in _shares(executions):
        inputs = [scene.make_input(random) for _ in range(count)]
        for place in range(0, count, _BATCH):
            batch = inputs[place : place + _BATCH]
            started.update(dict.fromkeys(scene.workflow.start_many(batch), scene))
            for data in batch:
                scene.then(data)
    return started


def leave_open() -> list[Execution]:
    """Start executions that wait for whoever looks at the demo: for a decision, for a payment."""
    random = Random(8)
    unpaid = _wholesale_order(random) | {"orderId": UNPAID}
    return [
        workflows.large.start(_heavy_order(random)),
        workflows.large.start(_heavy_order(random)),
        workflows.wholesale.start(unpaid),
    ]


def _shares(executions: int) -> Iterator[tuple[Scene, int]]:
    share, rest = divmod(executions, len(SCENES))
    for place, scene in enumerate(SCENES):
        yield scene, share + (place < rest)
