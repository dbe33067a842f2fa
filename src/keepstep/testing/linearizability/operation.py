"""Operation: one call of a client, when it was made, when it was answered, and what was said.

Moments are whole numbers that can be compared over the whole history: the order of recording in virtual time,
nanoseconds of the machine's monotonic clock between real processes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["plain", "stepped", "careful", "asked"]
Policy = Literal["attach", "reject", "restart"]


class Program(msgspec.Struct, frozen=True):
    """The input of a run: what it does with its signals (see ``notes``)."""

    kind: Kind
    size: int
    """How many notes it collects before it completes."""


# what is called; ``run_id`` None is the newest run of the workflow id


class Start(msgspec.Struct, frozen=True, tag="start"):
    """``engine.start``. ``run_id`` is the one that a new run would get."""

    run_id: str
    program: Program
    if_running: Policy = "attach"
    if_closed: Policy = "attach"


class Signal(msgspec.Struct, frozen=True, tag="signal"):
    """``handle.signal``; of several with one ``message_id`` only the first counts."""

    run_id: str | None
    note: str
    message_id: str | None = None


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """``handle.cancel``."""

    run_id: str | None


class Terminate(msgspec.Struct, frozen=True, tag="terminate"):
    """``handle.terminate``."""

    run_id: str | None


class Update(msgspec.Struct, frozen=True, tag="update"):
    """``handle.update``: of several with one ``update_id`` only the first counts."""

    run_id: str | None
    note: str
    update_id: str


class Query(msgspec.Struct, frozen=True, tag="query"):
    """``handle.query``."""

    run_id: str | None


class Describe(msgspec.Struct, frozen=True, tag="describe"):
    """``handle.describe``."""

    run_id: str | None


class Result(msgspec.Struct, frozen=True, tag="result"):
    """``handle.result``."""

    run_id: str | None


Call = Start | Signal | Update | Query | Cancel | Terminate | Describe | Result
READS = (Query, Describe, Result)
"""Calls that change nothing: without an answer they say nothing."""


# what is answered


class Ran(msgspec.Struct, frozen=True, tag="run"):
    """The run that a start made, or attached to."""

    run_id: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """Accepted."""


class Told(msgspec.Struct, frozen=True, tag="told"):
    """The notes that an update, or a query, returned."""

    notes: tuple[str, ...]


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """What ``describe`` said."""

    run_id: str
    status: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """What ``result`` returned, or how it said that the run ended."""

    status: str
    notes: tuple[str, ...] = ()


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The name of the error that was raised."""

    error: str


Answer = Ran | Done | Told | Seen | Ended | Refused


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One call and its answer; ``completed`` and ``answer`` are None where nobody knows whether it happened."""

    client: str
    subject: str
    """The workflow id. Different ids share nothing, so each is judged alone (P-compositionality)."""
    call: Call
    invoked: int
    completed: int | None = None
    answer: Answer | None = None
