"""What the departments are asked, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Asked(msgspec.Struct, frozen=True):
    """The body of every request: which order it is about, and what else there is to know."""

    order: str
    amount: str = ""
    quantity: int = 0
    reply_to: str = ""
    label: str = ""
    to: str = ""
    title: str = ""


class Answer(msgspec.Struct, frozen=True):
    """An answer, and whether anything changed by it."""

    status: int
    body: dict[str, Any]
    had_effect: bool = True


Department = Callable[[Asked], Answer]
"""Does what is asked: called once for each idempotency key, within one transaction of the books."""


def nothing_to_do(**body: Any) -> Answer:
    """The answer where all is already as it was asked for."""
    return Answer(200, body, had_effect=False)


def refused(error: str) -> Answer:
    """The answer where what was asked for cannot be had."""
    return Answer(409, {"error": error}, had_effect=False)
