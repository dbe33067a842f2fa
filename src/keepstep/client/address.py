"""Address: which store a database URL means."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from keepstep.journal import InvalidInput, Journal, SystemClock

if TYPE_CHECKING:
    from keepstep.journal import Clock
    from keepstep.journal.writing.view import View

DEFAULT_URL = "sqlite:///keepstep.db"

SERVERS = ("http://", "https://")

FORMS = (
    "sqlite:///orders.db (relative), sqlite:////var/lib/orders.db (absolute), "
    "postgresql://user:password@host/database, or memory: (gone with the process)"
)


_NO_DATABASE = "{url} is a server, and this needs the database itself: do it where that is, with its own URL"


def is_server(url: object) -> bool:
    """Whether a URL is the address of a server, of which an engine is a client, and not that of a database."""
    return isinstance(url, str) and url.lower().startswith(SERVERS)


def sqlite_path(url: str) -> Path:
    """The file that a ``sqlite:`` URL names. Raises ``InvalidInput``."""
    if not isinstance(url, str):
        raise InvalidInput(f"a database URL is text, not {url!r:.100}; write {FORMS}")
    parts = urlsplit(url)
    is_more = parts.netloc or parts.query or parts.fragment  # ? and # in a file's name are written %3F and %23
    if parts.scheme != "sqlite" or is_more or parts.path in ("", "/", "/:memory:"):
        raise InvalidInput(f"{url!r} is not a database URL that Keepstep knows; write {FORMS}")
    return Path(unquote(parts.path[1:]))


async def open_journal(url: str, *, create: bool = True, clock: Clock | None = None) -> Journal:
    """Open the store that the URL names.

    :param create: make a missing database; otherwise a missing one raises ``StoreUnavailable``.

    A server's address raises ``InvalidInput``: what is asked for needs the database itself.
    """
    if is_server(url):
        raise InvalidInput(_NO_DATABASE.format(url=url))
    if url in ("memory:", "memory://"):
        from keepstep.journal.memory import MemoryDisk, MemoryJournal

        return MemoryJournal(MemoryDisk(), clock=clock or SystemClock())
    if str(url).startswith(("postgresql:", "postgres:")):
        return await _open_postgres(url, create, clock)
    path = sqlite_path(url)
    from keepstep.journal.sqlite import open_sqlite

    return await open_sqlite(await asyncio.to_thread(path.absolute), create=create, clock=clock)


def open_view(url: str) -> View[Any]:
    """The store that the URL names, for a process that only looks; nothing is made or brought up to date.

    Raises ``StoreUnavailable`` for a store that is not there or of an older version, ``InvalidInput``.
    """
    if is_server(url):
        raise InvalidInput(_NO_DATABASE.format(url=url))
    if url in ("memory:", "memory://"):
        raise InvalidInput("memory: is gone with its process, so there is nothing in it to look at; write another URL")
    if str(url).startswith(("postgresql:", "postgres:")):
        _check_driver()
        from keepstep.journal.postgres.viewing import view_postgres

        return view_postgres(url)
    from keepstep.journal.sqlite.viewing import view_sqlite

    return view_sqlite(sqlite_path(url).absolute())


def _check_driver() -> None:
    if find_spec("psycopg") is None:
        raise InvalidInput("PostgreSQL needs its driver; run: pip install 'keepstep[postgres]'")


async def _open_postgres(url: str, create: bool, clock: Clock | None) -> Journal:
    _check_driver()
    from keepstep.journal.postgres import open_postgres

    return await open_postgres(url, create=create, clock=clock)
