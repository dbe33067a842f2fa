"""Programs: drawn at random from all that the language has."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

Node = list[Any]

DEPTH_MAX = 4
NODES_MAX = 14

MILLISECOND = 0.001

SECONDS = (0.0, 0.0, 0.05, 0.3, 1.0, 3.0)

STRUCTURES = (
    "sequence sequence sequence gather gather group race completed generator "
    "timeout wait_for shielded saga saga saga saga finally_ locked child "
    "cancelled declining pipeline meeting extended within patient"
).split()
LEAVES = (
    "step step step retried timed threaded elsewhere once either sleep sleep receive receive_at_last meet chance "
    "callback"
).split()
IN_TRANSACTIONS = ("transacted", "transacted")
"""Leaves beside those, on a store that has room for them."""

CUTTING = frozenset(
    "race timeout wait_for shielded group child cancelled declining pipeline meeting extended within patient".split()
)
"""Inside of these a wait may be cut off, and what it waited for be lost with it: nothing there waits for ever."""


CHAPTERS = "chapters"
"""The root of a program each of whose parts is walked by a run of its own, which continues the one before."""

NAMES_OF_CHAPTER = 100
"""The steps of a program's first chapter have numbers up to that, those of its second up to twice that, and so on."""


SPEAKING = "speaking"
"""The root of a program that says on its way what it does, and so do its steps."""


class Draw:
    """Draws one program."""

    def __init__(self, chance: random.Random, nodes_max: int, leaves: Sequence[str], named_from: int = 0) -> None:
        self._chance = chance
        self._leaves = leaves
        self._nodes_left = nodes_max
        self._names = named_from

    def program(self) -> Node:
        return self._sequence("sequence", DEPTH_MAX, False)

    def _node(self, depth: int, is_cut: bool) -> Node:
        self._nodes_left -= 1
        chance = self._chance
        if depth <= 0 or self._nodes_left <= 0 or chance.random() < 0.55:
            return self._leaf(is_cut)
        return self._structure(chance.choice(STRUCTURES), depth, is_cut)

    def _leaf(self, is_cut: bool) -> Node:
        chance = self._chance
        kind = chance.choice(self._leaves)
        if kind == "receive_at_last" and is_cut:
            kind = "receive"
        self._names += 1
        name = f"s{self._names}"
        if kind == "step":
            return [kind, name, chance.choice(SECONDS[:5]), chance.random() < 0.15]
        if kind in ("retried", "elsewhere", "transacted"):
            return [kind, name, chance.choice((0, 0, 1, 2, 4))]
        if kind in ("timed", "once"):
            return [kind, name, chance.choice((0.0, 0.05, 0.3))]
        if kind == "either":
            return [kind, name, chance.choice((0.0, 0.3, 1.0))]
        if kind == "threaded":
            return [kind, name]
        if kind in ("receive_at_last", "chance"):
            return [kind]
        return [kind, self._seconds()]

    def _seconds(self) -> float:
        """A duration that no other wait of the program has.

        Up to Python 3.12, a task that two scopes of asyncio cancel at the same instant ends as cancelled, although
        nobody has asked for it from outside. Plain asyncio does the same, and it is not what is tested here.
        """
        self._names += 1
        return self._chance.choice(SECONDS) + self._names * MILLISECOND

    def _structure(self, kind: str, depth: int, is_cut: bool) -> Node:
        chance, deeper = self._chance, depth - 1
        is_cut = is_cut or kind in CUTTING
        if kind in ("timeout", "wait_for", "shielded", "cancelled", "extended"):
            return [kind, self._seconds(), self._node(deeper, True)]
        if kind == "patient":
            return [kind, self._seconds(), self._nodes(deeper, True)]
        if kind == "saga":
            self._names += 1
            name = f"saga{self._names}"
            return [kind, name, self._nodes(deeper, is_cut), chance.random() < 0.5]
        if kind in ("finally_", "within"):
            return [kind, self._node(deeper, is_cut), self._leaf(True)]
        if kind in ("locked", "child", "declining"):
            return [kind, self._node(deeper, is_cut)]
        return self._sequence(kind, depth, is_cut)

    def _sequence(self, kind: str, depth: int, is_cut: bool) -> Node:
        return [kind, self._nodes(depth - 1, is_cut)]

    def _nodes(self, depth: int, is_cut: bool) -> list[Node]:
        return [self._node(depth, is_cut) for _ in range(self._chance.randint(1, 4))]


def draw_program(chance: random.Random, nodes_max: int = NODES_MAX, *, transactions: bool = False) -> Node:
    """A program whose every wait ends, if as many "must" signals come as ``count_musts`` says."""
    leaves = [*LEAVES, *IN_TRANSACTIONS] if transactions else LEAVES
    return Draw(chance, nodes_max, leaves).program()


def draw_chapters(chance: random.Random, first: Node, nodes_max: int) -> list[Node]:
    """A program, and one or two small ones that are walked after it."""
    more = range(1, 1 + chance.randint(1, 2))
    return [first, *(Draw(chance, nodes_max, LEAVES, n * NAMES_OF_CHAPTER).program() for n in more)]


def draw_errand(chance: random.Random, nodes_max: int, seconds: float) -> Node:
    """A small program that nobody has to speak to, and that takes so long at least, unless it is cut off."""
    leaves = [each for each in LEAVES if each != "receive_at_last"]
    return ["sequence", [["sleep", seconds], Draw(chance, nodes_max, leaves).program()]]


def count_changes(node: Any) -> int:
    """How many updates a program waits for without an end."""
    if not isinstance(node, list):
        return 0
    if node[:1] == ["until_changed"]:
        return int(node[1])
    return max(map(count_changes, node), default=0)


def count_musts(node: Any) -> int:
    """How many waits without an end a program has."""
    if not isinstance(node, list):
        return 0
    return int(node[:1] == ["receive_at_last"]) + sum(map(count_musts, node))
