"""A process that is called in vain by others' hints is called less often; one that finds something, at once."""

from __future__ import annotations

import pytest

from keepstep.journal import HintKind, Journal
from keepstep.journal.postgres import herald as herald_module
from keepstep.journal.postgres.calls import PAUSE_SECONDS_MAX, QUIET_SECONDS, Calls
from tests.journal.postgres.conftest import Open
from tests.journal.scene import Ears, lease, new_run, wait_until

READY, TASKS = HintKind.READY, HintKind.TASKS


class Process:
    """What is called, by a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.finds = 0
        self.calls = Calls(lambda: self.finds, lambda: self.now)

    def calls_in(self, seconds: float, every: float, *, finds: bool = False) -> int:
        """How often it is called while somebody hints again and again."""
        end, called = self.now + seconds, 0
        while self.now < end:
            if self.calls.hear([READY]):
                called += 1
                self.finds += finds
            self.now += every
        return called


def test_who_finds_nothing_is_called_at_most_every_so_often() -> None:
    process = Process()
    assert process.calls_in(0.2, 0.001) < 40
    assert process.calls_in(10, 0.001) == pytest.approx(10 / PAUSE_SECONDS_MAX, rel=0.05)


def test_who_finds_something_is_called_every_time() -> None:
    process = Process()
    process.calls_in(1, 0.001)
    process.finds += 1
    assert process.calls_in(1, 0.001, finds=True) == pytest.approx(1000, abs=2)


def test_the_first_call_after_a_while_is_at_once_and_the_second_nearly() -> None:
    process = Process()
    process.calls_in(1, 0.001)
    process.now += QUIET_SECONDS + 0.1
    assert process.calls.hear([READY]) == [READY]
    process.now += 0.0001
    assert process.calls.hear([READY]) == [READY]


def test_what_is_held_back_is_called_for_together_when_the_pause_is_over_and_is_never_lost() -> None:
    process = Process()
    process.calls_in(1, 0.001)
    assert process.calls.hear([READY]) == []
    assert process.calls.hear([TASKS]) == []
    left = process.calls.milliseconds_left()
    assert left is not None
    assert 0 < left <= PAUSE_SECONDS_MAX * 1000 + 1
    process.now += left / 1000
    assert process.calls.milliseconds_left() == 0
    assert set(process.calls.hear([])) == {READY, TASKS}
    assert process.calls.milliseconds_left() is None
    assert process.calls.hear([]) == []


def test_messages_questions_and_lost_leases_are_never_held_back() -> None:
    process = Process()
    process.calls_in(1, 0.001)
    for kind in HintKind:
        assert process.calls.hear([kind]) == ([] if kind in (READY, TASKS) else [kind])


async def test_hints_about_what_others_serve_cost_a_process_few_questions_and_hints_for_itself_come_through(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herald_module, "TELL_SECONDS_MIN", 0)
    busy, idle = await open_journal(), await open_journal()
    await idle.open_lease(lease("I", queues=("mine",)))
    heard, questions = Ears(idle), 0

    async def ask() -> int | None:
        nonlocal questions
        questions += 1
        return await idle.next_wake("I")

    async def start_and_look(journal: Journal, n: int) -> None:
        await journal.start(new_run(f"theirs {n}"))
        if heard.heard(READY):
            heard.hints.clear()
            assert await ask() is None

    async def is_there() -> bool:
        await busy.start(new_run(f"is it there {len(numbers)}"))
        numbers.append(1)
        return heard.heard(READY)

    numbers: list[int] = []
    await wait_until(is_there)
    for n in range(400):
        await start_and_look(busy, n)
    assert 1 <= questions <= 200
    heard.hints.clear()
    await busy.start(new_run("mine", queue="mine"))
    await heard.wait_for(READY)
    assert await ask() == 0
