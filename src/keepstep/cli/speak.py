"""``keepstep signal``, ``cancel``, ``terminate``, ``retry``, ``pause``, ``resume``, ``resolve``: speaking to a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click

from keepstep.client.handle import RunHandle
from keepstep.journal import InvalidInput, RunClosed
from keepstep.runtime.data import parse_json

from .command import EXIT_FAILED, complain
from .database import client, database_option, existing, run


@click.command("signal")
@click.argument("id")
@click.argument("name")
@click.argument("value", required=False, metavar="[JSON]")
@database_option
def signal_command(id: str, name: str, value: str | None, url: str) -> int:
    """Send a signal to a run."""
    decoded = None if value is None else parse_json(value, "the signal's value")
    return run(_speak(url, id, lambda handle: handle.signal(name, decoded), "signalled"))


@click.command("cancel")
@click.argument("id")
@click.option("--reason", default="", help="Kept in the run's history.")
@database_option
def cancel_command(id: str, reason: str, url: str) -> int:
    """Ask a run to stop; it compensates what it has done."""
    return run(_speak(url, id, lambda handle: handle.cancel(reason), "asked to stop"))


@click.command("terminate")
@click.argument("id")
@click.option("--reason", default="", help="Kept in the run's history.")
@database_option
def terminate_command(id: str, reason: str, url: str) -> int:
    """End a run at once, by force; nothing is compensated."""
    return run(_speak(url, id, lambda handle: handle.terminate(reason), "terminated"))


@click.command("retry")
@click.argument("id")
@database_option
def retry_command(id: str, url: str) -> int:
    """Let a failed run go on at its failed step, or a parked one try again."""
    return run(_speak(url, id, lambda handle: handle.retry(), "goes on"))


@click.command("pause")
@click.argument("id")
@database_option
def pause_command(id: str, url: str) -> int:
    """Let a run stand still; steps that are being executed end first."""
    return run(_speak(url, id, lambda handle: handle.pause(), "paused"))


@click.command("resume")
@click.argument("id")
@database_option
def resume_command(id: str, url: str) -> int:
    """Let a paused run go on."""
    return run(_speak(url, id, lambda handle: handle.resume(), "goes on"))


@click.command("resolve")
@click.argument("id")
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
