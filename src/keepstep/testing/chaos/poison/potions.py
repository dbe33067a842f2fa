"""Potions: ways to spoil a sleeping run in its database, as a bug, a broken disk or a newer version could.

Each takes a connection, the run's number, and chance. The run has a started event, a step's result (seq 2), a step that
backs off (state), and waits for a signal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from random import Random

import msgspec

from keepstep.runtime import history

Potion = Callable[[sqlite3.Connection, int, Random], None]


def _data(db: sqlite3.Connection, run: int, seq: int) -> bytes:
    (data,) = db.execute("SELECT data FROM events WHERE run = ? AND seq = ?", (run, seq)).fetchone()
    return bytes(data)


def _put(db: sqlite3.Connection, run: int, seq: int, data: bytes) -> None:
    db.execute("UPDATE events SET data = ? WHERE run = ? AND seq = ?", (data, run, seq))


def _put_payload(db: sqlite3.Connection, run: int, payload: bytes) -> None:
    completed = history.unpack(history.STEP_COMPLETED, _data(db, run, 2))
    _put(db, run, 2, history.pack(msgspec.structs.replace(completed, payload=payload)))


def garble_event(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """An event of random bytes."""
    _put(db, run, 2, dice.randbytes(dice.randint(1, 200)))


def empty_event(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """An event without data."""
    _put(db, run, 2, b"")


def cut_event(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """An event that ends in the middle."""
    data = _data(db, run, 2)
    _put(db, run, 2, data[: dice.randrange(1, len(data))])


def swap_event(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """An event with the data of another type."""
    _put(db, run, 2, history.pack(history.TimerStarted(5, 7)))


def garble_start(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """A first event of random bytes."""
    _put(db, run, 1, dice.randbytes(40))


def spoil_arguments(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """Arguments that are no JSON."""
    started = history.unpack(history.WORKFLOW_STARTED, _data(db, run, 1))
    _put(db, run, 1, history.pack(msgspec.structs.replace(started, payload=b"[1, ")))


def rename_start(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """A history that begins with another event than a start."""
    db.execute("UPDATE events SET type = 'signal_received' WHERE run = ? AND seq = 1", (run,))


def invent_type(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """An event of a type that nobody knows yet."""
    db.execute("UPDATE events SET type = 'from_the_future' WHERE run = ? AND seq = 2", (run,))


def lose_event(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """A key of the history that the code never asks for."""
    db.execute("UPDATE events SET key = 'nobody#9' WHERE run = ? AND seq = 2", (run,))


def damage_envelope(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """A payload whose envelope cannot be opened."""
    _put_payload(db, run, b"\x01" + dice.randbytes(30))


def age_envelope(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """A payload in a format of a later version."""
    _put_payload(db, run, b"\x07" + dice.randbytes(30))


def cut_payload(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """A payload that ends in the middle."""
    _put_payload(db, run, b'"noted')


def deepen_payload(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """A payload nested so deeply that it cannot be read."""
    _put_payload(db, run, b"[" * 100_000)


def unfit_payload(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """A payload of another type than the step returns."""
    _put_payload(db, run, b'{"a": [1, 2.5, null]}')


def garble_state(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """What is remembered of a step between its attempts, of random bytes."""
    db.execute("UPDATE state SET data = ? WHERE run = ?", (dice.randbytes(20), run))


def send_unknown(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """A message of a kind that nobody knows yet."""
    _send(db, run, "from_the_future", b"")


def send_garbled_answer(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """An operator's word about a step, of random bytes."""
    (key,) = db.execute("SELECT key FROM state WHERE run = ? AND kind = 'attempt'", (run,)).fetchone()
    _send(db, run, "step_result", b"\xc1" + dice.randbytes(20), key)


def send_garbled_cancel(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """A reason to cancel that is no text."""
    _send(db, run, "cancel", b"\xff\xfe\xfa")


def send_garbled_callback(db: sqlite3.Connection, run: int, dice: Random) -> None:
    """An answer to a callback, under a token that is none."""
    _send(db, run, "callback", b"1", "no token")


def _send(db: sqlite3.Connection, run: int, kind: str, data: bytes, name: str = "") -> None:
    db.execute(
        "INSERT INTO messages (run, kind, name, data, time, id, wakes) VALUES (?, ?, ?, ?, 0, NULL, 0)",
        (run, kind, name, data),
    )


POTIONS: dict[str, Potion] = {
    potion.__name__: potion
    for potion in (
        garble_event,
        empty_event,
        cut_event,
        swap_event,
        garble_start,
        spoil_arguments,
        rename_start,
        invent_type,
        lose_event,
        damage_envelope,
        age_envelope,
        cut_payload,
        deepen_payload,
        unfit_payload,
        garble_state,
        send_unknown,
        send_garbled_answer,
        send_garbled_cancel,
        send_garbled_callback,
    )
}
