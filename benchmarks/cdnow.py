"""The CDNOW orders: 69,659 real purchases, as the public data set lists them.

The whole file is the one that the PyPI package ``lifetimes`` ships; ``make bench`` takes it from there. Where it is
missing, the example's first 300 orders stand in, over and over, and the report says so.
"""

from __future__ import annotations

import zipfile
from itertools import cycle, islice
from pathlib import Path

from .shop import CdnowOrder
from .store import FOLDER

MEMBER = "lifetimes/datasets/CDNOW_master.txt"
EXAMPLE = Path("examples/order_fulfilment/orders.csv")


def read_orders(limit: int) -> tuple[list[CdnowOrder], str]:
    """The first ``limit`` orders, and where they are from."""
    for wheel in sorted(FOLDER.glob("[Ll]ifetimes-*.whl")):
        _, *lines = zipfile.ZipFile(wheel).read(MEMBER).decode().splitlines()
        return [parse(number, line) for number, line in enumerate(lines[:limit], 1)], "CDNOW_master.txt"
    rows = [line.replace(",", " ") for line in EXAMPLE.read_text().splitlines() if line[:1].isdigit()]
    lines = list(islice(cycle(rows), limit))
    return [parse(number, line) for number, line in enumerate(lines, 1)], "the example's orders, repeated"


def parse(number: int, line: str) -> CdnowOrder:
    """A line holds the customer, the date, the quantity and the amount in dollars."""
    customer, date, quantity, dollars = line.split()[-4:]
    return CdnowOrder(number, int(customer), date, int(quantity), round(float(dollars) * 100))
