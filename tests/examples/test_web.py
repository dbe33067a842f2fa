"""The web examples of docs/sync.md do what the page says, also when the server dies in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples.flask_shop.__main__ import until
from examples.flask_shop.shop import STOCK, Order, Sale
from examples.flask_shop.web import create_app
from keepstep import Engine
from tests.runtime.crashing import crash_at_every_commit

ROOT = Path(__file__).resolve().parents[2]

FLASK_SAID = [
    "placed: ann-1",
    "so far: waiting for 500 cents",
    "open orders: ['ann-1'], teapots left: 1",
    "in the end: shipped as parcel-r-17",
    "another order under that id: 409",
    "cancelled: waiting for 250 cents, teapots left: 1",
    "paid all the same: 409",
    "never heard of: 404",
]

FASTAPI_SAID = [
    "small: 1200 cents to ann",
    "handed in: e-2",
    "refused by the form: 422",
    "to decide: ben: conference for 900.00",
    "meanwhile: waits for a manager",
    "decided: paid is False, 'stay here'",
    "no such decision: 404",
]


@pytest.mark.parametrize(("example", "said"), [("flask_shop", FLASK_SAID), ("fastapi_expenses", FASTAPI_SAID)])
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_the_program_runs_from_the_command_line(example: str, said: list[str], store: str, tmp_path: Path) -> None:
    url = "memory:" if store == "memory" else f"sqlite:///{tmp_path}/web.db"
    command = [sys.executable, "-m", f"examples.{example}", url]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.splitlines(), ran.stderr) == (said, "")


SERVER = """
import os, signal, sys
from examples.flask_shop.__main__ import until
from examples.flask_shop.web import create_app

browser = create_app(sys.argv[1]).test_client()
browser.put("/orders/ann-1", json={"item": "cup", "count": 2, "email": "ann@example.org"})
until(browser, "ann-1", "waiting for 500 cents")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_order_goes_on_in_the_next_server_process_when_the_first_is_killed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    killed = subprocess.run([sys.executable, "-c", SERVER, url], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    app = create_app(url)
    browser = app.test_client()
    assert browser.get("/orders").get_json() == {"open": ["ann-1"]}
    browser.post("/orders/ann-1/payment", json={"receipt": "r-1"})
    browser.post("/orders/ann-1/payment", json={"receipt": "r-1"})
    assert until(browser, "ann-1", "shipped as parcel-r-1", "completed") == "shipped as parcel-r-1"
    app.extensions["keepstep"].close()


async def sell(engine: Engine) -> str:
    sale = await engine.start(Sale, Order("cup", 1, "ann@example.org"), id="ann-1")
    if (await sale.describe()).status == "running":
        await sale.signal("paid", "r-1", id="r-1")
    return await sale.result()


def test_a_sale_survives_a_crash_at_every_commit() -> None:
    def check(told: str, crashes: int) -> None:
        assert told == "shipped as parcel-r-1"
        STOCK["cup"] = 12

    assert crash_at_every_commit(sell, check, poll_seconds=60.0) >= 8
