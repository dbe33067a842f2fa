"""``keepstep stream``: what a run says on its way."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from keepstep.client.streaming import StreamValue, read_page
from keepstep.runtime.data import checked_name, reader

from .database import client, database_option, existing, json_option, run
from .table import clock_time, print_json

PAGE_VALUES = 500


@click.command("stream")
@click.argument("id")
@click.argument("name")
@click.option(
    "--after", type=click.IntRange(min=0), default=0, metavar="N", help="Only what stands behind this position."
)
@click.option("--follow", is_flag=True, help="Go on as values come, until the stream has ended.")
@json_option
@database_option
def stream_command(id: str, name: str, after: int, follow: bool, as_json: bool, url: str) -> int:
    """Print what run ID has said to stream NAME: the position of each value, its time, who said it, and the value.

    With --follow, JSON comes as one line for each value.
    """
    checked_name(name, "the name of a stream")
    return run(_follow(id, name, after, as_json, url) if follow else _print(id, name, after, as_json, url))


async def _print(id: str, name: str, after: int, as_json: bool, url: str) -> None:
    values: list[StreamValue[Any]] = []
    async with client(url) as engine:
        described = await (await existing(engine, id)).describe()
        while True:
            page = await read_page(engine.journal, described.run_id, name, reader(), after, PAGE_VALUES)
            after = page.position
            if as_json:
                values += page.values
            else:
                for value in page.values:
                    click.echo(_line(value))
            if not page.has_more:
                break
    if as_json:
        print_json(values)


async def _follow(id: str, name: str, after: int, as_json: bool, url: str) -> None:
    async with client(url) as engine:
        handle = await existing(engine, id)
        async for value in handle.stream(name, after=after):
            click.echo(msgspec.json.encode(value).decode() if as_json else _line(value))


def _line(value: StreamValue[Any]) -> str:
    """Of widths that hardly change, so that a stream is printed while it is read."""
    by = "" if value.step is None else f"{value.step}, attempt {value.attempt}"
    said = msgspec.json.encode(value.value).decode()
    return f"{value.position:>9}  {clock_time(value.time):19}  {by:24}  {said}".rstrip()
