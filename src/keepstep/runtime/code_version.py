"""Code version: which code of a workflow a run goes on with.

A workflow that names no version, or one that is not pinned, has one code at a time: its runs go on with whatever a
worker has, and move to new code with the next deploy. Runs of a *pinned* version stay with it. They are offered on a
queue of their own, beside the one that they were started on, which workers serve that have this version: so nobody
else is bothered with them, and whether anybody serves them is as plain as for any other queue.
"""

from __future__ import annotations

import re

VERSION_CHARS_MAX = 100

_NUMBERS = re.compile(r"(\d+)")


def order_of(version: str) -> list[tuple[int, int, str]]:
    """What versions are sorted by: numbers in them count as numbers, so that 1.10 comes after 1.9."""
    parts = _NUMBERS.split(version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts if part]


def pinned_queue(queue: str, name: str, version: str) -> str:
    """Where runs are offered that stay with this version of the workflow of that name."""
    return f"{queue} ({name}, version {version})"


def split_queue(queue: str, name: str) -> tuple[str, str | None]:
    """The queue that a run of that workflow was started on, and the version that it stays with, if it does."""
    base, found, rest = queue.rpartition(f" ({name}, version ")
    return (base, rest[:-1]) if found and rest.endswith(")") else (queue, None)
