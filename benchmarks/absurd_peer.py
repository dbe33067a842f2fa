"""Absurd, on PostgreSQL: its own schema, from its own package, and a queue with its defaults."""

from __future__ import annotations

from .child import Child
from .peer import PYTHON, Peer
from .row import System
from .store import Database


def prepare(database: Database) -> None:
    with Child([str(PYTHON), "benchmarks/absurd_app.py", "install", database.url, "0"]) as installer:
        installer.hear()


ABSURD = Peer(
    System.ABSURD,
    "absurd_app.py",
    prepare,
    notes={"w5.after_kill": "with a claim timeout of 10 s in place of its default of 120 s"},
)
