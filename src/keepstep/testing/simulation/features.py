"""Features: what the engine can do beside the rest, each in a share of the stories.

A story has a feature or has it not, by a random stream of the feature's own, and draws all that belongs to it from
others: so stories without it are those that they were before there was such a feature. The number in a stream's name
is one under which no seed has it that has failed before (``tests/testing/simulation``), so that each of those still
tells the story in which it did.

Programs get no longer by features: leaves of theirs become leaves of other kinds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from .programs import MILLISECOND, Node

SHARE = 0.25
"""Of the seeds, those with each of them."""

VARIED = 0.5
"""Of the leaves that may become of another kind, those that do."""


class Feature(StrEnum):
    """By the names of their streams."""

    CHAPTERS = "continuing 249"
    """Runs that continue as new, with what was said to them on its way."""
    SPEECH = "speaking 419"
    """Runs and steps that write to streams, and others who read along."""
    RATES = "rates 147"
    """Steps and runs on a queue with a rate, and one for each key."""
    PATIENCE = "patience 534"
    """Steps whose end is waited for when they are cancelled."""
    HEADERS = "headers 209"
    """What starts carry goes with the steps of their runs, those of children and continuations included."""
    TURNS = "turns 258"
    """Priorities, starts with a delay, and queues that are paused."""
    PAUSES = "pauses 494"
    """Runs that are paused, and go on a while later."""
    PEOPLE = "people 4355"
    """Tasks for people, who answer some of them twice."""
    BULKS = "bulks 5591"
    """Several runs are cancelled by one word."""
    RETENTION = "retention 230"
    """In the end closed runs are removed, and some of them archived."""


EVERYTHING = frozenset(Feature)

UNSHORTENED = frozenset((Feature.CHAPTERS, Feature.SPEECH))
"""Stories with these alone have as many runs as those without any: so long they were when seeds of theirs failed."""


def draw_features(seed: str) -> frozenset[Feature]:
    return frozenset(each for each in Feature if random.Random(f"{seed}/{each}").random() < SHARE)


def vary(program: Node, features: Iterable[Feature], chance: random.Random) -> Node:
    """The program with leaves of the kinds that belong to features."""
    kinds = [each for each in KINDS if each in features]
    return _vary(program, kinds, chance) if kinds else program


def _vary(node: Any, kinds: list[Feature], chance: random.Random) -> Any:
    if not isinstance(node, list):
        return node
    if _is_replaced(node):
        return KINDS[chance.choice(kinds)](node[1], chance) if chance.random() < VARIED else node
    if node[:1] == ["saga"]:  # steps that stand in it are acts of it
        inner = [each if each[0] == "step" else _vary(each, kinds, chance) for each in node[2]]
        return [*node[:2], inner, node[3]]
    return [_vary(each, kinds, chance) for each in node]


def _is_replaced(node: list[Any]) -> bool:
    """A leaf that succeeds, most of them after a while."""
    return node[:1] in REPLACED and node[0:4:3] != ["step", True]


def _rated(name: str, chance: random.Random) -> Node:
    return ["rated", name, chance.choice((0, 0, 1))]


def _lingering(name: str, chance: random.Random) -> Node:
    """Half of them are cut off for sure, at a moment that no other wait of the program has."""
    node = ["lingering", name, chance.choice((0.0, 0.3, 1.0)), chance.random() < 0.4]
    return ["cancelled", 0.1 + (int(name[1:]) + 0.5) * MILLISECOND, node] if chance.random() < 0.5 else node


REPLACED = (["step"], ["retried"], ["threaded"], ["elsewhere"])


def _asked(name: str, chance: random.Random) -> Node:
    return ["asked", name, chance.choice((0.4, 2.0, 4.0)) + (int(name[1:]) + 0.25) * MILLISECOND]


KINDS: dict[Feature, Callable[[str, random.Random], Node]] = {
    Feature.RATES: _rated,
    Feature.PATIENCE: _lingering,
    Feature.PEOPLE: _asked,
}
"""What leaves become in stories with a feature."""
