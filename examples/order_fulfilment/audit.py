"""The audit: what the books of the outside world say, and nothing but the books.

The engine is not asked. Whether its runs "completed" is its own opinion; whether a customer was charged twice is
written in the payment gateway's ledger.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

PER_ORDER = """
SELECT
    order_id,
    count(*) FILTER (WHERE what = 'charge called off') AS called_off,
    count(*) FILTER (WHERE what = 'charged') AS charged,
    count(*) FILTER (WHERE what = 'declined') AS declined,
    count(*) FILTER (WHERE what = 'refunded') AS refunded,
    count(*) FILTER (WHERE what = 'labelled') AS labelled,
    count(*) FILTER (WHERE what = 'label voided') AS voided,
    count(*) FILTER (WHERE what = 'collected') AS collected,
    count(*) FILTER (WHERE what = 'mailed') AS mailed,
    coalesce(sum(quantity) FILTER (WHERE what = 'reserved'), 0) AS reserved,
    coalesce(sum(quantity) FILTER (WHERE what = 'released'), 0) AS released,
    coalesce(sum(quantity) FILTER (WHERE what = 'shipped'), 0) AS shipped
FROM ledger GROUP BY order_id ORDER BY order_id
"""
REQUESTS = """
SELECT count(*), sum(repeated), sum(status >= 500), sum(fault IN ('late', 'broken'))
FROM requests
"""
DELIVERIES = """
SELECT count(*), count(*) FILTER (WHERE outcome NOT LIKE '2%' AND outcome NOT IN ('409', '410'))
FROM deliveries
"""
KILLS = "SELECT count(*), count(*) FILTER (WHERE requests_open > 0), coalesce(sum(requests_open), 0) FROM kills"


@dataclass(frozen=True)
class OrderBooks:
    """What the ledger has about one order: how often, or how many pieces."""

    order: str
    called_off: int = 0
    charged: int = 0
    declined: int = 0
    refunded: int = 0
    labelled: int = 0
    voided: int = 0
    collected: int = 0
    mailed: int = 0
    reserved: int = 0
    released: int = 0
    shipped: int = 0

    @property
    def pieces_missing(self) -> int:
        """Pieces that were taken from the shelf and neither went back nor out (or went twice)."""
        return abs(self.reserved - self.released - self.shipped)

    @property
    def is_completed(self) -> bool:
        """Paid once, sent once, told once."""
        return (self.charged, self.refunded, self.collected, self.mailed) == (1, 0, 1, 1) and self.shipped > 0

    @property
    def is_compensated(self) -> bool:
        """Nothing was sent, and whatever was taken was given back."""
        settled = self.charged == self.refunded and (self.charged or self.called_off)
        undone = settled and self.labelled <= self.voided and not self.pieces_missing
        return bool(undone) and not (self.collected or self.shipped or self.declined)

    @property
    def is_turned_away(self) -> bool:
        """The card was declined, and nothing else happened."""
        return self.declined == 1 and not (self.charged or self.reserved or self.labelled or self.mailed)


WRONGS: dict[str, Callable[[OrderBooks], bool]] = {
    "charged twice": lambda o: o.charged > 1,
    "charged but neither shipped nor refunded": lambda o: o.charged > o.refunded and not o.shipped,
    "refunded more than charged": lambda o: o.refunded > o.charged,
    "shipped without being paid": lambda o: bool(o.shipped or o.collected) and o.charged <= o.refunded,
    "collected but not booked out": lambda o: o.collected > 0 and not o.shipped,
    "collected twice": lambda o: o.collected > 1,
    "labels neither used nor voided": lambda o: o.labelled > o.voided + o.collected,
    "e-mails sent twice": lambda o: o.mailed > 1,
    "not finished": lambda o: not (o.is_completed or o.is_compensated or o.is_turned_away),
}
"""What must not be, each as a question to one order's books."""


@dataclass
class Audit:
    """The findings."""

    orders: int
    completed: int = 0
    compensated: int = 0
    turned_away: int = 0
    wrongs: dict[str, list[str]] = field(default_factory=dict)
    """For each thing that must not be: the orders where it is."""
    stock_lost: int = 0
    requests: int = 0
    requests_repeated: int = 0
    requests_failed: int = 0
    done_but_not_said: int = 0
    deliveries: int = 0
    deliveries_in_vain: int = 0
    kills: int = 0
    kills_of_busy_workers: int = 0
    requests_cut_off: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.wrongs.values()) and self.stock_lost == 0


def audit(books: Path, orders: Iterable[str]) -> Audit:
    """Reads the books about these orders.

    :param books: the world's SQLite file; it is only read.
    :param orders: the ids of all orders that customers placed. An order the books have never heard of is not finished.
    """
    with closing(sqlite3.connect(f"{books.resolve().as_uri()}?mode=ro", uri=True)) as db:
        known = {row[0]: OrderBooks(*row) for row in db.execute(PER_ORDER)}
        seen = [known.get(order, OrderBooks(order)) for order in orders]
        found = Audit(orders=len(seen))
        _judge(found, seen)
        found.stock_lost = _pieces_lost(db, known.values())
        _count_traffic(found, db)
    return found


def _judge(found: Audit, seen: list[OrderBooks]) -> None:
    for order in seen:
        found.completed += order.is_completed
        found.compensated += order.is_compensated
        found.turned_away += order.is_turned_away
    for wrong, is_wrong in WRONGS.items():
        found.wrongs[wrong] = [order.order for order in seen if is_wrong(order)]


def _pieces_lost(db: sqlite3.Connection, known: Iterable[OrderBooks]) -> int:
    """What is missing at single orders, and what the shelf lacks beyond what the ledger explains."""
    orders = list(known)
    opening, on_shelf = db.execute("SELECT opening, on_shelf FROM stock").fetchone()
    explained = sum(order.reserved - order.released for order in orders)
    return sum(order.pieces_missing for order in orders) + abs(int(opening) - int(on_shelf) - explained)


def _count_traffic(found: Audit, db: sqlite3.Connection) -> None:
    counts = [count or 0 for count in db.execute(REQUESTS).fetchone()]
    found.requests, found.requests_repeated, found.requests_failed, found.done_but_not_said = counts
    found.deliveries, found.deliveries_in_vain = db.execute(DELIVERIES).fetchone()
    found.kills, found.kills_of_busy_workers, found.requests_cut_off = db.execute(KILLS).fetchone()
