"""Reading the orders."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from examples.order_fulfilment.model import Order
from examples.order_fulfilment.orders import BadOrdersFile, read_orders


def test_the_example_ships_three_hundred_orders() -> None:
    orders = read_orders()
    assert len(orders) == 300
    assert len({order.id for order in orders}) == 300
    assert orders[0] == Order("order-00001", "00001", date(1997, 1, 1), 1, Decimal("11.77"))


def test_a_limit_takes_the_first_ones() -> None:
    assert [order.id for order in read_orders(limit=2)] == ["order-00001", "order-00002"]


def test_the_whole_data_set_is_read_in_its_original_format(tmp_path: Path) -> None:
    original = tmp_path / "CDNOW_master.txt"
    original.write_bytes(
        b" customer_id  date number_of_cds  dollar_value\r\n"
        b" 00001 19970101  1   11.77\r\n"
        b" 00002 19970112  5   77.00\r\n"
    )
    assert read_orders(original) == [
        Order("order-00001", "00001", date(1997, 1, 1), 1, Decimal("11.77")),
        Order("order-00002", "00002", date(1997, 1, 12), 5, Decimal("77.00")),
    ]


@pytest.mark.parametrize("line", ["00001,1997-01-01,1", "00001,1997-13-01,1,2.00", "00001,1997-01-01,one,2.00"])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(f"customer_id,date,quantity,amount\n00001,1997-01-01,1,11.77\n{line}\n")
    with pytest.raises(BadOrdersFile, match=r"bad\.csv, line 3: expected customer, date"):
        read_orders(bad)
