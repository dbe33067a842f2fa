"""Viewing: a journal's file, looked at without taking part: not even its log is written to."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

from keepstep.journal.errors import SchemaTooNew, StoreUnavailable
from keepstep.journal.writing.view import View

from . import fence, query
from .connection import BUSY_MILLISECONDS, set_up_reader
from .opening import APPLICATION_ID, migrations
from .reader import explained


def view_sqlite(path: Path) -> View[sqlite3.Connection]:
    """Raises ``StoreUnavailable`` for what is no journal of this version, ``SchemaTooNew``."""
    path = path.expanduser().resolve()
    if not path.is_file():
        raise StoreUnavailable(f"{path} does not exist; correct the path")
    with explained(path):
        db = sqlite3.connect(
            f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_MILLISECONDS / 1000, isolation_level=None
        )
        try:
            set_up_reader(db)
            _check(db, path)
            fence.check_not_promoted(db, path)
        except BaseException:
            db.close()
            raise
    return View(db, query, partial(explained, path), db.close)


def _check(db: sqlite3.Connection, path: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    known = len(migrations())
    if application != APPLICATION_ID:
        raise StoreUnavailable(f"{path} is no database of Keepstep; name another file")
    if version > known:
        raise SchemaTooNew(
            f"{path} has schema version {version}, and this Keepstep knows versions up to {known}; "
            "upgrade this installation"
        )
    if version < known:
        raise StoreUnavailable(
            f"{path} has schema version {version}, and this Keepstep reads version {known}; looking at it changes "
            "nothing, so bring it up to date first: keepstep doctor does"
        )
