"""``python -m order_fulfilment.world PORT BOOKS PLAN``: runs the outside world until it is told to stop."""

from __future__ import annotations

import sys

import msgspec
import uvicorn

from .app import make_app
from .books import Books
from .plan import Plan


def main(port: str, books_path: str, plan_json: str) -> None:
    """Serves the world on this machine. ``PLAN`` is a ``Plan`` as JSON."""
    plan = msgspec.json.decode(plan_json, type=Plan)
    books = Books(books_path, opening_stock=plan.stock)
    uvicorn.run(
        make_app(plan, books),
        host="127.0.0.1",
        port=int(port),
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    books.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
