"""A failing disk: the store waits, reports, goes on by itself, loses nothing, and does nothing twice."""

from __future__ import annotations

import asyncio

import pytest

from keepstep.journal.sqlite.flush import Flusher
from keepstep.journal.writing import writer
from keepstep.testing.power.engine import EngineLife, fail_engine
from keepstep.testing.power.faults import MANNERS, Fault, TroubledLife, enumerate_faults, fail_calls
from keepstep.testing.power.life import folder_in_memory
from keepstep.testing.power.report import PowerReport
from keepstep.testing.power.succession import take_over, try_succession
from keepstep.testing.power.vfs import Call, FileSystem

EVERY = 211
"""The whole enumeration is for ``python -m keepstep.testing.power --faults``."""


async def failing(every: int = EVERY) -> PowerReport:
    report = PowerReport()
    await fail_calls(report, lambda _: None, every=every)
    return report


async def test_a_journal_on_a_failing_disk_waits_and_ends_as_if_nothing_had_been() -> None:
    report = await failing()
    assert report.replay == []
    assert report.faults > 10
    assert report.cuts > 40


async def test_an_engine_on_a_failing_disk_does_every_step_once_and_ends() -> None:
    report = PowerReport()
    await fail_engine(report, lambda _: None, every=EVERY)
    assert report.replay == []
    assert report.faults > 8


async def test_an_heir_of_a_process_that_died_of_a_failed_sync_builds_on_what_is_on_the_disk() -> None:
    report = PowerReport()
    await take_over(report, lambda _: None, every=67)
    assert report.replay == []
    assert report.faults > 3


async def test_an_heir_that_trusts_the_kernels_cache_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FileSystem, "sync_and_evict", lambda self, name: None)
    calm, report = await asyncio.to_thread(TroubledLife, None), PowerReport()
    syncs = [number for number, call in enumerate(calm.trouble.calls) if call is Call.SYNC]
    with folder_in_memory() as folder:
        findings = [await try_succession(number, calm, folder, report) for number in syncs[::6]]
    assert any(findings)


async def test_a_store_that_takes_a_failed_commit_for_one_that_happened_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def believe(self: Flusher) -> bool:
        self.is_in_doubt = False
        return True

    monkeypatch.setattr(Flusher, "_has_happened", believe)
    report = await failing()
    assert report.misbehaved


async def test_a_store_that_does_not_report_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer.log, "error", lambda *_: None)
    monkeypatch.setattr(writer.log, "warning", lambda *_: None)
    report = await failing()
    assert any("nothing was reported" in line for line in report.replay)


async def test_a_store_that_gives_up_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flusher, "passing_trouble", lambda flusher, error: None)
    report = await failing()
    assert any("it ended with" in line for line in report.replay)


async def test_every_kind_of_call_is_made_to_fail_in_every_way() -> None:
    calm = await asyncio.to_thread(TroubledLife, None)
    assert set(calm.trouble.calls) == set(Call)
    faults = list(enumerate_faults(calm.trouble.calls))
    assert {fault.call for fault in faults} == set(range(len(calm.trouble.calls)))
    assert {(fault.manner, fault.lasts) for fault in faults} == {
        (manner.name, lasts) for manner in MANNERS for lasts in (False, True)
    }
    engine = await asyncio.to_thread(EngineLife, None)
    assert engine.error is None
    assert {Call.WRITE, Call.SYNC} <= set(engine.trouble.calls)


async def test_a_fault_strikes_where_it_was_planned_and_is_felt() -> None:
    calm = await asyncio.to_thread(TroubledLife, None)
    sync = [number for number, call in enumerate(calm.trouble.calls) if call is Call.SYNC][-8]
    life = await asyncio.to_thread(TroubledLife, Fault(sync, "fsync", True))
    assert life.trouble.struck_at is not None
    assert life.failures > 0
    assert life.is_reported
    assert life.last() == calm.last()


@pytest.mark.parametrize("text", ["17.fsync.once", "3.short-full.while"])
def test_a_fault_is_read_as_it_is_written(text: str) -> None:
    assert str(Fault.parse(text)) == text


@pytest.mark.parametrize("text", ["17.fsync", "17.flood.once", "17.fsync.twice"])
def test_what_names_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"fault|unpack"):
        Fault.parse(text)


async def test_an_engine_makes_the_same_calls_every_time() -> None:
    one, other = [await asyncio.to_thread(EngineLife, None) for _ in range(2)]
    assert one.error is None
    assert one.trouble.calls == other.trouble.calls
