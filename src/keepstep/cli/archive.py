"""``keepstep archive``: looking at runs that retention has archived, for which no database is needed; and bringing one
back into one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from keepstep.archive import Archive, place_at
from keepstep.client.archiving import ArchivedRun, read_archived, shown
from keepstep.client.info import history_event
from keepstep.codecs.environment import codec_from_environment

from .command import EXIT_FAILED, complain
from .database import client, database_option, json_option, run
from .file import write_whole
from .runs import print_event, print_headings
from .table import clock_time, print_json, print_table


@click.group("archive")
def archive_command() -> None:
    """Look at runs that were archived in PLACE, a folder or s3://bucket/prefix, and bring one back."""


def run_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--run RUN_ID``"""
    return click.option("--run", "run_id", metavar="RUN_ID", help="Not the newest run of ID, but this one.")(command)


@archive_command.command("list")
@click.argument("place")
@click.argument("id", required=False)
@json_option
def list_archive(place: str, id: str | None, as_json: bool) -> int:
    """List the runs in PLACE, or those of a workflow id. Exit code 1 if a file there is damaged."""
    archive = Archive(place_at(place))
    runs = [shown(each) for each in archive.list(id)]
    if as_json:
        print_json([msgspec.to_builtins(each) for each in runs])
    else:
        print_table(("id", "workflow", "status", "closed", "events", "key", "where"), map(_row, runs))
    return _troubles(archive)


def _row(run: ArchivedRun) -> tuple[str, ...]:
    closed = clock_time(run.closed_at)
    return run.id, run.type, run.status.value, closed, str(run.events), run.key_id or "", run.where


def _troubles(archive: Archive) -> int:
    for trouble in archive.troubles:
        complain(trouble)
    return EXIT_FAILED if archive.troubles else 0


@archive_command.command("show")
@click.argument("place")
@click.argument("id")
@run_option
@click.option("--export", "export_to", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write it to a file, in plain, that tests can replay and `keepstep import` takes.")  # fmt: skip
@json_option
def show_archived(place: str, id: str, run_id: str | None, export_to: Path | None, as_json: bool) -> int:
    """Print the history of an archived run, event by event. What is encrypted is read with KEEPSTEP_KEYS."""
    recorded = read_archived(Archive(place_at(place)), id, run_id, codec_from_environment())
    if export_to is not None:
        write_whole(export_to, recorded.encoded())
        click.echo(f"{id} is in {export_to}")
        return 0
    events = [history_event(each) for each in recorded.loaded.events]
    if as_json:
        print_json([msgspec.to_builtins(event) for event in events])
        return 0
    print_headings()
    for event in events:
        print_event(event)
    return 0


@archive_command.command("restore")
@click.argument("place")
@click.argument("id")
@run_option
@click.option("--as", "as_id", metavar="ID", help="Give it another workflow id.")
@database_option
def restore_archived(place: str, id: str, run_id: str | None, as_id: str | None, url: str) -> int:
    """Import an archived run. Where a rule of retention holds for it, it is removed again at the next look."""
    return run(_restore(place, id, run_id, as_id, url))


async def _restore(place: str, id: str, run_id: str | None, as_id: str | None, url: str) -> None:
    async with client(url, create=True) as engine:
        handle = await engine.archive(place).restore(id, run_id=run_id, as_id=as_id)
    click.echo(f"{handle.id} (run {handle.run_id}) is here")
