"""Power cuts under the real store: nothing acknowledged is lost, no file is corrupt; and losses would be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keepstep.journal.deciding.picture import Picture
from keepstep.journal.sqlite import connection
from keepstep.testing import power
from keepstep.testing.power.cuts import Cut, Setting, cut_power, replay_cut
from keepstep.testing.power.inspection import Kind
from keepstep.testing.power.life import Life
from keepstep.testing.power.report import FINDINGS_MAX, PowerReport
from keepstep.testing.power.vfs import NO_FOLDER_SYNC, NO_SYNC

CUTS = 300


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else holds these files."""
    monkeypatch.setattr(connection, "BUSY_MILLISECONDS", 50)


async def cut(cuts: int = CUTS, seed: int = 1, setting: Setting | None = None) -> PowerReport:
    report = PowerReport(seed=seed)
    await cut_power(cuts, setting or Setting(), report, lambda _: None)
    return report


async def test_no_power_cut_loses_what_was_acknowledged_or_spoils_the_file() -> None:
    report = await cut()
    assert report.replay == []
    assert report.cuts >= CUTS
    assert report.cuts_in_recovery >= CUTS // 10
    assert report.acknowledged > CUTS // 2  # each writes several pages, those of indexes among them


def test_a_program_is_told_the_counts() -> None:
    report = power.run(cuts=30, seed=3)
    assert (report.findings, report.lives, report.seed) == (0, 1, 3)
    assert report.cuts >= 30


async def test_a_store_that_does_not_sync_its_commits_is_found_out() -> None:
    """``synchronous=NORMAL`` promises less: the newest commits may be lost, but nothing is corrupt."""
    report = await cut(1000, setting=Setting("NORMAL"))
    assert report.lost >= FINDINGS_MAX
    assert report.corrupt == 0


async def test_a_disk_that_does_not_keep_its_word_is_found_out_and_a_finding_can_be_made_again() -> None:
    setting = Setting(plant=NO_SYNC)
    report = await cut(200, setting=setting)
    assert report.lost
    assert report.corrupt
    command = next(line for line in report.replay if "lost" in line)
    name = command.split("--cut ")[1].split(" ")[0]
    assert "--plant no-sync" in command
    again = await replay_cut(Cut.parse(name), setting)
    assert again is not None
    assert again.kind is Kind.LOST
    assert command.endswith(again.words)


async def test_names_that_are_not_made_durable_are_found_out() -> None:
    report = await cut(setting=Setting(plant=NO_FOLDER_SYNC))
    assert report.lost


async def test_a_store_that_keeps_half_of_a_commit_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    append: Callable[..., None] = Picture.append

    def forget_the_second(self: Picture, head: Any, events: Any) -> None:
        append(self, head, list(events)[:1])

    monkeypatch.setattr(Picture, "append", forget_the_second)
    at_the_end = Cut(seed=1, place=1_000_000, draw=0)
    finding = await replay_cut(at_the_end, Setting())
    assert finding is not None
    assert "entries" in finding.words


def test_a_life_of_the_same_seed_makes_the_same_calls() -> None:
    one, other = Life("7", steps=12), Life("7", steps=12)
    assert one.trace.operations == other.trace.operations
    assert one.trace.promises() == other.trace.promises()
    assert one.snapshots == other.snapshots
    assert Life("8", steps=12).trace.operations != one.trace.operations


@pytest.mark.parametrize("text", ["", "1.2", "1.2.3.4", "1.2.x"])
def test_what_names_no_cut_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cut|invalid literal"):
        Cut.parse(text)


@pytest.mark.parametrize("text", ["1.2.3", "1.2.3.4.5"])
def test_a_cut_is_read_as_it_is_written(text: str) -> None:
    assert str(Cut.parse(text)) == text
