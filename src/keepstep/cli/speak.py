"""``keepstep signal``, ``cancel``, ``terminate``, ``retry``, ``pause``, ``resume``, ``resolve``: speaking to a run.

The first four can be said to all runs that fit a filter, too (``bulk``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

import click

from keepstep.client.bulk import Bulk
from keepstep.client.handle import RunHandle
from keepstep.journal import InvalidInput, RunClosed
from keepstep.runtime.data import parse_json

from .bulk import Many, Say, bulk_options, check_one_or_many, say_to_many
from .command import EXIT_FAILED, complain
from .completion import complete_first, run_argument
from .database import client, database_option, existing, run
from .table import zoned_time


@click.command("signal")
@click.argument("words", nargs=-1, metavar="[ID] NAME [JSON]", shell_complete=complete_first)
@bulk_options
@database_option
def signal_command(words: tuple[str, ...], many: Many, url: str) -> int:
    """Send a signal to a run, or to all open runs that fit --where; then without the ID."""
    id, name, value = _signal_words(words, many)
    check_one_or_many(id, many)
    decoded = None if value is None else parse_json(value, "the signal's value")
    if id is not None:
        return run(_speak(url, id, lambda handle: handle.signal(name, decoded), "signalled"))

    def signal(bulk: Bulk) -> Say:
        return lambda where, **options: bulk.signal(where, name, decoded, **options)

    return say_to_many(url, many, "signal", "signalled", signal)


def _signal_words(words: tuple[str, ...], many: Many) -> tuple[str | None, str, str | None]:
    """The id of the run, the signal's name, and its value."""
    if many.is_meant:
        id, rest = None, words
    else:
        id, rest = (words[0] if words else None), words[1:]
    if not 1 <= len(rest) <= 2:
        usage = "NAME [JSON]" if many.is_meant else "ID NAME [JSON]"
        raise click.UsageError(f"a signal is sent by: signal {usage}")
    return id, rest[0], rest[1] if len(rest) == 2 else None


@click.command("cancel")
@run_argument(required=False)
@click.option("--reason", default="", help="Kept in the run's history.")
@bulk_options
@database_option
def cancel_command(id: str | None, reason: str, many: Many, url: str) -> int:
    """Ask a run, or all open runs that fit --where, to stop; they compensate what they have done."""
    check_one_or_many(id, many)
    if id is not None:
        return run(_speak(url, id, lambda handle: handle.cancel(reason), "asked to stop"))
    return say_to_many(url, many, "cancel", "asked to stop", lambda bulk: partial(bulk.cancel, reason=reason))


@click.command("terminate")
@run_argument(required=False)
@click.option("--reason", default="", help="Kept in the run's history.")
@bulk_options
@database_option
def terminate_command(id: str | None, reason: str, many: Many, url: str) -> int:
    """End a run, or all open runs that fit --where, at once, by force; nothing is compensated."""
    check_one_or_many(id, many)
    if id is not None:
        return run(_speak(url, id, lambda handle: handle.terminate(reason), "terminated"))
    return say_to_many(url, many, "terminate", "terminated", lambda bulk: partial(bulk.terminate, reason=reason))


@click.command("retry")
@run_argument(required=False)
@bulk_options
@database_option
def retry_command(id: str | None, many: Many, url: str) -> int:
    """Let a failed run, or all that fit --where, go on at its failed step, or a parked one try again."""
    check_one_or_many(id, many)
    if id is not None:
        return run(_speak(url, id, lambda handle: handle.retry(), "goes on"))
    return say_to_many(url, many, "retry", "retried", lambda bulk: bulk.retry)


@click.command("pause")
@run_argument()
@database_option
def pause_command(id: str, url: str) -> int:
    """Let a run stand still; steps that are being executed end first."""
    return run(_speak(url, id, lambda handle: handle.pause(), "paused"))


@click.command("resume")
@run_argument()
@database_option
def resume_command(id: str, url: str) -> int:
    """Let a paused run go on."""
    return run(_speak(url, id, lambda handle: handle.resume(), "goes on"))


@click.command("move-start")
@run_argument()
@click.option("--delay", metavar="DURATION", help="It begins so long from now, such as 90s, 2h or 7d.")
@click.option("--at", callback=zoned_time, metavar="TIME", help="It begins then, such as 2026-11-27T08:00Z.")
@click.option("--now", is_flag=True, help="It begins as soon as its queue lets it.")
@database_option
def move_start_command(id: str, delay: str | None, at: datetime | None, now: bool, url: str) -> int:
    """Let a run that waits on its queue, as one that was started with a delay does, begin at another time."""
    if (delay is not None) + (at is not None) + now != 1:
        raise InvalidInput("say when the run is to begin: --delay DURATION, --at TIME, or --now")

    def say(handle: RunHandle[Any]) -> Awaitable[None]:
        return handle.move_start(delay=0 if now else delay, start_at=at)

    return run(_speak(url, id, say, "moved"))


@click.command("resolve")
@run_argument()
@click.argument("key")
@click.option("--value", metavar="JSON", help="It happened, and this is its result.")
@click.option("--error", metavar="TEXT", help="It did not happen, or failed.")
@database_option
def resolve_command(id: str, key: str, value: str | None, error: str | None, url: str) -> int:
    """Say what happened to an uncertain step, or that a failed undo was done by hand."""
    if (value is None) == (error is None):
        raise InvalidInput("say what happened: either --value JSON or --error TEXT")
    said = {"error": error} if error is not None else {"value": parse_json(value or "", "--value")}
    return run(_speak(url, id, lambda handle: handle.resolve(key, **said), "resolved"))


async def _speak(url: str, id: str, say: Callable[[RunHandle[Any]], Awaitable[None]], done: str) -> int:
    async with client(url) as engine:
        handle = await existing(engine, id)
        try:
            await say(handle)
        except RunClosed as error:
            complain(str(error))
            return EXIT_FAILED
        click.echo(f"{handle.id}: {done}")
        return 0
