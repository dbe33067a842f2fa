"""Plan: what the run of each number of a round is to do. Everybody derives it from the seed, the judge included."""

from __future__ import annotations

from random import Random
from typing import Literal

import msgspec

Colour = Literal["async", "sync", "remote"]
"""Where a step runs: on the worker's loop, on a thread of it, or on whoever serves the other queue."""

MAILBOX_EVERY = 7
"""Every seventh run is a mailbox, so that a client knows without asking which runs take letters."""

KINDS = ("chain", "chain", "fan", "naps", "order", "order", "family", "dispenser")


class Link(msgspec.Struct, frozen=True):
    """One step: its colour, how long it takes, how many of its attempts fail, whether it is refused for good."""

    colour: Colour = "async"
    milliseconds: int = 0
    failures: int = 0
    is_refused: bool = False


class Plan(msgspec.Struct, frozen=True):
    """One run. ``links`` are its steps; ``numbers`` mean naps (ms), a width, or a patience (ms), by kind."""

    kind: str
    links: tuple[Link, ...] = ()
    numbers: tuple[int, ...] = ()
    raises: bool = False
    """An order that fails after its last step."""


def run_name(seed: int, number: int) -> str:
    """The workflow id of a run."""
    return f"{seed}:{number}"


def plan_of(name: str) -> Plan:
    """What the run of that name is to do."""
    number = int(name.partition(":")[2])
    dice = Random(name)
    if number % MAILBOX_EVERY == 0:
        return Plan("mailbox", numbers=(dice.choice((0, 40, 300)),))
    kind = dice.choice(KINDS)
    links = tuple(_link(dice) for _ in range(dice.randint(2, 8)))
    if kind == "fan":
        return Plan(kind, links, (dice.randint(2, len(links)),))
    if kind == "naps":
        return Plan(kind, links, tuple(dice.choice((1, 15, 60, 250)) for _ in links))
    if kind == "order":
        return _order(dice, links)
    return Plan(kind, links)


def _link(dice: Random) -> Link:
    colour = dice.choices(("async", "sync", "remote"), (7, 2, 1))[0]
    failures = dice.choices((0, 1, 2), (12, 2, 1))[0]
    milliseconds = dice.choice((0, 0, 1, 5, 30, 150)) if colour != "remote" else dice.choice((0, 1, 5))
    return Link(colour, milliseconds, failures)  # type: ignore[arg-type]


def _order(dice: Random, links: tuple[Link, ...]) -> Plan:
    """Of four orders one goes well, one fails at its end, and two fail in the middle."""
    end = dice.randrange(4)
    if end > 1:
        refused = dice.randrange(len(links))
        links = (*links[:refused], msgspec.structs.replace(links[refused], is_refused=True), *links[refused + 1 :])
    return Plan("order", links, (dice.choice((0, 30, 200)),), raises=end == 1)
