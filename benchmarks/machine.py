"""On what, with which versions, and from which commit the figures were taken."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .peer import PYTHON as PEERS_PYTHON
from .peer import is_installed


def describe_machine() -> dict[str, str]:
    """Facts in the order in which the report shows them."""
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _output("git", "describe", "--always", "--dirty"),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {_memory_gib()} GiB, {platform.system()}",
        "keepstep": f"{version('keepstep')} on Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "load before": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
    if is_installed():
        facts["dbos"] = _output(str(PEERS_PYTHON), "-c", _DBOS_VERSIONS)
        facts["absurd"] = _output(str(PEERS_PYTHON), "-c", _ABSURD_VERSION)
    return facts


_DBOS_VERSIONS = """
import sqlite3
from importlib.metadata import version
if sqlite3.sqlite_version_info < (3, 42):
    import pysqlite3 as sqlite3
print(version("dbos"), "with SQLite", sqlite3.sqlite_version, "of", sqlite3.__name__)
"""


_ABSURD_VERSION = 'from importlib.metadata import version; print(version("absurd-sdk"))'


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
