"""``keepstep queues``: looking at queues, pausing them, and changing their limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click
import msgspec

from keepstep.client.queues import QueueInfo, Queues

from .database import client, database_option, json_option, run
from .table import print_json, print_table


@click.group("queues")
def queues_command() -> None:
    """Look at queues, pause them, and change their limits."""


@queues_command.command("list")
@json_option
@database_option
def list_queues(as_json: bool, url: str) -> int:
    """List the queues that have limits, are paused, or have had runs wait on them."""
    return run(_list(as_json, url))


async def _list(as_json: bool, url: str) -> None:
    async with client(url) as engine:
        infos = await engine.queues.list()
    if as_json:
        print_json([msgspec.to_builtins(info) for info in infos])
    else:
        print_table(("queue", "", "waiting", "at work", "limits"), [_row(info) for info in infos])


def _row(info: QueueInfo) -> tuple[str, ...]:
    return info.name, "paused" if info.is_paused else "", str(info.waiting), str(info.held), _limits(info)


def _limits(info: QueueInfo) -> str:
    said = [f"{name} {value}" + (" (changed)" if name in info.changed else "") for name, value in info.limits.items()]
    lifted = [f"{name} lifted" for name in info.changed if name not in info.limits]
    return ", ".join([*said, *lifted]) or "none"


@queues_command.command("show")
@click.argument("name")
@json_option
@database_option
def show_queue(name: str, as_json: bool, url: str) -> int:
    """Show one queue: what holds, what code declares, and what was changed."""
    return run(_show(name, as_json, url))


async def _show(name: str, as_json: bool, url: str) -> None:
    async with client(url) as engine:
        info = await engine.queues.get(name)
    if as_json:
        print_json(msgspec.to_builtins(info))
        return
    click.echo(f"{info.name}{'  (paused)' if info.is_paused else ''}")
    click.echo(f"  waiting   {info.waiting}")
    click.echo(f"  at work   {info.held}")
    click.echo(f"  limits    {_limits(info)}")
    declared = ", ".join(f"{name} {value}" for name, value in info.declared.items())
    click.echo(f"  declared  {declared or 'nothing'}")


@queues_command.command("pause")
@click.argument("name")
@database_option
def pause_queue(name: str, url: str) -> int:
    """Hand out nothing more of a queue; what runs goes on."""
    return run(_tell(url, lambda queues: queues.pause(name), f"queue {name} is paused"))


@queues_command.command("resume")
@click.argument("name")
@database_option
def resume_queue(name: str, url: str) -> int:
    """Hand out again."""
    return run(_tell(url, lambda queues: queues.resume(name), f"queue {name} goes on"))


async def _tell(url: str, say: Callable[[Queues], Awaitable[object]], done: str) -> None:
    async with client(url) as engine:
        await say(engine.queues)
    click.echo(done)


@queues_command.command("limit")
@click.argument("name")
@click.option("--concurrency", metavar="N", help="Steps and runs at work at a time, over all workers.")
@click.option("--per-worker", metavar="N", help="A worker takes no more while it has so many.")
@click.option("--per-key", metavar="N", help="Of one fairness key at a time.")
@click.option("--rate", metavar="N/TIME", help="Begun in any stretch of that length, such as 100/m.")
@click.option("--rate-per-key", metavar="N/TIME", help="Of one fairness key, begun in any stretch of that length.")
@database_option
def limit_queue(name: str, url: str, **given: str | None) -> int:
    """Change limits of a queue, from now on. "none" lifts one, "code" lets the one count again that code declares."""
    return run(_limit(name, {what: value for what, value in given.items() if value is not None}, url))


async def _limit(name: str, given: dict[str, str], url: str) -> None:
    withdrawn = [what for what, value in given.items() if value == "code"]
    limits = {what: _value(what, value) for what, value in given.items() if what not in withdrawn}
    async with client(url) as engine:
        if limits or not withdrawn:
            await engine.queues.limit(name, **limits)
        if withdrawn:
            await engine.queues.reset(name, *withdrawn)
        info = await engine.queues.get(name)
    click.echo(f"queue {name}: {_limits(info)}")


def _value(what: str, text: str) -> Any:
    if text == "none":
        return None
    return int(text) if not what.startswith("rate") and text.isdecimal() else text
