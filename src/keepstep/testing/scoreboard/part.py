"""Part: one program of the torture: how it is called, which share of the time it gets, and what it proves."""

from __future__ import annotations

import msgspec

TESTING = "keepstep.testing"

PATIENT = ("--kills", "0", "--lease-seconds", "5")
"""Nobody is killed: what is tried is the database."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. The programs themselves keep the agreement in the package's docstring."""

    name: str
    """What ``--only`` calls it."""
    title: str
    """What was done, as the table says it."""
    command: tuple[str, ...]
    """Module and options, without the number of tries and the seed."""
    share: float
    """Of the time. A part that is done early leaves its rest to those after it."""
    unit: str
    count_option: str = ""
    """How it is told the number of tries; "" for an enumeration, which is run once."""
    thin_option: str = ""
    """How an enumeration is told to take only every n-th, where its time is shorter than ``whole_seconds``."""
    whole_seconds: float = 0.0
    first_tries: int = 1
    """Of the first batch, which shows how long a try takes."""
    tries_max: int = 1_000_000
    """Of one batch."""
    counted: str = ""
    """Which of a score's ``counts`` is the number of tries; by default its ``tried`` is."""
    loses: str = "lost"
    """What a finding would be, in one word."""


PARTS: tuple[Part, ...] = (
    Part(
        name="simulation-memory",
        title="whole engines under virtual time, on the in-memory store",
        command=(f"{TESTING}.simulation", "--store", "memory"),
        share=0.1,
        unit="simulations",
        count_option="--seeds",
        first_tries=20,
    ),
    Part(
        name="simulation-sqlite",
        title="the same, on real SQLite with a store that fails",
        command=(f"{TESTING}.simulation", "--store", "sqlite"),
        share=0.1,
        unit="simulations",
        count_option="--seeds",
        first_tries=10,
    ),
    Part(
        name="simulation-postgres",
        title="the same, on a real PostgreSQL server whose sessions wait for locks and break off",
        command=(f"{TESTING}.simulation", "--store", "postgres"),
        share=0.05,
        unit="simulations",
        count_option="--seeds",
        first_tries=5,
    ),
    Part(
        name="enumeration",
        title="every store call failed in each way, a crash at every commit",
        command=(f"{TESTING}.simulation.enumeration",),
        share=0.1,
        unit="failures and crashes",
    ),
    Part(
        name="kills",
        title="kill -9 of real workers and clients on real SQLite",
        command=(f"{TESTING}.chaos",),
        share=0.15,
        unit="kills",
        count_option="--kills",
        first_tries=100,
        tries_max=3000,
    ),
    Part(
        name="kills-postgres",
        title="the same on real PostgreSQL",
        command=(f"{TESTING}.chaos", "--store", "postgres"),
        share=0.1,
        unit="kills",
        count_option="--kills",
        first_tries=100,
        tries_max=3000,
    ),
    Part(
        name="restarts",
        title="a PostgreSQL server stopped, killed and started again under a fleet",
        command=(f"{TESTING}.chaos", "--store", "postgres", "--trouble", "restart", "--every", "1", "10", *PATIENT),
        share=0.05,
        unit="restarts",
        count_option="--troubles",
        first_tries=5,
        tries_max=300,
        counted="troubles",
    ),
    Part(
        name="failovers",
        title="its primary killed or parted, and a synchronous standby promoted",
        command=(f"{TESTING}.chaos", "--store", "postgres", "--trouble", "failover", "--every", "0.2", "2", *PATIENT),
        share=0.05,
        unit="failovers",
        count_option="--troubles",
        first_tries=5,
        tries_max=300,
        counted="troubles",
    ),
    Part(
        name="power",
        title="power cuts that lose what was not synced",
        command=(f"{TESTING}.power",),
        share=0.1,
        unit="power cuts",
        count_option="--cuts",
        first_tries=200,
    ),
    Part(
        name="disk",
        title="a full or failing disk at every write, sync, truncate, open and delete",
        command=(f"{TESTING}.power", "--faults"),
        share=0.05,
        unit="disk faults",
        thin_option="--every",
        whole_seconds=300.0,
        counted="disk faults",
    ),
    Part(
        name="poison",
        title="poisoned payloads, histories and code beside healthy runs",
        command=(f"{TESTING}.chaos.poison",),
        share=0.05,
        unit="poisoned runs",
        count_option="--rounds",
        first_tries=1,
        tries_max=20,
    ),
    Part(
        name="linearizability-memory",
        title="clients' calls that must fit one order, processes and stores failing under them",
        command=(f"{TESTING}.linearizability", "--store", "memory"),
        share=0.05,
        unit="histories",
        count_option="--histories",
        first_tries=20,
    ),
    Part(
        name="linearizability-sqlite",
        title="the same, with real processes on real SQLite",
        command=(f"{TESTING}.linearizability", "--store", "sqlite"),
        share=0.05,
        unit="histories",
        count_option="--histories",
        first_tries=2,
    ),
)
