"""``keepstep schedules`` in real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keepstep import Engine
from tests.cli.command import Command
from tests.schedules.killed_worker import fire_where_a_worker_is_killed


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    async def make() -> None:
        async with Engine(f"sqlite:///{tmp_path / 'runs.db'}", workers=False) as engine:
            await engine.schedule(
                "mornings", fire_where_a_worker_is_killed, 1, cron="0 9 * * MON-FRI", tz="Europe/Berlin", note="new"
            )

    asyncio.run(make())
    return Command(tmp_path)


def test_schedules_are_listed_and_shown(keepstep: Command) -> None:
    listed = keepstep("schedules", "list").stdout
    assert "0 9 * * MON-FRI (Europe/Berlin)" in listed
    [info] = keepstep.json("schedules", "list")
    assert (info["id"], info["paused"], len(info["upcoming"])) == ("mornings", False, 10)
    shown = keepstep("schedules", "show", "mornings").stdout
    assert shown.startswith("mornings  fire_where_a_worker_is_killed  active")
    assert shown.count("next ") == 10
    assert keepstep.json("list") == []


def test_a_schedule_is_paused_triggered_backfilled_resumed_and_deleted(keepstep: Command) -> None:
    assert keepstep("schedules", "pause", "mornings", "--note", "holidays").stdout == "mornings: paused\n"
    assert "holidays" in keepstep("schedules", "list").stdout
    assert keepstep("schedules", "trigger", "mornings", "--overlap", "allow").stdout.startswith("mornings-trigger-")
    for no_time in ("yesterday", "2026-01-01", "2026-01-01T00:00"):
        refused = keepstep("schedules", "backfill", "mornings", "--from", no_time, "--to", "2026-01-09T00:00Z")
        assert refused.returncode == 2
        assert f"'{no_time}' is not a time with its zone, such as 2026-11-27T09:00+01:00" in refused.stderr
    made_up = keepstep(
        "schedules", "backfill", "mornings", "--from", "2026-01-01T00:00+0000", "--to", "2026-01-09T00:00Z"
    )
    assert made_up.stdout == "mornings: makes them up\n"
    info = keepstep.json("schedules", "show", "mornings")
    assert (info["paused"], info["note"], info["asked"]) == (True, "holidays", 2)
    assert keepstep("schedules", "resume", "mornings").returncode == 0
    assert keepstep("schedules", "delete", "mornings").stdout == "mornings: deleted\n"
    told = keepstep("history", "mornings").stdout
    assert told == keepstep("schedules", "history", "mornings").stdout
    assert "created: starts fire_where_a_worker_is_killed at 0 9 * * MON-FRI (Europe/Berlin), overlap skip" in told
    kinds = [each["kind"] for each in keepstep.json("history", "mornings")]
    assert kinds == ["created", "paused", "triggered", "backfilled", "resumed", "deleted"]
    nobody = keepstep("history", "evenings")
    assert (nobody.returncode, nobody.stderr.partition(" in ")[0]) == (2, "keepstep: there is no run 'evenings'")
    gone = keepstep("schedules", "show", "mornings")
    assert (gone.returncode, gone.stderr) == (
        2,
        "keepstep: there is no schedule with the id 'mornings' in namespace 'default'\n",
    )
