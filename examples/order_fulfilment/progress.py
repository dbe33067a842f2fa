"""Shows how far the demo is: a live table on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

LINE_SECONDS = 3.0
FORWARD = {
    "charged": "charged",
    "reserved": "reserved",
    "labelled": "labelled",
    "picked": "picked by a person",
    "mailed": "confirmed by e-mail",
    "collected": "collected by the carrier",
    "shipped": "booked out",
}
BACKWARD = {
    "declined": "card declined",
    "carrier reminded": "carrier reminded",
    "label voided": "label voided",
    "released": "stock released",
    "refunded": "refunded",
}


@dataclass
class Standing:
    """Where the demo is."""

    orders: int
    kills_planned: int
    placed: int = 0
    finished: int = 0
    kills: int = 0
    last_killed: str = ""
    ledger: dict[str, int] = field(default_factory=dict)


class Screen:
    """Shows a ``Standing`` whenever it is told to."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._began = time.monotonic()
        self._next_line = self._began

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, standing: Standing) -> None:
        """Brings the screen up to date."""
        seconds = time.monotonic() - self._began
        if self._live:
            self._live.update(_picture(standing, seconds), refresh=True)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            self._console.print(_line(standing, seconds), highlight=False, soft_wrap=True)


def _line(standing: Standing, seconds: float) -> str:
    ledger = standing.ledger
    effects = ", ".join(f"{ledger[what]} {what}" for what in ("charged", "collected", "refunded") if what in ledger)
    return (
        f"{seconds:4.0f} s  {standing.placed}/{standing.orders} orders placed, {standing.finished} finished, "
        f"{standing.kills}/{standing.kills_planned} kills; books: {effects or 'empty'}"
    )


def _picture(standing: Standing, seconds: float) -> RenderableType:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("placed", _bar(standing.placed, standing.orders), str(standing.placed))
    for what, name in FORWARD.items():
        count = standing.ledger.get(what, 0)
        table.add_row(name, _bar(count, standing.orders), str(count))
    table.add_row("finished", _bar(standing.finished, standing.orders), str(standing.finished))
    undone = "   ".join(f"{name} {standing.ledger.get(what, 0)}" for what, name in BACKWARD.items())
    return Group(table, Text(undone, style="dim"), _kills(standing), Text(f"{seconds:.0f} s", style="dim"))


def _kills(standing: Standing) -> Text:
    last = f", last {standing.last_killed}" if standing.last_killed else ""
    return Text(f"kill -9: {standing.kills} of {standing.kills_planned}{last}", style="bold red")


def _bar(count: int, total: int) -> ProgressBar:
    return ProgressBar(total=max(total, 1), completed=count, width=40)
