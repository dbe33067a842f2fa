"""Lease: a worker's ownership of runs and tasks, renewed by one row a worker.

A lease has a counter that its store moves every third of the lease's length, whatever the worker's own code is
doing. Anybody may take over what a lease holds once the lease is *over*: its counter has not moved for a lease length
on the taker's own monotonic clock, or its process is known to be dead on the same boot. Wall clocks play no part, so a
clock that jumps steals nothing.

What makes two owners harmless is the epoch beside every run and task: it grows at each change of owner, and a commit
that names an old one is refused.
"""

from __future__ import annotations

import msgspec


class ProcessIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Enough to tell, from the same machine and boot, whether a process still lives."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: str
    """The kernel's start time of the process; a reused pid has another."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker opens before it claims anything."""

    lease_id: str
    """Unique for every opening; a restarted worker never reuses one."""
    lease_seconds: float
    process: ProcessIdentity
    queues: tuple[str, ...]
    languages: tuple[str, ...]
    code: str
    """Fingerprint of the code that this worker runs."""
    label: str = ""
    opened_at: int = 0


class LeaseState(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as others see it."""

    lease: Lease
    counter: int
    probing: str | None
    """The suspect run that its worker is advancing alone, to find out whether it kills workers."""
    runs_held: int
    tasks_held: int
