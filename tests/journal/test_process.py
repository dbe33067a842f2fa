"""Who a process is, on systems that tell and on systems that do not."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keepstep.journal import process


@pytest.fixture(autouse=True)
def _forget_what_is_kept() -> Iterator[None]:
    process.boot_id.cache_clear()
    yield
    process.boot_id.cache_clear()


def without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without ``/proc``."""
    read_text, exists = Path.read_text, Path.exists

    def missing(path: Path, *args: Any, **kwargs: Any) -> str:
        if path.parts[1:2] == ("proc",):
            raise FileNotFoundError(path)
        return read_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(Path, "exists", lambda path: path.parts[1:2] != ("proc",) and exists(path))


def answering(text: str) -> Any:
    return lambda command, **_: subprocess.CompletedProcess(command, 0, stdout=text, stderr="")


def test_a_mac_is_asked_for_its_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proc(monkeypatch)
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(subprocess, "run", answering("A-BOOT\n"))
    assert process.boot_id() == "A-BOOT"


def test_a_system_that_does_not_tell_has_no_boot_and_no_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proc(monkeypatch)
    monkeypatch.setattr(platform, "system", lambda: "Other")

    def no_link(_: str) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "readlink", no_link)
    assert process.boot_id() == ""
    assert process.pid_namespace() == ""


def test_where_there_is_no_proc_ps_tells_when_a_process_started(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proc(monkeypatch)
    monkeypatch.setattr(subprocess, "run", answering("Fri Nov 27 04:00:00 2026\n"))
    assert process.process_started(1) == "Fri Nov 27 04:00:00 2026"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc")
def test_a_process_that_is_no_more_or_only_waits_to_be_buried_has_no_start() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process.process_started(child.pid) != ""
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.process_started(child.pid) == ""
    child.wait()
    assert process.process_started(child.pid) == ""


def gone() -> int:
    """The pid of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_living_process_is_not_dead_and_one_that_ended_or_had_another_start_is() -> None:
    here = process.this_process()
    assert not process.is_surely_dead(here)
    assert process.is_surely_dead(msgspec.structs.replace(here, started="1"))
    assert process.is_surely_dead(msgspec.structs.replace(here, pid=gone()))


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = msgspec.structs.replace(
        process.this_process(), pid=child.pid, started=process.process_started(child.pid)
    )
    assert not process.is_surely_dead(identity)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.is_surely_dead(identity)
    child.wait()


@pytest.mark.parametrize("changes", [{"boot_id": "other"}, {"pid_namespace": "other"}, {"started": ""}])
def test_a_process_that_cannot_be_judged_from_here_is_not_surely_dead(changes: dict[str, str]) -> None:
    assert not process.is_surely_dead(msgspec.structs.replace(process.this_process(), pid=gone(), **changes))


def test_a_process_that_this_user_may_not_look_at_is_not_surely_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(process, "process_started", lambda pid: "")
    monkeypatch.setattr(os, "kill", refuse)
    identity = msgspec.structs.replace(process.this_process(), started="1")
    assert not process.is_surely_dead(identity)
