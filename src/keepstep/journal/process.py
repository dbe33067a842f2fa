"""Which process is this, and does that one still live? Answers hold within one boot of one machine."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from functools import cache
from pathlib import Path

from .lease import ProcessIdentity


@cache
def boot_id() -> str:
    """Names the current boot of this machine, or "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        pass
    if platform.system() == "Darwin":
        asked = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=False)
        return asked.stdout.strip()
    return ""


def pid_namespace() -> str:
    """Names the pid namespace, so that containers which share a file do not judge each other's pids."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def process_started(pid: int) -> str:
    """The kernel's start time of a process, or "" if there is no such process or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _process_started_by_ps(pid) if not Path("/proc/self/stat").exists() else ""
    fields = stat[stat.rindex(")") + 2 :].split()
    return "" if fields[0] in ("Z", "X") else fields[19]


def _process_started_by_ps(pid: int) -> str:
    asked = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def this_process() -> ProcessIdentity:
    """The identity of the running process."""
    return ProcessIdentity(
        host=socket.gethostname(),
        boot_id=boot_id(),
        pid_namespace=pid_namespace(),
        pid=os.getpid(),
        started=process_started(os.getpid()),
    )


def is_surely_dead(process: ProcessIdentity) -> bool:
    """True only if the process can be judged from here and does not live any more."""
    here = process.boot_id == boot_id() != "" and process.pid_namespace == pid_namespace()
    if not here or process.started == "":
        return False
    started = process_started(process.pid)
    return started != process.started and not (started == "" and _is_hidden(process.pid))


def surely_lives(process: ProcessIdentity) -> bool:
    """True only if the process can be judged from here and lives."""
    here = process.boot_id == boot_id() != "" and process.pid_namespace == pid_namespace()
    return here and process_started(process.pid) == process.started != ""


def _is_hidden(pid: int) -> bool:
    """Whether a process lives that this user may not look at (``/proc`` mounted with ``hidepid``)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False
