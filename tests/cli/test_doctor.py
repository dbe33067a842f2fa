"""``keepstep doctor`` finds the usual mistakes, says what to do about each, and exits with 1 where one is a problem."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from keepstep import Engine
from keepstep.cli.access_findings import look_at_access
from keepstep.cli.postgres_findings import judge
from keepstep.journal.sqlite import filesystem
from tests.cli.command import Command, free_port


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    return Command(tmp_path)


def findings(command: Command, *options: str) -> dict[str, tuple[str, str]]:
    """Level and advice of each finding."""
    return {each["what"]: (each["level"], each["do"]) for each in command.json("doctor", *options)}


def one(found: dict[str, tuple[str, str]], part: str) -> tuple[str, str]:
    """The only finding that says that."""
    [told] = [value for what, value in found.items() if part in what]
    return told


def test_a_paused_queue_on_which_something_waits_and_late_failures_are_told(keepstep: Command) -> None:
    with keepstep.worker():
        keepstep("queues", "pause", "slow")
        keepstep("start", "never_ending", "--id", "stuck")
        keepstep("start", "break_down", "--wait")
        keepstep.until(lambda: any("paused, and 1 wait on it" in what for what in findings(keepstep)))
        found = findings(keepstep)
    assert one(found, "queue 'slow' is paused") == ("warning", "keepstep queues resume slow")
    level, do = one(found, "1 run has failed within the last hour")
    assert (level, "keepstep retry ID" in do) == ("warning", True)


def test_schedules_that_are_paused_or_whose_runs_fail_are_told(keepstep: Command) -> None:
    async def make() -> None:
        async with Engine(f"sqlite:///{keepstep.folder / 'runs.db'}", workers=False) as engine:
            await engine.schedule("asleep", "break_down", every="1h")
            await engine.schedule("over", "break_down", every="1h", end_at=datetime(2020, 1, 1, tzinfo=UTC))
            await engine.schedule("failing", "break_down", every="1h", overlap="allow")
            await engine.get_schedule("asleep").pause("holidays")

    with keepstep.worker():
        asyncio.run(make())
        for count in range(1, 4):
            keepstep("schedules", "trigger", "failing")
            ended = "WorkflowType = 'break_down' AND Status = 'failed' AND WorkflowId STARTS_WITH 'failing'"
            keepstep.until(lambda: len(keepstep.json("list", ended)) == count)  # noqa: B023 - waited for within the turn
        keepstep.until(lambda: any("have failed" in what for what in findings(keepstep)))
        found = findings(keepstep)
    assert one(found, "schedule 'asleep' is paused (holidays)") == ("ok", "keepstep schedules resume asleep")
    assert one(found, "schedule 'over' never fires again")[0] == "warning"
    level, do = one(found, "the last 3 runs of schedule 'failing' have failed")
    assert (level, do.startswith("keepstep show failing")) == ("warning", True)


def test_keys_that_never_expire_or_soon_do_are_told(keepstep: Command) -> None:
    for name, options in (("eternal", ()), ("short", ("--expires", "2d")), ("long", ("--expires", "90d"))):
        assert keepstep("keys", "create", name, "--role", "read", *options).returncode == 0
    found = findings(keepstep)
    level, do = one(found, "'eternal'")
    assert (level, "--expires 90d" in do) == ("warning", True)
    assert one(found, "'short'")[0] == "warning"
    assert not any("'long'" in what for what in found)


async def test_a_server_that_others_reach_without_tls_is_told_of() -> None:
    told = [each.what async for each in look_at_access("http://shop.example.org:8710")]
    assert ["without TLS" in what for what in told] == [True]
    for url in ("https://shop.example.org", "http://127.0.0.1:8710", "http://[::1]:8710"):
        assert [each async for each in look_at_access(url)] == []


def test_a_server_that_is_not_there_is_a_problem(keepstep: Command) -> None:
    keepstep.environment["KEEPSTEP_DB"] = f"http://127.0.0.1:{free_port()}"
    examined = keepstep("doctor")
    assert examined.returncode == 1
    assert "problem" in examined.stdout


def test_workers_of_one_module_on_different_code_are_told(keepstep: Command) -> None:
    with keepstep.worker():
        (keepstep.folder / "app.py").write_text(
            (keepstep.folder / "app.py").read_text() + "\n\n@workflow\nasync def added_by_a_deploy() -> None: ...\n"
        )
        with keepstep.worker():
            level, do = one(findings(keepstep), "workers of app run 2 different states of its code")
    assert (level, "restart" in do) == ("warning", True)


def test_a_network_file_system_is_a_problem(monkeypatch: pytest.MonkeyPatch, keepstep: Command) -> None:
    mounts = keepstep.folder / "mounts"
    mounts.write_text(f"server:/disk {keepstep.folder} nfs4 rw 0 0\n")
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)
    with pytest.raises(Exception, match="network file system"):
        filesystem.check_place(keepstep.folder / "runs.db", create=True)


SOUND = ("16.4", "on", "on", "on", 100, 12, 0, 1000.0)


@pytest.mark.parametrize(
    ("place", "value", "level", "said"),
    [
        (1, "off", "problem", "full_page_writes is off"),
        (2, "off", "problem", "autovacuum is off"),
        (3, "local", "ok", "synchronous_commit is local"),
        (5, 95, "warning", "nearly all"),
        (6, 2, "warning", "2 sessions have been idle in a transaction"),
        (7, 1005.0, "warning", "5.0 s ahead"),
        (7, 990.0, "warning", "10.0 s behind"),
    ],
)
def test_settings_and_the_clock_of_a_postgresql_server_are_judged(
    place: int, value: object, level: str, said: str
) -> None:
    told = list(judge((*SOUND[:place], value, *SOUND[place + 1 :]), 1000.0))[1:]
    assert [(each.level, said in each.what, bool(each.do)) for each in told] == [(level, True, True)]
    assert len(list(judge(SOUND, 1000.0))) == 1


def test_a_postgresql_server_is_asked(keepstep: Command, postgres_url: str) -> None:
    keepstep.environment["KEEPSTEP_DB"] = postgres_url
    keepstep("start", "anything")
    with psycopg.connect(postgres_url) as db:
        row = db.execute("SELECT current_setting('server_version')").fetchone()
        assert row is not None
    examined = findings(keepstep)
    assert one(examined, f"PostgreSQL {row[0]}")[0] == "ok"
