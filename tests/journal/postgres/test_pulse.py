"""What a process without work costs the server: one statement for all that its worker asks every second."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from keepstep.journal import HintKind, NewTask
from keepstep.journal.postgres import PostgresJournal, pulse
from keepstep.journal.postgres import journal as journal_module
from keepstep.journal.postgres.wire import Wire
from tests.journal.postgres.conftest import Open
from tests.journal.scene import START, Ears, lease, new_run, wait_until


class Statements:
    """Counts what this process's readers send; its writer has upkeep of its own to do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        queue = Wire.queue

        def counted(wire: Wire, *statement: Any) -> None:
            if threading.current_thread().name.startswith("keepstep-reader"):
                self.count += 1
            queue(wire, *statement)

        monkeypatch.setattr(Wire, "queue", counted)

    def take(self) -> int:
        count, self.count = self.count, 0
        return count


async def test_a_look_at_all_leases_answers_when_the_next_run_is_due(
    journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.open_lease(lease())
    await journal.start(new_run(wake_at=START + 5))
    assert await journal.next_wake("L", ["fulfil"]) == START + 5
    statements = Statements(monkeypatch)
    for _ in range(3):
        assert await journal.reap() == []
        assert await journal.next_wake("L", ["fulfil"]) == START + 5
    assert statements.take() == 3
    assert await journal.next_wake("L", ["fulfil"]) == START + 5
    assert await journal.next_wake("L", ["other"]) is None
    assert statements.take() > 1


async def test_what_was_answered_before_a_hint_is_asked_again(open_journal: Open) -> None:
    journal, other = await open_journal(), await open_journal()
    await journal.open_lease(lease())
    assert await journal.next_wake("L") is None
    ears, n = Ears(journal), 0

    async def is_heard() -> bool:
        nonlocal n
        n += 1
        await journal.reap()
        await other.start(new_run(f"w{n}"))
        return ears.heard(HintKind.READY)

    await wait_until(is_heard)
    assert await journal.next_wake("L") == 0


async def test_a_lease_that_is_over_is_told_no_wake_time(open_journal: Open) -> None:
    journal, other = await open_journal(), await open_journal()
    await journal.open_lease(lease(mortal=True))
    await journal.start(new_run())
    assert await journal.next_wake("L") == 0
    assert await other.reap() == ["L"]
    await journal.reap()
    assert await journal.next_wake("L") is None


async def test_a_claim_of_tasks_in_vain_is_one_statement_and_writes_nothing(
    journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.open_lease(lease())
    statements = Statements(monkeypatch)
    put = journal._put
    monkeypatch.setattr(journal, "_put", None)
    assert await journal.claim_tasks("L", ["q"], ["step"], 5) == []
    assert statements.take() == 1
    monkeypatch.setattr(journal, "_put", put)
    await journal.start(new_run(tasks=(NewTask(kind="step", key="k", queue="q"),)))
    [task] = await journal.claim_tasks("L", ["q"], ["step"], 5)
    assert task.key == "k"


async def test_who_polls_for_tasks_and_asks_in_vain_sends_nothing_until_there_are_some(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, other = await open_journal("pooled=true&shards=1"), await open_journal("pooled=true&shards=1")
    await journal.open_lease(lease())
    monkeypatch.setattr(pulse, "POLL_SECONDS_MIN", 0.0)
    monkeypatch.setattr(pulse, "NONE_SECONDS", 100.0)
    await journal.next_wake("L")
    assert await journal.claim_tasks("L", ["q"], ["step"], 5) == []
    assert await journal.reap() == []
    statements, ears = Statements(monkeypatch), Ears(journal)
    assert await journal.claim_tasks("L", ["q"], ["step"], 5) == []
    assert await journal.take_asks("L", 5) == []
    assert statements.take() == 0
    started = await other.start(new_run(tasks=(NewTask(kind="step", key="k", queue="q"),)))
    asking = asyncio.ensure_future(other.ask(started.run_id, "query", "state", b"", 20))

    async def are_found() -> bool:
        await journal.reap()
        return ears.heard(HintKind.TASKS) and ears.heard(HintKind.ASKS)

    await wait_until(are_found)
    assert len(await journal.claim_tasks("L", ["q"], ["step"], 5)) == 1
    [ask] = await journal.take_asks("L", 5)
    await journal.answer(ask.ask_id, b"!")
    assert await asking == b"!"


async def test_leases_that_are_nearly_due_are_renewed_by_the_way(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await open_journal("pooled=true&shards=1")  # where no hint hastens a renewal
    await journal.open_lease(lease())
    [before] = await journal.list_leases()
    await journal.reap()
    assert await journal.list_leases() == [before]
    monkeypatch.setattr(journal_module, "RENEWED_AHEAD_SECONDS", 10_000.0)
    due_at = journal._writer.renewals._due_at
    await journal.reap()
    [after] = await journal.list_leases()
    assert after.counter == before.counter + 1
    assert journal._writer.renewals._due_at > due_at
