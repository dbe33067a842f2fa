"""Paging: listings page by page for whoever keeps nothing between two of them, such as a web server.

A cursor is a text that says where in its order a listing goes on: the place of the last run that was looked at, and
the moment at which the listing began, so that ``NOW`` means the same on all its pages. It holds no position by number:
runs that begin, end or go meanwhile move nothing. It is of one filter and one namespace, and says so where it is used
with another one. It carries a checksum, and is no secret: it can be given to anybody who may see the listing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from keepstep.journal import InvalidInput, Journal
from keepstep.journal.field import Field, FieldType
from keepstep.journal.search import Place, Search

from .info import RunInfo
from .searching import found_info, read_filter

RUNS_MAX = 1000
"""Of one page."""

LOOKS_MAX = 10
"""A store looks at a bounded number of runs at a time; of a rare kind one page is the outcome of several looks."""

CURSOR_CHARS_MAX = 20_000
CHECKSUM_BYTES = 8
VERSION = 1
_INT_MAX = 2**63


class RunPage(NamedTuple):
    """A page of runs, and where the next one begins: None if there is none."""

    runs: list[RunInfo]
    cursor: str | None


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    version: int
    asked: bytes
    """A digest of the namespace and the filter."""
    now: int
    place: tuple[str | int | float | None, ...]


async def read_page(journal: Journal, namespace: str, filter: str | None, cursor: str | None, limit: int) -> RunPage:
    """See ``Engine.page``."""
    if type(limit) is not int or not 1 <= limit <= RUNS_MAX:
        raise InvalidInput(f"limit is how many runs a page has, from 1 to {RUNS_MAX}, not {limit!r:.60}")
    asked = _digest(f"{namespace}\0{filter or ''}".encode())
    begun = None if cursor is None else _read(cursor, asked)
    now = journal.clock.now() if begun is None else begun.now
    wanted = await read_filter(journal, namespace, filter, now)
    after = None if begun is None else _checked(begun.place, wanted)
    found: list[RunInfo] = []
    for _ in range(LOOKS_MAX):
        page = await journal.search_runs(namespace, wanted, after=after, limit=limit - len(found))
        found += [await found_info(journal, run) for run in page.runs]
        after = page.after
        if after is None or len(found) == limit:
            break
    return RunPage(found, None if after is None else _write(_Cursor(VERSION, asked, now, after)))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=CHECKSUM_BYTES).digest()


def _write(cursor: _Cursor) -> str:
    data = msgspec.msgpack.encode(cursor)
    return base64.urlsafe_b64encode(_digest(data) + data).rstrip(b"=").decode()


def _read(text: str, asked: bytes) -> _Cursor:
    """Raises ``InvalidInput`` for what is no cursor, and for one of another listing."""
    try:
        sealed = base64.b64decode(_padded(text), altchars=b"-_", validate=True)
        data = sealed[CHECKSUM_BYTES:]
        if _digest(data) != sealed[:CHECKSUM_BYTES]:
            raise ValueError("it was changed or cut short")
        cursor = msgspec.msgpack.decode(data, type=_Cursor)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise InvalidInput(
            f"{text!r:.60} is no cursor ({error}); give the one that came with the page before, or none for the first"
        ) from None
    if cursor.version != VERSION:
        raise InvalidInput("the cursor is of another version of Keepstep; begin with the first page again")
    if cursor.asked != asked:
        raise InvalidInput("the cursor is of another filter or namespace; with a new filter begin with the first page")
    return cursor


def _padded(text: Any) -> bytes:
    if not isinstance(text, str) or not text.isascii() or not 0 < len(text) <= CURSOR_CHARS_MAX:
        raise ValueError(f"a cursor is a text of up to {CURSOR_CHARS_MAX} letters")
    return text.encode() + b"=" * (-len(text) % 4)


def _checked(place: Sequence[Any], wanted: Search) -> Place:
    """The place, if it can be one in this order: nothing else reaches a store. Raises ``InvalidInput``."""
    fields = [each.field for each in wanted.sorted_by]
    *values, started, run_id = place if len(place) >= 2 else (None, None)
    fits = len(values) == len(fields) and all(map(_fits, values, fields)) and isinstance(run_id, str)
    if not fits or type(started) is not int or abs(started) >= _INT_MAX:
        raise InvalidInput("the cursor does not fit the order of the filter; begin with the first page again")
    return tuple(place)


def _fits(value: Any, field: Field) -> bool:
    if value is None:
        return True
    if field.type in (FieldType.KEYWORD, FieldType.KEYWORD_LIST):
        return isinstance(value, str)
    if field.type is FieldType.DOUBLE:
        return isinstance(value, float | int)
    return type(value) is int and abs(value) < _INT_MAX
