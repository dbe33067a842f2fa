"""What a person types, what comes back, and with which exit code."""

from __future__ import annotations

import signal
import socket
import sqlite3
from datetime import datetime
from pathlib import Path

import httpx2
import pytest

from keepstep.archive import decode_recording
from tests.cli.command import Command, free_port

ORDER = '{"id": 7, "item": "disc"}'


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    return Command(tmp_path)


def one_line(text: str) -> str:
    """The single line of an error; a traceback would be more."""
    assert text.startswith("keepstep: ")
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("show", "x"), ("history", "x"), ("signal", "x", "go"), ("cancel", "x"), ("terminate", "x"),
     ("query", "x", "q"), ("update", "x", "u"), ("retry", "x"), ("pause", "x"), ("resume", "x"),
     ("resolve", "x", "k", "--value", "1"), ("tasks",),
     ("complete", "token")],
)  # fmt: skip
def test_a_missing_database_is_one_line_that_says_so(keepstep: Command, arguments: tuple[str, ...]) -> None:
    ran = keepstep(*arguments)
    assert ran.returncode == 2
    assert "does not exist" in one_line(ran.stderr)


def test_a_module_that_cannot_be_run_is_one_line_that_says_why(keepstep: Command) -> None:
    (keepstep.folder / "broken.py").write_text("import nothing_like_it\n")
    (keepstep.folder / "failing.py").write_text("x = 1\nraise RuntimeError('no')\n")
    (keepstep.folder / "empty.py").write_text("")
    (keepstep.folder / "leaving.py").write_text("import sys\nsys.exit(3)\n")
    (keepstep.folder / "json_inside.py").write_text("import json\njson.loads('{')\n")
    (keepstep.folder / "sub").mkdir()
    (keepstep.folder / "sub" / "types.py").write_text("")
    for module, said in (
        ("missing", "no module 'missing'"),
        ("broken", "broken.py:1"),
        ("failing", "RuntimeError: no at"),
        ("leaving.py", "SystemExit: 3 at"),
        ("json_inside", "json_inside.py:2"),
        ("nowhere/app.py", "no file nowhere/app.py"),
        ("sub/types.py", "rename the file"),
        ("empty", "no @workflow"),
    ):
        ran = keepstep("worker", module)
        assert ran.returncode == 2
        assert said in one_line(ran.stderr)
    ran = keepstep("worker", "app", "--http", "not-a-port")
    assert (ran.returncode, "[HOST:]PORT" in one_line(ran.stderr)) == (2, True)


def test_starts_are_checked_once_a_worker_has_published_what_it_serves(keepstep: Command) -> None:
    before = keepstep("start", "anything", "--input", "1")
    assert (before.returncode, "not checked" in before.stderr) == (0, True)
    with keepstep.worker():
        for arguments, said in (
            (("nothing",), "known are: Scales, break_down, buy, never_ending, pay_once, undo_all, wait_for_webhook"),
            (("buy",), "order"),
            (("buy", "--input", '{"id": "seven", "item": "x"}'), ".id"),
            (("buy", "--input", '{"id": 7'), "position 9"),
            (("buy", "--input", ORDER, "--input", '"a"', "--input", "3"), "argument"),
        ):
            ran = keepstep("start", *arguments)
            assert ran.returncode == 2
            assert said in one_line(ran.stderr)


def test_a_run_is_followed_from_start_to_end(keepstep: Command) -> None:
    with keepstep.worker():
        started = keepstep("start", "buy", "--input", ORDER, "--input", '"!"', "--id", "order-7")
        assert (started.returncode, started.stdout) == (0, "order-7\n")
        assert keepstep("start", "buy", "--input", ORDER, "--input", '"!"', "--id", "order-7").stdout == "order-7\n"
        other = keepstep("start", "buy", "--input", ORDER, "--id", "order-7")
        assert (other.returncode, "exists already" in one_line(other.stderr)) == (1, True)
        keepstep.until(lambda: bool(keepstep.json("tasks")))
        keepstep.until(lambda: "waits for a person: 'pick it'" in keepstep("show", "order-7").stdout)
        [task] = keepstep.json("tasks")
        unfit = keepstep("complete", task["token"], "7")
        assert (unfit.returncode, "expected string, found 7" in one_line(unfit.stderr)) == (2, True)
        assert keepstep("complete", task["token"], '"anna"').returncode == 0
        keepstep.until(lambda: "keepstep signal order-7 pieces [JSON]" in keepstep("show", "order-7").stdout)
        bad = keepstep("signal", "order-7", "pieces", "{3")
        assert (bad.returncode, "not JSON" in one_line(bad.stderr)) == (2, True)
        assert keepstep("signal", "order-7", "pieces", "3").returncode == 0
        keepstep.until(lambda: keepstep.json("show", "order-7")["status"] == "completed")
        assert "charged 7, 3 picked by anna!" in keepstep("show", "order-7").stdout
        assert "charged 7" in keepstep("history", "order-7").stdout
        kinds = [event["type"] for event in keepstep.json("history", "order-7")]
        assert kinds[0] == "workflow_started"
        assert kinds[-1] == "workflow_completed"
        assert f"{len(kinds)} events of order-7" in keepstep("history", "order-7", "--export", "order.json").stdout
        exported = decode_recording((keepstep.folder / "order.json").read_bytes(), "order.json").loaded
        assert [event.type for event in exported.events] == kinds
        nowhere = keepstep("history", "order-7", "--export", "no/where.json")
        assert (nowhere.returncode, "cannot be written" in one_line(nowhere.stderr)) == (2, True)
        assert [info["id"] for info in keepstep.json("list", "Status = 'completed'")] == ["order-7"]
        late = keepstep("signal", "order-7", "pieces", "4")
        assert (late.returncode, "completed" in one_line(late.stderr)) == (1, True)
        wrong = keepstep("list", "Status = 'done'")
        assert (wrong.returncode, "position 10" in wrong.stderr) == (2, True)


def test_a_failed_run_tells_why_and_how_to_go_on(keepstep: Command) -> None:
    with keepstep.worker():
        ran = keepstep("start", "break_down", "--id", "b", "--wait")
        assert ran.returncode == 1
        assert "ValueError: kaputt" in one_line(ran.stderr)
        shown = keepstep("show", "b").stdout
        assert "ValueError: kaputt" in shown
        assert "keepstep retry b" in shown
        assert keepstep("retry", "b").returncode == 0
        keepstep.until(lambda: keepstep.json("show", "b")["status"] == "failed")
        waiting = keepstep("start", "wait_for_webhook", "--id", "w")
        assert waiting.returncode == 0
        assert keepstep("terminate", "w", "--reason", "enough").returncode == 0
        assert "terminated: enough" in keepstep("show", "w").stdout
        assert keepstep("cancel", "w").returncode == 1


def test_a_worker_stops_gracefully_and_what_it_had_goes_on_elsewhere(keepstep: Command) -> None:
    worker = keepstep.start_worker()
    keepstep("start", "buy", "--input", ORDER, "--id", "o")
    keepstep.until(lambda: bool(keepstep.json("tasks")))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    with sqlite3.connect(keepstep.folder / "runs.db") as db:
        assert db.execute("SELECT count(*) FROM leases").fetchone() == (0,)
    assert "No worker serves queue 'default'" in keepstep("show", "o").stdout
    with keepstep.worker():
        [task] = keepstep.json("tasks")
        keepstep("complete", task["token"], '"ben"')
        keepstep("signal", "o", "pieces", "1")
        keepstep.until(lambda: keepstep.json("show", "o")["status"] == "completed")


def test_a_webhook_that_comes_to_another_process_reaches_the_run_of_a_killed_one(keepstep: Command) -> None:
    port = free_port()
    first = keepstep.start_worker("--callback-url", f"http://127.0.0.1:{port}")
    keepstep("start", "wait_for_webhook", "--id", "w")
    keepstep.until(lambda: bool(keepstep.json("show", "w")["status_text"]))
    token = keepstep.json("show", "w")["status_text"]
    first.kill()
    first.wait()
    with keepstep.worker("--http", str(port)):
        base = f"http://127.0.0.1:{port}"
        assert httpx2.get(f"{base}/healthz").status_code == 200
        assert httpx2.post(f"{base}/callbacks/{token}", content=b"{bad").status_code == 400
        assert httpx2.post(f"{base}/callbacks/{token[:-6]}AAAAAA", content=b"1").status_code == 404
        assert httpx2.post(f"{base}/callbacks/nonsense", content=b"1").status_code == 404
        assert httpx2.post(f"{base}/callbacks/{token}", content=b" " * 2_100_000).status_code == 413
        assert httpx2.get(f"{base}/callbacks/{token}").status_code == 405
        assert httpx2.post(f"{base}/callbacks/{token}", json="hello").status_code == 200
        keepstep.until(lambda: keepstep.json("show", "w")["status"] == "completed")
        assert httpx2.post(f"{base}/callbacks/{token}", json="again").status_code == 200


def test_the_doctor_finds_open_runs_without_a_worker(keepstep: Command) -> None:
    missing = keepstep("doctor")
    assert (missing.returncode, "does not exist" in missing.stdout) == (2, True)
    with keepstep.worker():
        keepstep("start", "buy", "--input", ORDER)
        assert keepstep("doctor").returncode == 0
    keepstep.until(lambda: keepstep("doctor").returncode == 1 or not keepstep("list").stdout)
    assert "no worker serves queue 'default'" in keepstep("doctor").stdout


def test_a_run_whose_workflow_no_worker_has_is_told_of(keepstep: Command) -> None:
    keepstep("start", "buy_nothing", "--id", "n")
    with keepstep.worker():
        assert "No worker has published the workflow 'buy_nothing'" in keepstep("show", "n").stdout
        examined = keepstep("doctor")
        said = "no worker has published workflow 'buy_nothing', and 1 run is waiting for it"
        assert (examined.returncode, said in examined.stdout) == (1, True)


def test_a_step_cut_off_by_a_kill_is_settled_by_a_person(keepstep: Command) -> None:
    first = keepstep.start_worker()
    keepstep("start", "pay_once", "--id", "p")
    keepstep.until((keepstep.folder / "pay-was-called").exists)
    keepstep.until(lambda: "It executes step 'pay'" in keepstep("show", "p").stdout)
    first.kill()
    first.wait()
    assert "Its worker is gone" in keepstep("show", "p").stdout
    with keepstep.worker():
        keepstep.until(lambda: keepstep.json("show", "p")["condition"] == "uncertain")
        assert "keepstep resolve p pay --value JSON" in keepstep("show", "p").stdout
        assert "1 run is uncertain" in keepstep("doctor").stdout
        wrong = keepstep("resolve", "p", "other", "--value", "1")
        assert (wrong.returncode, "parked are: pay" in one_line(wrong.stderr)) == (2, True)
        assert keepstep("resolve", "p", "pay").returncode == 2
        assert keepstep("resolve", "p", "pay", "--value", '"by cheque"').returncode == 0
        keepstep.until(lambda: keepstep.json("show", "p")["status"] == "completed")
        assert 'Result: "by cheque"' in keepstep("show", "p").stdout
        assert keepstep("resolve", "p", "pay", "--value", "1").returncode == 1


def test_a_run_started_by_name_gets_the_queue_and_the_timeout_of_its_workflow(keepstep: Command) -> None:
    with keepstep.worker("--queue", "slow"):
        ran = keepstep("start", "never_ending", "--id", "n", "--wait")
    assert ran.returncode == 1
    assert "reached its timeout" in ran.stderr.splitlines()[-1]
    assert keepstep.json("show", "n")["queue"] == "slow"


def test_a_run_started_by_name_has_what_its_start_says(keepstep: Command) -> None:
    found_by = ("--attribute", "n=12", "--attribute", 'customer="c7"')
    assert keepstep("start", "anything", "--delay", "2h", "--timeout", "3h", "--dedup", "d", *found_by).returncode == 0
    [run] = keepstep.json("list", "customer = 'c7'")
    assert run["attributes"] == {"customer": "c7", "n": 12}
    assert keepstep("start", "anything", "--dedup", "d").stdout == f"{run['id']}\n"
    assert "It begins at" in keepstep("show", run["id"]).stdout
    for wrong in (("--attribute", "n"), ("--attribute", "n=c7"), ("--delay", "soon"), ("--dedup", "d", "--id", "x")):
        assert keepstep("start", "anything", *wrong).returncode == 2
    with keepstep.worker("--queue", "slow"):
        assert keepstep("start", "never_ending", "--timeout", "0.1s", "--wait").returncode == 1


def test_waiting_for_a_result_tells_what_the_run_is_doing(keepstep: Command) -> None:
    with keepstep.worker():
        waiting = keepstep.begin("start", "buy", "--input", ORDER, "--id", "o", "--wait")
        assert waiting.stderr is not None
        assert "o: It waits for a person: 'pick it'" in waiting.stderr.readline()
        [task] = keepstep.json("tasks")
        keepstep("complete", task["token"], '"anna"')
        keepstep("signal", "o", "pieces", "2")
        said, _ = waiting.communicate(timeout=20)
    assert said == 'o\n"charged 7, 2 picked by anna"\n'
    assert waiting.returncode == 0


def test_a_second_signal_stops_a_worker_at_once(keepstep: Command) -> None:
    worker = keepstep.start_worker("--grace-seconds", "600")
    keepstep("start", "pay_once")
    keepstep.until((keepstep.folder / "pay-was-called").exists)
    worker.send_signal(signal.SIGTERM)
    assert worker.stdout is not None
    assert "stopping" in worker.stdout.readline()
    worker.send_signal(signal.SIGINT)
    assert worker.wait(15) == -signal.SIGINT


def test_a_run_is_paused_and_resumed_from_the_command_line(keepstep: Command) -> None:
    with keepstep.worker():
        keepstep("start", "wait_for_webhook", "--id", "w")
        keepstep.until(lambda: bool(keepstep.json("show", "w")["status_text"]))
        early = keepstep("resume", "w")
        assert (early.returncode, "is not paused" in one_line(early.stderr)) == (2, True)
        assert keepstep("pause", "w").stdout == "w: paused\n"
        assert "keepstep resume w" in keepstep("show", "w").stdout
        assert [info["id"] for info in keepstep.json("list", "Condition = 'paused'")] == ["w"]
        assert keepstep("complete", keepstep.json("show", "w")["status_text"], '"paid"').returncode == 0
        assert keepstep.json("show", "w")["condition"] == "paused"
        assert keepstep("resume", "w").returncode == 0
        keepstep.until(lambda: keepstep.json("show", "w")["status"] == "completed")
        late = keepstep("pause", "w")
        assert (late.returncode, "closed already" in one_line(late.stderr)) == (1, True)


def test_a_step_that_blocks_its_thread_does_not_hold_a_stopping_worker_up(keepstep: Command) -> None:
    worker = keepstep.start_worker("--grace-seconds", "0.1")
    keepstep("start", "pay_once", "--id", "p")
    keepstep.until((keepstep.folder / "pay-was-called").exists)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    assert "No worker serves queue 'default'" in keepstep("show", "p").stdout


def test_the_database_of_the_environment_is_the_demos_too(keepstep: Command) -> None:
    ran = keepstep("demo", "--orders", "1", "--kills", "0")
    assert ran.returncode == 0, ran.stderr
    assert [info["id"] for info in keepstep.json("list")] == ["order-00001"]


def test_wrong_use_is_one_line_that_says_where_to_look(keepstep: Command) -> None:
    for arguments in (
        ("nonsense",),
        ("show",),
        ("list", "--bogus"),
        ("list", "--limit", "many"),
        ("demo", "--kills", "-1"),
        ("worker", "app", "--lease-seconds", "0"),
    ):
        ran = keepstep(*arguments)
        assert ran.returncode == 2
        assert "--help" in one_line(ran.stderr)
    nothing = keepstep()
    assert (nothing.returncode, "Commands:" in nothing.stderr) == (2, True)


def test_an_address_that_is_taken_is_one_line_that_says_so(keepstep: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = keepstep("worker", "app", "--http", str(taken.getsockname()[1]))
    assert ran.returncode == 2
    assert "choose another --http" in one_line(ran.stderr)


def test_a_missing_extra_is_one_line_that_says_what_to_install(keepstep: Command) -> None:
    (keepstep.folder / "uvicorn.py").write_text("raise ModuleNotFoundError('not there', name='uvicorn')\n")
    for arguments in (("demo", "--orders", "1"), ("worker", "app", "--http", str(free_port()))):
        ran = keepstep(*arguments)
        assert ran.returncode == 2
        assert "pip install 'keepstep[server]'" in one_line(ran.stderr)


def test_what_was_not_foreseen_is_one_line_too(keepstep: Command) -> None:
    keepstep("start", "anything", "--id", "x")
    with sqlite3.connect(keepstep.folder / "runs.db") as db:
        db.execute("UPDATE runs SET attributes = '{'")
    ran = keepstep("show", "x")
    assert ran.returncode == 1
    assert "KEEPSTEP_TRACEBACK=1" in one_line(ran.stderr)


def test_one_damaged_run_does_not_hide_the_others(keepstep: Command) -> None:
    for id in ("fine", "damaged"):
        keepstep("start", "anything", "--id", id)
    with sqlite3.connect(keepstep.folder / "runs.db") as db:
        db.execute("UPDATE runs SET detail = x'c1' WHERE workflow_id = 'damaged'")
    listed = {info["id"]: info["error"] or "" for info in keepstep.json("list")}
    assert set(listed) == {"fine", "damaged"}
    assert "cannot be read" in listed["damaged"]
    assert keepstep("show", "damaged").returncode == 0


def test_the_doctor_finds_damage_and_a_foreign_file(keepstep: Command) -> None:
    keepstep("start", "anything")
    file = keepstep.folder / "runs.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    damaged = keepstep("doctor")
    assert (damaged.returncode, "is damaged" in damaged.stdout) == (1, True)
    file.write_text("shopping list")
    foreign = keepstep("doctor")
    assert (foreign.returncode, "not a SQLite database" in foreign.stdout) == (1, True)


def test_every_listing_is_json_with_times_in_iso_format(keepstep: Command) -> None:
    with keepstep.worker():
        keepstep("start", "buy", "--input", ORDER, "--id", "o")
        keepstep.until(lambda: bool(keepstep.json("show", "o")["waiting_for"]))
        shown, [task] = keepstep.json("show", "o"), keepstep.json("tasks")
        [wait] = shown["waiting_for"]
        for moment in (shown["started_at"], wait["since"], keepstep.json("history", "o")[0]["time"]):
            assert datetime.fromisoformat(moment).tzinfo is not None
        assert (wait["kind"], wait["until"], shown["closed_at"]) == ("human_task", None, None)
        assert task["run_id"] == shown["run_id"]
        found = [each for each in keepstep.json("doctor") if "web UI" not in each["what"]]  # it may not be built here
        assert {each["level"] for each in found} == {"ok"}


def test_a_run_that_has_undone_all_is_not_retried_but_started_anew(keepstep: Command) -> None:
    with keepstep.worker():
        assert keepstep("start", "undo_all", "--id", "u", "--wait").returncode == 1
        shown = keepstep("show", "u").stdout
        assert "keepstep retry" not in shown
        assert "keepstep start undo_all [--input JSON] --id u --if-closed restart" in shown
        refused = keepstep("retry", "u")
        assert (refused.returncode, "compensated" in one_line(refused.stderr)) == (2, True)
        first = keepstep.json("show", "u")["run_id"]
        rejected = keepstep("start", "undo_all", "--id", "u", "--if-closed", "reject")
        assert (rejected.returncode, "exists" in one_line(rejected.stderr)) == (1, True)
        assert keepstep("start", "undo_all", "--id", "u", "--if-closed", "restart").returncode == 0
        assert keepstep.json("show", "u")["run_id"] != first


def test_a_listing_that_is_cut_short_says_so(keepstep: Command) -> None:
    for arguments in (("list",), ("list", "--json")):
        for id in ("a", "b"):
            keepstep("start", "anything", "--id", id)
        cut = keepstep(*arguments, "--limit", "1")
        assert cut.stderr.startswith("1 of 2 runs; the next ones: --cursor ")
        following = keepstep(*arguments, "--limit", "1", "--cursor", cut.stderr.split()[-1])
        assert following.stdout != cut.stdout
        assert following.stderr == keepstep(*arguments, "--limit", "2").stderr == ""
    assert "cursor" in one_line(keepstep("list", "--cursor", "nonsense").stderr)
    with keepstep.worker():
        for id in ("c", "d"):
            keepstep("start", "buy", "--input", ORDER, "--id", id)
        keepstep.until(lambda: len(keepstep.json("tasks")) == 2)
        for option in ((), ("--json",)):
            assert keepstep("tasks", "--limit", "1", *option).stderr == "the oldest 1 tasks; --limit shows more\n"
        assert keepstep("tasks", "Assignee = 'anna'", "--json").stdout == "[]\n"


def test_who_stops_waiting_for_a_result_is_told_that_the_run_goes_on(keepstep: Command) -> None:
    with keepstep.worker():
        waiting = keepstep.begin("start", "wait_for_webhook", "--id", "w", "--wait")
        assert waiting.stderr is not None
        assert "waits for the callback" in waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=20)
        assert (waiting.returncode, "goes on" in one_line(said.lstrip())) == (1, True)  # a new line follows ^C
        assert keepstep.json("show", "w")["status"] == "running"


def test_help_and_version_need_no_database(keepstep: Command) -> None:
    shown = keepstep("--help").stdout
    for command in ("demo", "worker", "start", "list", "show", "history", "stream", "signal", "cancel", "terminate",
                    "retry", "top", "doctor"):  # fmt: skip
        assert command in shown
        assert keepstep(command, "--help").returncode == 0
    assert "0.1.0" in keepstep("--version").stdout
    assert keepstep("nonsense").returncode == 2
