"""Viewing: a journal's schema, looked at without taking part: this process is entered nowhere, and only asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from keepstep.journal.errors import StoreUnavailable
from keepstep.journal.writing.view import View

from .address import Address, parse_address
from .connection import connect, open_plainly
from .gate import check_gate
from .migration import shards_of
from .query import Queries
from .wire import Wire


def view_postgres(url: str) -> View[Wire]:
    """Raises ``StoreUnavailable`` for what is no journal of this version, ``SchemaTooNew``, ``InvalidInput``."""
    address = parse_address(url)
    with _explained(address):
        with open_plainly(address) as db:
            shards = shards_of(db, address)
        wire = connect(address, application="keepstep view")
        check_gate(wire, address.shown)

    @contextmanager
    def asking() -> Iterator[None]:
        with _explained(address):
            try:
                yield
            except BaseException:
                wire.roll_back()
                raise

    return View(wire, Queries(shards), asking, wire.close)


@contextmanager
def _explained(address: Address) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise StoreUnavailable(f"{address.shown} cannot be read: {' '.join(str(error).split())}") from error
