"""The fair lock between processes."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

from keepstep.journal.sqlite.turn import Turn
from tests.journal.scene import wait_until


def is_locked(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


async def test_whoever_waited_goes_before_the_one_that_comes_back(database: Path) -> None:
    order: list[str] = []
    hasty, patient = Turn(database), Turn(database)

    def wait_for_turn() -> None:
        with patient:
            order.append("patient")

    waiting = threading.Thread(target=wait_for_turn)
    with hasty:
        waiting.start()
        await wait_until(lambda: is_locked(database.with_name("journal.db-turn")))
    with hasty:
        order.append("hasty")
    waiting.join()
    assert order == ["patient", "hasty"]
    hasty.close()
    patient.close()


async def test_a_turn_excludes_all_others(database: Path) -> None:
    turn = Turn(database)
    with turn:
        assert is_locked(database.with_name("journal.db-write"))
    assert not is_locked(database.with_name("journal.db-write"))
    turn.close()
