"""``keepstep sessions``: who is logged in to the servers of a database, and how somebody is logged out there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click
import msgspec

from keepstep.client.address import open_journal
from keepstep.client.info import moment
from keepstep.journal import NotFound, uuid7
from keepstep.server.sessions import Session, Sessions

from .database import json_option, run, store_option
from .table import ago, clock_time, print_json, print_table


@click.group("sessions")
def sessions_command() -> None:
    """List who is logged in to the server, and log somebody out."""


@asynccontextmanager
async def _sessions(url: str) -> AsyncIterator[Sessions]:
    store = await open_journal(url, create=False)
    try:
        yield Sessions(store, os.urandom, uuid7)
    finally:
        await store.close()


@sessions_command.command("list")
@json_option
@store_option
def list_sessions(as_json: bool, url: str) -> int:
    """List the sessions that count, the newest first; one that nobody uses may end sooner than is said."""
    return run(_list(as_json, url))


async def _list(as_json: bool, url: str) -> None:
    async with _sessions(url) as sessions:
        found = await sessions.list_open()
    if as_json:
        print_json(list(map(_as_data, found)))
    else:
        print_table(("name", "subject", "used", "ends"), list(map(_row, found)))


def _as_data(session: Session) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(session)
    return data | {"seen_at": moment(session.seen_at), "expires_at": moment(session.expires_at)}


def _row(session: Session) -> tuple[str, ...]:
    subject = session.subject or f"key {session.key_id}"
    return session.name, subject, ago(moment(session.seen_at)), clock_time(moment(session.expires_at))


@sessions_command.command("end")
@click.argument("name_or_subject")
@store_option
def end_sessions(name_or_subject: str, url: str) -> int:
    """Log somebody out, everywhere and at once. Who may still log in can do so again."""
    return run(_end(name_or_subject, url))


async def _end(name: str, url: str) -> None:
    async with _sessions(url) as sessions:
        count = await sessions.end_of(name)
    if not count:
        raise NotFound(f"nobody is logged in as {name!r}; keepstep sessions list shows who is")
    click.echo(f"{name} is logged out ({count} session{'s' * (count != 1)})")
