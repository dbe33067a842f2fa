"""Bulk: one word to all runs that fit a filter, with its progress while it goes on.

The answer is JSON, a line for each stretch of runs, as a bulk may take long. Who hangs up ends the bulk where it is;
it is finished by asking again with the ``id`` and ``began_at`` of its lines, and no run hears of it twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from keepstep.client.access.role import Role
from keepstep.client.bulk import Bulk, BulkOutcome, BulkProgress, BulkReport
from keepstep.client.info import moment
from keepstep.server.call import Call
from keepstep.server.lines import MEDIA, LineStream, Tell
from keepstep.server.refusal import Refusal
from keepstep.server.route import Query, Routes

from .summary import RunSummary, summary_of

routes = Routes("bulk")


class BulkBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to which runs."""

    action: Literal["cancel", "terminate", "signal", "retry"]
    filter: str | None = None
    everything: bool = False
    """Instead of a filter: all runs of the namespace."""
    dry_run: bool = False
    """Change nothing, and tell how many runs it would be, and the first of them."""
    reason: str = ""
    """Of a cancel or terminate."""
    name: str = ""
    """Of a signal."""
    value: Any = None
    """Of a signal."""
    id: str | None = None
    """Of the bulk, to go on with one."""
    began_at: Annotated[datetime, Meta(tz=True)] | None = None
    """Runs that were started later are not touched."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run."""

    id: str
    run_id: str
    type: str
    outcome: str
    why: str

    @classmethod
    def of(cls, told: BulkOutcome) -> Outcome:
        return cls(id=told.id, run_id=told.run_id, type=told.type, outcome=told.outcome, why=told.why)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A line: how far it has come, or, as the last one, what has become of it."""

    id: str
    """Of the bulk."""
    began_at: datetime
    dry_run: bool
    is_complete: bool
    total: int
    """Runs that fitted when it began."""
    done: int
    already: int
    """It was so before, and nothing was done."""
    refused: int
    refusals: list[Outcome]
    """Of the last line: the first 1,000 of them."""
    sample: list[RunSummary]
    """Of a dry run: the first of the runs."""


@routes.post("/bulk", role=Role.OPERATE, media=MEDIA)
async def say_to_many(call: Call, query: Query, body: BulkBody) -> LineStream:
    """Cancel, terminate, signal or retry all runs that fit a filter.

    The answer is lines of JSON, one every 500 runs: `id`, `began_at`, `total`, `done`, `already`, `refused`, and
    `is_complete` in the last one, which has the `refusals` and, of a dry run, a `sample`. If something goes wrong in
    the middle, the last line is an error. Who hangs up ends it; with the same `id` and `began_at` it goes on.
    """
    if (body.action == "signal") != bool(body.name):
        raise Refusal(400, "invalid_input", "the body: a signal, and nothing else, has a name", field="name")
    if body.reason and body.action not in ("cancel", "terminate"):
        raise Refusal(400, "invalid_input", "the body: only cancel and terminate have a reason", field="reason")
    id = call.engine.new_id() if body.id is None else body.id
    began_at = moment(call.engine.journal.clock.now()) if body.began_at is None else body.began_at
    say = _words((call.engine if body.dry_run else call.acting).bulk, body)

    async def carry_out(tell: Tell) -> None:
        report = await say(
            body.filter,
            everything=body.everything,
            dry_run=body.dry_run,
            id=id,
            began_at=began_at,
            on_progress=lambda progress: tell(_line(progress, began_at)),
        )
        await tell(_line(report, began_at))

    stream = LineStream(carry_out)
    await stream.begin()
    return stream


def _words(bulk: Bulk, body: BulkBody) -> Callable[..., Awaitable[BulkReport]]:
    match body.action:
        case "cancel":
            return partial(bulk.cancel, reason=body.reason)
        case "terminate":
            return partial(bulk.terminate, reason=body.reason)
        case "signal":

            def signal(filter: str | None, **options: Any) -> Awaitable[BulkReport]:
                return bulk.signal(filter, body.name, body.value, **options)

            return signal
        case "retry":
            return bulk.retry


def _line(told: BulkProgress | BulkReport, began_at: datetime) -> Progress:
    report = told if isinstance(told, BulkReport) else None
    return Progress(
        id=told.id,
        began_at=began_at,
        dry_run=report is not None and report.dry_run,
        is_complete=report is not None,
        total=told.total,
        done=told.done,
        already=told.already,
        refused=told.refused,
        refusals=[] if report is None else list(map(Outcome.of, report.refusals)),
        sample=[] if report is None else list(map(summary_of, report.sample)),
    )
