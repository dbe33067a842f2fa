"""A file that is only looked at: what is seen is what is there, and not even its log is written to."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from keepstep.journal import NotFound, SchemaTooNew, Status, StoreUnavailable
from keepstep.journal.sqlite import open_sqlite
from keepstep.journal.sqlite.opening import migrations
from keepstep.journal.sqlite.viewing import view_sqlite
from keepstep.journal.writing import view as view_module
from tests.journal.scene import advance, event, new_run, start_owned

OPEN = (Status.RUNNING,)


async def test_runs_their_histories_and_their_owners_are_seen_as_they_are(database: Path) -> None:
    journal = await open_sqlite(database)
    run = await start_owned(journal)
    await advance(journal, run, events=(event("a"),))
    await journal.start(new_run("other", type="ship"))
    await journal.start(new_run("elsewhere", namespace="else"))
    before = {file.name: file.read_bytes() for file in database.parent.iterdir() if file.name.endswith(("db", "wal"))}
    view = view_sqlite(database)
    assert {each.workflow_id for each in view.runs("default", OPEN)} == {"order-1", "other"}
    assert [each.workflow_id for each in view.runs("else", OPEN)] == ["elsewhere"]
    assert [each.workflow_id for each in view.runs("default", OPEN, ["ship"])] == ["other"]
    counted = [view.count("default", OPEN), view.count("default", (Status.FAILED,)), view.count("else", OPEN)]
    assert counted == [2, 0, 1]
    assert view.count("default", OPEN, ["ship"]) == 1
    assert view.load(run.run_id) == await journal.load(run.run_id)
    assert [state.lease.lease_id for state in view.leases()] == ["L"]
    with pytest.raises(NotFound):
        view.load("missing")
    view.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        view.count("default", OPEN)
    after = {file.name: file.read_bytes() for file in database.parent.iterdir() if file.name.endswith(("db", "wal"))}
    assert after == before
    await journal.close()


async def test_a_list_goes_on_over_several_pages_and_stops_where_enough_was_seen(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "PAGE", 3)
    journal = await open_sqlite(database)
    for n in range(8):
        await journal.start(new_run(f"w{n}"))
    await journal.close()
    view = view_sqlite(database)
    newest_first = [f"w{n}" for n in reversed(range(8))]
    assert [each.workflow_id for each in view.runs("default", OPEN)] == newest_first
    for limit in (0, 1, 3, 4, 8, 9):
        assert [each.workflow_id for each in view.runs("default", OPEN, limit=limit)] == newest_first[:limit]
    view.close()


async def test_what_is_no_journal_of_this_version_is_refused_with_its_name(database: Path) -> None:
    with pytest.raises(StoreUnavailable, match=f"{database} does not exist; correct the path"):
        view_sqlite(database)
    (database.parent / "notes.txt").write_text("no database at all" * 100)
    with pytest.raises(StoreUnavailable, match=r"notes\.txt"):
        view_sqlite(database.parent / "notes.txt")
    foreign = database.parent / "foreign.db"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE other (a)")
    with pytest.raises(StoreUnavailable, match=r"foreign\.db is no database of Keepstep; name another file"):
        view_sqlite(foreign)
    await (await open_sqlite(database)).close()
    for version, error, words in (
        (len(migrations()) + 1, SchemaTooNew, "upgrade this installation"),
        (len(migrations()) - 1, StoreUnavailable, "bring it up to date first: keepstep doctor does"),
    ):
        with sqlite3.connect(database) as db:
            db.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(error, match=rf"{database} has schema version {version}, .*{words}"):
            view_sqlite(database)


async def test_a_file_that_is_damaged_under_the_eye_is_told_in_words(database: Path) -> None:
    journal = await open_sqlite(database)
    for n in range(200):
        await journal.start(new_run(f"w{n}"))
    await journal.close()
    view = view_sqlite(database)
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 100_000)
    with pytest.raises(StoreUnavailable, match=str(database)):
        list(view.runs("default", OPEN))
    view.close()
