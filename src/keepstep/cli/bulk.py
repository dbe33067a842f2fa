"""``--where``: the commands that speak to a run, said to all runs that fit a filter."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import click
import msgspec

from keepstep.client.bulk import Bulk, BulkOutcome, BulkProgress, BulkReport
from keepstep.client.engine import Engine
from keepstep.client.info import moment
from keepstep.journal import StoreUnavailable
from keepstep.journal.moment import microseconds_of

from .command import EXIT_FAILED, complain
from .database import client, run
from .table import ago, print_json, print_table

F = TypeVar("F", bound=Callable[..., Any])

Say = Callable[..., Awaitable[BulkReport]]
"""A method of ``Bulk``, with what it is about."""

REFUSALS_SHOWN_MAX = 20
TELL_SECONDS = 0.2
TELL_SECONDS_IN_A_LOG = 5.0


class Many(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a bulk on the command line."""

    where: str | None
    everything: bool
    dry_run: bool
    yes: bool
    bulk_id: str | None
    began_at: datetime | None
    as_json: bool

    @property
    def is_meant(self) -> bool:
        return self.where is not None or self.everything


def bulk_options(command: F) -> F:
    """``--where FILTER`` and what belongs to it, as one parameter ``many``."""

    def collected(*args: Any, **options: Any) -> Any:
        many = Many(**{name: options.pop(name) for name in Many.__struct_fields__})
        return command(*args, many=many, **options)

    collected.__doc__, collected.__name__ = command.__doc__, command.__name__
    collected.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    wrapped: Any = collected
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


def _time(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    found = microseconds_of(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no time such as 2026-11-27T09:00:00Z")
    return moment(found)


_OPTIONS = (
    click.option("--where", metavar="FILTER", help="Instead of one run: all that fit, as `keepstep list` finds them."),
    click.option("--all", "everything", is_flag=True, help="Instead of one run: all."),
    click.option("--dry-run", is_flag=True, help="With --where: change nothing, and say which it would be."),
    click.option("--yes", is_flag=True, help="With --where: do not ask first."),
    click.option("--bulk-id", metavar="ID", help="With --where: go on with a bulk that was interrupted."),
    click.option("--began-at", metavar="TIME", callback=_time, help="With it: runs started later are not touched."),
    click.option("--json", "as_json", is_flag=True, help="With --where: print JSON, with what became of each run."),
)


def check_one_or_many(id: str | None, many: Many) -> None:
    """Raises ``UsageError`` unless either a run is named, or a filter is given for many."""
    if many.is_meant and id is not None:
        raise click.UsageError("name a run, or say with --where which runs, not both")
    if many.where is not None and many.everything:
        raise click.UsageError("--where says which runs, and --all that it is all of them; leave one out")
    if not many.is_meant and id is None:
        raise click.UsageError("which run? name one by its id, or say which with --where FILTER")
    if not many.is_meant and many != Many(
        where=None, everything=False, dry_run=False, yes=False, bulk_id=None, began_at=None, as_json=False
    ):
        raise click.UsageError("--dry-run, --yes, --bulk-id, --began-at and --json are for many runs: --where")


def say_to_many(url: str, many: Many, verb: str, done: str, say: Callable[[Bulk], Say]) -> int:
    """Run a bulk; its exit code. ``verb``: what is done to them; ``done``: what they are then."""
    return run(_say_to_many(url, many, verb, done, say))


async def _say_to_many(url: str, many: Many, verb: str, done: str, say: Callable[[Bulk], Say]) -> int:
    async with client(url) as engine:
        bulk = _named(engine, many)
        call = partial(say(engine.bulk), many.where, everything=many.everything, **bulk)
        if many.dry_run:
            _print_dry_run(await call(dry_run=True), many, verb)
            return 0
        if not many.yes and sys.stdin.isatty() and not await _is_confirmed(call, verb):
            complain("nothing was done")
            return EXIT_FAILED
        return await _carry_out(call, many, bulk, done)


def _named(engine: Engine, many: Many) -> dict[str, Any]:
    """By which a bulk is repeated."""
    began_at = many.began_at or moment(engine.journal.clock.now())
    return {"id": many.bulk_id or engine.new_id(), "began_at": began_at}


async def _is_confirmed(call: Say, verb: str) -> bool:
    report = await call(dry_run=True)
    _show_sample(report, err=True)
    return click.confirm(f"{verb} {_runs(report.done)}?", err=True)


async def _carry_out(call: Say, many: Many, bulk: dict[str, Any], done: str) -> int:
    teller = _Teller(keeps_outcomes=many.as_json)
    try:
        report = await call(on_progress=teller.tell)
    except (asyncio.CancelledError, StoreUnavailable):
        teller.end()
        again = f"--bulk-id {bulk['id']} --began-at {bulk['began_at'].isoformat()}"
        complain(f"interrupted; the same command goes on with it, and tells nobody twice, with {again}")
        raise
    teller.end()
    if many.as_json:
        print_json({**_as_data(report), "runs": teller.outcomes})
    else:
        _print(report, done)
    return EXIT_FAILED if report.refused else 0


def _print(report: BulkReport, done: str) -> None:
    parts = [f"{_runs(report.done)} {done}"]
    if report.already:
        parts.append(f"{report.already:,} were so already")
    if report.refused:
        parts.append(f"{report.refused:,} refused")
    click.echo(", ".join(parts))
    for each in report.refusals[:REFUSALS_SHOWN_MAX]:
        complain(f"{each.id}: {each.why}")
    if report.refused > REFUSALS_SHOWN_MAX:
        complain(f"and {report.refused - REFUSALS_SHOWN_MAX:,} more; --json has them all")


def _print_dry_run(report: BulkReport, many: Many, verb: str) -> None:
    if many.as_json:
        print_json({**_as_data(report), "sample": [each.id for each in report.sample]})
        return
    refused = f", and {_runs(report.refused)} would refuse" if report.refused else ""
    click.echo(f"would {verb} {_runs(report.done)}{refused}")
    _show_sample(report, err=False)


def _show_sample(report: BulkReport, *, err: bool) -> None:
    if not report.sample:
        return
    if err:
        shown = ", ".join(each.id for each in report.sample)
        click.echo(f"{shown}{' …' if report.total > len(report.sample) else ''}", err=True)
        return
    rows = [(each.id, each.type, each.status.value, ago(each.started_at)) for each in report.sample]
    print_table(("id", "workflow", "status", "started"), rows)
    if report.total > len(report.sample):
        click.echo(f"and {report.total - len(report.sample):,} more")


def _as_data(report: BulkReport) -> dict[str, Any]:
    names = ("id", "began_at", "dry_run", "total", "done", "already", "refused", "refusals")
    return {name: msgspec.to_builtins(getattr(report, name), builtin_types=(datetime,)) for name in names}


def _runs(count: int) -> str:
    return f"{count:,} run" if count == 1 else f"{count:,} runs"


class _Teller:
    """Says how far it has come: on one line of a terminal, or now and then on a line of its own."""

    def __init__(self, *, keeps_outcomes: bool) -> None:
        self.outcomes: list[BulkOutcome] = []
        self._keeps_outcomes = keeps_outcomes
        self._is_terminal = sys.stderr.isatty()
        self._every = TELL_SECONDS if self._is_terminal else TELL_SECONDS_IN_A_LOG
        self._tell_at = time.monotonic() + self._every
        self._has_line = False

    def tell(self, progress: BulkProgress) -> None:
        if self._keeps_outcomes:
            self.outcomes += progress.outcomes
        if time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + self._every
        refused = f", {progress.refused:,} refused" if progress.refused else ""
        line = f"{progress.runs:,} of {progress.total:,} runs{refused}"
        click.echo(f"\r\x1b[2K{line}" if self._is_terminal else line, nl=not self._is_terminal, err=True)
        self._has_line = self._is_terminal

    def end(self) -> None:
        if self._has_line:
            click.echo("\r\x1b[2K", nl=False, err=True)
            self._has_line = False
