"""Reads orders: the CSV beside this file, or the whole CDNOW data set in its original format."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path

from .model import Order

SHIPPED_ORDERS = Path(__file__).with_name("orders.csv")


class BadOrdersFile(ValueError):
    """The file is not one of the two formats, or holds no order; the text names the line."""


def read_orders(path: Path | None = None, limit: int | None = None) -> list[Order]:
    """Reads up to ``limit`` orders from ``path``, or from the 300 that come with the example.

    :raises BadOrdersFile: if a line is not "customer, date, quantity, amount", or there is none.
    :raises OSError: if the file cannot be read.
    """
    source = SHIPPED_ORDERS if path is None else path
    with source.open(encoding="utf-8", newline="") as lines:
        orders = list(islice(_parse(lines, source), limit))
    if not orders:
        raise BadOrdersFile(f"{source} holds no order below its first line")
    return orders


def _parse(lines: Iterator[str], source: Path) -> Iterator[Order]:
    header = next(lines, "")
    rows = csv.reader(lines) if "," in header else (line.split() for line in lines)
    for number, fields in enumerate(filter(None, rows), start=1):
        try:
            yield _order(number, *fields)
        except (TypeError, ValueError, InvalidOperation) as error:
            expected = "expected customer, date, quantity and amount"
            raise BadOrdersFile(f"{source}, line {number + 1}: {expected}, found {fields}") from error


def _order(number: int, customer: str, day: str, quantity: str, amount: str) -> Order:
    # `date.fromisoformat` takes both 1997-01-12 (the CSV) and 19970112 (the original).
    return Order(f"order-{number:05}", customer, date.fromisoformat(day), int(quantity), Decimal(amount))
