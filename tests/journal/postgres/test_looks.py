"""An idle process that hints reach asks at every second poll, and at every one where that might be too late."""

from __future__ import annotations

import time

import msgspec
import psycopg
import pytest

from keepstep.journal import HintKind, LeaseState, ProcessIdentity
from keepstep.journal.postgres import PostgresJournal, looks, pulse
from keepstep.journal.postgres.looks import Looks
from tests.journal.postgres.conftest import Open
from tests.journal.postgres.test_herald import herald_of
from tests.journal.postgres.test_pulse import Statements
from tests.journal.scene import DEAD_PROCESS, PROCESS, START, Ears, lease, new_run, wait_until

ELSEWHERE = msgspec.structs.replace(PROCESS, host="elsewhere", boot_id="another")


class Process:
    """What polls, by a clock that is set by hand."""

    def __init__(self, *owners: ProcessIdentity) -> None:
        self.now, self.news, self.looked, self.hears = 100.0, 0, 0, True
        self.alive = {PROCESS.pid}
        self.looks = Looks(lambda: self.hears, self._lives, lambda: self.now)
        leases = [lease(f"L{n}", process=owner) for n, owner in enumerate(owners)]
        self.leases = [LeaseState(lease=one, counter=0, probing=None, runs_held=0, tasks_held=0) for one in leases]

    def _lives(self, process: ProcessIdentity) -> bool:
        return process.boot_id == PROCESS.boot_id and process.pid in self.alive

    def poll(self, times: int = 1, every: float = 1.003) -> int:
        """How many of these polls are looks."""
        before = self.looked
        for _ in range(times):
            self.now += every
            if not self.looks.can_wait(self.news):
                self.looks.note(self.leases, self.news)
                self.looked += 1
        return self.looked - before


def test_every_second_poll_is_a_look_while_there_is_no_news() -> None:
    assert Process(PROCESS).poll(20) == 10


def test_after_a_hint_the_next_poll_is_a_look() -> None:
    process = Process(PROCESS)
    assert process.poll(2) == 1
    process.news += 1
    assert [process.poll(), process.poll(), process.poll()] == [1, 0, 1]
    process.news += 1
    assert process.poll() == 1


def test_who_hears_no_hints_looks_at_every_poll() -> None:
    process = Process(PROCESS)
    process.hears = False
    assert process.poll(20) == 20


def test_while_an_owner_is_on_another_machine_every_poll_is_a_look() -> None:
    assert Process(PROCESS, ELSEWHERE).poll(20) == 20


def test_when_an_owner_dies_the_next_poll_is_a_look() -> None:
    process = Process(PROCESS)
    assert process.poll() == 1
    process.alive.clear()
    assert process.poll() == 1


def test_who_asks_twice_in_a_moment_is_answered_by_looks() -> None:
    assert Process(PROCESS).poll(20, every=0.1) == 20


@pytest.fixture
async def listening(open_journal: Open, monkeypatch: pytest.MonkeyPatch) -> PostgresJournal:
    """A journal whose process polls as fast as it likes, whose looks are good until there is news, and hears hints."""
    monkeypatch.setattr(looks, "POLL_SECONDS_MIN", 0.0)
    monkeypatch.setattr(looks, "LOOK_SECONDS", 1000.0)
    monkeypatch.setattr(pulse, "FRESH_SECONDS", 0.0)
    journal = await open_journal()
    ears = Ears(journal)
    await ears.wait_for(HintKind.READY)
    await journal.open_lease(lease())
    await journal.next_wake("L")
    return journal


async def look(journal: PostgresJournal) -> None:
    """Until what is hinted of what came before has been heard, and another look is good."""

    async def is_good() -> bool:
        await journal.reap()
        return journal._looks.is_good(journal._queries.news)

    await wait_until(is_good)


async def test_a_poll_between_two_looks_sends_nothing(
    listening: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await listening.start(new_run(wake_at=START + 5))
    await look(listening)
    statements = Statements(monkeypatch)
    for _ in range(3):
        assert await listening.reap() == []
        assert await listening.next_wake("L") == START + 5
    assert statements.take() == 0


async def test_a_run_that_another_process_starts_is_found_between_two_looks(
    listening: PostgresJournal, open_journal: Open
) -> None:
    await look(listening)
    other = await open_journal()
    await look(listening)
    assert await listening.next_wake("L") is None
    soon = time.time_ns() // 1000 + 1_500_000
    await other.start(new_run(wake_at=soon))

    async def is_found() -> bool:
        return await listening.next_wake("L") == soon

    await wait_until(is_found)


async def test_a_known_time_that_has_come_is_asked_for_again(
    listening: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await listening.start(new_run(wake_at=START + 5))
    await look(listening)
    assert await listening.next_wake("L") == START + 5
    statements = Statements(monkeypatch)
    assert await listening.next_wake("L") == START + 5
    assert statements.take() == 0
    monkeypatch.setattr(listening.clock, "now", lambda: START + 5)
    assert await listening.next_wake("L") == START + 5
    assert statements.take() == 1


async def test_the_lease_of_a_dead_process_is_taken_over_at_the_next_poll(
    listening: PostgresJournal, open_journal: Open
) -> None:
    other = await open_journal()
    await look(listening)
    await other.open_lease(lease("M", process=DEAD_PROCESS))  # of which nothing is hinted
    listening._looks.note(await other.list_leases(), listening._queries.news)
    assert await listening.reap() == ["M"]


async def test_a_process_that_hears_no_more_looks_at_every_poll(
    listening: PostgresJournal, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await look(listening)
    herald = herald_of(listening)
    monkeypatch.setattr(herald, "_connect", _refuse)
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name = 'keepstep herald' AND datname = current_database()"
        )
    await wait_until(lambda: not herald.is_listening)
    statements = Statements(monkeypatch)
    await listening.reap()
    await listening.reap()
    assert statements.take() == 2


def _refuse() -> None:
    raise psycopg.OperationalError("there is no way")
