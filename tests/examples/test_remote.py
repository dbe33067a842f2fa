"""The example of docs/remote.md does what the page says, at a real server that asks for keys."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.command import free_port

ROOT = Path(__file__).resolve().parents[2]

SAID = [
    "oolong: 30.00, packed by Ada",
    "tea-2: there is no silver needle",
    "failed: ['tea-2']",
    "tea-1 is completed, of 2 orders",
]


def test_a_program_without_a_database_orders_at_a_server(tmp_path: Path) -> None:
    environment = {**os.environ, "KEEPSTEP_DB": f"sqlite:///{tmp_path}/runs.db", "PYTHONUNBUFFERED": "1"}
    keepstep = [sys.executable, "-m", "keepstep"]
    made = [*keepstep, "keys", "create", "shop", "--role", "operate"]
    key = subprocess.run(made, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    address = f"http://127.0.0.1:{(port := free_port())}"
    serve = [*keepstep, "server", "--app", "examples.remote.orders", "--http", str(port), "--require-keys"]
    with subprocess.Popen(serve, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            program = [sys.executable, "-m", "examples.remote", address]
            shown = {**os.environ, "KEEPSTEP_KEY": key}
            ran = subprocess.run(program, cwd=ROOT, env=shown, capture_output=True, text=True, timeout=60, check=False)
        finally:
            server.kill()
    assert (ran.stdout.splitlines(), ran.stderr) == (SAID, "")
