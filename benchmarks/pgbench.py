"""pgbench: PostgreSQL's own benchmark, inserting rows with the payloads of a step, each in a transaction of its own."""

from __future__ import annotations

import os
import re
import subprocess

from .bench import Bench
from .postgres_store import PostgresDatabase, PostgresStore
from .raw_postgres import RAW_TABLE
from .raw_store import PAYLOAD
from .row import System

CONNECTIONS = 32
SECONDS = 3
SECONDS_MAX = 60

_SCRIPT = f"""
\\set run random(1, 2000000000)
\\set seq random(1, 2000000000)
INSERT INTO raw_events VALUES (:run, :seq, 'step_completed', 1800000000000000, 'main/charge_payment#1',
    '{PAYLOAD.decode()}') ON CONFLICT DO NOTHING;
"""


def commits_per_second(database: PostgresDatabase) -> float:
    """From as many connections as ``pgbench`` is usually given."""
    database.query(RAW_TABLE)
    script = database.folder / "pgbench.sql"
    script.write_text(_SCRIPT)
    command = [
        database.server.binaries.path("pgbench"), "--no-vacuum", "--file", str(script), "--client", str(CONNECTIONS),
        "--jobs", str(os.cpu_count() or 1), "--time", str(SECONDS), "--protocol", "prepared", database.url,
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS_MAX).stdout
    found = re.search(r"tps = ([\d.]+)", said)
    assert found is not None, said
    return float(found.group(1))


def measure(bench: Bench) -> None:
    store = bench.store
    assert isinstance(store, PostgresStore)
    for _ in range(bench.scale.trials):
        with store.postgres_database() as database:
            bench.add("pgbench", commits_per_second(database), System.RAW)
