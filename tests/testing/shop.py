"""A shop whose orders are charged, shipped and announced: what the kit's tests test."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group

from spane_django import Context, Retry, Workflow, node

NEVER = "http://shop.invalid/charge"


@dataclass
class Carrier:
    """How an order is shipped."""

    carrier: str = "snail"
    to: str = ""


@node("shop-charge")
def charge_card(ctx: Context) -> Any:
    """Charge a card at a service that no test reaches."""
    with urllib.request.urlopen(NEVER, timeout=5) as answer:
        return answer.read().decode()


@node("shop-ship", config=Carrier, timeout=30)
def ship(ctx: Context) -> Any:
    """Ship what was paid for."""
    return {"shipped": ctx.input, "with": ctx.config.carrier}


@node("shop-look-up")
async def look_up(ctx: Context) -> Any:
    """Read what others have done, on an event loop."""
    groups = [group.name async for group in Group.objects.all()]
    return {"groups": groups, "order": ctx.initial_data, "nodes": sorted(ctx.previous_results)}


@node("shop-book", transactional=True)
def book(ctx: Context) -> Any:
    """Write a row, together with the result."""
    return {"group": Group.objects.create(name=f"book-{ctx.node_id}").name}


def fulfilment(**options: Any) -> Workflow:
    """Return a workflow of two nodes in a row: charge, ship."""
    patient = Retry(attempts=3, base=timedelta(minutes=1), ceiling=timedelta(hours=1), jitter=0)
    flow = Workflow("fulfilment", **options)
    charge = flow.add("charge", charge_card, retry=patient)
    charge >> flow.add("ship", ship, {"to": "{{ initial.name }}"}, retry=patient)
    return flow
