"""``keepstep check MODULE``: would this code still replay every open run? Asked before it is deployed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import click
import msgspec

from keepstep.client.checking import Survey, Trouble, Verdict, survey
from keepstep.journal import InvalidInput
from keepstep.runtime.registry import find_workflow, workflows

from .command import EXIT_FAILED, complain
from .database import database_option, json_option, namespace
from .module import import_interceptors, import_module, interceptor_option
from .table import print_json

TELL_SECONDS = 0.5
TELL_SECONDS_IN_A_LOG = 10.0
"""Where standard error is no terminal, progress is told in lines of their own."""


@click.command("check")
@click.argument("module")
@click.option(
    "--closed", "closed_max", type=click.IntRange(min=0), default=0, metavar="N", help="Also the newest N closed runs."
)
@click.option("--workflow", "types", multiple=True, metavar="NAME", help="Only runs of this workflow.")
@click.option("--archive", metavar="PLACE", default="", help="Instead of a database, what is archived there.")
@click.option("--jobs", type=click.IntRange(min=1), help="How many processes; by default one a processor.")
@interceptor_option
@json_option
@database_option
def check_command(
    module: str,
    closed_max: int,
    types: tuple[str, ...],
    archive: str,
    jobs: int | None,
    interceptors: tuple[str, ...],
    as_json: bool,
    url: str,
) -> int:
    """Replay every open run with the code of MODULE, and name those that would block.

    Nothing is changed, no step is run; workers may go on meanwhile. Exit code 1 if any run would block.
    """
    import_module(module)
    import_interceptors(interceptors)
    if not workflows():
        raise InvalidInput(f"module {module!r} defines no @workflow, so there is nothing to check runs against")
    for name in types:
        if find_workflow(name) is None:
            raise InvalidInput(f"module {module!r} defines no workflow {name!r}")
    what = Survey(
        url=url,
        namespace=namespace(),
        load_code=(import_module, (module,)),
        load_interceptors=(import_interceptors, (interceptors,)),
        types=types,
        closed_max=closed_max,
        processes=jobs or _processors(),
        archive=archive,
    )
    progress = _Progress()
    verdict = survey(what, progress.tell)
    progress.end()
    if as_json:
        print_json(_as_data(verdict, progress.seconds))
    else:
        _print(verdict, module, progress.seconds, is_archive=bool(archive))
    for each in verdict.unread:
        complain(each)
    return EXIT_FAILED if verdict.troubles or verdict.unread else 0


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class _Progress:
    """Tells on standard error how far it has come."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._is_terminal = sys.stderr.isatty()
        self._every = TELL_SECONDS if self._is_terminal else TELL_SECONDS_IN_A_LOG
        self._told_at = self._began
        self._has_line = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def tell(self, verdict: Verdict, total: int) -> None:
        now = time.monotonic()
        if now - self._told_at < self._every:
            return
        self._told_at = now
        troubles = f", {len(verdict.troubles)} would block" if verdict.troubles else ""
        line = f"{verdict.runs + verdict.left:,} of {total:,} runs, {verdict.events:,} events{troubles}"
        click.echo(f"\r\x1b[2K{line}" if self._is_terminal else line, nl=not self._is_terminal, err=True)
        self._has_line = self._is_terminal

    def end(self) -> None:
        if self._has_line:
            click.echo("\r\x1b[2K", nl=False, err=True)


def _print(verdict: Verdict, module: str, seconds: float, *, is_archive: bool) -> None:
    for troubles in _alike(verdict.troubles):
        first = troubles[0]
        click.echo(click.style(f"{_runs(len(troubles))} of {first.type} would block", fg="red"))
        for line in str(first.diff).splitlines():
            click.echo(f"  {line}")
        for each in troubles:
            at = f"seq {each.diff.seq}" if each.diff.seq else "its beginning"
            click.echo(f"    {each.id}   at {at}   {each.status}   (run {each.run_id})")
        click.echo()
    rate = f", {verdict.events / seconds:,.0f} events/s" if verdict.events >= 100_000 else ""
    click.echo(f"{_runs(verdict.runs)}, {verdict.events:,} events, replayed with {module} in {seconds:.1f} s{rate}")
    if verdict.freed:
        click.echo(f"{_runs(len(verdict.freed))} blocked today would go on: {', '.join(sorted(verdict.freed)[:20])}")
    if verdict.left and is_archive:
        click.echo(f"{_runs(verdict.left)} of workflows or versions that {module} does not have: passed over")
    elif verdict.left:
        click.echo(f"{_runs(verdict.left)} of versions that other workers serve: left to them")
    blocking = len(verdict.troubles)
    click.echo(f"{_runs(blocking)} would block" if blocking else "none would block")


def _runs(count: int) -> str:
    return f"{count:,} run" if count == 1 else f"{count:,} runs"


def _alike(troubles: Iterable[Trouble]) -> Iterator[list[Trouble]]:
    """Runs that would block for the same reason at the same line of code, the most of them first."""
    groups = [list(group) for _, group in groupby(sorted(troubles, key=_reason), key=_reason)]
    return iter(sorted(groups, key=len, reverse=True))


def _reason(trouble: Trouble) -> tuple[str, ...]:
    sites = [str(each.site) for each in trouble.diff.asked]
    what = [each.what for each in trouble.diff.asked]
    return trouble.type, trouble.diff.summary, trouble.diff.history, *sites, *what


def _as_data(verdict: Verdict, seconds: float) -> dict[str, Any]:
    return {
        "runs": verdict.runs,
        "events": verdict.events,
        "seconds": round(seconds, 3),
        "freed": sorted(verdict.freed),
        "left": verdict.left,
        "unread": list(verdict.unread),
        "troubles": [msgspec.to_builtins(each) for each in verdict.troubles],
    }
