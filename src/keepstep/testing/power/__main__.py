"""``python -m keepstep.testing.power``: so many power cuts, and with ``--faults`` a disk that fails at every call.

Its last line is a ``Score`` (see ``keepstep.testing.scoreboard``); it exits with 1 if anything was lost, corrupt or
wrong. A disk that does not keep its word (``--plant no-sync``) and ``--synchronous NORMAL`` must make it exit with 1.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import cast

import click

from keepstep.journal.sqlite import connection
from keepstep.journal.sqlite.connection import Synchronous
from keepstep.testing.scoreboard import Score

from .cuts import Cut, Setting, cut_power, replay_cut
from .engine import EngineLife, fail_engine
from .engine import misbehaviour as engine_misbehaviour
from .faults import Fault, TroubledLife, fail_calls, try_fault
from .inspection import Finding, Kind, enter
from .life import folder_in_memory
from .report import PowerReport
from .succession import take_over, try_succession
from .vfs import PLANTS

BUSY_MILLISECONDS = 200


def torture(
    *, cuts: int, seed: int, faults: bool, synchronous: str = "FULL", plant: str | None = None, every: int = 1
) -> PowerReport:
    """Cuts first, then every fault of the enumeration (or every n-th one)."""
    setting = Setting(cast("Synchronous", synchronous), plant)
    parts: list[tuple[str, Awaitable[None]]] = []
    report, began = PowerReport(seed=seed), time.monotonic()
    if cuts:
        parts.append(("power cuts", cut_power(cuts, setting, report, _tell)))
    if faults:
        parts.append(("a failing disk under a journal", fail_calls(report, _tell, every=every)))
        parts.append(("a failing disk under an engine", fail_engine(report, _tell, every=every)))
        parts.append(("a failing disk, and a process that dies of it", take_over(report, _tell, every=every)))
    with _impatient():
        asyncio.run(_one_after_the_other(parts, report))
    report.seconds = time.monotonic() - began
    return report


async def _one_after_the_other(parts: list[tuple[str, Awaitable[None]]], report: PowerReport) -> None:
    for name, part in parts:
        print(f"power: {name}", file=sys.stderr, flush=True)
        await part
        _tell(report)


def _tell(report: PowerReport) -> None:
    print(f"power: {report.describe()}", file=sys.stderr, flush=True)


@contextmanager
def _impatient() -> Iterator[None]:
    """Nobody else holds these files: whoever waits for a lock (which SQLite believes in where a file is damaged enough)
    waits for nothing."""
    patience = connection.BUSY_MILLISECONDS
    connection.BUSY_MILLISECONDS = BUSY_MILLISECONDS
    try:
        yield
    finally:
        connection.BUSY_MILLISECONDS = patience


async def _again(cut: str | None, fault: str | None, engine_fault: str | None, succession: int | None,
                 setting: Setting) -> PowerReport:  # fmt: skip
    """Make one thing again that was found."""
    report = PowerReport()
    findings: list[Finding | None] = []
    with folder_in_memory() as folder:
        if cut is not None:
            report.cuts += 1
            findings.append(await replay_cut(Cut.parse(cut), setting))
        if fault is not None:
            calm = await asyncio.to_thread(TroubledLife, None)
            findings += await try_fault(Fault.parse(fault).check(calm.trouble.calls), calm, folder, report)
        if engine_fault is not None:
            report.faults += 1
            calm_engine = await asyncio.to_thread(EngineLife, None)
            one = Fault.parse(engine_fault).check(calm_engine.trouble.calls)
            wrong = engine_misbehaviour(await asyncio.to_thread(EngineLife, one), calm_engine)
            findings.append(None if wrong is None else Finding(Kind.MISBEHAVED, wrong))
        if succession is not None:
            calm = await asyncio.to_thread(TroubledLife, None)
            findings += await try_succession(succession, calm, folder, report)
    for finding in findings:
        if finding is not None:
            enter(report, finding, " ".join(sys.argv[1:]))
    return report


def _plants() -> str:
    return "; ".join(f"{name}: {words}" for name, words in PLANTS.items()) + "."


@click.command(name="python -m keepstep.testing.power")
@click.option("--cuts", default=0, help="How many power cuts. A life has about a thousand.")
@click.option(
    "--seed", default=1, show_default=True, help="The seed of the first life; the next one's is greater by 1."
)
@click.option("--synchronous", type=click.Choice(["FULL", "NORMAL"]), default="FULL", show_default=True)
@click.option("--plant", type=click.Choice(list(PLANTS)), help=f"A defect that must be found. {_plants()}")
@click.option("--faults", is_flag=True, help="Let every write, sync, truncate, open and delete fail, in every way.")
@click.option("--every", default=1, show_default=True, help="Only every n-th fault of the enumeration.")
@click.option("--cut", help="Only this one: SEED.PLACE.DRAW, as a finding is called.")
@click.option("--fault", help="Only this one: CALL.MANNER.WHILE.")
@click.option("--engine-fault", help="Only this one, under an engine: CALL.MANNER.WHILE.")
@click.option("--succession", type=int, help="Only this one: the number of the call.")
def main(
    cuts: int,
    seed: int,
    synchronous: str,
    plant: str | None,
    faults: bool,
    every: int,
    cut: str | None,
    fault: str | None,
    engine_fault: str | None,
    succession: int | None,
) -> None:
    """Cut the power under the real SQLite store, and let its disk fail."""
    if any(one is not None for one in (cut, fault, engine_fault, succession)):
        setting = Setting(cast("Synchronous", synchronous), plant)
        try:
            with _impatient():
                report = asyncio.run(_again(cut, fault, engine_fault, succession, setting))
        except ValueError as refused:
            raise click.UsageError(str(refused)) from refused
    elif cuts or faults:
        report = torture(cuts=cuts, seed=seed, faults=faults, synchronous=synchronous, plant=plant, every=every)
    else:
        raise click.UsageError("nothing to do; say --cuts N, --faults or both")
    for line in report.replay:
        print(line)
    print(_score(report).line())
    sys.exit(1 if report.findings else 0)


def _score(report: PowerReport) -> Score:
    counts = {
        "acknowledged commits looked for": report.acknowledged,
        "power cuts in recovery": report.cuts_in_recovery,
        "disk faults": report.faults,
        "lost": report.lost,
        "corrupt": report.corrupt,
        "misbehaved": report.misbehaved,
    }
    return Score(
        part="power",
        tried=report.cuts,
        lost=report.findings,
        seeds=(report.seed, report.seed + report.lives - 1) if report.lives else None,
        unit="power cuts",
        seconds=report.seconds,
        replay=report.replay,
        counts=dict(counts),
    )


if __name__ == "__main__":
    main()
