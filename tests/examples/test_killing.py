"""Killing workers."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from examples.order_fulfilment.killing import Killer, kill_moments


class Worker:
    def __init__(self, name: str) -> None:
        self.name = name
        self.starts = 1
        self.deaths: list[str] = []

    @property
    def life(self) -> str:
        return f"{self.name}.{self.starts}"

    def kill(self) -> None:
        self.deaths.append(self.life)

    def start(self) -> None:
        self.starts += 1


class World:
    """Says in turn who is busy; the last word stays."""

    def __init__(self, *busy: dict[str, int]) -> None:
        self.busy = list(busy)
        self.glances = 0
        self.noted: list[tuple[str, int]] = []

    async def look(self) -> dict[str, int]:
        self.glances += 1
        return self.busy.pop(0) if len(self.busy) > 1 else self.busy[0]

    async def note(self, worker: str, requests_open: int) -> None:
        self.noted.append((worker, requests_open))


def test_there_is_one_kill_in_each_slice_of_the_time() -> None:
    moments = kill_moments(3, 6.0, Random(1))
    assert [int(moment // 2) for moment in moments] == [0, 1, 2]


def test_every_fourth_kill_comes_right_after_the_one_before() -> None:
    moments = kill_moments(10, 20.0, Random(1))
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert [number for number, pause in enumerate(pauses, start=2) if pause < 0.05] == [4, 8]


async def test_when_one_worker_has_just_been_killed_the_next_kill_hits_the_other() -> None:
    one, two = Worker("worker-1"), Worker("worker-2")
    world = World({"worker-1.1": 1, "worker-2.1": 1})
    await Killer([one, two], world.look, world.note, Random(1)).run([0.0, 0.0])
    assert one.deaths + two.deaths == ["worker-1.1", "worker-2.1"]


def test_the_moments_follow_from_the_seed() -> None:
    assert kill_moments(5, 20.0, Random(1)) == kill_moments(5, 20.0, Random(1))
    assert kill_moments(5, 20.0, Random(1)) != kill_moments(5, 20.0, Random(2))


def test_no_kills_have_no_moments() -> None:
    assert kill_moments(0, 20.0, Random(1)) == []


async def test_a_worker_is_killed_only_when_the_world_is_busy_with_it() -> None:
    worker, world = Worker("worker-1"), World({}, {"worker-1.1": 0}, {"worker-1.1": 3})
    await Killer([worker], world.look, world.note, Random(1)).run([0.0])
    assert world.glances == 3
    assert worker.deaths == ["worker-1.1"]
    assert world.noted == [("worker-1.1", 3)]


async def test_requests_of_an_earlier_life_do_not_make_a_worker_busy() -> None:
    worker, world = Worker("worker-1"), World({"worker-1.1": 2}, {"worker-1.1": 2}, {"worker-1.1": 2, "worker-1.2": 1})
    await Killer([worker], world.look, world.note, Random(1)).run([0.0, 0.0])
    assert world.noted == [("worker-1.1", 2), ("worker-1.2", 1)]


async def test_a_killed_worker_is_started_at_once() -> None:
    worker, world = Worker("worker-1"), World({"worker-1.1": 1})
    killer = Killer([worker], world.look, world.note, Random(1))
    await killer.run([0.0])
    assert worker.life == "worker-1.2"
    assert (killer.kills, killer.last_killed) == (1, "worker-1.1")
