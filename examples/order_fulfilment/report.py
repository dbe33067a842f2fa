"""Shows the audit."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .audit import Audit

ALWAYS_SHOWN = ("charged twice", "charged but neither shipped nor refunded", "e-mails sent twice")
EXAMPLES_SHOWN = 2


def show_audit(console: Console, found: Audit) -> None:
    """Prints what the books say, and the verdict."""
    console.print(
        Group(Text("\nThe audit, made from the books of the outside world alone", style="bold"), _table(found))
    )
    console.print(_verdict(found))


def _table(found: Audit) -> RenderableType:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column()
    table.add_column(style="dim")
    for count, what, remark in _outcomes(found):
        table.add_row(f"{count:,}", what, remark)
    for wrong, orders in found.wrongs.items():
        if orders or wrong in ALWAYS_SHOWN:
            table.add_row(_count(len(orders)), wrong, _examples(orders) or "must be 0")
    table.add_row(_count(found.stock_lost), "pieces of stock lost", "must be 0")
    for count, what, remark in _traffic(found):
        table.add_row(f"{count:,}", what, remark)
    return table


def _outcomes(found: Audit) -> list[tuple[int, str, str]]:
    return [
        (found.orders, "orders", ""),
        (found.completed, "completed", "everything exactly once"),
        (found.compensated, "compensated", "all that was done is undone"),
        (found.turned_away, "turned away", "card declined, nothing done"),
    ]


def _traffic(found: Audit) -> list[tuple[int, str, str]]:
    return [
        (found.kills, "workers killed", f"while {found.requests_cut_off} requests were open"),
        (found.requests, "requests came in", f"{found.requests_failed} failed on purpose"),
        (found.requests_repeated, "of them repeated an earlier one", "same key, no second effect"),
        (found.done_but_not_said, "did their work, but the answer was lost", "error or silence instead"),
        (found.deliveries, "webhook deliveries", f"{found.deliveries_in_vain} found nobody listening"),
    ]


def _count(count: int) -> Text:
    return Text(f"{count:,}", style="bold red" if count else "bold green")


def _examples(orders: list[str]) -> str:
    more = ["…"] if len(orders) > EXAMPLES_SHOWN else []
    return ", ".join(orders[:EXAMPLES_SHOWN] + more)


def _verdict(found: Audit) -> Text:
    if found.is_clean:
        return Text("\nThe books are clean: nothing was lost and nobody was charged twice.", style="bold green")
    return Text("\nThe books are NOT clean.", style="bold red")
