"""The demo's own node types: small pieces of real work, in both forms that a project may use.

Each is a function under ``@node`` or a class under ``@register``.  None pretends: what looks like
a service that is away (`fetch-rate`) really raises, and a card that is declined really fails the
test that card numbers must pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.text import slugify

from spane_django import Context, Node, Permanent, Result, Retry, node, register

_PARCEL_GRAMS = 20_000
_COURIER_GRAMS = 30_000
_TAX = Decimal("0.19")
_RATES = {"USD": Decimal("1.09"), "GBP": Decimal("0.84"), "JPY": Decimal("163.2")}


@register
class ValidateUser(Node):
    """Refuses users whose address is none, and tidies up the others."""

    type = "validate-user"
    description = "Refuses users whose address is none."
    is_pure = True

    def execute(self, ctx: Context) -> Any:
        email = str(ctx.input.get("email", "")).strip().lower()
        try:
            validate_email(email)
        except ValidationError:
            return Result.failure(f"{email!r} is no address of a user")
        return {"email": email, "name": ctx.input.get("name") or email.partition("@")[0]}


@dataclass
class AccountConfig:
    """What an account is given.

    Attributes:
        plan: The name of its plan.
    """

    plan: str = "free"


@node("create-account", config=AccountConfig)
def create_account(ctx: Context) -> Any:
    """Make an account with a signed link that activates it."""
    username = slugify(ctx.input["name"])
    ctx.log.info("account created", username=username, plan=ctx.config.plan)
    return {
        "username": username,
        "plan": ctx.config.plan,
        "activation": signing.dumps({"username": username}, salt="demo.activation"),
    }


@node("price-order", pure=True)
def price_order(ctx: Context) -> Any:
    """Add up an order's items."""
    items = ctx.input["items"]
    total = sum((Decimal(item["price"]) * item["quantity"] for item in items), Decimal())
    return {**ctx.input, "total": str(total)}


@node("reserve-stock")
def reserve_stock(ctx: Context) -> Any:
    """Choose the shelf of each item; the same item is always on the same shelf."""
    return {item["sku"]: _shelf(item["sku"]) for item in ctx.input["items"]}


@node("charge-card", retry=Retry(attempts=3), timeout=10)
def charge_card(ctx: Context) -> Any:
    """Take the money, unless the number of the card cannot be one."""
    card = ctx.input["card"]
    if not _passes_luhn(card):
        raise Permanent(f"the card ending in {card[-4:]} was declined")
    # The key is the same for every attempt, so that nobody pays twice.
    receipt = hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:12]
    ctx.log.info("charged", amount=ctx.input["total"], receipt=receipt)
    return {"receipt": receipt, "amount": ctx.input["total"]}


@node("release-stock")
def release_stock(ctx: Context) -> Any:
    """Undo `reserve-stock`: what it had come to is in the input."""
    return {"released": sorted(ctx.input["output"])}


@node("refund-card", retry=Retry(attempts=5), timeout=10)
def refund_card(ctx: Context) -> Any:
    """Undo `charge-card`: give back what its receipt says."""
    charged = ctx.input["output"]
    ctx.log.info("refunded", amount=charged["amount"], receipt=charged["receipt"])
    return {"refunded": charged["amount"]}


@node("book-courier")
def book_courier(ctx: Context) -> Any:
    """Book one courier for a whole order; none carries more than 30 kg."""
    grams = sum(_weights(ctx.initial_data["items"]))
    if grams > _COURIER_GRAMS:
        raise Permanent(f"no courier takes {grams / 1_000:g} kg")
    return {"grams": grams}


@node("weigh-line", pure=True)
def weigh_line(ctx: Context) -> Any:
    """Weigh one line of an order."""
    return {"sku": ctx.input["sku"], "grams": ctx.input["grams"] * ctx.input["quantity"]}


@node("tax-invoice", pure=True)
def tax_invoice(ctx: Context) -> Any:
    """Add the tax to a total."""
    total = Decimal(ctx.input["total"])
    tax = (total * _TAX).quantize(Decimal("0.01"))
    return {**ctx.input, "tax": str(tax), "total": str(total + tax)}


@node("screen-fraud", pure=True)
def screen_fraud(ctx: Context) -> Any:
    """Score an order from 0 to 100: large orders and free mail addresses look worse."""
    score = min(60, int(Decimal(ctx.input["total"]) / 50))
    if ctx.input["email"].endswith(("@example.net", "@example.org")):
        score += 30
    return {"score": score, "isSuspicious": score >= 80}


@node("pack-parcels")
def pack_parcels(ctx: Context) -> Any:
    """Put the items of an order into as few parcels as the heaviest-first rule finds."""
    parcels = _packed(_weights(ctx.initial_data["items"]))
    return {
        "parcels": len(parcels),
        "grams": [sum(parcel) for parcel in parcels],
        "shelves": sorted(set(ctx.input["reserve-stock"].values())),
        "receipt": ctx.input["charge-card"]["receipt"],
    }


@node(
    "fetch-rate",
    retry=Retry(attempts=5, base=timedelta(milliseconds=200), jitter=0.5),
    description="Asks a service that answers only when asked for the third time.",
)
def fetch_rate(ctx: Context) -> Any:
    """Ask for an exchange rate; the first two times, the service is away."""
    if ctx.attempt < 3:
        raise ConnectionError(f"the rate service is away (attempt {ctx.attempt})")
    currency = ctx.input["currency"]
    return {"currency": currency, "rate": str(_RATES[currency]), "attempts": ctx.attempt}


@node("convert", pure=True)
def convert(ctx: Context) -> Any:
    """Convert the amount that the execution was started with."""
    amount = Decimal(ctx.initial_data["amount"]) * Decimal(ctx.input["rate"])
    return {"amount": str(amount.quantize(Decimal("0.01"))), "currency": ctx.input["currency"]}


@dataclass
class PartConfig:
    """Which part of a range to look through.

    Attributes:
        part: From 0.
        of: How many parts there are.
    """

    part: int
    of: int


@node("count-primes", config=PartConfig, pure=True)
def count_primes(ctx: Context) -> Any:
    """Count the primes of one part of a range."""
    size = ctx.input["upTo"] // ctx.config.of
    first = ctx.config.part * size
    return {"primes": sum(map(_is_prime, range(first, first + size)))}


@node("sum-primes", pure=True)
def sum_primes(ctx: Context) -> Any:
    """Add up what the parts have counted."""
    return {"primes": sum(part["primes"] for part in ctx.input.values()), "parts": len(ctx.input)}


def _shelf(sku: str) -> str:
    digest = hashlib.sha256(sku.encode()).digest()
    return f"{'ABCDEF'[digest[0] % 6]}{digest[1] % 40}"


def _passes_luhn(card: str) -> bool:
    digits = [int(character) for character in reversed(card) if character.isdigit()]
    doubled = (2 * digit - 9 * (digit > 4) for digit in digits[1::2])
    return len(digits) >= 12 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _weights(items: Iterable[Mapping[str, Any]]) -> list[int]:
    weights = [item["grams"] for item in items for _ in range(item["quantity"])]
    return sorted(weights, reverse=True)


def _packed(weights: Iterable[int]) -> list[list[int]]:
    parcels: list[list[int]] = []
    for grams in weights:
        fitting = (parcel for parcel in parcels if sum(parcel) + grams <= _PARCEL_GRAMS)
        parcel = next(fitting, None)
        if parcel is None:
            parcels.append([grams])
        else:
            parcel.append(grams)
    return parcels


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
