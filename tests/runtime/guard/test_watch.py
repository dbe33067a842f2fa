"""What the watch stops while workflow code runs, whose line it names, and what it leaves alone."""

from __future__ import annotations

import asyncio
import contextvars
import importlib.resources
import linecache
import logging
import os
import sys
import textwrap
import threading
import weakref
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keepstep.runtime.guard import Nondeterminism, outside_call, take_violation, unsafe
from tests.runtime.guard.sources import MARK, Sources
from tests.runtime.guard.turn import call_from_engine, run_turn

DEEDS = [
    ("open(where, 'w')", "open(", "@step"),
    ("open(where)", "open(", "@step"),
    ("import io; io.open(where)", "open(", "@step"),
    ("import os; os.open(where, os.O_RDONLY)", "open(", "@step"),
    ("import pathlib; pathlib.Path(where).read_text()", "open(", "@step"),
    ("import os; os.listdir('/')", "os.listdir", "@step"),
    ("import os; os.scandir('/')", "os.scandir", "@step"),
    ("import os; os.mkdir(where)", "os.mkdir", "@step"),
    ("import os; os.remove(where)", "os.remove", "@step"),
    ("import os; os.rename(where, where)", "os.rename", "@step"),
    ("import os; os.system('true')", "os.system", "@step"),
    ("import os; os.environ['KEEPSTEP_GUARD'] = 'x'", "os.putenv", "@step"),
    ("import shutil; shutil.copyfile(where, where + '2')", "shutil.copyfile", "@step"),
    ("import tempfile; tempfile.mkstemp()", "tempfile.mkstemp", "@step"),
    ("import subprocess; subprocess.run(['true'])", "subprocess.Popen", "@step"),
    ("import socket; socket.socket()", "socket.__new__", "@step"),
    ("import socket; socket.getaddrinfo('localhost', 80)", "socket.getaddrinfo", "@step"),
    ("import urllib.request; urllib.request.urlopen('http://localhost:9/')", "urllib.Request", "@step"),
    ("import http.client; http.client.HTTPConnection('localhost', 9).request('GET', '/')", "http.client", "@step"),
    ("import sqlite3; sqlite3.connect(':memory:')", "sqlite3.connect", "@step"),
    ("import glob; glob.glob('*')", "glob.glob", "@step"),
    ("input()", "input", "human_task"),
]
if sys.version_info >= (3, 12):
    DEEDS.append(("import threading; threading.Thread(target=int).start()", "_thread.start", "asyncio tasks"))
if sys.version_info >= (3, 13):
    DEEDS.append(("import time; time.sleep(0)", "time.sleep", "keepstep.sleep"))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    take_violation()


def flow_of(sources: Sources, body: str) -> tuple[Any, int]:
    text = f"def flow(where):\n{textwrap.indent(body, '    ')}\n"
    line = next((number for number, line in enumerate(text.splitlines(), 1) if MARK in line), 0)
    return sources.module("watched_flow", text).flow, line


@pytest.mark.parametrize(("deed", "used", "instead"), DEEDS, ids=lambda part: part[:50])
def test_a_deed_in_workflow_code_is_stopped_and_its_line_named(
    sources: Sources, tmp_path: Path, deed: str, used: str, instead: str
) -> None:
    where = tmp_path / "nothing"
    flow, line = flow_of(sources, f"'before'\n{deed}  {MARK}")
    with pytest.raises(Nondeterminism) as caught:
        run_turn(lambda: flow(str(where)))
    error = caught.value
    assert (error.file, error.line) == (str(tmp_path / "watched_flow.py"), line)
    assert error.used.startswith(used)
    assert instead in error.instead
    assert not where.exists()
    assert take_violation() is error


def test_the_same_deeds_are_free_outside_of_a_turn(sources: Sources, tmp_path: Path) -> None:
    flow, _ = flow_of(sources, "import os\nos.mkdir(where)\nreturn open(where + '/x', 'w').close()")
    run_turn(lambda: None)
    flow(str(tmp_path / "folder"))
    assert (tmp_path / "folder" / "x").exists()
    assert take_violation() is None


def test_what_user_code_swallowed_is_remembered_and_told_once(sources: Sources) -> None:
    flow, line = flow_of(
        sources, f"try:\n    open(where)  {MARK}\nexcept Exception: pass\ntry: open('other')\nexcept Exception: pass"
    )
    run_turn(lambda: flow("missing"))
    violation = take_violation()
    assert violation is not None
    assert (violation.line, violation.used) == (line, "open('missing')")
    assert take_violation() is None


def test_a_library_that_acts_is_blamed_on_the_users_line(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    sources.write("site-packages/watched_library", "def fetch(where): return open(where)\n")
    monkeypatch.syspath_prepend(str(sources.folder / "site-packages"))
    flow, line = flow_of(sources, f"import watched_library\nwatched_library.fetch(where)  {MARK}")
    with pytest.raises(Nondeterminism) as caught:
        run_turn(lambda: flow("x"))
    assert (Path(caught.value.file).name, caught.value.line) == ("watched_flow.py", line)


def test_workflows_that_are_installed_packages_are_watched_too(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sources.write("site-packages/watched_package", "def flow():\n    return open('x')\n")
    monkeypatch.syspath_prepend(str(sources.folder / "site-packages"))
    flow = __import__("watched_package").flow
    with pytest.raises(Nondeterminism) as caught:
        run_turn(flow)
    assert (caught.value.file, caught.value.line) == (str(module), 2)


def test_other_threads_are_free_while_a_turn_runs(tmp_path: Path) -> None:
    turn_runs, wrote = threading.Event(), threading.Event()

    def write() -> None:
        assert turn_runs.wait(10)
        (tmp_path / "x").write_text("from a step")
        wrote.set()

    def flow() -> bool:
        turn_runs.set()
        return wrote.wait(10)

    step = threading.Thread(target=write)
    step.start()
    assert run_turn(flow)
    step.join()
    assert take_violation() is None


def test_turns_on_two_threads_are_watched_independently(tmp_path: Path) -> None:
    caught: list[Nondeterminism | None] = []

    def other() -> None:
        with pytest.raises(Nondeterminism):
            run_turn(lambda: (tmp_path / "x").write_text("x"))
        caught.append(take_violation())

    def flow() -> None:
        pass

    run_turn(flow)
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert take_violation() is None
    assert isinstance(caught[0], Nondeterminism)


def test_unsafe_switches_the_watch_off_for_its_own_block_only(tmp_path: Path) -> None:
    def flow() -> None:
        with unsafe():
            (tmp_path / "inside").write_text("x")
            with unsafe():
                pass
            (tmp_path / "inside").read_text()
        (tmp_path / "after").write_text("x")

    with pytest.raises(Nondeterminism):
        run_turn(flow)
    assert (tmp_path / "inside").exists()
    assert not (tmp_path / "after").exists()


def test_unsafe_in_one_task_does_not_free_another(tmp_path: Path) -> None:
    async def risky() -> None:
        with unsafe():
            await _once()

    async def plain() -> None:
        (tmp_path / "x").write_text("x")

    def flow() -> None:
        first = risky()
        contextvars.copy_context().run(first.send, None)
        try:
            contextvars.copy_context().run(plain().send, None)
        finally:
            first.close()  # another context than the one the block was entered in

    with pytest.raises(Nondeterminism):
        run_turn(flow)


class _once:
    def __await__(self) -> Any:
        yield None


# What must not be stopped


def passes(flow: Any) -> Any:
    result = run_turn(flow)
    assert take_violation() is None
    return result


def test_imports_inside_workflow_code_pass_whatever_the_module_does_at_import(sources: Sources) -> None:
    sources.write("watched_config", "TEXT = open(__file__).read()\nimport wsgiref.simple_server, xmlrpc.client\n")
    flow, _ = flow_of(sources, "import watched_config\nreturn watched_config.TEXT")
    assert "TEXT" in passes(lambda: flow(""))


def test_formatting_a_traceback_passes(sources: Sources) -> None:
    flow, _ = flow_of(
        sources, "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    return traceback.format_exc()"
    )
    linecache.clearcache()
    assert "1 / 0" in passes(lambda: flow(""))


def test_logging_passes_also_to_files_and_to_handlers_of_the_user(tmp_path: Path) -> None:
    class Copying(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            (tmp_path / "copy").write_text(record.getMessage())

    log = logging.Logger("watched")
    log.addHandler(logging.FileHandler(tmp_path / "log", delay=True))
    log.addHandler(Copying())
    try:
        passes(lambda: log.error("stock low", stack_info=True))
    finally:
        log.handlers[0].close()
    assert (tmp_path / "log").read_text().startswith("stock low")
    assert (tmp_path / "copy").read_text() == "stock low"


def test_finalisers_that_happen_to_run_pass(tmp_path: Path) -> None:
    class Spool:
        def __del__(self) -> None:
            (tmp_path / "a").unlink()

    class Plain: ...

    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    held: list[Any] = [Spool(), Plain()]
    weakref.finalize(held[1], os.remove, tmp_path / "b")
    passes(held.clear)
    assert not list(tmp_path.iterdir())


def test_time_zones_pass() -> None:
    zoneinfo.ZoneInfo.clear_cache()
    assert str(passes(lambda: zoneinfo.ZoneInfo("Europe/Berlin"))) == "Europe/Berlin"


def test_reading_what_an_installed_package_ships_passes_and_writing_there_does_not() -> None:
    shipped = Path(str(importlib.resources.files("msgspec"))) / "__init__.py"
    assert passes(lambda: shipped.read_text())
    with pytest.raises(Nondeterminism):
        run_turn(lambda: shipped.open("a"))


def test_the_engines_own_code_passes(tmp_path: Path) -> None:
    passes(lambda: call_from_engine((tmp_path / "x").touch))
    assert (tmp_path / "x").exists()


def test_workflow_code_called_back_by_the_engine_is_still_watched(tmp_path: Path) -> None:
    def predicate() -> bool:
        return (tmp_path / "x").write_text("x") > 0

    with pytest.raises(Nondeterminism):
        run_turn(lambda: call_from_engine(predicate))


def test_computing_passes(capsys: pytest.CaptureFixture[str]) -> None:
    def flow() -> bytes:
        print("hello")
        future: asyncio.Future[int] = asyncio.Future(loop=loop)
        future.cancel()
        return msgspec.json.encode({"at": sorted({1, 2}), "id": id(future) > 0})

    loop = asyncio.new_event_loop()
    try:
        assert passes(flow) == b'{"at":[1,2],"id":true}'
    finally:
        loop.close()
    assert capsys.readouterr().out == "hello\n"


def test_a_tracer_passes(sources: Sources, tmp_path: Path) -> None:
    tracer = {"__name__": "coverage.pytracer", "where": tmp_path / "traced"}
    exec("def trace(frame, event, arg):\n    where.write_text('x')\n", tracer)
    flow, _ = flow_of(sources, "return 1")
    before = sys.gettrace()

    def traced() -> None:
        sys.settrace(tracer["trace"])  # type: ignore[arg-type]
        try:
            flow("")
        finally:
            sys.settrace(before)

    passes(traced)
    assert (tmp_path / "traced").exists()


def test_a_call_that_the_loop_refuses_names_the_users_line_and_is_remembered() -> None:
    def flow() -> Nondeterminism:
        error: Nondeterminism = call_from_engine(lambda: outside_call("loop.run_in_executor"))
        return error

    error = run_turn(flow)
    assert error.file == __file__
    assert error.used == "loop.run_in_executor"
    assert "asyncio tasks" in error.instead
    assert take_violation() is error


def test_an_error_that_the_interpreter_only_prints_is_no_deed(
    sources: Sources, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Printing its traceback reads the source of the code, from C and without a frame."""
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    body = "class Breaks:\n    def __del__(self):\n        raise ValueError('printed')\nBreaks()\nreturn 'done'"
    flow, _ = flow_of(sources, body)
    assert run_turn(lambda: flow("")) == "done"
    assert take_violation() is None
    assert "printed" in capfd.readouterr().err
