"""The demo's workflows: one for each thing worth seeing.

They are found because they are names of this module; ``manage.py check`` checks them and
``manage.py spane_publish`` publishes them.  What starts them, and how each is expected to end,
is in `demo_project.traffic`.
"""

from __future__ import annotations

from datetime import timedelta

from spane_django import Retry, Workflow, body

from .nodes import (
    ValidateUser,
    book_courier,
    charge_card,
    convert,
    count_primes,
    create_account,
    fetch_rate,
    pack_parcels,
    price_order,
    reserve_stock,
    screen_fraud,
    sum_primes,
    tax_invoice,
    weigh_line,
)

onboarding = Workflow(
    "user-onboarding",
    name="User Onboarding",
    description="One node, then two in parallel: the smallest workflow that is one.",
)
onboarding.add("validate-user", ValidateUser) >> [
    onboarding.add(
        "send-welcome-email",
        "email",
        {
            "to": "{{ input.email }}",
            "subject": "Welcome, {{ input.name }}",
            "text": "Hello {{ input.name }}, your account is on its way.",
        },
    ),
    onboarding.add("create-account", create_account, {"plan": "free"}),
]

fulfilment = Workflow(
    "order-fulfilment",
    name="Order fulfilment",
    description="Three branches at once, joined by the node that needs all of them.",
    priority=7,
    timeout=timedelta(minutes=10),
    input_schema={
        "type": "object",
        "properties": {
            "email": {"type": "string"},
            "card": {"type": "string"},
            "items": {"type": "array", "minItems": 1},
        },
        "required": ["email", "card", "items"],
    },
)
(
    fulfilment.add("price-order", price_order)
    >> [
        fulfilment.add("reserve-stock", reserve_stock),
        fulfilment.add("charge-card", charge_card),
        fulfilment.add("screen-fraud", screen_fraud),
    ]
    >> fulfilment.add("pack-parcels", pack_parcels)
    >> fulfilment.add(
        "confirm",
        "email",
        {
            "to": "{{ initial.email }}",
            "subject": "Your order is packed",
            "text": "Parcels: {{ input.parcels }}.  Receipt: {{ input.receipt }}.",
        },
    )
)

routing = Workflow(
    "support-routing",
    name="Support routing",
    description="A switch and a condition; the branches not taken are skipped, the joins run.",
)
by_topic = routing.add(
    "by-topic",
    "switch",
    {
        "expression": "topic",
        "cases": {"billing": "to-billing", "outage": ["to-operations", "to-billing"]},
        "default": "to-helpdesk",
    },
)
teams = [
    routing.add("to-billing", "set", {"values": {"billing": True}}),
    routing.add("to-operations", "set", {"values": {"operations": True}}),
    routing.add("to-helpdesk", "set", {"values": {"helpdesk": True}}),
]
is_urgent = routing.add(
    "is-urgent",
    "condition",
    {"expression": "contains(values(@)[].urgent, `true`)", "then": "call", "else": "queue"},
)
call = routing.add("call", "log", {"message": "Calling {{ initial.customer }} now"})
queue = routing.add("queue", "log", {"message": "{{ initial.customer }} is called back"})
close = routing.add("close", "log", {"message": "Ticket of {{ initial.customer }} is closed"})
by_topic >> teams >> is_urgent >> [call, queue] >> close

flaky = Workflow(
    "flaky-service",
    name="A service that is often away",
    description="Fails twice, waits longer each time, and succeeds in the third attempt.",
)
flaky.add("fetch-rate", fetch_rate, timeout=5) >> flaky.add("convert", convert)

declined = Workflow(
    "declined-payment",
    name="A payment that is declined",
    description="Fails for good, as it is meant to: its node is in the dead letters.",
)
priced = declined.add("price-order", price_order)
(
    priced
    >> declined.add("charge-card", charge_card, retry=Retry(attempts=5))
    >> declined.add("ship", "log", {"message": "never reached"})
)
priced >> declined.add("screen-fraud", screen_fraud)

reminder = Workflow(
    "reminder",
    name="Reminder",
    description="Waits without holding a worker, then writes.",
)
(
    reminder.add("prepare", "set", {"values": {"subject": "Do not forget: {{ input.what }}"}})
    >> reminder.add("wait", "delay", {"durationSeconds": 1})
    >> reminder.add(
        "remind",
        "email",
        {"to": "{{ input.email }}", "subject": "{{ input.subject }}", "text": "{{ input.what }}"},
    )
)

primes = Workflow(
    "prime-count",
    name="Counting primes",
    description="One node fans out to twenty, and one joins them.",
)
PARTS = 20
(
    primes.add("range", "set", {"values": {"parts": PARTS}})
    >> [
        primes.add(f"part-{part:02}", count_primes, {"part": part, "of": PARTS})
        for part in range(PARTS)
    ]
    >> primes.add("total", sum_primes)
)

trouble = Workflow(
    "order-trouble",
    name="Trouble with an order",
    description="Started by the engine when an order has failed: tells those who look after it.",
)
trouble.add(
    "tell",
    "email",
    {
        "to": "orders@example.com",
        "subject": "{{ input.workflowId }} has failed",
        "text": "Execution {{ input.executionId }}: {{ input.errors }}",
    },
)

undeliverable = Workflow(
    "undeliverable-order",
    name="An order that nobody can deliver",
    description="Fails at the courier, as it is meant to: what was done before is undone, the "
    "last first, somebody is told, and one node runs whatever has happened.",
    on_error=trouble.id,
    finally_=body("log", {"message": "The order has ended: {{ input.status }}"}),
)
(
    undeliverable.add("price-order", price_order)
    >> [
        undeliverable.add("reserve-stock", reserve_stock, undo=body("release-stock")),
        undeliverable.add("charge-card", charge_card, undo=body("refund-card")),
    ]
    >> undeliverable.add("book-courier", book_courier)
)

invoice = Workflow(
    "invoice",
    name="Invoice",
    description="What orders use as a sub-workflow.",
)
invoice.add("number", "set", {"values": {"number": "R-{{ input.orderId }}"}}) >> invoice.add(
    "add-tax", tax_invoice
)

wholesale = Workflow(
    "wholesale-order",
    name="Wholesale order",
    description="Its lines are weighed two at a time, its invoice is another workflow, and it "
    "waits for the payment, without a worker.",
)
(
    wholesale.add("price-order", price_order)
    >> [
        wholesale.add(
            "weigh-lines",
            "map",
            {"items": "items", "parallelism": 2, "node": body(weigh_line.type)},
        ),
        wholesale.add(
            "invoice",
            "sub-workflow",
            {
                "workflowId": invoice.id,
                "inputMapping": {"orderId": "orderId", "total": "total"},
                "outputMapping": {"invoice": "number", "total": "total"},
            },
        ),
    ]
    >> wholesale.add(
        "payment",
        "wait",
        {"signal": "payment", "key": "{{ initial.orderId }}", "deadline": "P14D"},
    )
    >> wholesale.add(
        "thank",
        "email",
        {
            "to": "{{ initial.email }}",
            "subject": "Order {{ initial.orderId }} is paid",
            "text": "Invoice {{ results.invoice.invoice }}, paid by {{ input.method }}.",
        },
    )
)

large = Workflow(
    "large-order",
    name="A large order",
    description="Somebody has to say yes to it.  Until then, or for three days, it stays open.",
)
(
    large.add("price-order", price_order)
    >> large.add(
        "approval",
        "approval",
        {
            "title": "Deliver for {{ input.total }}?",
            "users": "admin",
            "allowsStarter": True,
            "deadline": "P3D",
            "onDeadline": "reject",
            "approved": "deliver",
            "rejected": "decline",
        },
    )
    >> [
        large.add("deliver", "log", {"message": "It is on its way"}),
        large.add("decline", "log", {"message": "It is not delivered"}),
    ]
)
