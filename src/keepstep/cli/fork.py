"""``keepstep fork ID --at SEQ``: a new run from any point of an old one."""

from __future__ import annotations

from typing import Any

import click

from keepstep.journal import AlreadyStarted, InvalidInput
from keepstep.runtime.data import parse_json

from .command import EXIT_FAILED, complain
from .completion import run_argument
from .database import client, database_option, existing, run


@click.command("fork")
@run_argument()
@click.option("--at", type=click.IntRange(min=1), metavar="SEQ", help="The last event to keep: see keepstep history.")
@click.option("--replace", "replaced", multiple=True, metavar="KEY=JSON", help="Another result for a step of it.")
@click.option("--id", "new_id", help="The new run's id; by default made from the old one's.")
@database_option
def fork_command(id: str, at: int | None, replaced: tuple[str, ...], new_id: str | None, url: str) -> int:
    """Start a new run that begins with the history of run ID up to event SEQ, and print its id.

    What comes after that event is done anew. Without --at: from the last result that is replaced.
    """
    if at is None and not replaced:
        raise InvalidInput("say where to fork: --at SEQ, or --replace KEY=JSON; keepstep history shows both")
    return run(_fork(id, at, dict(map(_pair, replaced)), new_id, url))


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.rpartition("=") if _is_json(text.rpartition("=")[2]) else text.partition("=")
    if not equals or not key:
        raise InvalidInput(f"--replace takes KEY=JSON, not {text!r}")
    return key, parse_json(value, f"the result for {key!r}")


def _is_json(text: str) -> bool:
    try:
        parse_json(text, "")
    except InvalidInput:
        return False
    return True


async def _fork(id: str, at: int | None, replace: dict[str, Any], new_id: str | None, url: str) -> int:
    async with client(url) as engine:
        handle = await existing(engine, id)
        try:
            forked = await handle.fork(at, replace, id=new_id)
        except AlreadyStarted as error:
            complain(str(error))
            return EXIT_FAILED
        click.echo(forked.id)
        return 0
