"""Ask: a request with an answer and a deadline that leaves nothing behind and may be lost in a crash."""

from __future__ import annotations

import msgspec


class Ask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A question to a run: a query, or the validation of an update."""

    ask_id: str
    run_id: str
    kind: str
    name: str
    data: bytes
    deadline: int
