"""A flush that goes by a guess in one round trip: a wrong guess changes nothing, and is nobody's error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg import sql as quoting

from keepstep.journal import Condition, NewMessage, NewTask, StateChange, TaskRef, Timer
from keepstep.journal.postgres import PostgresJournal, open_postgres
from keepstep.journal.postgres import statements as sql
from keepstep.journal.postgres.flush import Flusher
from keepstep.journal.postgres.wire import Doubt, Wire
from keepstep.testing.postgres import PostgresServer
from tests.journal.postgres.conftest import Open, flusher_of
from tests.journal.scene import advance, event, get, picture, start_owned

TABLES = "runs events batches log state messages received timers tasks commit_ids audit processes leases".split()


def everything(url: str) -> dict[str, list[Any]]:
    """All rows of the journal's tables, in no order."""
    with psycopg.connect(url) as db:
        texts = {
            name: quoting.SQL("SELECT t::text FROM keepstep.{} AS t ORDER BY 1").format(quoting.Identifier(name))
            for name in TABLES
        }
        return {name: db.execute(text).fetchall() for name, text in texts.items()}


class Guesses:
    """Notes of each flush that goes by a guess whether that was right, and what was there then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        self.right: list[bool] = []
        self.left: list[dict[str, list[Any]]] = []
        write = Flusher._write_trusting

        def noted(flusher: Flusher, *args: Any) -> bool:
            self.right.append(write(flusher, *args))
            self.left.append(everything(url))
            return self.right[-1]

        monkeypatch.setattr(Flusher, "_write_trusting", noted)


TO_BE_CHANGED: dict[str, Any] = {
    "state": (StateChange("k", "gone", b"old"),),
    "tasks": (NewTask(kind="step", key="old", queue="q"),),
    "id": "commit-0",  # the first id of a process is a reason to look for old ones
}

ALL_AT_ONCE: dict[str, Any] = {
    "events": (event("a"), event("b")),
    "state": (StateChange("k", "kept", b"new"), StateChange("k", "gone", None)),
    "timers": (Timer("t", 99),),
    "tasks": (NewTask(kind="step", key="new", queue="q"),),
    "drop_tasks": (TaskRef("step", "old"),),
    "condition": Condition.UNCERTAIN,
    "status_text": "half way",
    "detail": b"why",
    "audit": "somebody was here",
    "id": "commit-1",
}


async def test_a_wrong_guess_writes_nothing_of_all_that_a_commit_can_carry(
    open_journal: Open, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, sender = await open_journal(), await open_journal()
    run = await start_owned(owner)
    await advance(owner, run, **TO_BE_CHANGED)
    await sender.send(NewMessage(run_id=run.run_id, kind="signal"))
    await sender.close()
    before, guesses = everything(postgres_url), Guesses(monkeypatch, postgres_url)
    await advance(owner, run, **ALL_AT_ONCE)
    assert guesses.right == [False]
    assert guesses.left == [before]
    loaded = await owner.load(run.run_id)
    assert [each.type for each in loaded.events] == ["started", "a", "b"]
    assert loaded.state == {("k", "kept"): b"new"}


async def test_a_right_guess_writes_the_same_as_one_who_looks_first(
    open_journal: Open, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, guesses = await open_journal(), Guesses(monkeypatch, postgres_url)
    for name in ("guessing", "looking"):
        run = await start_owned(owner, name, workflow_id=name)
        await advance(owner, run, **TO_BE_CHANGED | {"id": f"{name} begins"})
        if name == "looking":
            monkeypatch.setattr(Flusher, "_may_trust", lambda *args: False)
        await advance(owner, run, **ALL_AT_ONCE | {"id": name})
    assert guesses.right == [True, True]
    one, other = [await _told(owner, name) for name in ("guessing", "looking")]
    assert one == other


async def _told(journal: PostgresJournal, workflow_id: str) -> Sequence[Any]:
    run = await journal.find_run("default", workflow_id)
    assert run is not None
    (_, events, state, messages), audit = await picture(journal, run.run_id)
    return run.last_seq, run.version, run.condition, run.status_text, run.detail, events, state, messages, len(audit)


async def test_a_wrong_guess_waits_for_no_disk_and_is_no_error_in_the_servers_log(own_server: PostgresServer) -> None:
    url = own_server.create_database("guesses")
    owner, sender = await open_postgres(f"{url}?shards=1"), await open_postgres(f"{url}?shards=1")
    run = await start_owned(owner)
    before = own_server.log.read_text()
    for _ in range(5):
        await advance(owner, run, events=(event(),))
        await sender.send(NewMessage(run_id=run.run_id, kind="signal"))
    await owner.close()
    await sender.close()
    assert "ERROR" not in own_server.log.read_text().removeprefix(before)


async def test_what_would_not_heed_a_wrong_guess_is_not_sent_on_one(journal: PostgresJournal) -> None:
    run = await start_owned(journal)
    wire = flusher_of(journal)._connect()
    wire.begin()
    wire.is_guessing = True
    with pytest.raises(Doubt):
        wire.queue(sql.DELETE_LEASE, 1)
    wire.close()
    assert (await get(journal, run.run_id)).owner == "L"


async def test_a_commit_without_an_answer_that_went_by_a_wrong_guess_is_done_once(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, sender = await open_journal(), await open_journal()
    run = await start_owned(owner)
    await sender.send(NewMessage(run_id=run.run_id, kind="signal"))
    commit, lost = Wire.commit, list[Wire]()

    def lose_answer(wire: Wire) -> Any:
        results = commit(wire)
        if not lost and wire.is_guessing:
            lost.append(wire)
            wire.close()
            raise psycopg.OperationalError("cable pulled")
        return results

    monkeypatch.setattr(Wire, "commit", lose_answer)
    assert (await advance(owner, run, events=(event(),))).last_seq == 2
    assert lost
    assert [each.seq for each in await owner.read_events(run.run_id)] == [1, 2]
