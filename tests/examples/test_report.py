"""What is shown: the audit at the end, and the progress before it."""

from __future__ import annotations

import io

from rich.console import Console

from examples.order_fulfilment.audit import WRONGS, Audit
from examples.order_fulfilment.progress import Screen, Standing
from examples.order_fulfilment.report import show_audit


def shown(found: Audit) -> str:
    console = Console(file=io.StringIO(), width=120)
    show_audit(console, found)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_clean_audit_says_so_and_shows_the_zeros_that_matter() -> None:
    text = shown(Audit(orders=3, completed=2, compensated=1, wrongs={wrong: [] for wrong in WRONGS}))
    assert "The books are clean" in text
    assert "0  charged twice" in text
    assert "0  charged but neither shipped nor refunded" in text
    assert "0  pieces of stock lost" in text
    assert "0  e-mails sent twice" in text
    assert "refunded more than charged" not in text


def test_a_wrong_is_shown_with_the_orders_where_it_is() -> None:
    text = shown(Audit(orders=9, wrongs={"not finished": [f"order-{n}" for n in range(7)]}))
    assert "7  not finished" in text
    assert "order-0, order-1, …" in text
    assert "NOT clean" in text


def test_without_a_terminal_progress_is_plain_lines() -> None:
    console = Console(file=io.StringIO(), width=120)
    with Screen(console) as screen:
        screen.show(Standing(orders=300, kills_planned=10, placed=20, kills=1, ledger={"charged": 15}))
    line = console.file.getvalue()  # type: ignore[attr-defined]
    assert "20/300 orders placed, 0 finished, 1/10 kills; books: 15 charged" in line
    assert "\x1b" not in line


def test_on_a_terminal_progress_is_a_live_table() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with Screen(console) as screen:
        screen.show(Standing(orders=300, kills_planned=10, kills=2, last_killed="worker-1.1", ledger={"refunded": 4}))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "kill -9: 2 of 10, last worker-1.1" in text
    assert "refunded 4" in text
