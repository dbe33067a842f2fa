"""``keepstep query`` and ``update``: asking a run something, and having it do something and answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click

from keepstep.client.handle import QUERY_SECONDS, RunHandle
from keepstep.journal import RunClosed
from keepstep.runtime.data import parse_json
from keepstep.runtime.errors import Blocked, QueryFailed, TimedOut, UpdateFailed, UpdateRejected

from .command import EXIT_FAILED, complain
from .completion import run_argument
from .database import client, database_option, existing, run
from .table import print_json

FAILURES = (Blocked, QueryFailed, RunClosed, TimedOut, UpdateFailed, UpdateRejected)
"""The run could be asked, and this is what it says."""


@click.command("query")
@run_argument()
@click.argument("name")
@click.argument("values", nargs=-1, metavar="[JSON]...")
@click.option("--timeout", default=QUERY_SECONDS, show_default=True, metavar="SECONDS", type=float)
@database_option
def query_command(id: str, name: str, values: tuple[str, ...], timeout: float, url: str) -> int:
    """Ask a run a query, with one JSON for each argument, and print the answer. Nothing is changed.

    Runs that sleep or are closed are asked as well. Exit code 1 if the query fails or the run cannot be asked.
    """
    args = _arguments(values)
    return run(_ask(url, id, lambda handle: handle.query(name, *args, timeout=timeout)))


@click.command("update")
@run_argument()
@click.argument("name")
@click.argument("values", nargs=-1, metavar="[JSON]...")
@click.option("--update-id", help="Asked for again by the same id it is not done again; its outcome is printed.")
@click.option("--timeout", metavar="SECONDS", type=float, help="How long to wait for its outcome; by default for ever.")
@database_option
def update_command(
    id: str, name: str, values: tuple[str, ...], update_id: str | None, timeout: float | None, url: str
) -> int:
    """Have a run do an update, with one JSON for each argument, and print its result.

    Exit code 1 if it is rejected or fails.
    """
    args = _arguments(values)
    return run(_ask(url, id, lambda handle: handle.update(name, *args, id=update_id, timeout=timeout)))


def _arguments(values: tuple[str, ...]) -> list[Any]:
    return [parse_json(text, f"argument {n}") for n, text in enumerate(values, 1)]


async def _ask(url: str, id: str, ask: Callable[[RunHandle[Any]], Awaitable[Any]]) -> int:
    async with client(url) as engine:
        handle = await existing(engine, id)
        try:
            print_json(await ask(handle))
        except FAILURES as error:
            complain(str(error))
            return EXIT_FAILED
        return 0
