"""``keepstep promote`` with real processes: workers that live, sleep and wake up, and a move that is killed."""

from __future__ import annotations

import asyncio
import fcntl
import random
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from keepstep.journal import Timer
from keepstep.journal.postgres import open_postgres
from keepstep.journal.sqlite import open_sqlite
from tests.cli.command import Command
from tests.journal.scene import START, event, new_run

ORDER = '{"id": 7, "item": "tea"}'
FROM = "sqlite:///runs.db"

KILLS_MAX = 60


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    return Command(tmp_path)


def password_of(url: str) -> str:
    password = urlsplit(url).password
    assert password
    return password


def test_a_process_begun_on_sqlite_ends_on_postgresql(keepstep: Command, postgres_url: str) -> None:
    with keepstep.worker():
        assert keepstep("start", "buy", "--input", ORDER, "--id", "order-7").returncode == 0
        keepstep.until(lambda: "charge_order" in keepstep("history", "order-7").stdout)
        keepstep.until(lambda: keepstep("tasks").stdout.count("pick it") == 1)
    moved = keepstep("promote", "--from", FROM, "--to", postgres_url)
    assert moved.returncode == 0, moved.stderr
    assert moved.stdout.startswith("promoted; 1 runs, ")
    assert "compare runs: 1 of 1 (100%)" in moved.stderr
    there = ("--db", postgres_url)
    with keepstep.worker(*there):
        [task] = keepstep.json("tasks", *there)
        assert keepstep("complete", task["token"], '"Ann"', *there).returncode == 0
        assert keepstep("signal", "order-7", "pieces", "3", *there).returncode == 0
        ended = keepstep("start", "buy", "--input", ORDER, "--id", "order-7", "--wait", *there)
    assert ended.stdout.splitlines()[-1] == '"charged 7, 3 picked by Ann"'
    history = keepstep("history", "order-7", *there).stdout
    assert history.count("charge_order") == 1


@pytest.mark.parametrize("command", [("list",), ("worker", "app"), ("start", "buy", "--input", ORDER), ("doctor",)])
def test_every_command_is_told_where_the_journal_has_gone_and_never_the_password(
    keepstep: Command, postgres_url: str, command: tuple[str, ...]
) -> None:
    keepstep("start", "buy", "--input", ORDER)
    moved = keepstep("promote", "--from", FROM, "--to", postgres_url)
    assert moved.returncode == 0, moved.stderr
    refused = keepstep(*command)
    said = refused.stdout + refused.stderr
    assert refused.returncode == (1 if command == ("doctor",) else 2)
    assert "this journal was promoted to postgresql://postgres@127.0.0.1" in said
    assert "open that one" in said
    assert password_of(postgres_url) not in said + moved.stdout + moved.stderr
    assert password_of(postgres_url).encode() not in (keepstep.folder / "runs.db").read_bytes()


def test_a_worker_that_lives_is_named_and_goes_on(keepstep: Command, postgres_url: str) -> None:
    with keepstep.worker() as worker:
        refused = keepstep("promote", "--from", FROM, "--to", postgres_url)
        assert refused.returncode == 2
        assert f"is at work: worker {worker.pid} on " in refused.stderr
        assert "(app), queues default" in refused.stderr
        assert keepstep("start", "break_down", "--wait").returncode == 1  # it failed, as it should


def test_a_worker_that_was_suspended_cannot_write_when_it_wakes_up(keepstep: Command, postgres_url: str) -> None:
    worker = keepstep.begin("worker", "app", "--lease-seconds", "1")
    try:
        keepstep("start", "buy", "--input", ORDER, "--id", "order-7")
        keepstep.until(lambda: "charge_order" in keepstep("history", "order-7").stdout)
        _suspend(worker, keepstep.folder / "runs.db-write")
        moved = keepstep("promote", "--from", FROM, "--to", postgres_url, "--wait")
        assert moved.returncode == 0, moved.stderr
        before = _rows(keepstep.folder / "runs.db")
        worker.send_signal(signal.SIGCONT)
        _, said = worker.communicate(timeout=30)
        assert worker.returncode == 2
        assert "this journal was promoted to postgresql://" in said.splitlines()[-1]
        assert _rows(keepstep.folder / "runs.db") == before
    finally:
        worker.kill()
        worker.wait()


def _suspend(worker: subprocess.Popen[str], write_lock: Path) -> None:
    """Suspend a worker while it is not writing: whoever is, keeps everybody else from it."""
    with write_lock.open() as lock:
        while True:
            worker.send_signal(signal.SIGSTOP)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                worker.send_signal(signal.SIGCONT)
            else:
                fcntl.flock(lock, fcntl.LOCK_UN)
                return


def _rows(path: Path) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    try:
        return [
            *db.execute("SELECT run_id, status, owner, epoch, bumps FROM runs"),
            *db.execute("SELECT * FROM events"),
        ]
    finally:
        db.close()


RUNS, EVENTS = 1500, 20


async def _fill(path: Path) -> None:
    journal = await open_sqlite(path)
    try:
        for begin in range(0, RUNS, 500):
            await asyncio.gather(
                *(
                    journal.start(
                        new_run(
                            f"order-{n}",
                            events=tuple(event(key=f"step#{k}", data=b"x" * 50) for k in range(EVENTS)),
                            timers=(Timer("sleep", START),),
                        )
                    )
                    for n in range(begin, begin + 500)
                )
            )
    finally:
        await journal.close()


def test_killed_again_and_again_it_ends_with_everything_there_once(keepstep: Command, postgres_url: str) -> None:
    asyncio.run(_fill(keepstep.folder / "runs.db"))
    chance, kills, seconds = random.Random(5), 0, 0.2
    while True:
        moving = keepstep.begin("promote", "--from", FROM, "--to", postgres_url)
        begun = time.monotonic()
        assert moving.stderr is not None
        moving.stderr.readline()  # it has begun
        pause = chance.uniform(0, 0.7 * seconds) if kills >= 2 else 0.0  # the first two come before it can be done
        if kills >= KILLS_MAX or _ends_within(moving, pause):
            break
        moving.kill()
        moving.communicate()
        seconds, kills = max(seconds, time.monotonic() - begun), kills + 1
    moving.communicate(timeout=60)
    assert moving.returncode == 0
    assert kills >= 2
    with psycopg.connect(postgres_url) as db:
        db.execute("SET search_path TO keepstep")
        assert db.execute("SELECT count(*), count(DISTINCT run_id) FROM runs").fetchone() == (RUNS, RUNS)
        assert db.execute("SELECT count(*) FROM events").fetchone() == (RUNS * EVENTS,)
        assert db.execute("SELECT count(*) FROM timers").fetchone() == (RUNS,)


def _ends_within(process: subprocess.Popen[str], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


async def _make(url: str) -> None:
    await (await open_postgres(url)).close()


SPOIL = """
CREATE FUNCTION keepstep.spoil() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.status_text := 'spoilt'; RETURN NEW; END $$;
CREATE TRIGGER spoil BEFORE INSERT ON keepstep.runs FOR EACH ROW WHEN (NEW.workflow_id = 'order-7')
    EXECUTE FUNCTION keepstep.spoil()
"""


def test_what_arrives_otherwise_than_it_left_is_named_and_can_be_taken_back(
    keepstep: Command, postgres_url: str
) -> None:
    for id in ("order-6", "order-7"):
        keepstep("start", "buy", "--input", ORDER, "--id", id)
    asyncio.run(_make(postgres_url))
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(SPOIL)
        move = ("promote", "--from", FROM, "--to", postgres_url)
        failed = keepstep(*move)
        assert failed.returncode == 1
        assert "('order-7'): runs differ" in failed.stderr
        assert "order-6" not in failed.stderr
        assert "take it back with --abort" in failed.stderr
        assert keepstep("list", "--db", postgres_url).returncode == 2  # nothing was handed over
        assert keepstep(*move, "--abort").stdout == "taken back: the journal is where it was\n"
        assert "order-7" in keepstep("list").stdout
        db.execute("DROP TRIGGER spoil ON keepstep.runs")
        assert keepstep(*move).returncode == 0


def test_what_was_used_there_is_not_taken_back(keepstep: Command, postgres_url: str) -> None:
    keepstep("start", "buy", "--input", ORDER, "--id", "order-7")
    move = ("promote", "--from", FROM, "--to", postgres_url)
    assert keepstep(*move).returncode == 0
    assert keepstep("signal", "order-7", "pieces", "3", "--db", postgres_url).returncode == 0
    refused = keepstep(*move, "--abort")
    assert refused.returncode == 1
    assert "was used since, so the journal stays there" in refused.stderr
    assert keepstep("list").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", FROM, "--to", "postgresql://h/d", "--force"), "--force belongs to --abort"),
        (("--from", FROM, "--to", "postgresql://h/d", "--abort", "--wait"), "--wait does not go with --abort"),
        (("--from", FROM), "Missing option '--to'"),
        (("--from", FROM, "--to", "postgresql://u:secret@127.0.0.1:1/d"), "does not exist"),
    ],
)
def test_wrong_use_is_said_in_one_line(keepstep: Command, arguments: tuple[str, ...], said: str) -> None:
    refused = keepstep("promote", *arguments)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert said in line
    assert "secret" not in line


def test_a_server_that_does_not_answer_is_named_without_its_password(keepstep: Command) -> None:
    keepstep("start", "buy", "--input", ORDER, "--id", "order-7")
    refused = keepstep("promote", "--from", FROM, "--to", "postgresql://u:secret@127.0.0.1:1/d")
    assert refused.returncode == 2
    assert "postgresql://u@127.0.0.1:1/d?schema=keepstep cannot be used" in refused.stderr
    assert "secret" not in refused.stderr
    assert "order-7" in keepstep("list").stdout  # it has not begun to leave
