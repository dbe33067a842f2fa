"""``keepstep export`` and ``import``: a closed run leaves a database as a file, and enters another one."""

from __future__ import annotations

from pathlib import Path

import click

from .completion import run_argument
from .database import client, database_option, existing, run
from .file import read_whole, write_whole


@click.command("export")
@run_argument()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--plain", is_flag=True, help="Also where there are keys: do not encrypt.")
@database_option
def export_command(id: str, file: Path | None, plain: bool, url: str) -> int:
    """Write a closed run to FILE, or to standard output: all of it, to be imported elsewhere or replayed by tests.

    ID is a workflow id, of which the newest run is meant, or a run id. With KEEPSTEP_KEYS the file is encrypted. An
    open run is refused: it would go on in both places.
    """
    return run(_export(id, file, plain, url))


async def _export(id: str, file: Path | None, plain: bool, url: str) -> None:
    async with client(url) as engine:
        handle = await existing(engine, id)
        data = await engine.export(handle.id, run_id=handle.run_id, plain=plain)
    write_whole(file, data)
    if file is not None:
        click.echo(f"{handle.id} (run {handle.run_id}) is in {file}")


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--as", "as_id", metavar="ID", help="Give it another workflow id.")
@database_option
def import_command(file: Path, as_id: str | None, url: str) -> int:
    """Take in a run from FILE (- for standard input), as `keepstep export` has written it.

    It has its run id, its history and its times here, too. Refused if it is here already, or if its workflow id is open
    here or was started again.
    """
    return run(_import(file, as_id, url))


async def _import(file: Path, as_id: str | None, url: str) -> None:
    data = read_whole(file)
    async with client(url, create=True) as engine:
        handle = await engine.import_(data, as_id=as_id)
    click.echo(f"{handle.id} (run {handle.run_id}) is here")
