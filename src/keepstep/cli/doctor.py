"""``keepstep doctor``: is everything set up and healthy here, and what to do if not."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator

import click
import msgspec

from keepstep.client.address import sqlite_path
from keepstep.client.engine import Engine
from keepstep.journal import Condition, InvalidInput, StoreUnavailable, is_surely_dead

from .command import EXIT_FAILED, EXIT_WRONG_USE
from .database import client, database_option, json_option, run
from .table import print_json, span

DISK_FREE_BYTES_MIN = 200 * 1024 * 1024
LOG_BYTES_MAX = 256 * 1024 * 1024
CLOCK_JUMP_SECONDS_MAX = 1.0


class Finding(msgspec.Struct, frozen=True):
    """One line of the report."""

    level: str
    """``ok``, ``warning`` or ``problem``."""
    what: str
    do: str = ""


@click.command("doctor")
@json_option
@database_option
def doctor_command(as_json: bool, url: str) -> int:
    """Check this installation and the database; exit code 1 if there is a problem."""
    return run(_examine(as_json, url))


async def _examine(as_json: bool, url: str) -> int:
    findings = [*_installation(), *_file(url)]
    missing = False
    try:
        async with client(url) as engine:
            findings += [each async for each in _database(engine)]
    except StoreUnavailable as error:
        missing = "does not exist" in str(error) or "no database" in str(error)
        findings.append(Finding("problem", str(error)))
    if as_json:
        print_json(findings)
    else:
        for each in findings:
            colour = {"ok": "green", "warning": "yellow", "problem": "red"}[each.level]
            click.echo(f"{click.style(each.level.rjust(8), fg=colour)}  {each.what}")
            if each.do:
                click.echo(f"          {each.do}")
    if missing:
        return EXIT_WRONG_USE
    return EXIT_FAILED if any(each.level == "problem" for each in findings) else 0


def _installation() -> list[Finding]:
    found = [
        Finding("ok", f"Python {platform.python_version()} on {platform.system()} ({sys.executable})"),
        Finding("ok", f"SQLite {sqlite3.sqlite_version}"),
    ]
    for extra, module in (("server", "starlette"), ("pydantic", "pydantic")):
        if importlib.util.find_spec(module) is not None:
            found.append(Finding("ok", f"extra [{extra}] is installed"))
        else:
            found.append(Finding("ok", f"extra [{extra}] is not installed", f"pip install 'keepstep[{extra}]' adds it"))
    return found


def _file(url: str) -> list[Finding]:
    try:
        path = sqlite_path(url).absolute()
    except InvalidInput:
        return []
    if not path.exists():
        return []
    found = [Finding("ok", f"database {path}, {path.stat().st_size / 1e6:.1f} MB")]
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        found.append(Finding("problem", "the database or its folder is not writable", f"give yourself rights: {path}"))
    free = shutil.disk_usage(path.parent).free
    if free < DISK_FREE_BYTES_MIN:
        found.append(
            Finding("problem", f"only {free / 1e6:.0f} MB are free on its disk", "make room; runs wait until then")
        )
    else:
        found.append(Finding("ok", f"{free / 1e9:.1f} GB free on its disk"))
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        size = log.stat().st_size / 1e6
        found.append(
            Finding("warning", f"the write-ahead log has {size:.0f} MB", "a reader may be keeping it; close it")
        )
    return found


async def _database(engine: Engine) -> AsyncIterator[Finding]:
    jump = engine.journal.clock.jump() / 1e6
    if abs(jump) > CLOCK_JUMP_SECONDS_MAX:
        what = f"the wall clock is {abs(jump):.1f} s {'ahead of' if jump > 0 else 'behind'} engine time"
        yield Finding("warning", what, "it was moved since this machine started; waits keep their length")
    else:
        yield Finding("ok", "the wall clock and engine time agree")
    all_leases = await engine.journal.list_leases()
    leases = [each for each in all_leases if not is_surely_dead(each.lease.process)]
    if len(leases) < len(all_leases):
        gone = len(all_leases) - len(leases)
        yield Finding("ok", f"{gone} workers are gone", "what they had goes on as soon as another worker is there")
    for each in leases:
        process, queues = each.lease.process, ", ".join(each.lease.queues)
        yield Finding(
            "ok",
            f"worker {process.pid} on {process.host}: queues {queues}; {each.runs_held} runs, {each.tasks_held} steps",
        )
    open_runs = await engine.count("Status = 'running'")
    if open_runs and not leases:
        yield Finding("problem", f"{open_runs} runs are open and no worker is there", "keepstep worker MODULE")
    else:
        yield Finding("ok", f"{open_runs} runs are open, {len(leases)} workers are there")
    for condition, do in _ATTENTION.items():
        count = await engine.count(f"Status = 'running' AND Condition = '{condition}'")
        if count:
            filter = f"Condition = '{condition}'"
            yield Finding("warning", f"{count} runs are {condition}", f'{do}: keepstep list "{filter}"')
    definitions = [each for each in await engine.journal.list_definitions(engine.namespace) if each.kind == "workflow"]
    if definitions:
        newest = max(each.published_at for each in definitions)
        age = span((engine.journal.clock.now() - newest) / 1e6)
        yield Finding("ok", f"{len(definitions)} workflows are published, the last {age} ago")
    else:
        yield Finding("ok", "no workflows are published yet", "the first worker publishes its workflows")


_ATTENTION = {
    Condition.BLOCKED: "deploy code that fits their history",
    Condition.UNCERTAIN: "say what happened with keepstep resolve",
    Condition.QUARANTINED: "mend the cause, then keepstep retry",
}
