"""Buys a teapot, as a browser and a payment service would, on a database that is made if it is missing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient

from .shop import STOCK
from .web import create_app

PATIENCE_SECONDS = 30.0


def go_shopping(browser: FlaskClient) -> Iterator[str]:
    """What happens, in words."""
    teapot = {"item": "teapot", "count": 2, "email": "ann@example.org"}
    yield f"placed: {browser.put('/orders/ann-1', json=teapot).get_json()['id']}"
    yield f"so far: {until(browser, 'ann-1', 'waiting for 500 cents')}"
    browser.put("/orders/ann-1", json=teapot)  # an impatient click
    yield f"open orders: {browser.get('/orders').get_json()['open']}, teapots left: {STOCK['teapot']}"
    browser.post("/orders/ann-1/payment", json={"receipt": "r-17"})
    yield f"in the end: {until(browser, 'ann-1', 'shipped as parcel-r-17')}"
    changed = browser.put("/orders/ann-1", json={**teapot, "count": 3})
    yield f"another order under that id: {changed.status_code}"
    browser.put("/orders/ben-1", json={**teapot, "count": 1})
    until(browser, "ben-1", "waiting for 250 cents")
    browser.delete("/orders/ben-1")
    yield f"cancelled: {until(browser, 'ben-1', 'waiting for 250 cents', 'cancelled')}, teapots left: {STOCK['teapot']}"
    yield f"paid all the same: {browser.post('/orders/ben-1/payment', json={'receipt': 'r-18'}).status_code}"
    yield f"never heard of: {browser.get('/orders/nobody').status_code}"


def until(browser: FlaskClient, id: str, progress: str, status: str = "") -> str:
    """Look until the order has come so far."""
    seen: dict[str, Any] = {}
    for _ in range(int(PATIENCE_SECONDS / 0.02)):
        seen = browser.get(f"/orders/{id}").get_json()
        if seen["progress"] == progress and status in ("", seen["status"]):
            return progress
        time.sleep(0.02)
    return f"{progress} was expected, and it is {seen}"


if __name__ == "__main__":
    for line in go_shopping(create_app(sys.argv[1] if len(sys.argv) > 1 else "memory:").test_client()):
        print(line)
