"""The plan of a run, drawn from a seed: what is started, what operators say, which faults strike.

The same seed gives the same plan.  It does not give the same run: who claims what, and what a
fault hits in its course, is up to the machine.  Targets are therefore drawn as numbers, and mean
whatever worker or execution there is when their time has come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

FAULTS: dict[str, int] = {
    "kill worker": 14,
    "kill work horse": 8,
    "kill scheduler": 6,
    "freeze worker": 9,
    "freeze worker past its lease": 9,
    "freeze scheduler": 4,
    "empty Redis": 5,
    "restart Redis": 4,
    "restart PostgreSQL": 2,
    "crash PostgreSQL": 3,
    "terminate connections": 8,
    "fill the queue": 4,
    "skew the clock": 4,
    "cut off from PostgreSQL": 6,
    "cut off from Redis": 5,
    "cut off from both": 4,
}
VERBS: dict[str, int] = {
    "pause": 30, "cancel": 12, "retry": 30, "replay": 8, "rerun": 8, "signal": 8,
}  # fmt: skip
NEEDS_HOSTS = frozenset(kind for kind in FAULTS if kind.startswith("cut"))
NEEDS_FAKETIME = frozenset({"skew the clock"})

_LONG_SECONDS = (7.5, 12.0)  # past the lease
_SHORT_SECONDS = (0.3, 3.0)


@dataclass(frozen=True, slots=True)
class Start:
    """Executions to be started.

    Attributes:
        at: Seconds from the beginning.
        seed: What the fates of its nodes are drawn from.
        copies: How many start it at once, with one idempotency key; 0: it has none.
        batch: How many executions are started in one call.
        delay: Seconds by which the start is delayed.
    """

    at: float
    workflow: int
    seed: int
    owner: str
    copies: int = 0
    batch: int = 1
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Act:
    """Something an operator says to an execution.

    Attributes:
        pick: Which one, as a share of those that there are.
        seconds: How long a pause lasts.
    """

    at: float
    verb: str
    pick: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        pick: Which process it strikes, as a share of those that there are.
        seconds: How long it lasts; of a clock, by how much it is wrong.
    """

    at: float
    kind: str
    pick: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it, each list by time."""

    starts: list[Start]
    acts: list[Act]
    faults: list[Fault]


def draw(
    seed: int, *, seconds: float, workflows: int, rate: float, without: frozenset[str] = frozenset()
) -> Plan:
    """Draw a plan.

    Args:
        rate: Executions per second.
        without: Kinds of faults that this machine cannot do; the rest stays as it is.
    """
    starts = list(_starts(Random(f"{seed}/starts"), seconds, workflows, rate))
    acts = list(_acts(Random(f"{seed}/acts"), seconds, rate))
    faults = [
        fault for fault in _faults(Random(f"{seed}/faults"), seconds) if fault.kind not in without
    ]
    return Plan(starts, acts, faults)


def _starts(random: Random, seconds: float, workflows: int, rate: float) -> Iterator[Start]:
    for number, at in enumerate(_moments(random, seconds, 1.3 / rate)):
        luck = random.random()
        yield Start(
            at=at,
            workflow=random.randrange(workflows),
            seed=number + 1,
            owner=random.choice(("ada", "ben", "eve")),
            copies=random.choice((1, 2, 3)) if luck < 0.3 else 0,
            batch=random.randint(2, 8) if luck > 0.9 else 1,
            delay=random.random() * 3 if 0.3 <= luck < 0.35 else 0.0,
        )


def _acts(random: Random, seconds: float, rate: float) -> Iterator[Act]:
    for at in _moments(random, seconds, 6 / rate):
        verb = random.choices(list(VERBS), list(VERBS.values()))[0]
        yield Act(at, verb, random.random(), random.uniform(0.3, 4.0))


def _faults(random: Random, seconds: float) -> Iterator[Fault]:
    for at in _moments(random, seconds, 3.0):
        kind = random.choices(list(FAULTS), list(FAULTS.values()))[0]
        is_long = "past" in kind or "cut" in kind
        lasts = random.uniform(*(_LONG_SECONDS if is_long else _SHORT_SECONDS))
        if kind == "skew the clock":
            lasts = random.choice((-86_400.0, -60.0, -5.0, 5.0, 60.0, 3_600.0))
        yield Fault(at, kind, random.random(), lasts)


def _moments(random: Random, seconds: float, mean: float) -> Iterator[float]:
    at = random.expovariate(1 / mean)
    while at < seconds:
        yield at
        at += random.expovariate(1 / mean)
