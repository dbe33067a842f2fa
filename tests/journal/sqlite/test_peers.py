"""Hints between processes."""

from __future__ import annotations

import socket
from pathlib import Path

from keepstep.journal import HintKind
from keepstep.journal.sqlite import SqliteJournal, open_sqlite
from keepstep.journal.sqlite.peers import Peers
from tests.journal.scene import Ears, new_run


def sockets_of(journal: SqliteJournal) -> tuple[Peers, Path]:
    """The journal's peers, and the directory of their sockets."""
    peers = journal._peers
    assert isinstance(peers, Peers)
    assert peers._directory is not None
    return peers, peers._directory


async def test_another_handle_hears_what_changed(database: Path) -> None:
    one, other = await open_sqlite(database), await open_sqlite(database)
    ears = Ears(other)
    await one.start(new_run())
    await ears.wait_for(HintKind.READY)
    await one.close()
    await other.close()


async def test_the_socket_of_a_dead_process_is_cleared_away(database: Path) -> None:
    journal = await open_sqlite(database)
    peers, directory = sockets_of(journal)
    dead = directory / "dead"
    corpse = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    corpse.bind(str(dead))
    corpse.close()
    peers._look_at = 0.0
    await journal.start(new_run())
    assert not dead.exists()
    await journal.close()
    assert not directory.exists(), "the last one tidies up"


async def test_a_deep_path_does_not_make_the_sockets_name_too_long(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    journal = await open_sqlite(deep / "journal.db")
    _, directory = sockets_of(journal)
    assert directory.stat().st_mode & 0o777 == 0o700
    await journal.close()


async def test_without_sockets_processes_just_poll(database: Path) -> None:
    deaf = Peers(database.with_name("missing.db"), 1)
    deaf.tell([HintKind.READY])
    deaf.close()
