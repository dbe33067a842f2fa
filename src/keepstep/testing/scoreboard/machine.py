"""Machine: where and with what something was tried, in one line."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from pathlib import Path

UNKNOWN = "unknown"
"""The commit of what was not tried in a checkout."""


def describe_machine() -> str:
    """Processor, cores, system, Python and SQLite."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.release()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{_processor()}, {cores} cores; {system}; {python}; SQLite {sqlite3.sqlite_version}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe_commit(folder: Path) -> str:
    """The commit that is checked out around a folder, and whether files differ from it; ``UNKNOWN`` outside of Git."""
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return UNKNOWN
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/src", ":/tests")
    return f"{commit} with changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    try:
        asked = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
