"""``keepstep schedules``: what is started by the calendar, and speaking to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import click
import msgspec

from keepstep.client.engine import Engine
from keepstep.client.schedule import ScheduleHandle
from keepstep.schedules import Overlap, ScheduleInfo
from keepstep.schedules.spec import spec_in_words

from .completion import schedule_argument
from .database import client, database_option, json_option, run
from .table import ago, clock_time, print_json, print_table, zoned_time

SHOWN_MAX = 1000


@click.group("schedules")
def schedules_command() -> None:
    """Look at what is started by the calendar, and change it."""


@schedules_command.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=SHOWN_MAX, show_default=True)
@json_option
@database_option
def list_command(limit: int, as_json: bool, url: str) -> int:
    """List schedules, newest first."""
    return run(_list(limit, as_json, url))


async def _list(limit: int, as_json: bool, url: str) -> None:
    async with client(url) as engine:
        infos = list[ScheduleInfo]()
        async for info in engine.list_schedules():
            infos.append(info)
            if len(infos) == limit:
                break
        if as_json:
            print_json([_as_data(info) for info in infos])
            return
        headings = ("id", "workflow", "when", "next", "last", "started", "skipped", "missed", "")
        print_table(headings, [_row(info) for info in infos])


def _row(info: ScheduleInfo) -> tuple[str, ...]:
    last = info.recent[-1] if info.recent else None
    return (
        info.id,
        info.workflow,
        spec_in_words(info.spec),
        "paused" if info.paused else clock_time(info.upcoming[0]) if info.upcoming else "never",
        f"{ago(last.started_at)}: {last.status}" if last else "",
        str(info.started),
        str(info.skipped),
        str(info.missed),
        info.note,
    )


@schedules_command.command("show")
@schedule_argument
@json_option
@database_option
def show_command(id: str, as_json: bool, url: str) -> int:
    """Say when a schedule fires next, what has become of its last firings, and what waits."""
    return run(_show(id, as_json, url))


async def _show(id: str, as_json: bool, url: str) -> None:
    async with client(url) as engine:
        info = await engine.get_schedule(id).describe()
    if as_json:
        print_json(_as_data(info))
        return
    click.echo(f"{info.id}  {info.workflow}  {'paused' if info.paused else 'active'}")
    for name, value in _facts(info):
        click.echo(f"  {name:9} {value}")
    click.echo()
    for firing in info.recent:
        late = f"{firing.lateness_seconds:.1f} s late"
        click.echo(f"  fired   {_zoned(firing.scheduled_for)}  {late}  {firing.status}  {firing.id}")
    for moment in info.buffered:
        click.echo(f"  waits   {_zoned(moment)}")
    for moment in info.upcoming:
        click.echo(f"  next    {_zoned(moment)}")


@schedules_command.command("history")
@schedule_argument
@json_option
@database_option
def history_command(id: str, as_json: bool, url: str) -> int:
    """Say what was done to a schedule and what it did: fired, skipped, buffered, paused, backfilled …

    The last thousand turns are kept, and so is the history of the last schedule of that id which was deleted.
    """
    return run(_history(id, as_json, url))


async def _history(id: str, as_json: bool, url: str) -> None:
    async with client(url) as engine:
        await print_history(engine, id, as_json)


async def print_history(engine: Engine, id: str, as_json: bool) -> None:
    """What ``keepstep history`` prints of a schedule, too. Raises ``NotFound``."""
    events = [event async for event in engine.get_schedule(id).history()]
    if as_json:
        print_json([msgspec.to_builtins(event) for event in events])
        return
    for event in events:
        click.echo(f"{_zoned(event.time)}  {event.text}")


def _facts(info: ScheduleInfo) -> list[tuple[str, str]]:
    facts = [
        ("when", spec_in_words(info.spec)),
        ("overlap", info.overlap),
        ("catch-up", f"{info.catchup_seconds:g} s"),
        ("counts", f"{info.started} started, {info.skipped} skipped, {info.missed} missed, {info.refused} refused"),
    ]
    if info.left is not None:
        facts.append(("left", str(info.left)))
    if info.note:
        facts.append(("note", info.note))
    if info.running:
        facts.append(("running", ", ".join(info.running)))
    return facts


def _zoned(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S %Z")


def _as_data(info: ScheduleInfo) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(info)
    del data["action"]
    return data


@schedules_command.command("pause")
@schedule_argument
@click.option("--note", default="", help="Why; shown beside it.")
@database_option
def pause_command(id: str, note: str, url: str) -> int:
    """Let nothing be started by the calendar until it is resumed; what would have been is left out."""
    return run(_speak(url, id, lambda schedule: schedule.pause(note), "paused"))


@schedules_command.command("resume")
@schedule_argument
@click.option("--note", default="", help="Shown beside it.")
@database_option
def resume_command(id: str, note: str, url: str) -> int:
    """Let a paused schedule go on, from now."""
    return run(_speak(url, id, lambda schedule: schedule.resume(note), "goes on"))


_overlap_option = click.option("--overlap", type=click.Choice([str(each) for each in Overlap]), default=None)


@schedules_command.command("trigger")
@schedule_argument
@_overlap_option
@database_option
def trigger_command(id: str, overlap: str | None, url: str) -> int:
    """Fire once, now. Prints the id that the run gets."""
    return run(_trigger(url, id, overlap))


async def _trigger(url: str, id: str, overlap: str | None) -> None:
    async with client(url) as engine:
        click.echo(await engine.get_schedule(id).trigger(overlap))


@schedules_command.command("backfill")
@schedule_argument
@click.option("--from", "start", callback=zoned_time, metavar="TIME", required=True, help="Such as 2026-11-27T00:00Z.")
@click.option("--to", "end", callback=zoned_time, metavar="TIME", required=True)
@_overlap_option
@database_option
def backfill_command(id: str, start: datetime, end: datetime, overlap: str | None, url: str) -> int:
    """Make up for firings that have not happened, one after the other unless --overlap says otherwise."""
    return run(
        _speak(url, id, lambda schedule: schedule.backfill(start, end, overlap or "buffer_all"), "makes them up")
    )


@schedules_command.command("delete")
@schedule_argument
@database_option
def delete_command(id: str, url: str) -> int:
    """End a schedule. Runs that it has started go on."""
    return run(_speak(url, id, lambda schedule: schedule.delete(), "deleted"))


async def _speak(url: str, id: str, say: Callable[[ScheduleHandle], Awaitable[None]], done: str) -> None:
    async with client(url) as engine:
        await say(engine.get_schedule(id))
        click.echo(f"{id}: {done}")
