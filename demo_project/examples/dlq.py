"""Dead letters: a node fails, is tried again with growing waits, and is given up.

What to see: exponential backoff between attempts; the dead letter with its error; the error's way
to the execution's status, while an independent branch goes on; the operator's retry once the
trouble is over; a failure for which trying again is no use.

    python demo_project/examples/dlq.py
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

from _stage import expect, play, show, statuses, tell, title

from spane_django import (
    Context,
    Permanent,
    Retry,
    Workflow,
    node,
    retry_dead_letter,
    wait_for,
)
from spane_django.models import Attempt, DeadLetter, Execution

OUTAGE = 3  # attempts that meet a ledger which is away


@node("book", retry=Retry(attempts=OUTAGE, base=timedelta(milliseconds=100)))
def book(ctx: Context) -> Any:
    """Write to a ledger that is away for the first attempts."""
    ctx.log.info("calling the ledger", attempt=ctx.attempt)
    if ctx.attempt <= OUTAGE:
        raise ConnectionError(f"the ledger does not answer (attempt {ctx.attempt})")
    return {"booked": ctx.input["amount"], "attempt": ctx.attempt}


@node("check-amount")
def check_amount(ctx: Context) -> Any:
    """Refuse amounts that no ledger would take; trying again would not help."""
    if ctx.input["amount"] <= 0:
        raise Permanent(f"an amount of {ctx.input['amount']} cannot be booked")
    return ctx.input


booking = Workflow("booking", name="Booking")
check = booking.add("check", check_amount)
write = booking.add("book", book)
receipt = booking.add("receipt", "set", {"values": {"receipt": "printed"}})
notify = booking.add("notify", "log", {"message": "a booking of {{ input.amount }} has come in"})
check >> [write >> receipt, notify]


def story() -> None:
    execution = an_outage()
    the_operator_retries(execution)
    no_second_try()


def an_outage() -> Execution:
    title("A ledger that is away")
    execution = wait_for(booking.start({"amount": 120}))
    show(execution)

    attempts = Attempt.objects.filter(node_run__execution=execution).order_by("number")
    waits = [
        (later.started_at - before.finished_at).total_seconds()
        for before, later in pairwise(attempts)
        if later.started_at
    ]
    tell(f"  waits between the attempts: {', '.join(f'{wait:.2f} s' for wait in waits)}")
    expect("the node was tried three times", holds=len(attempts) == OUTAGE)
    expect("it waited 0.1 s, then 0.2 s or more", holds=waits[0] >= 0.1 and waits[1] >= 0.2)
    expect("the execution has failed", holds=execution.status == "failed")
    expect(
        "what hangs on the node was cancelled", holds=statuses(execution)["receipt"] == "cancelled"
    )
    expect("the other branch went on", holds=statuses(execution)["notify"] == "completed")
    return execution


def the_operator_retries(execution: Execution) -> None:
    title("The ledger is back: an operator retries the dead letter")
    (letter,) = DeadLetter.objects.open()
    tell(f"  dead letter: {letter.node_id}, {letter.error_type}: {letter.error_message}")
    retry_dead_letter(letter)
    execution = wait_for(execution)
    show(execution)
    letter.refresh_from_db()
    expect("the execution has completed", holds=execution.status == "completed")
    expect("the dead letter is kept, and resolved", holds=letter.resolution == "retried")
    expect("no dead letter is open", holds=not DeadLetter.objects.open().exists())


def no_second_try() -> None:
    title("A failure for which trying again is no use")
    execution = wait_for(booking.start({"amount": -5}))
    show(execution)
    (letter,) = DeadLetter.objects.open()
    tell(f"  dead letter: {letter.node_id}, {letter.error_type}: {letter.error_message}")
    expect("the execution has failed", holds=execution.status == "failed")
    expect("its node was tried once", holds=letter.attempts == 1)


if __name__ == "__main__":
    play(story)
