"""Tables, moments and JSON as every command prints them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from .colour import Coloured


def print_json(value: Any) -> None:
    """Indented JSON; times in ISO format."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str | Coloured]]) -> None:
    """A table as wide as its content on a pipe, and as the window on a terminal, which shows colours, too."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(*cell) if isinstance(cell, Coloured) else cell for cell in row))
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, markup=False).print(table)


def ago(moment: datetime | None) -> str:
    """``3 min ago``; empty for None."""
    if moment is None:
        return ""
    return f"{span((datetime.now(UTC) - moment).total_seconds())} ago"


def span(seconds: float) -> str:
    """A duration in the largest unit that fits."""
    seconds = max(seconds, 0.0)
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def clock_time(moment: datetime) -> str:
    """Local date and time, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def zoned_time(context: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    """An option's time, with its zone. Raises ``BadParameter``."""
    if text is None:
        return None
    try:
        moment: datetime | None = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter(
            f"{text!r} is not a time with its zone, such as 2026-11-27T09:00+01:00 or 2026-11-27T08:00Z"
        )
    return moment
