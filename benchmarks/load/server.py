"""Server: ``keepstep server`` in a process of its own, on one core, and what it takes of that."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CORE = 0
"""The server's; whoever loads it takes the others."""


class Server:
    """One that answers."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid

    def cpu_seconds(self) -> float:
        """What it has taken of the processor so far, its kernel's work for it included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_bytes(self) -> int:
        """What it has in memory now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        [resident] = [line for line in lines if line.startswith("VmRSS:")]
        return int(resident.split()[1]) * 1024


@contextmanager
def running(url: str) -> Iterator[Server]:
    """A server over a database, until the block ends. Nobody else has that core of this process's."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    cores = os.sched_getaffinity(0)
    command = [sys.executable, "-u", "-m", "keepstep", "server", "--http", f"{port}", "--db", url]
    os.sched_setaffinity(0, {min(cores)})  # inherited
    process = subprocess.Popen([*command, "--log-level", "error"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        os.sched_setaffinity(0, cores - {min(cores)} or cores)
        assert str(port) in process.stdout.readline()
        yield Server(port, process.pid)
    finally:
        os.sched_setaffinity(0, cores)
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()
