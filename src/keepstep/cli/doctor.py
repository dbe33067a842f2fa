"""``keepstep doctor``: is everything set up and healthy here, and what to do if not."""

from __future__ import annotations

import importlib.util
import platform
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator

import click

from keepstep.client.engine import Engine
from keepstep.journal import Condition, LeaseState, SchemaTooNew, StoreUnavailable, is_surely_dead

from .access_findings import look_at_access, look_at_ui
from .command import EXIT_FAILED, EXIT_WRONG_USE
from .database import client, database_option, json_option, run
from .file_findings import file_of, look_at_file
from .finding import Finding
from .operation_findings import look_at_operation
from .postgres_findings import is_postgres, look_at_postgres
from .sealing_findings import look_at_codec
from .table import print_json, span

CLOCK_JUMP_SECONDS_MAX = 1.0
RUNS_LOOKED_AT_MAX = 10_000
"""Open runs, newest first, whose queues and parked steps are looked at."""

EXTRAS = {
    "server": ("starlette", "uvicorn", "httpx2", "watchfiles"),
    "oidc": ("jwt", "cryptography", "httpx2"),
    "postgres": ("psycopg",),
    "sync": ("greenlet",),
    "remote": ("httpx2",),
    "pydantic": ("pydantic",),
    "crypto": ("cryptography",),
    "s3": ("obstore",),
    "metrics": ("prometheus_client",),
    "otel": ("opentelemetry",),
}
"""What each extra brings."""

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("doctor")
@json_option
@database_option
def doctor_command(as_json: bool, url: str) -> int:
    """Check this installation and the database; exit code 1 if there is a problem."""
    return run(_examine(as_json, url))


async def _examine(as_json: bool, url: str) -> int:
    file = file_of(url)
    findings = [*_installation(), *look_at_ui(), *look_at_codec()]
    if any(each.level == "problem" for each in findings):
        _print(findings, as_json)
        return EXIT_FAILED
    is_missing = file is not None and not file.exists()
    try:
        async with client(url) as engine:
            findings += [] if file is None else look_at_file(file)
            findings += look_at_postgres(url) if is_postgres(url) else []
            findings += [each async for each in _database(engine)]
            findings += [each async for each in look_at_operation(engine)]
        findings += [each async for each in look_at_access(url)]
    except (StoreUnavailable, SchemaTooNew) as error:
        findings.append(Finding("problem", str(error)))
    _print(findings, as_json)
    if is_missing:
        return EXIT_WRONG_USE
    return EXIT_FAILED if any(each.level == "problem" for each in findings) else 0


def _print(findings: list[Finding], as_json: bool) -> None:
    if as_json:
        print_json(findings)
        return
    for each in findings:
        click.echo(f"{click.style(each.level.rjust(8), fg=COLOURS[each.level])}  {each.what}")
        if each.do:
            click.echo(f"          {each.do}")


def _installation() -> list[Finding]:
    found = [
        Finding("ok", f"Python {platform.python_version()} on {platform.system()} ({sys.executable})"),
        Finding("ok", f"SQLite {sqlite3.sqlite_version}"),
    ]
    for extra, modules in EXTRAS.items():
        if all(importlib.util.find_spec(each) is not None for each in modules):
            found.append(Finding("ok", f"extra [{extra}] is installed"))
        else:
            found.append(Finding("ok", f"extra [{extra}] is not installed", f"pip install 'keepstep[{extra}]' adds it"))
    return found


async def _database(engine: Engine) -> AsyncIterator[Finding]:
    yield _clock(engine)
    leases = await engine.journal.list_leases()
    living = [each for each in leases if not is_surely_dead(each.lease.process)]
    if len(living) < len(leases):
        gone = len(leases) - len(living)
        what = "1 worker has died" if gone == 1 else f"{gone} workers have died"
        yield Finding("ok", f"{what} of late", "what it had goes on as soon as another worker is there")
    for each in living:
        yield _worker(each)
    async for finding in _open_runs(engine, living):
        yield finding
    for condition, do in _ATTENTION.items():
        count = await engine.count(f"Status = 'running' AND Condition = '{condition}'")
        if count:
            yield Finding(
                "warning", f"{_runs(count)} {condition}", f"{do}: keepstep list \"Condition = '{condition}'\""
            )
    yield await _definitions(engine)


def _clock(engine: Engine) -> Finding:
    jump = engine.journal.clock.jump() / 1e6
    if abs(jump) <= CLOCK_JUMP_SECONDS_MAX:
        return Finding("ok", "the wall clock and engine time agree")
    what = f"the wall clock is {abs(jump):.1f} s {'ahead of' if jump > 0 else 'behind'} engine time"
    return Finding("warning", what, "it was moved since this machine started; waits keep their length")


def _worker(state: LeaseState) -> Finding:
    process, queues = state.lease.process, ", ".join(state.lease.queues)
    has = f"{_counted(state.runs_held, 'run')}, {_counted(state.tasks_held, 'step')}"
    label = f" ({state.lease.label})" if state.lease.label else ""
    return Finding("ok", f"worker {process.pid} on {process.host}{label}: queues {queues}; {has}")


async def _open_runs(engine: Engine, living: list[LeaseState]) -> AsyncIterator[Finding]:
    """Are there workers for all that is open, and has an undo given up?"""
    total = await engine.count("Status = 'running'")
    workers = "1 worker is" if len(living) == 1 else f"{len(living)} workers are"
    yield Finding("ok", f"{_runs(total)} open; {workers} there")
    served = {queue for each in living for queue in each.lease.queues}
    unserved: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    published = await engine.published.workflows()
    stranded: Counter[tuple[str, str]] = Counter()
    exhausted = 0
    async for info in engine.list("Status = 'running'", RUNS_LOOKED_AT_MAX):
        queues = {each.queue for each in info.waiting_for if each.queue}
        if not info.version:
            queues.add(info.queue)
        elif info.offered_on not in served:
            stranded[info.type, info.version] += 1
        unserved.update(queues - served)
        unknown[info.type] += info.type not in published
        exhausted += any(each.parked == "undo_exhausted" for each in info.waiting_for)
    for queue, count in sorted(unserved.items()):
        option = "" if queue == "default" else f" --queue {queue}"
        what = f"no worker serves queue {queue!r}, and {_runs(count)} waiting for it"
        yield Finding("problem", what, f"keepstep worker MODULE{option}")
    for (name, version), count in sorted(stranded.items()):
        what = f"no worker serves version {version!r} of workflow {name!r}, and {_runs(count)} waiting for it"
        do = f"start a worker that has it, or have a newer version go on: continues=[{version!r}]"
        yield Finding("problem", what, do)
    for name in sorted(name for name, count in unknown.items() if count and published):
        what = f"no worker has published workflow {name!r}, and {_runs(unknown[name])} waiting for it"
        yield Finding("problem", what, "start a worker that has it, or keepstep terminate ID")
    if exhausted:
        do = "mend the cause, then keepstep retry ID: keepstep list \"Condition = 'compensating'\""
        yield Finding("warning", f"{_runs(exhausted)} parked because an undo has used up its attempts", do)


async def _definitions(engine: Engine) -> Finding:
    published = await engine.published.workflows()
    if not published:
        return Finding("ok", "no workflows are published yet", "the first worker publishes its workflows")
    newest = max(each.published_at for each in published.values())
    age = span((engine.journal.clock.now() - newest) / 1e6)
    return Finding("ok", f"{_counted(len(published), 'workflow')} published, the last {age} ago")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _runs(count: int) -> str:
    return "1 run is" if count == 1 else f"{count} runs are"


_ATTENTION = {
    Condition.BLOCKED: "deploy code that fits their history",
    Condition.UNCERTAIN: "say what happened with keepstep resolve",
    Condition.PAUSED: "keepstep resume ID lets one go on",
    Condition.QUARANTINED: "mend the cause, then keepstep retry ID",
}
